package operators_test

import (
	"bytes"
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
		got := s.foldAll(rest)
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
	table := func(s *shop, name string) string {
		var out bytes.Buffer
		for l := range bytes.Lines(s.shared()) {
			if bytes.HasPrefix(l, []byte(name)) {
				out.Write(l)
			}
		}
		return out.String()
	}
	for _, name := range []string{"next_together", "next_items", "next_sessions", "next_ranker", "sequence ", "sequence_heads", "predicts_", "item_features"} {
		if got, want := table(s, name), table(whole, name); got != want || want == "" {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
	known := func(s *shop, id string) (out []string) {
		views, err := s.engine.Customers(id, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range views {
			x := s.program.Describe(v.State.(*operators.Customer)).(*operators.Description)
			x.Deciders, x.Audiences = nil, nil
			out = append(out, pretty(x))
		}
		return out
	}
	for _, id := range []string{"u1", "u7", "u24"} {
		if got, want := strings.Join(known(s, id), ""), strings.Join(known(whole, id), ""); got != want {
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
