package suite

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"

	"nudge/operators"
)

// Numbers are equal that differ by less than this share of them.
const (
	exactly    = 1e-6 // numbers are held in millionths
	quantileIs = 1e-2 // a quantile's own error
)

// about is the form of a value that need not be met exactly: {about: 7, within: 0.5}.
func about(want any) (middle, within float64, ok bool) {
	m, isMap := want.(map[string]any)
	if !isMap || len(m) != 2 {
		return 0, 0, false
	}
	middle, ok = number(m["about"])
	within, isNumber := number(m["within"])
	return middle, within, ok && isNumber && within >= 0
}

// quantiles finds the features that are quantiles as they are, by their whole name and by that in closed windows.
func quantiles(config *operators.Config, names []string) map[string]bool {
	found := map[string]bool{}
	for _, name := range names {
		declared := name
		for d, ok := config.Features[declared]; ; d, ok = config.Features[declared] {
			if ok {
				_, short, _ := strings.Cut(name, ".")
				found[name] = d.Quantile != "" && len(d.Transform) == 0
				found[short] = found[short] || found[name]
				break
			}
			end := strings.LastIndexByte(declared, '_')
			if end < 0 {
				break
			}
			declared = declared[:end]
		}
	}
	return found
}

// same says whether a value of that name is what is wanted; null wants one that is not known.
func (f *File) same(name string, want, have any) bool {
	b, both := number(have)
	if middle, within, ok := about(want); ok {
		return both && math.Abs(middle-b) <= within
	}
	a, isNumber := number(want)
	if isNumber || both {
		share := exactly
		if f.quantiles[name] {
			share = quantileIs
		}
		return isNumber && both && math.Abs(a-b) <= share*max(1, math.Abs(a))
	}
	return reflect.DeepEqual(plain(want), plain(have))
}

// holds says whether all that is wanted is there.
func (f *File) holds(wanted, got map[string]any) bool {
	for name, want := range wanted {
		if !f.same(name, want, got[name]) {
			return false
		}
	}
	return true
}

func number(x any) (float64, bool) {
	switch v := reflect.ValueOf(x); {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}

// plain is a value as JSON has it.
func plain(x any) any {
	b, err := json.Marshal(x)
	if err != nil {
		return x
	}
	var out any
	if json.Unmarshal(b, &out) != nil {
		return x
	}
	return out
}

func text(x any) string {
	if x == nil {
		return "not known"
	}
	b, err := json.Marshal(x)
	if err != nil {
		return fmt.Sprint(x)
	}
	return string(b)
}

func orNothing(s, nothing string) string {
	if s == "" {
		return nothing
	}
	return s
}
