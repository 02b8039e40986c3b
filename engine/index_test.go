package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestIndexAgainstMap does random puts, gets and deletes on an index and on a map.
func TestIndexAgainstMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var x index
	m := map[string]*customer{}
	for step := range 200_000 {
		key := fmt.Sprintf("%c%d", "ua"[r.IntN(2)], r.IntN(3000))
		got, want := x.get(key[0], key[1:]), m[key]
		if got != want {
			t.Fatalf("step %d: get %q: index %p, map %p", step, key, got, want)
		}
		switch {
		case want == nil:
			c := &customer{key: key}
			x.put(c)
			m[key] = c
		case r.IntN(2) == 0:
			x.delete(want)
			delete(m, key)
		}
		if x.count != len(m) {
			t.Fatalf("step %d: the index counts %d, the map %d", step, x.count, len(m))
		}
	}
}
