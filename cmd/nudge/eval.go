package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/evaluation"
	"nudge/models"
)

func (c *cli) evalCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "eval", Short: "Measure the models: on recorded interactions by the protocols of the papers, and in simulated shops",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("eval what? want next-item, bandit or worlds\n%s", seeHelp(cmd))
		}}
	cmd.AddCommand(c.evalNextItemCommand(), c.evalBanditCommand(), c.evalWorldsCommand())
	return cmd
}

// unreadable is an error of what a command was given to read: one that is not there is none of its contents.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return invalidError{err}
}

type nextItemFlags struct {
	protocol          string
	data, train, test []string
	columns           evaluation.Columns
	events            []string
	models, readings  []string
	learn             string
	bot               int
	learnValidation   bool
	k                 int
	diversity         float64
	seed              uint64
	asJSON            bool
}

// The protocols of nudge eval next-item.
const (
	protocolSessions    = "sessions"
	protocolLeaveOneOut = "leave-one-out"
	protocolPrequential = "prequential"
)

func (c *cli) evalNextItemCommand() *cobra.Command {
	f := &nextItemFlags{}
	cmd := &cobra.Command{
		Use:   "next-item",
		Short: "How well models say which item comes next",
		Long: `next-item reads interactions (CSV, TSV or separated by blanks, plain or gzip; or a folder that nudge export or simulate wrote) and ranks the whole catalogue for each target. An item that scores
as much as the target counts against it; targets that a model has never seen stay in the denominator. Item ids are replaced by a seeded hash first. Which columns are customer,
item, time and event type is told by the names that are usual, or --user, --item, --time and --event; it is said for every file.

Protocols:
  sessions        learn --train, then ask for every next item of --test from what came before it in its session (of a log, the events' session). --reading A: all items are
                  candidates; B: all but the last one; C: those not in the session. --learn on: the test's clicks are learned too, after they are asked for.
  leave-one-out   ask for every customer's last item; the one before is learned with --learn-validation. What the customer has met is not ranked:
                  a target that is a repeat of it counts as a miss, and how many are is said.
  prequential     in the order of time, ask for each item that somebody met before, of customers who did something before, then learn it. Figures are of both halves of
                  the log, of items that the customer had not met; those that it had are counted apart. Each model is held against the source that was best in the first half.

Figures: HR, MRR and NDCG at k with their standard deviation over bootstraps of customers or sessions; coverage (share of the catalogue among the
first k of any list), evenness (how many items, shown equally often, would be as varied as all lists together: 2^entropy, as a share of the catalogue),
diversity (1 - cosine of the customers of two items of a list), novelty (bits: -log2 of an item's share of all events). --diversity makes lists as a
recommender with so much diversify does; items are alike that are met together.
Models: ` + strings.Join(evaluation.Names(), ", ") + `.`,
		Example: `  nudge eval next-item --protocol sessions --train train.tsv.gz --test test.tsv.gz --models neighbours,blend
  nudge eval next-item --protocol leave-one-out --data beauty.txt.gz --k 10 --learn-validation
  nudge eval next-item --protocol prequential --data UserBehavior.csv.gz --user 1 --item 2 --event 4 --time 5 --events pv=1,cart=2,fav=2,buy=3 --targets pv
  nudge eval next-item --protocol sessions --train train.tsv.gz --test test.tsv.gz --models blend --diversity 0.5
  nudge eval next-item --protocol prequential --data log      the events of a shop, recorded by nudge export`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, _, stop := drainOnSignal(cmd.Context(), c.log)
			defer stop()
			return c.evalNextItem(ctx, f, cmd.Flags().Changed)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.protocol, "protocol", "", "sessions, leave-one-out or prequential")
	flags.StringSliceVar(&f.data, "data", nil, "interactions, for leave-one-out and prequential")
	flags.StringSliceVar(&f.train, "train", nil, "interactions to learn, for sessions")
	flags.StringSliceVar(&f.test, "test", nil, "interactions to ask for, for sessions")
	flags.StringVar(&f.columns.User, "user", "", "column of the customer or session: its name, or its number from 1")
	flags.StringVar(&f.columns.Item, "item", "", "column of the item")
	flags.StringVar(&f.columns.Time, "time", "", "column of the time: seconds since 1970 or parts of them down to nanoseconds, or a date; none for the file's order")
	flags.StringVar(&f.columns.Dates, "dates", "", "what dates such as 05/02/2011 begin with, day-first or month-first (default: what one above 12 shows, else month-first)")
	flags.StringVar(&f.columns.Event, "event", "", "column of the event's type")
	flags.StringSliceVar(&f.events, "events", nil, "weights of event types, TYPE=WEIGHT; others are passed over")
	flags.StringSliceVar(&f.columns.Targets, "targets", nil, "event types that are asked for; all by default")
	flags.StringVar(&f.columns.Rating, "rating", "", "column of the rating")
	flags.Float64Var(&f.columns.AtLeast, "at-least", 0, "pass over ratings below")
	flags.StringSliceVar(&f.models, "models", []string{"popularity", "co-occurrence", "neighbours", "blend"}, "models, side by side")
	flags.StringSliceVar(&f.readings, "reading", []string{evaluation.ReadingA, evaluation.ReadingB, evaluation.ReadingC}, "readings of sessions")
	flags.StringVar(&f.learn, "learn", "off", "sessions: on or off")
	flags.BoolVar(&f.learnValidation, "learn-validation", false, "leave-one-out: learn the last item but one")
	flags.IntVar(&f.bot, "bot", 0, "sessions: so many clicks of a bot on items at random, in the last hour of --train")
	flags.IntVar(&f.k, "k", 20, "length of the lists")
	flags.Float64Var(&f.diversity, "diversity", 0, "lists as a recommender with so much diversify makes them, from 0 to 1")
	flags.Uint64Var(&f.seed, "seed", 1, "of the hash of the item ids and of the bootstraps")
	flags.BoolVar(&f.asJSON, "json", false, "a list of JSON objects")
	return cmd
}

