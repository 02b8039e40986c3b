package operators_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"nudge/operators"
	"nudge/state"
	"nudge/streams"
)

// decided folds lines, each in an epoch, and returns what the last one put out.
func (s *shop) decided(lines ...string) (out string) {
	for _, l := range lines {
		out = s.fold([]streams.Record{s.event(l)}, nil, 0)
	}
	return out
}

// A decision says which of its features a changed pipeline has had for less than their window; a pipeline's first ones go without saying, and so do those
// over columns that others have kept for as long.
func TestWarmingIsSaid(t *testing.T) {
	const text = "features: {user.old: {count: any, window: 1h}}\nrecommenders: {home: {when: page.viewed, log: [user.old]}}\n"
	s := &shop{t: t}
	defer s.close()
	if fault := s.start(text); fault != "" {
		t.Fatal(fault)
	}
	if got := s.decided("09:00:00 u1 product.viewed p1", "09:00:10 u2 product.viewed p2", "09:05:00 u1 page.viewed"); !strings.Contains(got, "user.old") || strings.Contains(got, "warming") {
		t.Fatalf("a new pipeline: %s", got)
	}
	s.restart()
	changed := strings.Replace(text, "log: [user.old]", "log: [user.new, user.per_minute, user.old]", 1)
	changed = strings.Replace(changed, "user.old:", "user.new: {count: product.viewed, window: 2h}, user.per_minute: {rate: any, per: 1m, window: 1h}, user.old:", 1)
	s.change(changed)
	if got := s.decided("10:00:00 u1 product.viewed p1", "10:01:00 u1 page.viewed"); !strings.Contains(got, "warming [user.new]") {
		t.Errorf("a minute after the change: %s", got)
	}
	s.restart()
	if got := s.decided("11:00:00 u1 page.viewed"); !strings.Contains(got, "warming [user.new]") {
		t.Errorf("before its window has passed: %s", got)
	}
	if got := s.decided("11:06:00 u1 page.viewed"); !strings.Contains(got, "user.new") || strings.Contains(got, "warming") {
		t.Errorf("when its window has passed: %s", got)
	}
	// A longer window over what is kept covers it when what its tiles lack has passed: an hour.
	s.restart()
	s.change(strings.Replace(changed, "window: 1h}, user.old", "window: {sliding: 2h, by: 1m}}, user.old", 1))
	if got := s.decided("12:05:00 u1 page.viewed"); !strings.Contains(got, "warming [user.per_minute]") {
		t.Errorf("before the longer window has passed: %s", got)
	}
	if got := s.decided("12:07:00 u1 page.viewed"); strings.Contains(got, "warming") {
		t.Errorf("when the longer window has passed: %s", got)
	}
}

// What has no window is never warm by itself where it came later than the state: decisions name it, whatever it is of, and what is told of a customer or an
// item says since when it has counted.
func TestWarmingOfALifetimeIsSaid(t *testing.T) {
	const text = "features: {item.views: {count: product.viewed}}\nrecommenders: {home: {when: {events: [product.viewed], if: item.views >= 0}, always: true, log: [item.views]}}\n"
	s := &shop{t: t}
	defer s.close()
	if fault := s.start(text); fault != "" {
		t.Fatal(fault)
	}
	if got := s.decided("09:00:00 u1 product.viewed p1", "09:05:00 u1 product.viewed p1"); !strings.Contains(got, "item.views") || strings.Contains(got, "warming") {
		t.Fatalf("a new pipeline: %s", got)
	}
	s.restart()
	changed := strings.Replace(text, "log: [", "log: [item.revenue, global.all, user.ever, ", 1)
	s.change(strings.Replace(changed, "features: {", "features: {item.revenue: {sum: order.completed.amount}, global.all: {count: any}, user.ever: {count: any}, ", 1))
	const late, since = "warming [item.revenue global.all user.ever]", "since 2026-03-01T09:05:00.000Z" // where the event clock stood
	item := func() string {
		x, _ := s.program.DescribeItem("p1", s.engine.ClockMS())
		return fmt.Sprint(x.(*operators.ItemDescription).Warming)
	}
	if got := item(); got != "map[item.revenue:"+since+"]" {
		t.Errorf("of the item, right after the change: %s", got)
	}
	if got := s.decided("10:00:00 u1 product.viewed p1"); !strings.Contains(got, late) {
		t.Errorf("with the first event after the change: %s", got)
	}
	s.restart()
	if got := s.decided("d300 10:00:00 u1 product.viewed p1"); !strings.Contains(got, late) {
		t.Errorf("long after: %s", got)
	}
	if got := item(); got != "map[item.revenue:"+since+"]" {
		t.Errorf("of the item: %s", got)
	}
	if got := s.program.Describe(s.program.states["u1"]).(*operators.Description).Warming; len(got) != 3 || got["user.ever"] != since || got["global.all"] != since || got["item.revenue"] != since {
		t.Errorf("of the customer: %v", got)
	}
}

