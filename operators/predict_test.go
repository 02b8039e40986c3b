package operators_test

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"nudge/streams"
)

// Customers come every two days and look at two items; some put one into the cart, and of those most order within hours. The predictions tell them
// apart, say how likely either is, and keep a record that agrees.
func TestPredictions(t *testing.T) {
	s := &shop{t: t}
	defer s.close()
	if fault := s.start(`
recommenders: {home: {when: page.viewed, candidates: [next_item]}}
predictions:
  buys_24h: {event: order.completed, within: 24h}
  never: {event: custom.never, within: 1h}
  always: {event: product.viewed, within: 7d}
audiences:
  hot: prediction.buys_24h > 0.4
  unknown: prediction.never >= 0 or prediction.always >= 0
features:
  user.adds_1h: {count: product.added, window: 1h}
`); fault != "" {
		t.Fatal(fault)
	}
	const inCart, ordersOfCarts = .3, .7
	r := rand.New(rand.NewSource(1))
	type line struct {
		second int
		text   string
	}
	var lines []line
	at := func(second int, format string, args ...any) {
		lines = append(lines, line{second, fmt.Sprintf("d%d %02d:%02d:%02d ", second/86400, second/3600%24, second/60%60, second%60) + fmt.Sprintf(format, args...)})
	}
	for user := range 150 {
		for second := r.Intn(86400); second < 21*86400; second += 86400 + r.Intn(2*86400) {
			at(second, "u%d product.viewed p%d", user, r.Intn(20))
			at(second+40, "u%d product.viewed p%d", user, r.Intn(20))
			if r.Float64() < inCart {
				item := r.Intn(20)
				at(second+80, "u%d product.added p%d", user, item)
				if r.Float64() < ordersOfCarts {
					at(second+600+r.Intn(3*3600), "u%d order.completed p%d@9 {\"order\":\"o%d-%d\"} value=9", user, item, user, second)
				} else {
					at(second+600, "u%d product.removed p%d", user, item)
				}
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.second - b.second })
	entered := 0
	for k := 0; k < len(lines); k += 40 {
		var records []streams.Record
		for _, l := range lines[k:min(k+40, len(lines))] {
			records = append(records, s.event(l.text))
		}
		entered += strings.Count(s.fold(records, nil, 0), " hot enter")
	}
	end := "d22 12:00:0"
	for k, l := range []string{"u7 product.viewed p1", "u7 product.viewed p2", "u8 product.viewed p1", "u8 product.added p2"} {
		out := s.fold([]streams.Record{s.event(fmt.Sprint(end, k, " ", l))}, nil, 0)
		if hot := strings.Contains(out, "hot"); hot != (k == 3) {
			t.Errorf("%s: in the audience: %v", l, hot)
		}
		if strings.Contains(out, "unknown") {
			t.Errorf("an audience of a prediction that nobody can make: %s", out)
		}
	}
	chance := func(user string) float64 {
		f := s.program.Foresee(s.program.states[user], 1, false)
		if f == nil || len(f.Items) == 0 {
			t.Fatalf("nothing is foreseen of %s", user)
		}
		for _, name := range []string{"never", "always"} {
			if _, said := f.Predictions[name]; said {
				t.Errorf("a chance is said of what %s happens", name)
			}
		}
		return f.Predictions["buys_24h"]
	}
	// Of those who look three in ten go on to fill the cart.
	if x := chance("u7"); !(x > .05 && x < .4) {
		t.Errorf("who looks buys with the chance %v", x)
	}
	if x := chance("u8"); !(x > .5 && x < .9) {
		t.Errorf("who has something in the cart buys with the chance %v, %v of them did", x, ordersOfCarts)
	}
	d := s.program.DescribePredictions()
	if len(d) != 3 || d[0].Said || d[0].Unsaid == "" || d[0].Outcomes < 200 || d[2].Said || d[2].AUC != nil {
		t.Fatalf("%+v", d)
	}
	x := d[1]
	if !x.Said || x.Unsaid != "" || x.Outcomes < 800 || x.LogLoss > .95*x.BaseLogLoss || *x.AUC < .6 {
		t.Errorf("the prediction is worth little: %+v", x)
	}
	for _, b := range x.Ranges {
		if b.Outcomes > 200 && math.Abs(b.Predicted-b.Happened) > .1 {
			t.Errorf("of %d outcomes %v were predicted, %v happened", b.Outcomes, b.Predicted, b.Happened)
		}
	}
	if entered < 100 {
		t.Errorf("%d customers entered the audience of likely buyers", entered)
	}
}