// flagsOf are the flags of one protocol; another knows nothing of them.
var flagsOf = map[string]string{"learn": protocolSessions, "reading": protocolSessions, "bot": protocolSessions, "learn-validation": protocolLeaveOneOut}

// check looks at the flags before a file is read; given says which were.
func (f *nextItemFlags) check(given func(flag string) bool) error {
	usage := func(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
	switch f.protocol {
	case protocolSessions:
		if len(f.train) == 0 || len(f.test) == 0 || len(f.data) > 0 {
			return usage("--protocol sessions wants --train and --test, and no --data")
		}
	case protocolLeaveOneOut, protocolPrequential:
		if len(f.data) == 0 || len(f.train)+len(f.test) > 0 {
			return usage("--protocol %s wants --data, and no --train or --test", f.protocol)
		}
	default:
		return usage("--protocol %q: want sessions, leave-one-out or prequential", f.protocol)
	}
	for _, flag := range slices.Sorted(keysOf(flagsOf)) {
		if given(flag) && f.protocol != flagsOf[flag] {
			return usage("--%s goes with --protocol %s; with %s leave it out", flag, flagsOf[flag], f.protocol)
		}
	}
	if f.learn != "on" && f.learn != "off" {
		return usage("--learn %q: want on or off", f.learn)
	}
	if f.bot < 0 || f.bot > 10_000_000 {
		return usage("--bot %d: want 0 to 10000000", f.bot)
	}
	if f.k < 1 || f.k > 100 {
		return usage("--k %d: want 1 to 100", f.k)
	}
	if !(f.diversity >= 0 && f.diversity <= 1) {
		return usage("--diversity %v: want 0 to 1", f.diversity)
	}
	for _, r := range f.readings {
		if !slices.Contains([]string{evaluation.ReadingA, evaluation.ReadingB, evaluation.ReadingC}, r) {
			return usage("--reading %q: want A, B or C", r)
		}
	}
	if len(f.models) == 0 {
		return usage("--models: want at least one of %s", strings.Join(evaluation.Names(), ", "))
	}
	for _, name := range f.models {
		if !slices.Contains(evaluation.Names(), name) {
			return usage("--models: there is no %q, but %s", name, strings.Join(evaluation.Names(), ", "))
		}
	}
	for _, e := range f.events {
		name, weight, ok := strings.Cut(e, "=")
		w, err := strconv.ParseFloat(weight, 64)
		if !ok || err != nil || !(w > 0) || w > 1e6 {
			return usage("--events %q: want TYPE=WEIGHT with a weight above 0, such as buy=3", e)
		}
		if f.columns.Events == nil {
			f.columns.Events = map[string]float64{}
		}
		f.columns.Events[name] = w
	}
	if given("event") && f.columns.Events == nil {
		return usage("--event %s goes with --events: which types are read, and what each weighs", f.columns.Event)
	}
	if d := f.columns.Dates; d != "" && d != evaluation.DayFirst && d != evaluation.MonthFirst {
		return usage("--dates %q: want day-first or month-first", d)
	}
	if given("rating") && !given("at-least") {
		return usage("--rating %s goes with --at-least: ratings below are passed over, and weigh nothing else", f.columns.Rating)
	}
	if len(f.columns.Targets) > 0 && f.columns.Events == nil {
		return usage("--targets goes with --events")
	}
	for _, name := range f.columns.Targets {
		if f.columns.Events[name] == 0 {
			return usage("--targets %s: it is none of --events, so that no event of it is read", name)
		}
	}
	return nil
}

// columnFlags say where a file has what a log of events has by itself.
var columnFlags = []string{"user", "item", "time", "event", "rating", "at-least", "dates"}

func (c *cli) evalNextItem(ctx context.Context, f *nextItemFlags, given func(flag string) bool) error {
	if err := f.check(given); err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that the CPU time while an answer is made is all its own
	reader := evaluation.NewReader(f.columns)
	for _, path := range slices.Concat(f.train, f.data, f.test) {
		read := reader.Read
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if at := slices.IndexFunc(columnFlags, given); at >= 0 {
				return usagef("--%s: %s is a log of events, which have no columns: leave it out", columnFlags[at], path)
			}
			read = func(path string) error { return readLog(ctx, path, reader, f.protocol == protocolSessions) }
		}
		if err := read(path); err != nil {
			return unreadable(err)
		}
	}
	for _, line := range reader.Taken {
		fmt.Fprintln(c.talk, line)
	}
	for _, line := range reader.Notes {
		fmt.Fprintln(c.talk, line)
	}
	for _, name := range reader.Unmet() {
		fmt.Fprintf(c.talk, "no interaction is of the type %q that --events names\n", name)
	}
	for _, line := range reader.Headers {
		fmt.Fprintf(c.talk, "%s: taken for a header\n", line)
	}
	reader.Order(f.seed)
	log, test := reader.Logs(len(f.train) + len(f.data))
	if reader.Passed > 0 {
		fmt.Fprintf(c.talk, "%d interactions passed over, of other event types or lower ratings\n", reader.Passed)
	}
	fmt.Fprintf(c.talk, "%d interactions of %d customers or sessions with %d items\n", len(log)+len(test), reader.Users(), reader.Items())
	if n := evaluation.Beyond(log); n > 0 {
		fmt.Fprintf(c.talk, "%d of them are beyond the %d that one customer teaches on a day: asked for, and learned by no model\n", n, models.DailyItems)
	}
	var rows []evaluation.Row
	runs := &prequentialRuns{}
	for _, name := range f.models {
		fmt.Fprintf(c.talk, "%s ...\n", name)
		some, err := f.evaluate(ctx, name, log, test, reader.Users(), runs)
		if err != nil {
			return err
		}
		rows = append(rows, some...)
	}
	if n := rows[0].Repeats(); n > 0 && f.protocol == protocolLeaveOneOut {
		fmt.Fprintf(c.talk, "%d of %d targets (%.1f %%) are repeats: their customers had met the item, which is not ranked then, and they count as misses\n", n, rows[0].Targets, 100*float64(n)/float64(rows[0].Targets))
	}
	slices.SortStableFunc(rows, func(a, b evaluation.Row) int { return cmp.Compare(a.Protocol, b.Protocol) })
	if f.asJSON {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	if err := c.evalTable(rows, f.k); err != nil {
		return err
	}
	for _, note := range runs.compare(f.seed) {
		fmt.Fprintln(c.out, note)
	}
	return nil
}

// prequentialRuns are the figures of all models, to be held against each other.
type prequentialRuns struct {
	names []string
	runs  []*evaluation.Prequential
}

// compare holds each model, in the second half, against the source that was best in the first.
func (p *prequentialRuns) compare(seed uint64) (notes []string) {
	if len(p.runs) < 2 {
		return nil
	}
	best := -1
	for i, run := range p.runs {
		if strings.HasPrefix(p.names[i], "blend") {
			continue
		}
		if best < 0 || run.First.Sum().MRR > p.runs[best].First.Sum().MRR {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	for i, run := range p.runs {
		if i == best {
			continue
		}
		d, sd := run.Second.Paired(p.runs[best].Second, seed)
		notes = append(notes, fmt.Sprintf("%s against %s, the best source of the first half: hr %+.4f (sd %.4f), mrr %+.4f (sd %.4f), paired by customer", p.names[i], p.names[best], d.HR, sd.HR, d.MRR, sd.MRR))
	}
	return notes
}

// evaluate runs one model.
func (f *nextItemFlags) evaluate(ctx context.Context, name string, log, test []evaluation.Interaction, users int, runs *prequentialRuns) (rows []evaluation.Row, err error) {
	made, _ := evaluation.Make(name)
	m := evaluation.NewTimed(made, cpuTime)
	var times evaluation.Row
	p := evaluation.Protocol{K: f.k, Learn: f.learn == "on" || f.learnValidation, Diversity: f.diversity} // one of learn's two is of another protocol, and off
	add := func(protocol string, figures *evaluation.Figures) *evaluation.Row {
		if len(rows) == 0 {
			m.Into(&times)
		}
		r := times
		if f.diversity > 0 {
			protocol += fmt.Sprintf(", diversity %v", f.diversity)
		}
		r.Model, r.Data, r.Protocol = name, f.dataName(), protocol
		r.Fill(figures, f.seed)
		rows = append(rows, r)
		return &rows[len(rows)-1]
	}
	switch f.protocol {
	case protocolSessions:
		protocol := "sessions, learn " + f.learn
		if f.bot > 0 {
			log = evaluation.WithBot(log, f.bot, users, f.seed)
			users++
			protocol += fmt.Sprintf(", %d clicks of a bot", f.bot)
		}
		figures, err := evaluation.Sessions(ctx, m, log, test, users, p)
		if err != nil {
			return nil, err
		}
		for _, r := range f.readings {
			add(protocol+", reading "+r, figures[r])
		}
	case protocolLeaveOneOut:
		figures, err := evaluation.LeaveOneOut(ctx, m, log, users, p)
		if err != nil {
			return nil, err
		}
		protocol := protocolLeaveOneOut
		if f.learnValidation {
			protocol += ", validation learned"
		}
		add(protocol, figures)
	case protocolPrequential:
		figures, err := evaluation.TestThenLearn(ctx, m, log, users, p)
		if err != nil {
			return nil, err
		}
		runs.names, runs.runs = append(runs.names, name), append(runs.runs, figures)
		add("prequential, first half", figures.First)
		add("prequential, second half", figures.Second).Hours = figures.Hours
		if figures.Repeats.Sum().N > 0 {
			add("prequential, second half, repeats", figures.Repeats)
		}
	}
	if !slices.ContainsFunc(rows, func(r evaluation.Row) bool { return r.Targets > 0 }) {
		return rows, invalidError{errors.New("nothing to ask for: " + f.nothing(log, test, users))}
	}
	return rows, nil
}

// nothing says why there is no target.
func (f *nextItemFlags) nothing(log, test []evaluation.Interaction, users int) string {
	asked := log
	if f.protocol == protocolSessions {
		asked = test
	}
	items, most, targets := make([]int, users), 0, false
	for i := range asked {
		items[asked[i].User]++
		most = max(most, items[asked[i].User])
		targets = targets || !asked[i].NoTarget
	}
	switch {
	case most < 2:
		return "no customer or session has two items"
	case f.protocol == protocolSessions:
		return "every item of a session was in it before, and --reading C does not ask for such"
	case !targets:
		return "no interaction is of the --targets"
	}
	return "whenever a customer who did something before met an item, nobody had met that before"
}

// dataName names the data by its files.
func (f *nextItemFlags) dataName() string {
	var names []string
	for _, path := range append(f.data, f.test...) {
		names = append(names, filepath.Base(path))
	}
	return strings.Join(names, "+")
}

func (c *cli) evalTable(rows []evaluation.Row, k int) error {
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	protocol := ""
	for _, r := range rows {
		if r.Protocol != protocol {
			if protocol != "" {
				fmt.Fprintln(t)
			}
			protocol = r.Protocol
			repeats := ""
			if n := r.Repeats(); n > 0 {
				repeats = fmt.Sprintf(", %d of them repeats, which are misses", n)
			}
			fmt.Fprintf(t, "%s, %d targets%s\thr@%d\t±\tmrr@%d\t±\tndcg@%d\tcoverage\tevenness\tdiversity\tnovelty\tnew customer\tnew item\tlong tail\tCPU s\tlearn µs\tanswer µs p50\tp99\n", protocol, r.Targets, repeats, k, k, k)
		}
		at := func(m map[string]float64, name string) float64 { return m[fmt.Sprintf("%s@%d", name, k)] }
		slice := func(name string) string {
			if r.Slices[name] == nil {
				return "-" // nobody asked
			}
			return fmt.Sprintf("%.3f", at(r.Slices[name], "hr"))
		}
		fmt.Fprintf(t, "%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.3f\t%.3f\t%.3f\t%.1f\t%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\n", r.Model, at(r.Metrics, "hr"), at(r.SD, "hr"), at(r.Metrics, "mrr"), at(r.SD, "mrr"), at(r.Metrics, "ndcg"),
			at(r.Metrics, "coverage"), at(r.Metrics, "evenness"), at(r.Metrics, "diversity"), at(r.Metrics, "novelty"), slice("new_customer"), slice("new_item"), slice("long_tail"), r.CPU, r.LearnUS, r.AnswerUS.P50, r.AnswerUS.P99)
	}
	return t.Flush()
}