// What a pipeline asks for no more is forgotten: where another one asks for it again, it begins anew.
func TestWarmingAfterItWasGone(t *testing.T) {
	const bare = "features: {user.old: {count: any, window: 1h}}\nrecommenders: {home: {when: page.viewed, log: [user.old]}}\n"
	both := strings.Replace(strings.Replace(bare, "user.old:", "user.seen: {count: product.viewed, window: 1h}, user.old:", 1), "log: [", "log: [user.seen, ", 1)
	s := &shop{t: t}
	defer s.close()
	if fault := s.start(both); fault != "" {
		t.Fatal(fault)
	}
	s.decided("09:00:00 u1 product.viewed p1", "11:00:00 u1 product.viewed p1")
	for _, text := range []string{bare, both} {
		s.restart()
		s.change(text)
		s.decided("11:01:00 u1 product.viewed p2")
	}
	if got := s.decided("11:30:00 u1 page.viewed"); !strings.Contains(got, "warming [user.seen]") {
		t.Errorf("half an hour after it came back: %s", got)
	}
	if got := s.decided("12:03:00 u1 page.viewed"); !strings.Contains(got, "user.seen") || strings.Contains(got, "warming") {
		t.Errorf("an hour after it came back: %s", got)
	}
}

// A state of a build that noted since when features were kept, and nothing of their columns, goes on.
func TestWarmingOfAnOlderState(t *testing.T) {
	const text = "features: {user.old: {count: any, window: 1h}, user.ever: {count: any}, user.late: {count: product.viewed, window: 2h}}\n" +
		"recommenders: {home: {when: page.viewed, log: [user.old, user.ever, user.late]}}\n"
	s := &shop{t: t}
	defer s.close()
	if fault := s.start(text); fault != "" {
		t.Fatal(fault)
	}
	s.decided("09:00:00 u1 product.viewed p1", "10:00:00 u1 product.viewed p1")
	s.restart()
	to, err := s.store.Begin()
	if err != nil {
		t.Fatal(err)
	}
	prefix := state.Key('t', 0, "begun\x00")
	if err := s.store.ScanKeys(prefix, func(key []byte) error { to.Delete(key); return nil }); err != nil {
		t.Fatal(err)
	}
	for key, at := range map[string]string{"user\n0 1 1h 1 60000\n0 true 0 [] ": "09:00:00", "user\n0 1 2h 1 300000\n0 false 10 [] ": "09:59:58", "user\n0 1 5h 1 60000\n0 false 8 [] ": "08:00:00"} {
		to.Put(append(append([]byte{}, prefix...), key...), binary.AppendVarint(nil, clock(t, "d0", at)))
	}
	if _, err := to.Complete(s.store.Meta()); err != nil {
		t.Fatal(err)
	}
	s.close()
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	if got := s.decided("10:30:00 u1 page.viewed"); !strings.Contains(got, "warming [user.late]") {
		t.Errorf("when the older build had kept one since before, one for half an hour: %s", got)
	}
	s.restart()
	if strings.Contains(string(s.shared()), fmt.Sprintf("begun %x", "user\n0 1 1h")) {
		t.Errorf("what the older build noted is still there: %s", s.shared())
	}
	more := strings.Replace(strings.Replace(text, "features: {", "features: {user.mean: {rate: any, per: 1m, window: 1h}, user.long: {count: any, window: {sliding: 2h, by: 1m}}, ", 1), "log: [", "log: [user.mean, user.long, ", 1)
	s.change(more)
	if got := s.decided("10:31:00 u1 page.viewed"); !strings.Contains(got, "warming [user.long user.late]") {
		t.Errorf("under a change: %s", got)
	}
	if got := s.decided("11:31:00 u1 page.viewed"); !strings.Contains(got, "warming [user.late]") {
		t.Errorf("when what its tiles lacked has passed: %s", got)
	}
	if got := s.decided("12:00:00 u1 page.viewed"); strings.Contains(got, "warming") || !strings.Contains(got, "user.late") {
		t.Errorf("at last: %s", got)
	}
}
