package evaluation

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"nudge/models"
)

// Moment is one choice that is to be made.
type Moment struct {
	Features []float64 // of the arms, World.Shared of each
	Own      []float64 // of the moment
	Means    []float64 // expected reward of each arm
	Rewards  []float64 // what each would give; a policy sees its own arm's
}

// World is a row of moments.
type World struct {
	Name              string
	Arms, Shared, Own int
	Moments           []Moment
}

// Policy chooses arms.
type Policy interface {
	Choose(m *Moment) (arm int)
	Learn(m *Moment, arm int, reward float64)
}

// NewBanditPolicy is the model of nudge with its defaults.
func NewBanditPolicy(w *World, seed uint64) Policy {
	return &thompson{b: models.NewBandit(models.DefaultBandit(w.Arms, w.Shared, w.Own)), r: rand.New(rand.NewPCG(seed, 2))}
}

type thompson struct {
	b *models.Bandit
	r *rand.Rand
}

func (p *thompson) Choose(m *Moment) int {
	return models.Draw(p.b.Chances(m.Features, m.Own), p.r.Float64())
}
func (p *thompson) Learn(m *Moment, arm int, reward float64) {
	p.b.Learn(arm, m.Features, m.Own, reward)
}

// NewLinUCB is the disjoint LinUCB of Li et al. (WWW 2010): a ridge regression for each arm over the features of the moment, and the arm
// with the highest upper bound.
func NewLinUCB(w *World, alpha float64) Policy {
	p := &linUCB{alpha: alpha, n: w.Own}
	for range w.Arms {
		a := ucbArm{inverse: make([]float64, w.Own*w.Own), b: make([]float64, w.Own)}
		for i := range w.Own {
			a.inverse[i*w.Own+i] = 1
		}
		p.arms = append(p.arms, a)
	}
	return p
}

type linUCB struct {
	alpha float64
	n     int
	arms  []ucbArm
}

type ucbArm struct{ inverse, b []float64 }

func (a *ucbArm) times(x []float64) (out []float64, quad float64) {
	n := len(x)
	out = make([]float64, n)
	for i := range n {
		for j, v := range x {
			out[i] += a.inverse[i*n+j] * v
		}
		quad += out[i] * x[i]
	}
	return out, quad
}

func (p *linUCB) Choose(m *Moment) (arm int) {
	best := math.Inf(-1)
	for k := range p.arms {
		ax, quad := p.arms[k].times(m.Own)
		bound := p.alpha * math.Sqrt(quad)
		for i, v := range ax {
			bound += v * p.arms[k].b[i]
		}
		if bound > best {
			arm, best = k, bound
		}
	}
	return arm
}

func (p *linUCB) Learn(m *Moment, arm int, reward float64) {
	a := &p.arms[arm]
	ax, quad := a.times(m.Own)
	for i := range ax {
		for j := range ax {
			a.inverse[i*p.n+j] -= ax[i] * ax[j] / (1 + quad)
		}
		a.b[i] += reward * m.Own[i]
	}
}

// Run is what a policy came to in a world.
type Run struct {
	Reward, Regret float64 // means
	CPU            time.Duration
	Chose          []time.Duration // of each choice
	Learning       time.Duration
}

// Play lets a policy choose at every moment; cpu is the CPU time that the process has used.
func Play(w *World, p Policy, cpu func() time.Duration) (r Run) {
	watch := newStopwatch(cpu)
	r.Chose = make([]time.Duration, 0, len(w.Moments))
	for i := range w.Moments {
		m, from := &w.Moments[i], cpu()
		arm := p.Choose(m)
		r.Chose = append(r.Chose, watch.since(from))
		from = cpu()
		p.Learn(m, arm, m.Rewards[arm])
		r.Learning += watch.since(from)
		r.Reward += m.Rewards[arm]
		r.Regret += slices.Max(m.Means) - m.Means[arm]
	}
	for _, x := range r.Chose {
		r.CPU += x
	}
	r.CPU += r.Learning
	r.Reward /= float64(len(w.Moments))
	r.Regret /= float64(len(w.Moments))
	return r
}

// BestConstant is the arm that would have given most, and its mean reward.
func BestConstant(w *World) (arm int, reward float64) {
	sums := make([]float64, w.Arms)
	for i := range w.Moments {
		for a, x := range w.Moments[i].Rewards {
			sums[a] += x
		}
	}
	for a := range sums {
		if sums[a] > sums[arm] {
			arm = a
		}
	}
	return arm, sums[arm] / float64(len(w.Moments))
}

// Worlds are the names of the synthetic worlds.
var Worlds = []string{"linear", "nonlinear", "drifting"}

