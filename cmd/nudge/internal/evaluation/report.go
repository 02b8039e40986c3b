package evaluation

import (
	"fmt"
	"slices"
	"time"

	"nudge/models"
)

// Row is one model's figures: what every nudge eval prints.
type Row struct {
	Model    string                        `json:"model"`
	Data     string                        `json:"data"`
	Protocol string                        `json:"protocol"`
	Metrics  map[string]float64            `json:"metrics"`
	SD       map[string]float64            `json:"sd"`
	Slices   map[string]map[string]float64 `json:"slices,omitempty"`
	Targets  int                           `json:"targets"`
	Events   int                           `json:"events"`
	// What it took; 0 where it was not measured.
	CPU      float64 `json:"cpu_seconds"`
	LearnUS  float64 `json:"learn_us"` // for each event learned, on average
	AnswerUS struct {
		P50 float64 `json:"p50"`
		P90 float64 `json:"p90"`
		P99 float64 `json:"p99"`
	} `json:"answer_us"`
	Hours []Hour `json:"hours,omitempty"`
}

// Fill sets the figures of a row.
func (r *Row) Fill(f *Figures, seed uint64) {
	sum := f.Sum()
	r.Metrics, r.SD, r.Targets = named(sum.means(), f.K), named(f.Spread(seed), f.K), int(sum.N)
	r.Metrics[fmt.Sprintf("coverage@%d", f.K)] = f.Coverage()
	r.Metrics[fmt.Sprintf("evenness@%d", f.K)] = f.Evenness()
	r.Metrics[fmt.Sprintf("diversity@%d", f.K)] = f.unlike.mean
	r.Metrics[fmt.Sprintf("novelty@%d", f.K)] = f.novelty.mean
	r.Slices = map[string]map[string]float64{}
	for name, t := range f.Slices {
		if t.N > 0 {
			r.Slices[name] = named(t.means(), f.K)
			r.Slices[name]["targets"] = t.N
		}
	}
}

// Repeats is how many of the targets are items that the customer had met, and that are ruled out: no model can have named them.
func (r *Row) Repeats() int { return int(r.Slices[sliceRepeats]["targets"]) }

func named(m Means, k int) map[string]float64 {
	return map[string]float64{fmt.Sprintf("hr@%d", k): m.HR, fmt.Sprintf("mrr@%d", k): m.MRR, fmt.Sprintf("ndcg@%d", k): m.NDCG}
}

// Timed measures the CPU time that a model takes.
type Timed struct {
	Recommender
	Learned  int
	began    time.Duration // CPU
	learning time.Duration
	watch    stopwatch
	answers  []time.Duration
}

// stopwatch measures the CPU time that the process uses, without what looking at its clock takes.
type stopwatch struct {
	cpu  func() time.Duration
	cost time.Duration
}

func newStopwatch(cpu func() time.Duration) stopwatch {
	s := stopwatch{cpu, time.Second}
	for range 100 {
		from := cpu()
		s.cost = min(s.cost, cpu()-from)
	}
	return s
}

func (s *stopwatch) since(from time.Duration) time.Duration { return max(0, s.cpu()-from-s.cost) }

// NewTimed wraps a model; cpu is the CPU time that the process has used.
func NewTimed(m Recommender, cpu func() time.Duration) *Timed {
	return &Timed{Recommender: m, watch: newStopwatch(cpu), began: cpu()}
}

// Learn implements Recommender.
func (t *Timed) Learn(x *Interaction, before *models.Query) {
	t.Learned++
	from := t.watch.cpu()
	t.Recommender.Learn(x, before)
	t.learning += t.watch.since(from)
}

// Rank implements Recommender.
func (t *Timed) Rank(q *models.Query) []models.Candidate {
	from := t.watch.cpu()
	found := t.Recommender.Rank(q)
	t.answers = append(t.answers, t.watch.since(from))
	return found
}

// Into sets the times of a row.
func (t *Timed) Into(r *Row) {
	cpu := t.watch.cpu() - t.began
	r.CPU, r.Events = cpu.Seconds(), t.Learned
	r.LearnUS = float64(t.learning.Nanoseconds()) / 1e3 / float64(max(t.Learned, 1))
	r.SetAnswers(t.answers)
}

// SetAnswers sets how long answers took. It sorts them.
func (r *Row) SetAnswers(all []time.Duration) {
	slices.Sort(all)
	at := func(p float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[min(int(p*float64(len(all))), len(all)-1)].Nanoseconds()) / 1e3
	}
	r.AnswerUS.P50, r.AnswerUS.P90, r.AnswerUS.P99 = at(.5), at(.9), at(.99)
}
