package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat/distuv"

	"nudge/cmd/nudge/internal/closedloop"
	"nudge/cmd/nudge/internal/evaluation"
	"nudge/operators/pipeline"
	"nudge/streams/simulate"
)

type worldsFlags struct {
	worlds, policies, files []string
	seeds, workers          int
	first                   uint64
	days                    int
	shoppers, items, size   int
	against                 string
	asJSON                  bool
}

const (
	policyNobody   = "nobody"
	policyOracle   = "oracle"
	policyInformed = "informed"
)

func (c *cli) evalWorldsCommand() *cobra.Command {
	f := &worldsFlags{}
	names, what := simulate.Worlds()
	list := ""
	for k := range names {
		list += fmt.Sprintf("  %-11s %s\n", names[k], what[k])
	}
	cmd := &cobra.Command{
		Use:   "worlds",
		Short: "What recommendations earn in simulated shops whose shoppers see them and respond",
		Long: `worlds plays simulated shops from their first day on: shoppers see a slate on pages and products, click what is worth most to them - or, satisficing, the first
that is good enough -, buy or not, and the pipeline learns from that. Policies of one seed meet the same shoppers with the same luck, so their differences are paired.

Worlds:
` + list + `
Policies: a candidate source that recommends alone, such as trending or next_item; a pipeline of your own (--pipeline FILE: its name is the file's);
nobody, who shows nothing; informed, who knows the items, the season and how shoppers come by their tastes and choose, but of a shopper only what the events
say, which is what can be known; and the oracle, who knows what every item is worth to every shopper.

Figures: clicks and orders for each visit, of the whole time and of its second half, and how much more than --against with the 95 % t interval over
the seeds, in percent. Of what changes after the learning days, a quarter of the time: for each item that arrives, the chance that it is clicked where it is seen
on its first day, whatever the place, and how often it is seen, both over those of informed, else of the oracle (the medians); for each shopper whose taste
turns, how many of their events pass until three lists in a row hold 80 % of the new taste's share of the best items (the median), the share of
shoppers for whom it takes 15 at most, and the new taste's share of lists later on, over that of the best items. Last, what part of the gain over --against
in the second half, of informed, else of the oracle, a policy has. --json says, too, what CPU time a policy took, without the shop's: in all, for an
event that it only learned (learn_us), and for one that it answered (answer_us).`,
		Example: `  nudge eval worlds --world base --policy trending,viewed_together,next_item,informed,oracle --seeds 5
  nudge eval worlds --world seasons,turning --pipeline shop.yaml --policy trending,informed --days 30 --shoppers 2000
  nudge eval worlds --world base,null --pipeline shop.yaml --policy trending --days 30 --shoppers 1000`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.evalWorlds(f) },
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&f.worlds, "world", []string{"base"}, "worlds")
	fs.StringSliceVar(&f.policies, "policy", []string{"trending", "viewed_together", "next_item", policyOracle}, "policies, side by side")
	fs.StringSliceVar(&f.files, "pipeline", nil, "pipelines of your own, each a policy")
	fs.StringVar(&f.against, "against", "trending", "the policy that the others are held against")
	fs.IntVar(&f.seeds, "seeds", 5, "runs of each")
	fs.Uint64Var(&f.first, "first-seed", 101, "the first seed")
	fs.IntVar(&f.days, "days", 60, "days that a run lasts")
	fs.IntVar(&f.shoppers, "shoppers", 5000, "known shoppers")
	fs.IntVar(&f.items, "items", 1000, "items in the catalogue")
	fs.IntVar(&f.size, "size", 10, "items of a slate, but for pipelines of your own")
	fs.IntVar(&f.workers, "workers", runtime.NumCPU(), "runs side by side; it changes no result")
	fs.BoolVar(&f.asJSON, "json", false, "a list of JSON objects")
	return cmd
}

// contestant is a policy with its name.
type contestant struct {
	name string
	make func(*simulate.World) (closedloop.Policy, error)
}

// sourceAlone is the pipeline of one candidate source.
func sourceAlone(source string, size int) string {
	return fmt.Sprintf("version: 1\napp: shop\ncurrency: EUR\nrecommenders: {home: {when: [page.viewed, product.viewed], candidates: [%s], size: %d}}\n", source, size)
}

func (f *worldsFlags) contestants() (all []contestant, err error) {
	for _, name := range f.policies {
		switch name {
		case policyNobody:
			all = append(all, contestant{name, closedloop.Nobody})
		case policyOracle:
			all = append(all, contestant{name, closedloop.Oracle(f.size)})
		case policyInformed:
			all = append(all, contestant{name, closedloop.Informed(f.size)})
		default:
			config, faults := pipeline.Parse("--policy "+name, []byte(sourceAlone(name, f.size)))
			if err := faults.Err(); err != nil {
				return nil, usageError{err}
			}
			all = append(all, contestant{name, closedloop.Pipeline(config)})
		}
	}
	for _, file := range f.files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		config, faults := pipeline.Parse(file, text)
		if err := faults.Err(); err != nil {
			return nil, invalidError{err}
		}
		all = append(all, contestant{strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), closedloop.Pipeline(config)})
	}
	return all, nil
}