// Synthetic makes a world: 20,000 moments of 8 features, 10 arms, noise with a standard deviation of a half. In the linear one an arm's reward is linear in the
// features, in the nonlinear one it also has squares of a direction and a sine, in the drifting one its weights turn half a circle.
func Synthetic(name string, seed uint64) *World {
	const arms, n, moments = 10, 8, 20_000
	r := rand.New(rand.NewPCG(seed, 3))
	direction := func() []float64 {
		d := make([]float64, n)
		for i := range d {
			d[i] = r.NormFloat64() / math.Sqrt(n)
		}
		return d
	}
	var first, second [arms][]float64
	for a := range arms {
		first[a], second[a] = direction(), direction()
	}
	dot := func(a, b []float64) (s float64) {
		for i := range a {
			s += a[i] * b[i]
		}
		return s
	}
	w := &World{Name: name, Arms: arms, Own: n + 1}
	for t := range moments {
		x := make([]float64, n)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		m := Moment{Own: append([]float64{1}, x...)}
		angle := math.Pi * float64(t) / moments
		for a := range arms {
			mean := dot(first[a], x)
			switch name {
			case "nonlinear":
				s := dot(second[a], x)
				mean = .5*mean + .5*(s*s-1) + .5*math.Sin(2*dot(first[(a+1)%arms], x))
			case "drifting":
				mean = math.Cos(angle)*mean + math.Sin(angle)*dot(second[a], x)
			}
			m.Means = append(m.Means, mean)
			m.Rewards = append(m.Rewards, mean+.5*r.NormFloat64())
		}
		w.Moments = append(w.Moments, m)
	}
	return w
}

// Genres makes the world of a folder in RecBole's layout of MovieLens (*.inter, *.item, *.user, plain or gzip): for each rating of at least 4, in the order of time,
// a genre is to be chosen, and gives 1 if the film has it. What is known is the user's gender, occupation and age, and of each genre the share of
// the user's films so far that have it: as it is, and drawn to that of all users where there are few.
func Genres(dir string) (*World, error) {
	films := map[string][]string{}
	err := rows(dir, ".item", func(f []string) error {
		if len(f) > 3 {
			films[f[0]] = slices.DeleteFunc(strings.Fields(f[3]), func(g string) bool { return g == "unknown" })
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	type user struct {
		own   []float64
		liked float64
		of    []float64
	}
	users, occupations := map[string]*user{}, map[string]int{}
	type person struct{ id, gender, occupation, age string }
	var people []person
	err = rows(dir, ".user", func(f []string) error {
		if len(f) < 4 {
			return fmt.Errorf("%d columns, want at least 4", len(f))
		}
		people = append(people, person{f[0], f[2], f[3], f[1]})
		if _, ok := occupations[f[3]]; !ok {
			occupations[f[3]] = len(occupations)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, x := range people {
		own := make([]float64, 3+len(occupations))
		own[0] = 1
		if x.gender == "F" {
			own[1] = 1
		}
		age, err := strconv.ParseFloat(x.age, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: age %q of user %s is no number", dir, x.age, x.id)
		}
		own[2] = min(age/10, 6) / 6
		own[3+occupations[x.occupation]] = 1
		users[x.id] = &user{own: own}
	}
	type like struct {
		user, film string
		at         float64
	}
	var likes []like
	err = rows(dir, ".inter", func(f []string) error {
		if len(f) < 4 {
			return fmt.Errorf("%d columns, want 4", len(f))
		}
		stars, err1 := strconv.ParseFloat(f[2], 64)
		at, err2 := strconv.ParseFloat(f[3], 64)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if stars >= 4 && len(films[f[1]]) > 0 && users[f[0]] != nil {
			likes = append(likes, like{f[0], f[1], at})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(likes) == 0 {
		return nil, fmt.Errorf("%s: no rating of at least 4 of a film with a genre, by a user of the file", dir)
	}
	slices.SortStableFunc(likes, func(a, b like) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	genres := map[string]int{}
	var names []string
	for _, of := range films {
		for _, g := range of {
			if _, ok := genres[g]; !ok {
				genres[g] = 0
				names = append(names, g)
			}
		}
	}
	slices.Sort(names)
	for i, g := range names {
		genres[g] = i
	}
	w := &World{Name: "genres", Arms: len(names), Shared: 3, Own: 3 + len(occupations)}
	mean, seen := make([]float64, len(names)), 0.0 // of the shares that were seen: features of moments, not rewards
	for _, x := range likes {
		u := users[x.user]
		if u.of == nil {
			u.of = make([]float64, len(names))
		}
		m := Moment{Own: u.own, Rewards: make([]float64, len(names))}
		for g := range names {
			share := 0.0
			if u.liked > 0 {
				share = u.of[g] / u.liked
			}
			const prior = 12
			all := 1 / float64(len(names))
			if seen > 0 {
				all = mean[g] / seen
			}
			m.Features = append(m.Features, 1, share, (u.of[g]+prior*all)/(u.liked+prior))
		}
		if u.liked > 0 {
			seen++
			for g := range names {
				mean[g] += u.of[g] / u.liked
			}
		}
		for _, g := range films[x.film] {
			m.Rewards[genres[g]] = 1
			u.of[genres[g]]++
		}
		m.Means = m.Rewards
		u.liked++
		w.Moments = append(w.Moments, m)
	}
	return w, nil
}

// rows reads the file of a folder with an ending, tab separated, without its header.
func rows(dir, ending string, each func(fields []string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(strings.TrimSuffix(e.Name(), ".gz"), ending) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		in, closeFile, err := open(path)
		if err != nil {
			return err
		}
		defer closeFile()
		scan := bufio.NewScanner(in)
		for n := 1; scan.Scan(); n++ {
			if n == 1 || scan.Text() == "" {
				continue
			}
			if err := each(strings.Split(scan.Text(), "\t")); err != nil {
				return fmt.Errorf("%s:%d: %w", path, n, err)
			}
		}
		return scan.Err()
	}
	return fmt.Errorf("%s holds no file that ends in %s or %s.gz: want a folder in RecBole's layout of MovieLens", dir, ending, ending)
}
