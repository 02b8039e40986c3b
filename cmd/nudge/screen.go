package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"nudge/engine"
	"nudge/operators"
	"nudge/streams"
)

// screen shows how a demo goes: on a terminal as one screen, elsewhere as lines.
type screen struct {
	out      io.Writer
	demo     *demo
	terminal bool

	mu     sync.Mutex
	latest []arrival            // decisions, the newest last
	pinned map[string]arrival   // the newest of each kind
	first  time.Duration        // from the start of the process to the first decision
	last   time.Time            // when the last decision arrived
	fresh  []arrival            // since the last lines
	counts engine.Counts        // of the engine
	spent  []operators.Spending // of the engine
	paused []string             // in the engine
	lag    int64
	rate   float64
	at     time.Time
}

type arrival struct {
	d  *streams.Decision
	at time.Time
}

const latestShown = 6

func newScreen(out io.Writer, d *demo) *screen {
	return &screen{out: out, demo: d, terminal: isTerminal(out), pinned: map[string]arrival{}, lag: -1}
}

// arrived notes a decision. Old news of the past that a demo begins with is not worth showing.
func (s *screen) arrived(d *streams.Decision, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == 0 {
		s.first = at.Sub(processBegan)
	}
	s.last = at
	if d.Action == streams.ActionNone && len(d.Reasons) > 0 && d.Reasons[0].Code == streams.ReasonStale {
		return
	}
	a := arrival{d, at}
	s.latest = append(s.latest, a)
	if len(s.latest) > latestShown {
		s.latest = slices.Delete(s.latest, 0, len(s.latest)-latestShown)
	}
	if _, shown := s.pinned[d.Kind]; !shown || d.Kind != streams.KindRecommendation && d.Action == streams.ActionShow {
		s.fresh = append(s.fresh, a)
	}
	s.pinned[d.Kind] = a
}

// quiet says that no decision has arrived for so long.
func (s *screen) quiet(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.last) >= d
}

// begin prints what is printed once.
func (s *screen) begin() {
	if !s.terminal {
		s.demo.paste(s.out)
	}
}

// run shows the state of things every second until ctx ends.
func (s *screen) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if !s.ask(ctx) {
			continue
		}
		if s.terminal {
			s.paint()
		} else {
			s.lines()
		}
	}
}

// ask asks the node for its counts.
func (s *screen) ask(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	var counts engine.Counts
	var spent []operators.Spending
	var paused []string
	var shards []shardAnswer
	o := s.demo.node
	if o.look(ctx, func(v *view) error {
		counts, spent, paused, shards = v.engine.Totals(), v.program.Spent(), v.engine.Paused(), v.shards()
		return nil
	}) != nil {
		return false
	}
	now := time.Now()
	lag := int64(-1)
	if o.addLag(ctx, shards) == nil {
		lag = 0
		for _, x := range shards {
			lag += x.Lag
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() {
		s.rate = float64(counts.Events-s.counts.Events) / now.Sub(s.at).Seconds()
	}
	s.counts, s.spent, s.paused, s.lag, s.at = counts, spent, paused, lag, now
	return true
}

// paint draws the screen anew, in place.
func (s *screen) paint() {
	width, height := 100, 40
	if f, ok := s.out.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			width, height = w, h
		}
	}
	var b bytes.Buffer
	s.mu.Lock()
	fmt.Fprintf(&b, "nudge demo, app %s, %s (Ctrl-C ends it)\n", s.demo.config.App, since(time.Since(processBegan)))
	s.demo.paste(&b)
	b.WriteString("\n")
	fmt.Fprintf(&b, "events     %d, %.0f/s, lag %d\n", s.counts.Events, s.rate, max(s.lag, 0))
	fmt.Fprintf(&b, "decisions  %s\n", s.kinds())
	if w := s.withheld(); w != "" {
		fmt.Fprintf(&b, "withheld   %s\n", w)
	}
	if len(s.paused) > 0 {
		fmt.Fprintf(&b, "paused     %s\n", strings.Join(s.paused, ", "))
	}
	for _, x := range s.spent {
		fmt.Fprintf(&b, "budget     %s\n", spending(&x))
	}
	fmt.Fprintf(&b, "latency    %s\n\n", s.latencies())
	for _, a := range s.shown() {
		fmt.Fprintf(&b, "%s  %s\n", a.at.Format(time.TimeOnly), a.d.Words("en"))
	}
	s.mu.Unlock()
	var out bytes.Buffer
	out.WriteString("\x1b[H")
	for i, line := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		if i == height-1 {
			break
		}
		if !strings.HasPrefix(line, "publish") { // that one is to be copied whole
			line = clip(line, width)
		}
		out.WriteString(line + "\x1b[K\n")
	}
	out.WriteString("\x1b[J")
	s.out.Write(out.Bytes())
}

