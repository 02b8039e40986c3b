package enginetest

import (
	"bytes"
	"testing"

	"nudge/engine"
)

// CheckMerge checks the law of Program.Merge on three states, each made anew by its function: merging is associative, the
// empty state is its identity on both sides, and what it takes in is not changed.
func CheckMerge(t testing.TB, p engine.Program, a, b, c func() engine.State) {
	t.Helper()
	bytesOf := func(s engine.State) []byte { return s.AppendBinary(nil) }
	merge := func(into, from engine.State) engine.State {
		before := bytesOf(from)
		p.Merge(into, from)
		if after := bytesOf(from); !bytes.Equal(before, after) {
			t.Fatalf("Merge changed the state that it took in:\n before %x\n after  %x", before, after)
		}
		return into
	}
	left, right := merge(merge(a(), b()), c()), merge(a(), merge(b(), c()))
	if x, y := bytesOf(left), bytesOf(right); !bytes.Equal(x, y) {
		t.Fatalf("Merge is not associative:\n (a b) c  %x\n a (b c)  %x\n a %x\n b %x\n c %x", x, y, bytesOf(a()), bytesOf(b()), bytesOf(c()))
	}
	for _, s := range []func() engine.State{a, b, c} {
		if x, y := bytesOf(merge(s(), p.NewState())), bytesOf(s()); !bytes.Equal(x, y) {
			t.Fatalf("the empty state merged into another changes it:\n %x\n %x", y, x)
		}
		if x, y := bytesOf(merge(p.NewState(), s())), bytesOf(s()); !bytes.Equal(x, y) {
			t.Fatalf("merged into the empty state, a state is another:\n %x\n %x", y, x)
		}
	}
}
