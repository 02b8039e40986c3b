package main

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/evaluation"
)

type banditFlags struct {
	data   string
	worlds []string
	seeds  int
	asJSON bool
}

func (c *cli) evalBanditCommand() *cobra.Command {
	f := &banditFlags{}
	cmd := &cobra.Command{
		Use:   "bandit",
		Short: "How well the bandit chooses when it sees only the reward of its own choice",
		Long: `bandit plays the contextual bandit against worlds whose rewards are known, and against LinUCB and the best constant arm in hindsight.

  --data DIR     MovieLens in RecBole's layout: at each rating of 4 or more choose one of 18 genres; 1 if the film has it
  --world NAME   20,000 moments of 8 features and 10 arms: ` + strings.Join(evaluation.Worlds, ", ") + `. LinUCB's alpha is the best of
                 six on seeds 1 to 5 of each world; the figures are of the seeds from 101 on.

Figures: mean reward, mean regret (what the best arm of the moment would have given more, on average), and how much more than the best constant arm or
LinUCB with its 95 % interval over the seeds, paired.`,
		Example: `  nudge eval bandit --data ml100k
  nudge eval bandit --world linear,nonlinear,drifting --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.evalBandit(f) },
	}
	cmd.Flags().StringVar(&f.data, "data", "", "`DIR` of MovieLens")
	cmd.Flags().StringSliceVar(&f.worlds, "world", nil, "synthetic worlds")
	cmd.Flags().IntVar(&f.seeds, "seeds", 10, "runs of each")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "a list of JSON objects")
	return cmd
}

// banditSums are the runs of one policy over the seeds.
type banditSums struct {
	rewards, regrets []float64
	cpu              time.Duration
	chose            []time.Duration // each choice took
	learning         time.Duration
	choices          int
}

func (s *banditSums) play(w *evaluation.World, p evaluation.Policy) {
	r := evaluation.Play(w, p, cpuTime)
	s.rewards, s.regrets = append(s.rewards, r.Reward), append(s.regrets, r.Regret)
	s.cpu += r.CPU
	s.choices += len(w.Moments)
	s.chose = append(s.chose, r.Chose...)
	s.learning += r.Learning
}

func (s *banditSums) row(model, data, protocol string) evaluation.Row {
	reward, rewardSD := meanSD(s.rewards)
	regret, regretSD := meanSD(s.regrets)
	row := evaluation.Row{Model: model, Data: data, Protocol: protocol, Events: s.choices, Targets: s.choices, CPU: s.cpu.Seconds(),
		Metrics: map[string]float64{"reward": reward, "regret": regret}, SD: map[string]float64{"reward": rewardSD, "regret": regretSD}}
	row.SetAnswers(s.chose)
	row.LearnUS = float64(s.learning.Nanoseconds()) / 1e3 / float64(max(s.choices, 1))
	return row
}

func (c *cli) evalBandit(f *banditFlags) error {
	if f.data == "" && len(f.worlds) == 0 {
		return usageError{fmt.Errorf("want --data or --world")}
	}
	if f.seeds < 2 || f.seeds > 1000 {
		return usageError{fmt.Errorf("--seeds %d: want 2 to 1000", f.seeds)}
	}
	for _, name := range f.worlds {
		if !slices.Contains(evaluation.Worlds, name) {
			return usageError{fmt.Errorf("--world %q: want %s", name, strings.Join(evaluation.Worlds, ", "))}
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that the time that a choice takes is CPU time
	var rows []evaluation.Row
	var notes []string
	if f.data != "" {
		w, err := evaluation.Genres(f.data)
		if err != nil {
			return unreadable(err)
		}
		var own, other banditSums
		var more []float64
		_, constant := evaluation.BestConstant(w)
		for seed := range uint64(f.seeds) {
			own.play(w, evaluation.NewBanditPolicy(w, 101+seed))
			more = append(more, own.rewards[seed]-constant)
		}
		other.play(w, evaluation.NewLinUCB(w, 0.3))
		data := filepath.Base(f.data)
		rows = append(rows, own.row("bandit", data, "genres"), other.row("linucb", data, "genres"),
			evaluation.Row{Model: "best constant arm", Data: data, Protocol: "genres", Metrics: map[string]float64{"reward": constant, "regret": 1 - constant}, SD: map[string]float64{}})
		notes = append(notes, fmt.Sprintf("genres: bandit against the best constant arm: reward %s", interval(more)))
	}
	for _, name := range f.worlds {
		alpha := tunedLinUCB(name)
		var own, other banditSums
		var ratio []float64
		for seed := range uint64(f.seeds) {
			w := evaluation.Synthetic(name, 101+seed)
			own.play(w, evaluation.NewBanditPolicy(w, 101+seed))
			other.play(w, evaluation.NewLinUCB(w, alpha))
			ratio = append(ratio, own.regrets[seed]/other.regrets[seed])
		}
		rows = append(rows, own.row("bandit", name, "world"), other.row(fmt.Sprintf("linucb, alpha %g", alpha), name, "world"))
		a, _ := meanSD(own.regrets)
		b, _ := meanSD(other.regrets)
		notes = append(notes, fmt.Sprintf("%s: regret of bandit %.2f times that of linucb; by seed %s", name, a/b, interval(ratio)))
	}
	if f.asJSON {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "world\tpolicy\treward\t±\tregret\t±\tchoices\tCPU s\tchoices per CPU second")
	for _, r := range rows {
		speed := ""
		if r.CPU > 0 {
			speed = fmt.Sprintf("%.0f", float64(r.Events)/r.CPU)
		}
		fmt.Fprintf(t, "%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t%d\t%.1f\t%s\n", r.Data, r.Model, r.Metrics["reward"], r.SD["reward"], r.Metrics["regret"], r.SD["regret"], r.Events, r.CPU, speed)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(c.out, note)
	}
	return nil
}

// tunedLinUCB is the alpha with the least regret on seeds 1 to 5.
func tunedLinUCB(world string) (best float64) {
	least := math.Inf(1)
	for _, alpha := range []float64{0.1, 0.2, 0.3, 0.4, 0.6, 0.8} {
		sum := 0.0
		for seed := range uint64(5) {
			w := evaluation.Synthetic(world, 1+seed)
			sum += evaluation.Play(w, evaluation.NewLinUCB(w, alpha), cpuTime).Regret
		}
		if sum < least {
			least, best = sum, alpha
		}
	}
	return best
}

func meanSD(x []float64) (mean, sd float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		sd += (v - mean) * (v - mean)
	}
	if len(x) < 2 {
		return mean, 0
	}
	return mean, math.Sqrt(sd / float64(len(x)-1))
}

// interval is the mean and its 95 % t interval.
func interval(x []float64) string {
	mean, sd := meanSD(x)
	half := student95(len(x)-1) * sd / math.Sqrt(float64(len(x)))
	return fmt.Sprintf("%+.4f [%+.4f, %+.4f]", mean, mean-half, mean+half)
}

// student95 is the 97.5 % quantile of Student's t.
func student95(freedom int) float64 {
	t := []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086}
	if freedom <= len(t) {
		return t[max(freedom, 1)-1]
	}
	return 1.96 + 2.5/float64(freedom)
}