// lines prints one line of numbers, and the decisions that are worth a line.
func (s *screen) lines() {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s  events %d, %.0f/s, lag %d; %s; %s; %s\n", since(time.Since(processBegan)), s.counts.Events, s.rate, max(s.lag, 0),
		s.kinds(), s.budgets(), s.latencies())
	fresh := s.fresh[max(len(s.fresh)-3, 0):]
	if n := len(s.latest); n > 0 && (len(fresh) == 0 || fresh[len(fresh)-1].d != s.latest[n-1].d) {
		fresh = append(slices.Clone(fresh), s.latest[n-1])
	}
	for _, a := range fresh {
		fmt.Fprintf(s.out, "       %s\n", a.d.Words("en"))
	}
	s.fresh = s.fresh[:0]
}

// end says how it was. The node has drained: nothing comes after.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = s.demo.node.node.Report().Counts
	if s.terminal {
		fmt.Fprint(s.out, "\n")
	}
	fmt.Fprintf(s.out, "ended cleanly after %s: events %d; %s; withheld: %s; %s; %s; first decision after %.1f s\n", since(time.Since(processBegan)),
		s.counts.Events, s.kinds(), cmp.Or(s.withheld(), "none"), s.budgets(), s.latencies(), s.first.Seconds())
}

// shown is what the screen lists: the latest, and before them the newest of kinds that are rarer.
func (s *screen) shown() []arrival {
	list := slices.Clone(s.latest)
	for _, kind := range slices.Sorted(maps.Keys(s.pinned)) {
		if a := s.pinned[kind]; !slices.ContainsFunc(list, func(x arrival) bool { return x.d == a.d }) {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b arrival) int { return a.at.Compare(b.at) })
	return list
}

func (s *screen) kinds() string {
	total := s.counts.ByKind()
	var words []string
	for _, kind := range []string{streams.KindRecommendation, streams.KindCoupon, streams.KindChurn} {
		words = append(words, fmt.Sprintf("%s %d (%d shown)", kind, total[kind], s.counts.Decisions[engine.DecisionKey{Kind: kind, Action: streams.ActionShow}]))
	}
	return strings.Join(words, ", ")
}

func (s *screen) withheld() string {
	var words []string
	for _, reason := range slices.Sorted(maps.Keys(s.counts.Withheld)) {
		words = append(words, fmt.Sprintf("%s %d", reason, s.counts.Withheld[reason]))
	}
	return strings.Join(words, ", ")
}

func (s *screen) budgets() string {
	var words []string
	for _, x := range s.spent {
		words = append(words, "budget "+spending(&x))
	}
	if len(s.paused) > 0 {
		words = append(words, "paused: "+strings.Join(s.paused, ", "))
	}
	return strings.Join(words, ", ")
}

func spending(x *operators.Spending) string {
	w := fmt.Sprintf("%s %.2f spent", x.Name, x.Spent)
	if x.Total > 0 {
		w += fmt.Sprintf(" of %.0f", x.Total)
	}
	if x.Daily > 0 {
		w += fmt.Sprintf(", %.2f of %.0f on %s", x.SpentOnDay, x.Daily, cmp.Or(x.Day, "no day yet"))
	}
	return w
}

func (s *screen) latencies() string {
	h := &s.demo.latency
	if h.Count() == 0 {
		return "append to decision: none yet"
	}
	return fmt.Sprintf("append to decision p50 %s, p99 %s", millis(h.Quantile(0.5)), millis(h.Quantile(0.99)))
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func since(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// clip cuts a line to the columns of a terminal, counting wide characters as two.
func clip(line string, width int) string {
	columns := 0
	for i, r := range line {
		columns++
		if utf8.RuneLen(r) > 2 {
			columns++
		}
		if columns > width {
			return line[:i]
		}
	}
	return line
}
