package operators_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"nudge/engine"
	"nudge/operators"
	"nudge/streams"
)

const busyShop = `
ignore:
  floods: {more_than: 30, per: 1m}
recommenders:
  home:
    when: [page.viewed, product.viewed]
    at_most: 2 per 1m
    half_life: 1h
    log: [user.usual, session.steps]
    trend_half_life: 10m
  next:
    when: product.viewed
    at_most: 1 per 1h
    candidates: [sequence, next_item]
    log: [user.dear, user.kinds]
    half_life: 1h
    trend_half_life: 10m
  liked:
    when: page.viewed
    at_most: 1 per 1h
    candidates: [choices]
    half_life: 1h
    trend_half_life: 10m
offers:
  cart_rescue:
    when: {quiet: 10m}
    gives: {percent_off: 10, at_most: 5}
    budget: small
    cooldown: 1h
budgets:
  small: {total: 100, daily: 50}
holdout: 0.2
churn:
  leaving: {threshold: 0.5, clear: 0.3, check: 1h}
features:
  user.usual: {count: any, window: 1h, transform: [log: true, standardise: true]}
  user.dear: {max: any.price}
  user.kinds: {distinct: order.completed.item, window: 3h}
  session.steps: {count: any}
  user_category.views: {count: product.viewed}
  item.sold: {sum: order.completed.quantity, window: [1h, 3h]}
  item.orders: {count: order.completed, window: {tumbling: 1h}}
  item.met: {count: any, window: {sliding: 40m, by: 10m}}
  global.visits: {distinct: any.user, window: {calendar: day, session: 5m}}
predictions:
  orders_2h: {event: order.completed, within: 2h}
audiences:
  likely: prediction.orders_2h > 0.55
  sevens: '"p7" in next.items'
outputs:
  features:
    sales: {of: [item.orders, item.met], files: results}
    days: {of: [global.visits], files: results}
limits: {items: 100, history: 6, cart: 3, bought: 4}
`

// busy draws n lines of traffic of 25 customers on 160 items: more than the shop has room for.
func busy(seed int64, n int) []string {
	r := rand.New(rand.NewSource(seed))
	out := make([]string, n)
	second := 0
	for i := range out {
		second += r.Intn(240)
		at := fmt.Sprintf("d%d %02d:%02d:%02d", second/86400, second/3600%24, second/60%60, second%60)
		user := fmt.Sprintf("u%d", r.Intn(25))
		if r.Intn(6) == 0 {
			user = fmt.Sprintf("~v%d", r.Intn(10))
		}
		item := func() string { return fmt.Sprintf("p%d", int(r.ExpFloat64()*40)%160) }
		switch r.Intn(10) {
		case 0, 1, 2, 3:
			out[i] = fmt.Sprintf("%s %s product.viewed %s", at, user, item())
		case 4, 5:
			out[i] = fmt.Sprintf("%s %s page.viewed", at, user)
		case 6, 7:
			out[i] = fmt.Sprintf("%s %s product.added %s*%d@%d", at, user, item(), 1+r.Intn(3), 5+r.Intn(40))
		case 8:
			out[i] = fmt.Sprintf("%s %s order.completed %s@9 %s@9 {\"order\":\"o%d\"} value=18", at, user, item(), item(), i)
		default:
			out[i] = fmt.Sprintf("%s u%d user.merged anon=v%d", at, r.Intn(25), r.Intn(10))
		}
	}
	return out
}

// A shop that is stopped after a checkpoint and goes on from it decides as one that was never stopped, byte for byte, and
// ends with the same shared state.
func TestRestartChangesNothing(t *testing.T) {
	lines := withReturns(busy(1, 3000))
	run := func(restartEvery int) (out []string, shared string) {
		s := &shop{t: t}
		defer s.close()
		if fault := s.start(busyShop); fault != "" {
			t.Fatal(fault)
		}
		const epoch = 50
		for k := 0; k < len(lines); k += epoch {
			var records []streams.Record
			for _, l := range lines[k:min(k+epoch, len(lines))] {
				records = append(records, s.event(l))
			}
			out = append(out, s.fold(records, nil, 0))
			if n := k/epoch + 1; restartEvery > 0 && n%restartEvery == 0 {
				s.restart()
			}
		}
		return out, string(s.shared())
	}
	want, wantShared := run(0)
	all := strings.Join(want, "")
	if len(all) < 10_000 || !strings.Contains(all, streams.ReasonModelScore) {
		t.Fatalf("the traffic led to %d bytes of decisions only, or to none by the sequence model", len(all))
	}
	got, gotShared := run(7)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("epoch %d, never stopped:\n%s\nrestarted:\n%s", i+1, want[i], got[i])
		}
	}
	if gotShared != wantShared {
		t.Fatalf("shared state, never stopped:\n%s\nrestarted:\n%s", wantShared, gotShared)
	}
}

// Names that can be paused are deciders and groups, and every one works.
func TestEverythingCanBePaused(t *testing.T) {
	s := &shop{t: t}
	defer s.close()
	if fault := s.start(busyShop); fault != "" {
		t.Fatal(fault)
	}
	var commands []engine.Command
	for _, name := range s.program.Names() {
		commands = append(commands, engine.Command{Kind: "pause", Name: name})
	}
	s.number(engine.Entry{ArrivalMS: base, Commands: commands}, nil)
	for _, l := range busy(2, 300) {
		s.fold([]streams.Record{s.event(l)}, nil, 0)
	}
	for key, n := range s.counts.Decisions {
		if key.Action != streams.ActionNone && key.Kind != streams.KindAudience {
			t.Errorf("%d decisions %v while everything was paused", n, key)
		}
	}
	if s.counts.Withheld[streams.ReasonPaused] == 0 {
		t.Errorf("nothing was withheld as paused: %v", s.counts.Withheld)
	}
}

// What was learned under one half-life is forgotten under another, and stays under the same.
func TestHalfLifeChanged(t *testing.T) {
	s := &shop{t: t}
	defer s.close()
	text := "recommenders: {home: {when: page.viewed, half_life: HALF}}\n"
	if fault := s.start(strings.Replace(text, "HALF", "14d", 1)); fault != "" {
		t.Fatal(fault)
	}
	for _, l := range []string{"09:00:00 u1 product.viewed p1", "09:00:10 u1 product.viewed p2"} {
		s.fold([]streams.Record{s.event(l)}, nil, 0)
	}
	together := func() int {
		x, ok := s.program.DescribeItem("p2", s.engine.ClockMS())
		if !ok {
			t.Fatal("p2 is not known")
		}
		return len(x.(*operators.ItemDescription).Together)
	}
	s.restart()
	if together() != 1 {
		t.Fatal("under the same half-life p2 was met with nothing")
	}
	s.change(strings.Replace(text, "HALF", "1d", 1))
	if together() != 0 {
		t.Fatal("what was learned under 14d is read under 1d")
	}
	s.restart()
	if together() != 0 {
		t.Fatal("what was forgotten came back")
	}
}
