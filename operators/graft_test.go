package operators_test

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"nudge/engine"
	"nudge/operators"
	"nudge/streams"
)

// foldAll folds lines in epochs of 50 and returns what each put out.
func (s *shop) foldAll(lines []string) (out []string) {
	const epoch = 50
	for k := 0; k < len(lines); k += epoch {
		var records []streams.Record
		for _, l := range lines[k:min(k+epoch, len(lines))] {
			records = append(records, s.event(l))
		}
		out = append(out, s.fold(records, nil, 0))
	}
	return out
}

// graft has a shop go on under the pipeline of another one, completed by what that has folded.
func (s *shop) graft(other *shop) *operators.Graft {
	s.restart()
	other.restart()
	old := s.program.Program
	s.reopen(string(other.text))
	to, err := s.store.Begin()
	if err != nil {
		s.t.Fatal(err)
	}
	g := operators.NewGraft(old, s.program.Program, other.program.Program, s.engine.ClockMS())
	if _, err := s.engine.Graft(other.engine, g, to, "test", 0); err != nil {
		s.t.Fatal(err)
	}
	if _, err := to.Complete(s.engine.CheckpointMeta()); err != nil {
		s.t.Fatal(err)
	}
	s.close()
	if err := s.open(); err != nil {
		s.t.Fatal(err)
	}
	return g
}

// without takes lines from one that begins with a text up to one that begins with another out of a pipeline.
func without(t *testing.T, text, from, to string) string {
	before, rest, found := strings.Cut(text, "\n"+from)
	_, after, ended := strings.Cut(rest, "\n"+to)
	if !found || !ended {
		t.Fatalf("the pipeline has no %q before %q", from, to)
	}
	return before + "\n" + to + after
}

// What a pipeline lacked is completed by what another one has folded from the same events: from then on it puts out what that one does.
func TestGraft(t *testing.T) {
	lines := withReturns(busy(4, 4000))
	busyShop := strings.Replace(busyShop, "items: 100", "items: 1000", 1) // which items go depends on what items are kept for
	whole, rest := &shop{t: t}, lines[3000:]
	defer whole.close()
	if fault := whole.start(busyShop); fault != "" {
		t.Fatal(fault)
	}
	whole.foldAll(lines[:3000])
	bare := without(t, without(t, busyShop, "features:", "limits:"), "    log: [user.usual, session.steps]", "    trend_half_life")
	bare = without(t, bare, "    log: [user.dear, user.kinds]", "    half_life")
	few := strings.Replace(busyShop, "  user.usual: {count: any, window: 1h, transform: [log: true, standardise: true]}\n", "", 1)
	few = strings.Replace(few, "log: [user.usual, session.steps]", "log: [session.steps]", 1)
	few = strings.Replace(few, "  user.kinds: {distinct: order.completed.item, window: 3h}\n", "", 1)
	few = strings.Replace(few, "log: [user.dear, user.kinds]", "log: [user.dear]", 1)
	few = strings.Replace(few, "window: [1h, 3h]", "window: 1h", 1)
	few = strings.Replace(few, "  item.met: {count: any, window: {sliding: 40m, by: 10m}}\n", "", 1)
	few = strings.Replace(few, "item.orders, item.met", "item.orders", 1)
	few = strings.Replace(few, "  likely: prediction.orders_2h > 0.55\n", "", 1)
	parts := map[string]*shop{}
	for name, text := range map[string]string{"no features": bare, "fewer features": few} {
		s := &shop{t: t}
		defer s.close()
		if fault := s.start(text); fault != "" {
			t.Fatal(fault)
		}
		s.foldAll(lines[:3000])
		if g := s.graft(whole); len(g.Unlearned()) > 0 {
			t.Fatalf("%s: %q have to learn afresh", name, g.Unlearned())
		}
		parts[name] = s
	}
	want := whole.foldAll(rest)
	if all := strings.Join(want, ""); !strings.Contains(all, `"sales"`) || !strings.Contains(all, "user.usual") {
		t.Fatal("the rest of the traffic closed no window, or logged no feature")
	}
	for name, s := range parts {
		sameAs(t, name, s.foldAll(rest), want)
	}
}

// sameAs compares what two shops put out after a graft, epoch by epoch.
func sameAs(t *testing.T, name string, got, want []string) {
	t.Helper()
	for i := range want {
		a, b := strings.Split(got[i], "\n"), strings.Split(want[i], "\n")
		for k := range min(len(a), len(b)) {
			if a[k] != b[k] {
				t.Fatalf("%s, epoch %d after the graft, line %d:\n%s\nwant:\n%s", name, i+1, k+1, a[k], b[k])
			}
		}
		if len(a) != len(b) {
			t.Fatalf("%s, epoch %d after the graft: %d lines, want %d", name, i+1, len(a), len(b))
		}
	}
}

