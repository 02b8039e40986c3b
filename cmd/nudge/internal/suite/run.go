package suite

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"nudge/cmd/nudge/internal/sandbox"
	"nudge/operators"
	"nudge/operators/feature"
	"nudge/streams"
)

// Failure is an expectation that does not hold.
type Failure struct {
	Place  string // file:line:column
	Case   string
	What   string
	Wanted string
	Got    string
}

// run is a case under way.
type run struct {
	file     *File
	name     string
	box      *sandbox.Sandbox
	now      time.Time
	customer string // of the last event
	anon     bool
	failures []Failure
}

// Run runs a case. An error is a fault of the file.
func (f *File) Run(number int) (failures []Failure, err error) {
	c := &f.Cases[number]
	box, err := sandbox.New(f.config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	r := &run{file: f, name: c.Name, box: box, now: f.day}
	key := fmt.Sprintf("$.cases[%d]", number)
	for i, list := range [][]map[string]any{f.Catalog, c.Catalog} {
		for k, item := range list {
			at := fmt.Sprintf("%s.catalog[%d]", []string{"$", key}[i], k)
			if err := r.item(at, item, k); err != nil {
				return nil, err
			}
		}
	}
	for i := range c.Events {
		if err := r.step(fmt.Sprintf("%s.events[%d]", key, i), i, &c.Events[i]); err != nil {
			return nil, err
		}
	}
	return r.failures, nil
}

func (r *run) item(key string, item map[string]any, number int) error {
	record, err := r.file.itemRecord(key, item, number)
	if err != nil {
		return err
	}
	if _, err = r.box.Feed(record); err != nil {
		return r.file.fault(key, "the catalogue refuses it: %v", err)
	}
	return nil
}

func (r *run) step(key string, number int, s *Step) (err error) {
	if r.now, err = r.file.stepTime(key, s, r.now); err != nil {
		return err
	}
	if s.User != "" {
		r.customer, r.anon = s.User, false
	} else if s.Anon != "" {
		r.customer, r.anon = s.Anon, true
	}
	made, err := r.box.Advance(r.now.UnixMilli()) // what fires before the event comes
	if err != nil {
		return err
	}
	refused := ""
	if s.Type != "" {
		record, err := s.record(number, r.now)
		if err != nil {
			return r.file.fault(key, "%v", err)
		}
		more, err := r.box.Feed(record)
		var fault *streams.Fault
		switch {
		case errors.As(err, &fault):
			refused = fault.Error()
			if s.Expect == nil || s.Expect.Refused == "" {
				return r.file.fault(key, "the event is refused: %v", fault)
			}
		case err != nil:
			return err
		}
		made.Decisions = append(made.Decisions, more.Decisions...)
		made.Windows = append(made.Windows, more.Windows...)
		made.Passed = more.Passed
	}
	if s.Expect != nil {
		return r.expect(key+".expect", s.Expect, &made, refused)
	}
	return nil
}

func (r *run) fail(key, what, wanted, got string) {
	r.failures = append(r.failures, Failure{r.file.place(key), r.name, what, wanted, got})
}

func (r *run) expect(key string, x *Expect, made *sandbox.Step, refused string) error {
	became, passed := orNothing(refused, "taken in"), ""
	if made.Passed != nil {
		passed = made.Passed.Reason
		became = "passed over: " + passed + ": " + made.Passed.Words
	}
	if x.Refused != "" && !strings.HasPrefix(refused, x.Refused+":") {
		r.fail(key+".refused", "the event", "refused: "+x.Refused, became)
	}
	if x.PassedOver != "" && passed != x.PassedOver {
		r.fail(key+".passed_over", "the event", "passed over: "+x.PassedOver, became)
	}
	customer, anon := r.customer, r.anon
	if x.Customer != "" {
		customer, anon = x.Customer, false
	}
	if len(x.Features)+len(x.Audiences)+len(x.NotAudiences) > 0 {
		state, err := r.box.Customer(customer, anon)
		if err != nil {
			return err
		}
		var known operators.Description
		if state != nil {
			known = *r.box.Program.DescribeAt(state, r.now.UnixMilli())
		}
		all := map[string]any{}
		maps.Copy(all, known.Features)
		maps.Copy(all, known.Session)
		maps.Copy(all, r.box.Program.DescribeGlobal(r.now.UnixMilli()))
		r.compare(key+".features", customer, x.Features, all, known.Categories)
		in := slices.Sorted(maps.Keys(known.Audiences))
		for i, a := range x.Audiences {
			if !slices.Contains(in, a) {
				r.fail(fmt.Sprintf("%s.audiences[%d]", key, i), customer, "in the audience "+a, "in "+orNothing(strings.Join(in, ", "), "none"))
			}
		}
		for i, a := range x.NotAudiences {
			if slices.Contains(in, a) {
				r.fail(fmt.Sprintf("%s.not_audiences[%d]", key, i), customer, "not in the audience "+a, "in "+strings.Join(in, ", "))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(x.Items)) {
		all := map[string]any{}
		if d, ok := r.box.Program.DescribeItem(id, r.now.UnixMilli()); ok {
			all = d.(*operators.ItemDescription).Features
		}
		r.compare(key+".items."+id, id, x.Items[id], all, nil)
	}
	r.decisions(key, x, made)
	for i := range x.Windows {
		r.window(fmt.Sprintf("%s.windows[%d]", key, i), &x.Windows[i], made.Windows)
	}
	return nil
}

// compare holds wanted values against those that are there; null wants one that is not known. Those of categories are wanted by category.
func (r *run) compare(key, of string, wanted, got map[string]any, categories map[string]map[string]any) {
	one := func(name, in string, want, have any) {
		if !r.file.same(name, want, have) {
			r.failures = append(r.failures, Failure{r.file.member(key, name), r.name, of + ": " + name + in, text(want), text(have)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if !strings.HasPrefix(name, "user_category.") {
			one(name, "", wanted[name], got[name])
			continue
		}
		byCategory, _ := wanted[name].(map[string]any)
		for _, category := range slices.Sorted(maps.Keys(byCategory)) {
			one(name, " of "+category, byCategory[category], categories[category][name])
		}
	}
}

func (r *run) decisions(key string, x *Expect, made *sandbox.Step) {
	var words []string
	for _, d := range made.Decisions {
		words = append(words, d.Words("en"))
	}
	got := orNothing(strings.Join(words, "; "), "no decision")
	if x.Silent && len(made.Decisions) > 0 {
		r.fail(key+".silent", "decisions", "none", got)
	}
	for i, name := range x.NoDecisions {
		if slices.ContainsFunc(made.Decisions, func(d sandbox.Decision) bool { return d.Name == name }) {
			r.fail(fmt.Sprintf("%s.no_decisions[%d]", key, i), "decisions", "none of "+name, got)
		}
	}
	taken := map[int]bool{} // two that are wanted are two
	for i := range x.Decisions {
		want := &x.Decisions[i]
		at := slices.IndexFunc(made.Decisions, func(d sandbox.Decision) bool { return want.matches(r.file, &d) })
		for at >= 0 && taken[at] {
			next := slices.IndexFunc(made.Decisions[at+1:], func(d sandbox.Decision) bool { return want.matches(r.file, &d) })
			if next < 0 {
				at = -1
				break
			}
			at += 1 + next
		}
		if at < 0 {
			r.fail(fmt.Sprintf("%s.decisions[%d]", key, i), "decisions", want.String(), got)
			continue
		}
		taken[at] = true
	}
}

func (x *ExpectDecision) String() string {
	b, err := json.Marshal(x.asMap())
	if err != nil {
		return fmt.Sprintf("%+v", *x)
	}
	return string(b)
}

// asMap is what is given of it.
func (x *ExpectDecision) asMap() map[string]any {
	m := map[string]any{}
	v := reflect.ValueOf(*x)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			m[v.Type().Field(i).Tag.Get("yaml")] = v.Field(i).Interface()
		}
	}
	return m
}

func (x *ExpectDecision) matches(f *File, d *sandbox.Decision) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	if !is(x.Name, d.Name) || !is(x.Kind, d.Kind) || !is(x.Action, d.Action) || !is(x.User, d.User) {
		return false
	}
	var shown, codes []string
	for i := range d.Items {
		shown = append(shown, d.Items[i].ID)
		for _, why := range d.Items[i].Reasons {
			codes = append(codes, why.Code)
		}
	}
	for _, why := range d.Reasons {
		codes = append(codes, why.Code)
	}
	has := func(list []string) func(string) bool { return func(x string) bool { return slices.Contains(list, x) } }
	if slices.ContainsFunc(x.Items, func(id string) bool { return !has(shown)(id) }) || slices.ContainsFunc(x.NotItems, has(shown)) ||
		x.Reason != "" && !has(codes)(x.Reason) {
		return false
	}
	var published struct{ Offer, Features map[string]any }
	if json.Unmarshal(d.JSON, &published) != nil {
		return false
	}
	return f.holds(x.Offer, published.Offer) && f.holds(x.Features, published.Features)
}

// has says whether a closed window is of the features that are asked for: in it what is not known is null, and what is not there is another window's.
func has(features, wanted map[string]any) bool {
	for name := range wanted {
		if _, there := features[name]; !there {
			return false
		}
	}
	return true
}

// spelt is a window as lines have it, in its largest unit: 7d is 1w.
func spelt(window string) string {
	var d feature.Duration
	if d.UnmarshalText([]byte(window)) != nil {
		return window
	}
	return d.String()
}

func (r *run) window(key string, x *ExpectWindow, closed []sandbox.Window) {
	var lines []string
	for _, w := range closed {
		var line struct {
			Window   string
			Features map[string]any
		}
		if json.Unmarshal(w.JSON, &line) == nil && (x.Output == "" || x.Output == w.Output) && (x.Window == "" || spelt(x.Window) == line.Window) && has(line.Features, x.Features) && r.file.holds(x.Features, line.Features) {
			return
		}
		lines = append(lines, string(w.JSON))
	}
	r.fail(key, "closed windows", fmt.Sprintf("%s %s %s", x.Output, x.Window, text(x.Features)), orNothing(strings.Join(lines, "; "), "none"))
}
