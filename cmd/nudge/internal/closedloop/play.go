package closedloop

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nudge/cmd/nudge/internal/sandbox"
	"nudge/operators/pipeline"
	"nudge/streams"
	"nudge/streams/simulate"
)

// Counts is what came of a stretch of time in the shop.
type Counts struct {
	Visits, Slates, Clicks, Orders int64
	Revenue                        float64 // units of currency
}

// ClicksPerVisit and OrdersPerVisit are rates; 0 without visits.
func (n *Counts) ClicksPerVisit() float64 { return float64(n.Clicks) / max(float64(n.Visits), 1) }
func (n *Counts) OrdersPerVisit() float64 { return float64(n.Orders) / max(float64(n.Visits), 1) }

func (n *Counts) add(e *streams.Event) {
	switch e.Type {
	case streams.PageViewed:
		n.Visits++
	case streams.DecisionShown:
		n.Slates++
	case streams.DecisionClicked:
		n.Clicks++
	case streams.OrderCompleted:
		n.Orders++
		n.Revenue += float64(e.Value) / streams.Micro
	}
}

// Result is what came of a run: of all of it, and of its second half.
type Result struct {
	All, Later Counts
	Events     int64
	// Arrivals are in the order in which they came; policies of one seed meet the same.
	Arrivals []Arrival
	// Turned has, for each shopper whose taste turned after the learning days, a quarter of the run, how many of their events it took until three lists in a row
	// held 80 % of the new taste's share of the ten items that are best for them at the time: of the categories among the three
	// that they like most now that were not among those before. Ascending; Never where lists did not come to hold that. Shoppers
	// whose three stayed, or with fewer than 15 events before the taste turned again or the run ended, are left out.
	Turned []int
	// Late are the shares in all lists from their 15th event on.
	Late Shares
	Took Took
}

// Took is the time that the policy took, by the clock of the run: for events that it answered with a decision, and for those that it only learned.
type Took struct {
	Answers  []time.Duration
	Learning time.Duration
	Learned  int64
}

// All is what it took altogether.
func (t *Took) All() time.Duration {
	all := t.Learning
	for _, x := range t.Answers {
		all += x
	}
	return all
}

func (t *Took) note(took time.Duration, answered bool) {
	if answered {
		t.Answers = append(t.Answers, took)
		return
	}
	t.Learning += took
	t.Learned++
}

// Policy decides in the shop.
type Policy interface {
	// Feed takes in a record and what it is, if it is an event, and hands on decisions.
	Feed(r *simulate.Record, e *streams.Event, decided func(*streams.Decision)) error
	Close() error
}

// Play opens a shop with a policy for so long, and measures by a clock what the policy takes.
func Play(shop simulate.Shop, span time.Duration, clock func() time.Duration, p func(*simulate.World) (Policy, error)) (res Result, err error) {
	w, err := simulate.New(shop)
	if err != nil {
		return res, err
	}
	policy, err := p(w)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, policy.Close()) }()
	start, end := shop.Start.UnixMilli(), shop.Start.Add(span).UnixMilli()
	seen := newWatch(w, start, end)
	decoder := streams.NewDecoder(streams.Native)
	var e streams.Event
	var made []*streams.Decision
	for {
		r, ok := w.Until(end)
		if !ok {
			seen.into(&res)
			return res, w.Err()
		}
		if fault := decoder.Decode(&streams.Record{Value: r.Value}, &e); fault != nil {
			return res, fmt.Errorf("closedloop: the shop wrote %s: %w", r.Value, fault)
		}
		res.Events++
		res.All.add(&e)
		if e.TimeMS >= start+(end-start)/2 {
			res.Later.add(&e)
		}
		seen.happened(&e)
		made = made[:0]
		from := clock()
		if err := policy.Feed(&r, &e, func(d *streams.Decision) { made = append(made, d) }); err != nil {
			return res, err
		}
		res.Took.note(clock()-from, len(made) > 0)
		for _, d := range made {
			seen.decided(d, r.TimeMS)
			w.React(d, r.TimeMS)
		}
	}
}

// nobody decides nothing.
type nobody struct{}

// Nobody is the shop without decisions.
func Nobody(*simulate.World) (Policy, error) { return nobody{}, nil }

func (nobody) Feed(*simulate.Record, *streams.Event, func(*streams.Decision)) error { return nil }
func (nobody) Close() error                                                         { return nil }

// engine is a pipeline that decides.
type engine struct{ *sandbox.Sandbox }

// Pipeline is a pipeline that decides.
func Pipeline(config *pipeline.Config) func(*simulate.World) (Policy, error) {
	return func(*simulate.World) (Policy, error) {
		s, err := sandbox.New(config)
		if err != nil {
			return nil, err
		}
		return engine{s}, nil
	}
}

func (p engine) Feed(r *simulate.Record, e *streams.Event, decided func(*streams.Decision)) error {
	step, err := p.Sandbox.Feed(r.Value)
	if err != nil {
		return fmt.Errorf("closedloop: %s %s: %w", e.Name, e.ID, err)
	}
	for _, d := range step.Decisions {
		decided(d.Decision)
	}
	return nil
}

// knowing shows what is best by what it knows of the shopper, and was not shown in the visit.
type knowing struct {
	name  string
	learn func(*streams.Event)
	best  func(id string, anonymous bool, nowMS int64, n int) []string
	size  int
	n     int
	shown map[string][]string // items, by the customer, in the visit under way
}

// Oracle shows on every page and product what is worth most to the shopper, as only the world knows: more than can be reached.
func Oracle(size int) func(*simulate.World) (Policy, error) {
	return func(w *simulate.World) (Policy, error) {
		best := func(id string, anonymous bool, _ int64, n int) []string { return w.Best(id, anonymous, n) }
		return &knowing{name: "oracle", learn: func(*streams.Event) {}, best: best, size: size, shown: map[string][]string{}}, nil
	}
}

// Informed knows the world's items and how its shoppers come by their tastes and choose, but of each shopper only what the stream says: it shows what they
// would most likely click for all that can be concluded from that.
func Informed(size int) func(*simulate.World) (Policy, error) {
	return func(w *simulate.World) (Policy, error) {
		b := w.Believe(1)
		best := func(id string, _ bool, nowMS int64, n int) []string { return b.Best(id, nowMS, n) }
		return &knowing{name: "informed", learn: b.Observe, best: best, size: size, shown: map[string][]string{}}, nil
	}
}

func (o *knowing) Feed(_ *simulate.Record, e *streams.Event, decided func(*streams.Decision)) error {
	o.learn(e)
	id, anonymous := who(e)
	switch e.Type {
	case streams.DecisionShown:
		for i := range e.Lines {
			o.shown[id] = append(o.shown[id], strings.Clone(e.Lines[i].ID))
		}
		return nil
	case streams.PageViewed: // a visit begins
		delete(o.shown, id)
	case streams.ProductViewed:
	default:
		return nil
	}
	o.n++
	d := &streams.Decision{ID: fmt.Sprintf("%s.%d.home.0", o.name, o.n), Kind: streams.KindRecommendation, Name: "home", Action: streams.ActionShow, User: id, Anonymous: anonymous, Propensity: 1}
	for _, item := range o.best(id, anonymous, e.TimeMS, o.size+len(o.shown[id])) {
		if len(d.Items) < o.size && !slices.Contains(o.shown[id], item) {
			d.Items = append(d.Items, streams.DecisionItem{ID: item, Propensity: 1})
		}
	}
	decided(d)
	return nil
}

func (o *knowing) Close() error { return nil }