// What has begun empty under the pipeline that is in force is completed by what the same pipeline has folded from the whole log: features are then those of
// a shop that has had it from the beginning.
func TestGraftInForce(t *testing.T) {
	lines := withReturns(busy(4, 4000))
	whole, rest := &shop{t: t}, lines[3000:]
	defer whole.close()
	text := strings.Replace(busyShop, "items: 100", "items: 1000", 1)
	text = strings.Replace(text, "user.usual: {count: any, window: 1h,", "user.usual: {count: any, window: 6h,", 1)
	text = strings.Replace(text, "  user.dear:", "  user.rich: {quantile: order.completed.value, q: 0.9}\n  user.back: {sum: order.completed.value, window: 6h}\n  user.dear:", 1)
	text = strings.Replace(text, "log: [user.dear, user.kinds]", "log: [user.dear, user.kinds, user.rich, user.back, user_category.views, item.sold_3h, global.visits_day]", 1)
	if fault := whole.start(text); fault != "" {
		t.Fatal(fault)
	}
	var catalog []string
	for n := range 160 {
		catalog = append(catalog, fmt.Sprintf(`p%d {"categories":["kind %d"]}`, n, n%30))
	}
	whole.fold(nil, whole.items(strings.Join(catalog, "\n")), base)
	whole.foldAll(lines[:3000])
	few := without(t, text, "features:", "predictions:")
	few = strings.Replace(few, "predictions:", "features:\n  user.dear: {max: any.price}\n  item.sold: {sum: order.completed.quantity, window: 1h}\n  item.orders: {count: order.completed, window: {tumbling: 1h}}\npredictions:", 1)
	few = without(t, strings.Replace(few, "item.orders, item.met", "item.orders", 1), "    days:", "limits:")
	few = without(t, without(t, few, "    log: [user.usual, session.steps]", "    trend_half_life"), "    log: [user.dear", "    half_life")
	var parts []*shop
	changed := []int{1500, 2950}
	for _, at := range changed {
		s := &shop{t: t}
		defer s.close()
		if fault := s.start(few); fault != "" {
			t.Fatal(fault)
		}
		s.fold(nil, s.items(strings.Join(catalog, "\n")), base)
		s.foldAll(lines[:at])
		s.restart()
		s.change(text)
		s.foldAll(lines[at:3000])
		if table(s, "standards") == table(whole, "standards") || known(s, "u7") == known(whole, "u7") || !strings.Contains(known(whole, "u7"), "user_category.views") {
			t.Fatal("nothing has begun empty, or no category is known")
		}
		empty := strings.Join(s.program.BegunEmpty(s.engine.ClockMS()), " ")
		g := s.graft(whole)
		if got := strings.Join(g.Filled(), " "); got != empty || !strings.Contains(got, "user.usual user_category.views session.steps") || strings.Contains(got, "user.dear") {
			t.Errorf("changed at %d: filled %q, what began empty was %q", at, got, empty)
		}
		if got, want := table(s, "standards"), table(whole, "standards"); got != want {
			t.Errorf("changed at %d:\n%s\nwant:\n%s", at, got, want)
		}
		for n := range 160 {
			item := fmt.Sprintf("p%d", n)
			if got, want := features(s, item), features(whole, item); got != want {
				t.Fatalf("changed at %d, %s:\n%s\nwant:\n%s", at, item, got, want)
			}
		}
		for n := range 25 {
			id := fmt.Sprintf("u%d", n)
			if got, want := known(s, id), known(whole, id); got != want {
				t.Fatalf("changed at %d, %s:\n%s\nwant:\n%s", at, id, got, want)
			}
		}
		if left := s.program.BegunEmpty(s.engine.ClockMS()); len(left) > 0 {
			t.Errorf("changed at %d: %q still are as if they had begun empty", at, left)
		}
		if g := operators.NewGraft(s.program.Program, s.program.Program, whole.program.Program, s.engine.ClockMS()); len(g.Filled()) > 0 {
			t.Errorf("changed at %d: %q would be filled once more", at, g.Filled())
		}
		parts = append(parts, s)
	}
	want := whole.foldAll(rest)
	for i, s := range parts {
		sameAs(t, fmt.Sprintf("changed at %d", changed[i]), s.foldAll(rest), want)
	}
}