func (f *worldsFlags) check() error {
	for _, x := range []struct {
		flag     string
		n, least int
	}{{"seeds", f.seeds, 2}, {"days", f.days, 1}, {"workers", f.workers, 1}, {"size", f.size, 1}} {
		if x.n < x.least {
			return usagef("--%s %d: want at least %d", x.flag, x.n, x.least)
		}
	}
	for _, name := range f.worlds {
		if _, err := simulate.NatureOf(name); err != nil {
			return usageError{err}
		}
	}
	return nil
}

func (c *cli) evalWorlds(f *worldsFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	players, err := f.contestants()
	if err != nil {
		return err
	}
	base := slices.IndexFunc(players, func(p contestant) bool { return p.name == f.against })
	if base < 0 {
		return usagef("--against %s: it is none of the policies", f.against)
	}
	var rows []evaluation.Row
	for _, world := range f.worlds {
		results, err := f.play(world, players)
		if err != nil {
			return err
		}
		rows = append(rows, f.rows(world, players, results, base)...)
	}
	if f.asJSON {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	return printWorlds(c, rows, f.against)
}

// play runs all policies on all seeds of a world.
func (f *worldsFlags) play(world string, players []contestant) (results [][]closedloop.Result, err error) {
	results = make([][]closedloop.Result, len(players))
	for k := range results {
		results[k] = make([]closedloop.Result, f.seeds)
	}
	var group errgroup.Group
	group.SetLimit(f.workers)
	for seed := range f.seeds {
		for k, p := range players {
			group.Go(func() (err error) {
				shop := simulate.Default().Clean()
				shop.Seed, shop.Shoppers, shop.Items, shop.Currency = f.first+uint64(seed), f.shoppers, f.items, "" // of the pipeline
				if shop.Nature, err = simulate.NatureOf(world); err != nil {
					return err
				}
				if err := shop.Validate(); err != nil {
					return usageError{err}
				}
				runtime.LockOSThread() // whose CPU time is that of the run, whatever runs beside it
				defer runtime.UnlockOSThread()
				r, err := closedloop.Play(shop, time.Duration(f.days)*24*time.Hour, threadTime, p.make)
				results[k][seed] = r
				return err
			})
		}
	}
	return results, group.Wait()
}

// worldMetrics are the figures, in the order of the table.
var worldMetrics = []struct {
	name string
	of   func(*closedloop.Result) float64
}{
	{"clicks/visit", func(r *closedloop.Result) float64 { return r.All.ClicksPerVisit() }},
	{"orders/visit", func(r *closedloop.Result) float64 { return r.All.OrdersPerVisit() }},
	{"later clicks/visit", func(r *closedloop.Result) float64 { return r.Later.ClicksPerVisit() }},
	{"later orders/visit", func(r *closedloop.Result) float64 { return r.Later.OrdersPerVisit() }},
}

// gain is the key of how much more than the policy that it is held against, in percent, and part of how much that is of what who knows best gains. Beside each
// stand its lower and upper limit.
func gain(metric string) string { return "more " + metric + " %" }
func part(metric string) string { return "more " + metric + " % of best" }

const lower, upper = " low", " high"

// setMean sets the mean over the seeds and its 95 % t interval.
func setMean(row *evaluation.Row, key string, all []float64) {
	if len(all) < 2 {
		return
	}
	mean, sd := meanSD(all)
	half := sd / math.Sqrt(float64(len(all))) * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(len(all) - 1)}.Quantile(.975)
	row.Metrics[key], row.Metrics[key+lower], row.Metrics[key+upper] = mean, mean-half, mean+half
}

func (f *worldsFlags) rows(world string, players []contestant, results [][]closedloop.Result, base int) (rows []evaluation.Row) {
	var best []closedloop.Result // of who knows what can be known, else of who knows all
	for _, name := range []string{policyOracle, policyInformed} {
		if k := slices.IndexFunc(players, func(p contestant) bool { return p.name == name }); k >= 0 {
			best = results[k]
		}
	}
	for k, p := range players {
		row := evaluation.Row{Model: p.name, Data: world, Protocol: "closed loop", Metrics: map[string]float64{}, SD: map[string]float64{}}
		var learning time.Duration
		var learned int64
		var answers []time.Duration
		for s := range results[k] {
			row.Events += int(results[k][s].Events)
			row.Targets += int(results[k][s].All.Slates)
			took := &results[k][s].Took
			row.CPU += took.All().Seconds()
			learning, learned, answers = learning+took.Learning, learned+took.Learned, append(answers, took.Answers...)
		}
		row.LearnUS = float64(learning.Nanoseconds()) / 1e3 / float64(max(learned, 1))
		row.SetAnswers(answers)
		for _, m := range worldMetrics {
			var own, more, parts []float64
			for s := range results[k] {
				x, y := m.of(&results[k][s]), m.of(&results[base][s])
				own = append(own, x)
				if y > 0 {
					more = append(more, 100*(x-y)/y)
				}
				if best != nil {
					if z := m.of(&best[s]); z > y {
						parts = append(parts, 100*(x-y)/(z-y))
					}
				}
			}
			row.Metrics[m.name], row.SD[m.name] = meanSD(own)
			if k != base {
				setMean(&row, gain(m.name), more)
				setMean(&row, part(m.name), parts)
			}
		}
		changes(&row, results[k], best)
		rows = append(rows, row)
	}
	return rows
}

