package streams

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// TestConvert holds convert against exact fractions.
func TestConvert(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(-MaxMicro, MaxMicro).Draw(t, "amount")
		rate := rapid.Int64Range(0, MaxMicro).Draw(t, "rate")
		twice := new(big.Int).Mul(big.NewInt(amount), big.NewInt(2*rate)) // of the exact result in 1/(2 Micro)
		got := convert(amount, rate)
		if got == MaxMicro || got == -MaxMicro {
			if limit := big.NewInt(MaxMicro*2 - 1); twice.CmpAbs(limit.Mul(limit, big.NewInt(Micro))) < 0 {
				t.Fatalf("%d × %d saturates", amount, rate)
			}
			return
		}
		off := twice.Sub(twice, new(big.Int).Mul(big.NewInt(got), big.NewInt(2*Micro))).CmpAbs(big.NewInt(Micro))
		if off > 0 || off == 0 && got&1 == 1 {
			t.Fatalf("%d × %d gives %d, which is off by more than a half, or by a half and odd", amount, rate, got)
		}
	})
}