// A log that does not reach back to the state's beginning fills what began after it, and takes nothing of what was known before.
func TestGraftOfAShortLog(t *testing.T) {
	const before = "features: {user.views: {count: product.viewed}, item.views: {count: product.viewed}}\nlimits: {items: 1000}\n"
	after := strings.Replace(before, "features: {", "features: {user.adds: {count: product.added}, item.adds: {count: product.added}, ", 1)
	lines := busy(7, 1500)
	s := &shop{t: t}
	defer s.close()
	if fault := s.start(before); fault != "" {
		t.Fatal(fault)
	}
	s.foldAll(lines[:1000])
	s.restart()
	s.change(after)
	s.foldAll(lines[1000:])
	// all are the values of two features, of each customer and item that has some.
	all := func(s *shop, user, item string) (out string) {
		find := regexp.MustCompile("(" + user + "|" + item + ")\"?: ?([1-9][0-9]*)")
		for n := range 160 {
			out += fmt.Sprintln(n, find.FindAllStringSubmatch(known(s, fmt.Sprintf("u%d", n))+features(s, fmt.Sprintf("p%d", n)), -1))
		}
		return out
	}
	views := all(s, "user.views", "item.views")
	for _, x := range []struct {
		from   int
		filled string
	}{{1200, "[]"}, {500, "[user.adds item.adds]"}} {
		log := &shop{t: t}
		defer log.close()
		if fault := log.start(after); fault != "" {
			t.Fatal(fault)
		}
		if err := log.program.TakeCatalog(s.program.Program); err != nil {
			t.Fatal(err)
		}
		log.offset = int64(x.from)
		log.foldAll(lines[x.from:])
		adds := all(log, "user.adds", "item.adds")
		if x.filled == "[]" {
			adds = all(s, "user.adds", "item.adds")
		}
		if got := fmt.Sprint(s.graft(log).Filled()); got != x.filled {
			t.Errorf("a log from line %d on filled %s, want %s", x.from, got, x.filled)
		}
		if got := all(s, "user.views", "item.views"); got != views || !strings.Contains(got, "item.views") {
			t.Errorf("a log from line %d on: views\n%s, before\n%s", x.from, got, views)
		}
		if got := all(s, "user.adds", "item.adds"); got != adds {
			t.Errorf("a log from line %d on: added\n%s, want\n%s", x.from, got, adds)
		}
	}
}

// table is the encoding of one table of shared state.
func table(s *shop, name string) string {
	var out bytes.Buffer
	for l := range bytes.Lines(s.shared()) {
		if bytes.HasPrefix(l, []byte(name)) {
			out.Write(l)
		}
	}
	return out.String()
}

// features are those of an item, where they are not as of one that nothing has happened to.
func features(s *shop, item string) string {
	x, _ := s.program.DescribeItem(item, s.engine.ClockMS())
	if x == nil {
		return ""
	}
	all := x.(*operators.ItemDescription).Features
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == 0.0 })
	return fmt.Sprint(all)
}

// known is what is told of a customer, decisions, audiences and what was warming at their last event aside.
func known(s *shop, id string) string {
	views, err := s.engine.Customers(id, false)
	if err != nil {
		s.t.Fatal(err)
	}
	var out strings.Builder
	for _, v := range views {
		x := s.program.Describe(v.State.(*operators.Customer)).(*operators.Description)
		x.Deciders, x.Audiences, x.Warming = nil, nil, nil
		out.WriteString(pretty(x))
	}
	return out.String()
}

// A pipeline that asked for nothing but features takes over what deciders need, and models.
func TestGraftModels(t *testing.T) {
	lines := busy(5, 2000)
	whole, s := &shop{t: t}, &shop{t: t}
	defer whole.close()
	defer s.close()
	fewItems := func(text string) string { return strings.Replace(text, "items: 100", "items: 1000", 1) }
	if fault := s.start(fewItems("features: {user.clicks: {count: product.clicked}, item.views: {count: any}}\nlimits: {items: 100, history: 6, cart: 3, bought: 4}\n")); fault != "" {
		t.Fatal(fault)
	}
	s.foldAll(lines)
	if fault := whole.start(fewItems(busyShop)); fault != "" {
		t.Fatal(fault)
	}
	if err := whole.program.TakeCatalog(s.program.Program); err != nil {
		t.Fatal(err)
	}
	whole.foldAll(lines)
	if g := s.graft(whole); len(g.Unlearned()) > 0 {
		t.Fatalf("%q have to learn afresh", g.Unlearned())
	}
	for _, name := range []string{"next_together", "next_items", "next_sessions", "next_ranker", "sequence ", "sequence_heads", "choices", "predicts_", "item_features"} {
		if got, want := table(s, name), table(whole, name); got != want || want == "" {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
	for _, id := range []string{"u1", "u7", "u24"} {
		if got, want := known(s, id), known(whole, id); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", id, got, want)
		}
	}
}

// A state that has read other events is refused.
func TestGraftOfOtherEvents(t *testing.T) {
	s, other := &shop{t: t}, &shop{t: t}
	defer s.close()
	defer other.close()
	for x, text := range map[*shop]string{s: busyShop, other: busyShop} {
		if fault := x.start(text); fault != "" {
			t.Fatal(fault)
		}
	}
	lines := busy(6, 200)
	s.foldAll(lines)
	other.foldAll(lines[:150])
	s.restart()
	other.restart()
	to, err := s.store.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Abort()
	g := operators.NewGraft(s.program.Program, s.program.Program, other.program.Program, s.engine.ClockMS())
	if _, err := s.engine.Graft(other.engine, g, to, "test", 0); err == nil || !strings.Contains(err.Error(), "the state has read up to") {
		t.Fatalf("grafted what has read less: %v", err)
	}
	entry := engine.Entry{Commands: []engine.Command{{Kind: engine.CommandRebuilt}}}
	if _, err := s.engine.Fold(&engine.Epoch{Number: s.engine.Number() + 1, Entry: &entry}); err == nil {
		t.Fatal("an epoch in which a rebuild was taken over was folded")
	}
}