// The figures of what changes: items on their first day, beside those of who knows best, and shoppers whose taste turns.
const (
	arrivalClicks = "arrivals click rate of best"
	arrivalShown  = "arrivals shown of best"
	arrivalCount  = "arrivals"
	turnedEvents  = "turned events" // none where more than half never come to it
	turnedSoon    = "turned soon"   // share within turnedWithin events
	turnedShare   = "turned share of best"
	turnedCount   = "turned"
)

// turnedWithin is within how many events a turned taste is to be held.
const turnedWithin = 15

// changes sets the figures of what changes, over all seeds. An arrival that the best shows to nobody is left out.
func changes(row *evaluation.Row, own, best []closedloop.Result) {
	var clicks, shown, events []float64
	var late closedloop.Shares
	soon := 0
	for s := range own {
		for _, n := range own[s].Turned {
			events = append(events, float64(n))
			if n <= turnedWithin {
				soon++
			}
		}
		late.Own, late.Best = late.Own+own[s].Late.Own, late.Best+own[s].Late.Best
		if best == nil {
			continue
		}
		for k := range own[s].Arrivals {
			x, y := &own[s].Arrivals[k], &best[s].Arrivals[k]
			if rate := y.ClickRate(); rate > 0 {
				clicks, shown = append(clicks, x.ClickRate()/rate), append(shown, x.Shown/y.Shown)
			}
		}
	}
	if n := len(clicks); n > 0 {
		row.Metrics[arrivalClicks], row.Metrics[arrivalShown], row.Metrics[arrivalCount] = median(clicks), median(shown), float64(n)
	}
	if n := len(events); n > 0 {
		row.Metrics[turnedSoon], row.Metrics[turnedCount] = float64(soon)/float64(n), float64(n)
		if m := median(events); m < closedloop.Never {
			row.Metrics[turnedEvents] = m
		}
	}
	if late.Best > 0 {
		row.Metrics[turnedShare] = late.Own / late.Best
	}
}

// median sorts.
func median(all []float64) float64 {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// ofBest is a cell of the table.
func ofBest(r evaluation.Row, metric string) string {
	x, ok := r.Metrics[part(metric)]
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.0f %% [%.0f, %.0f]", x, r.Metrics[part(metric)+lower], r.Metrics[part(metric)+upper])
}

func printWorlds(c *cli, rows []evaluation.Row, against string) error {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "world\tpolicy")
	for _, m := range worldMetrics {
		fmt.Fprintf(w, "\t%s\tmore than %s", m.name, against)
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s", r.Data, r.Model)
		for _, m := range worldMetrics {
			fmt.Fprintf(w, "\t%.4f\t", r.Metrics[m.name])
			if x, ok := r.Metrics[gain(m.name)]; ok {
				fmt.Fprintf(w, "%+.1f %% [%+.1f, %+.1f]", x, r.Metrics[gain(m.name)+lower], r.Metrics[gain(m.name)+upper])
			}
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\n")
	fmt.Fprintf(w, "world\tpolicy\tarrivals\tclick rate, of the best\tplaces seen\ttastes turned\tevents until held\twithin %d\tshare later, of the best\tlater clicks, orders: of the best's gain\n", turnedWithin)
	for _, r := range rows {
		cell := func(metric, format string, otherwise string) string {
			if x, ok := r.Metrics[metric]; ok {
				return fmt.Sprintf(format, x)
			}
			return otherwise
		}
		never := ""
		if r.Metrics[turnedCount] > 0 {
			never = "never"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s  %s\n", r.Data, r.Model, cell(arrivalCount, "%.0f", ""), cell(arrivalClicks, "%.2f", ""), cell(arrivalShown, "%.2f", ""),
			cell(turnedCount, "%.0f", ""), cell(turnedEvents, "%.0f", never), cell(turnedSoon, "%.2f", ""), cell(turnedShare, "%.2f", ""), ofBest(r, "later clicks/visit"), ofBest(r, "later orders/visit"))
	}
	return w.Flush()
}
