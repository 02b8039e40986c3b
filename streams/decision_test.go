package streams

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decisions returns one decision of every shape.
func decisions() []*Decision {
	return []*Decision{
		{ID: "shop.clickstream-3-81273.home.0", Kind: KindRecommendation, Name: "home", Action: ActionShow, User: "u-42",
			TimeMS: 1795437860131, ExpiresMS: 1795438460131,
			Items: []DecisionItem{{ID: "SKU-1", Score: 0.182, Propensity: 0.31, Reasons: []Reason{{Code: ReasonViewedTogether, With: "SKU-9", Weight: 0.41}}},
				{ID: "SKU-2", Score: 0.1, Propensity: 0.2}},
			Propensity: 0.31, Explored: true, Experiment: &ExperimentArm{ID: "more_explore", Arm: "more"},
			Reasons:  []Reason{{Code: ReasonExplored}},
			Features: []Feature{{Name: "z", Value: 1}, {Name: "a", Value: 0.25}, {Name: "t", Text: "x"}, {Name: "l", List: []string{"p", "q\""}}},
			Model:    ModelVersion{Name: "ftrl", Version: "e81270"}, Policy: "sha256:1f3a9c02",
			Cause: Cause{Topic: "clickstream", Partition: 3, Offset: 81273, Event: "01J9Z7K3QW"}},
		{ID: "shop.t-5f1c0e8a9b7d6c3e-1795437860131.cart_rescue.0", Kind: KindCoupon, Name: "cart_rescue", Action: ActionNone, User: "张 三",
			Anonymous: true, TimeMS: 1795437860131,
			Offer:   &Offer{ID: "cart_rescue", PercentOff: 10, AtMost: 50, Budget: "q4", Code: "X"},
			Reasons: []Reason{{Code: ReasonBudget, With: "q4"}, {Code: ReasonCartAbandoned, Weight: 30}},
			Cause:   Cause{Timer: "cart", AtMS: 1795437860000, ArmedBy: "e7"}},
		{ID: "shop.clickstream-0-1.leaving.0", Kind: KindChurn, Name: "leaving", Action: ActionShow, User: "u", TimeMS: 1,
			Alert:      &Alert{Score: 0.83, Band: "high", Horizon: "45d", ExpectedValue: 120.5, Suggested: "winback"},
			Propensity: 1, Reasons: []Reason{{Code: ReasonSilence, Weight: 31}, {Code: ReasonRhythm, Weight: 9.5}},
			Cause: Cause{Topic: "clickstream"}},
		{ID: "i", Kind: KindCoupon, Name: "ship", Action: ActionShow, User: "u", Offer: &Offer{ID: "s", FreeShipping: true}, Propensity: 1},
		{ID: "i", Kind: KindCoupon, Name: "off", Action: ActionShow, User: "u", Offer: &Offer{ID: "s", AmountOff: 5}, Propensity: 1},
	}
}

func TestDecisionJSON(t *testing.T) {
	want := []string{
		`{"v":1,"id":"shop.clickstream-3-81273.home.0","kind":"recommendation","name":"home","action":"show","user":"u-42",` +
			`"time":"2026-11-23T12:44:20.131Z","expires":"2026-11-23T12:54:20.131Z",` +
			`"items":[{"id":"SKU-1","score":0.182,"propensity":0.31,"reasons":[{"code":"viewed_together","with":"SKU-9","weight":0.41}]},` +
			`{"id":"SKU-2","score":0.1,"propensity":0.2}],"propensity":0.31,"explored":true,"experiment":{"id":"more_explore","arm":"more"},` +
			`"reasons":[{"code":"explored"}],"features":{"z":1,"a":0.25,"t":"x","l":["p","q\""]},"model":{"name":"ftrl","version":"e81270"},"policy":"sha256:1f3a9c02",` +
			`"cause":{"topic":"clickstream","partition":3,"offset":81273,"event":"01J9Z7K3QW"}}`,
		`{"v":1,"id":"shop.t-5f1c0e8a9b7d6c3e-1795437860131.cart_rescue.0","kind":"coupon","name":"cart_rescue","action":"none","anon":"张 三",` +
			`"time":"2026-11-23T12:44:20.131Z","offer":{"id":"cart_rescue","percent_off":10,"at_most":50,"budget":"q4","code":"X"},"propensity":0,` +
			`"reasons":[{"code":"budget","with":"q4"},{"code":"cart_abandoned","weight":30}],` +
			`"cause":{"timer":"cart","at":"2026-11-23T12:44:20.000Z","armed_by":"e7"}}`,
	}
	for i, d := range decisions() {
		got := d.AppendJSON(nil)
		if i < len(want) && string(got) != want[i] {
			t.Errorf("decision %d\n got %s\nwant %s", i, got, want[i])
		}
		if !json.Valid(got) {
			t.Fatalf("no JSON: %s", got)
		}
		back, err := ParseDecision(got)
		if err != nil || !reflect.DeepEqual(back, d) {
			t.Errorf("%s\nreads back as %+v, %v", got, back, err)
		}
		viaJSON, err := json.Marshal(d)
		if err != nil || string(viaJSON) != string(got) {
			t.Errorf("json.Marshal gives %s, %v", viaJSON, err)
		}
		var into Decision
		if err := json.Unmarshal(got, &into); err != nil || !reflect.DeepEqual(&into, d) {
			t.Errorf("json.Unmarshal gives %+v, %v", into, err)
		}
	}
	d := &Decision{Propensity: math.NaN(), Items: []DecisionItem{{Score: math.Inf(1)}}}
	if b := d.AppendJSON(nil); !json.Valid(b) {
		t.Errorf("numbers that JSON lacks: %s", b)
	}
	buf := make([]byte, 0, 4096)
	d = decisions()[0]
	if n := testing.AllocsPerRun(100, func() { buf = d.AppendJSON(buf[:0]) }); n != 0 {
		t.Errorf("AppendJSON allocates %v times", n)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"v":2}`, `{"v":1,"time":"x"}`, `{"v":1,"time":5}`, `{"v":1,"features":[]}`, `{"v":1,"features":{"a":[1]}}`, `{"v":1,"features":{"a":{}}}`} {
		if _, err := ParseDecision([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "streams: parse decision") {
			t.Errorf("ParseDecision(%s): %v", bad, err)
		}
	}
}

func TestDecisionStaysWithinItsBytes(t *testing.T) {
	build := func(items, reasons, features, own int) *Decision {
		d := &Decision{ID: "i", Kind: KindRecommendation, Name: "n", Action: ActionShow, User: strings.Repeat("\x01", 128), Propensity: 1}
		for i := range items {
			it := DecisionItem{ID: fmt.Sprintf("item-%03d", i), Score: 1.0 / 3}
			for range reasons {
				it.Reasons = append(it.Reasons, Reason{Code: ReasonViewedTogether, With: "some-other-item", Weight: 1.0 / 7})
			}
			d.Items = append(d.Items, it)
		}
		for i := range features {
			d.Features = append(d.Features, Feature{Name: fmt.Sprint("feature_", i), Value: 1.0 / 3})
		}
		for range own {
			d.Reasons = append(d.Reasons, Reason{Code: ReasonExplored})
		}
		return d
	}
	for _, c := range []struct {
		name                          string
		items, reasons, features, own int
		wantItems                     int // -1: some, but not all
		wantFeatures, wantReasons     int
	}{
		{"small", 12, 2, 10, 1, 12, 10, 1},
		{"trailing reasons go first", 100, 3, 10, 1, 100, 10, 1},
		{"then trailing items", 1000, 3, 10, 1, -1, 10, 1},
		{"then features", 10, 1, 1000, 1, 0, 0, 1},
		{"then reasons", 10, 1, 1000, 2000, 0, 0, 0},
	} {
		d := build(c.items, c.reasons, c.features, c.own)
		b := d.AppendJSON([]byte("before"))[len("before"):]
		back, err := ParseDecision(b)
		if err != nil || len(b) > MaxDecisionJSONBytes {
			t.Fatalf("%s: %d bytes, %v", c.name, len(b), err)
		}
		n := len(back.Items)
		if c.wantItems >= 0 && n != c.wantItems || c.wantItems < 0 && (n == 0 || n == c.items || len(b) < MaxDecisionJSONBytes-100) {
			t.Errorf("%s: %d items in %d bytes, want %d", c.name, n, len(b), c.wantItems)
		}
		if len(back.Features) != c.wantFeatures || len(back.Reasons) != c.wantReasons {
			t.Errorf("%s: %d features and %d reasons, want %d and %d", c.name, len(back.Features), len(back.Reasons), c.wantFeatures, c.wantReasons)
		}
		explained := 0
		for i, it := range back.Items {
			if it.ID != d.Items[i].ID {
				t.Fatalf("%s: item %d is %s", c.name, i, it.ID)
			}
			if len(it.Reasons) > 0 {
				if explained++; explained != i+1 {
					t.Fatalf("%s: item %d has reasons though one before it has lost its own", c.name, i)
				}
			}
		}
	}
}

func TestDecisionRoundTrip(t *testing.T) {
	str := rapid.StringN(1, 20, 60)
	num := rapid.Float64Range(-1e12, 1e12)
	ms := rapid.Int64Range(1, maxMS)
	reasons := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Reason {
		return Reason{Code: rapid.SampledFrom(ReasonCodes()).Draw(t, "code"), With: rapid.String().Draw(t, "with"), Weight: num.Draw(t, "weight")}
	}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		d := &Decision{ID: str.Draw(t, "id"), Kind: rapid.SampledFrom([]string{KindRecommendation, KindCoupon, KindChurn}).Draw(t, "kind"),
			Name: str.Draw(t, "name"), Action: rapid.SampledFrom([]string{ActionShow, ActionNone}).Draw(t, "action"), User: str.Draw(t, "user"),
			Anonymous: rapid.Bool().Draw(t, "anon"), TimeMS: ms.Draw(t, "time"), ExpiresMS: ms.Draw(t, "expires"), Propensity: num.Draw(t, "propensity"),
			Explored: rapid.Bool().Draw(t, "explored"), Reasons: reasons.Draw(t, "reasons"), Policy: rapid.String().Draw(t, "policy")}
		for range rapid.IntRange(0, 5).Draw(t, "items") {
			d.Items = append(d.Items, DecisionItem{ID: str.Draw(t, "item"), Score: num.Draw(t, "score"), Propensity: num.Draw(t, "p"), Reasons: reasons.Draw(t, "why")})
		}
		for range rapid.IntRange(0, 5).Draw(t, "features") {
			f := Feature{Name: str.Draw(t, "feature")}
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				f.Value = num.Draw(t, "value")
			case 1:
				f.Text = str.Draw(t, "text")
			case 2:
				f.List = rapid.SliceOfN(str, 1, 3).Draw(t, "list")
			}
			d.Features = append(d.Features, f)
		}
		d.Warming = rapid.SliceOfN(str, 0, 2).Draw(t, "warming")
		if len(d.Warming) == 0 {
			d.Warming = nil
		}
		if rapid.Bool().Draw(t, "timer") {
			d.Cause = Cause{Timer: str.Draw(t, "timer name"), AtMS: ms.Draw(t, "at"), ArmedBy: rapid.String().Draw(t, "armed by")}
		} else {
			d.Cause = Cause{Topic: str.Draw(t, "topic"), Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset")}
		}
		b := d.AppendJSON(nil)
		back, err := ParseDecision(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		for _, rs := range [][]Reason{d.Reasons} {
			if len(rs) == 0 {
				d.Reasons = nil
			}
		}
		for i := range d.Items {
			if len(d.Items[i].Reasons) == 0 {
				d.Items[i].Reasons = nil
			}
		}
		if !reflect.DeepEqual(d, back) {
			t.Fatalf("%s\nreads back as %+v\nwant %+v", b, back, d)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	d := decisions()[0]
	d.Items, d.Features = nil, nil
	for i := range 8 {
		d.Items = append(d.Items, DecisionItem{ID: fmt.Sprintf("p%05d", i), Score: 0.182 / float64(i+1), Propensity: 0.31,
			Reasons: []Reason{{Code: ReasonViewedTogether, With: "p00077", Weight: 0.41}}})
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = d.AppendJSON(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
