package condition_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"nudge/operators/condition"
)

// world is names with their values, as a test spells them: name = 3, name = "text", name = true, name = [a b], name ~ trait,
// name = unknown.
type world struct {
	names []string
	kinds []condition.Kind
	texts []string
}

func newWorld(t *testing.T, text string) *world {
	w := &world{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		kind := condition.Number
		name, value, ok := strings.Cut(line, " = ")
		if !ok {
			if name, value, ok = strings.Cut(line, " ~ "); !ok {
				t.Fatalf("%q: want name = value or name ~ value", line)
			}
			kind = condition.Loose
		}
		switch {
		case kind == condition.Loose:
		case value == "true" || value == "false":
			kind = condition.Truth
		case strings.HasPrefix(value, `"`):
			kind, value = condition.Text, strings.Trim(value, `"`)
		case strings.HasPrefix(value, "["):
			kind, value = condition.List, strings.Trim(value, "[]")
		}
		w.names, w.kinds, w.texts = append(w.names, name), append(w.kinds, kind), append(w.texts, value)
	}
	return w
}

func (w *world) Name(path []string) (int, condition.Kind, bool) {
	for i, n := range w.names {
		if n == strings.Join(path, ".") {
			return i, w.kinds[i], true
		}
	}
	return 0, 0, false
}

func (w *world) Near(path []string) []string {
	for _, n := range w.names {
		if n[0] == path[0][0] {
			return []string{n}
		}
	}
	return nil
}

func (w *world) Number(i int) float64 {
	var n float64
	if _, err := fmt.Sscan(w.texts[i], &n); err != nil {
		return math.NaN()
	}
	return n
}
func (w *world) Text(i int) string   { return w.texts[i] }
func (w *world) Truth(i int) bool    { return w.texts[i] == "true" }
func (w *world) List(i int) []string { return strings.Fields(w.texts[i]) }

// The commands of testdata: names (a world), then conditions, one a line, each answered by what it says of that world.
func TestTables(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "names" {
				w = newWorld(t, d.Input)
				return ""
			}
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSuffix(line, "\n")
				switch d.Cmd {
				case "conditions":
					c, err := condition.Compile(line, w)
					if err != nil {
						out.WriteString(told(err))
						continue
					}
					fmt.Fprintln(&out, c.True(w), c.Names())
				case "numbers":
					c, err := condition.CompileNumber(line, w)
					if err != nil {
						out.WriteString(told(err))
						continue
					}
					fmt.Fprintln(&out, c.Number(w))
				default:
					d.Fatalf(t, "unknown command %s", d.Cmd)
				}
			}
			return out.String()
		})
	})
}

func told(err error) string {
	var f *condition.Fault
	if !errors.As(err, &f) {
		return "no fault: " + err.Error() + "\n"
	}
	return fmt.Sprintf("at %d: %v\n", f.Offset, f)
}

func FuzzCompile(f *testing.F) {
	w := &world{names: []string{"user.orders", "trait.tier", "audience.vip", "user.top"},
		kinds: []condition.Kind{condition.Number, condition.Loose, condition.Truth, condition.List}, texts: []string{"3", "gold", "true", "a b"}}
	for _, s := range []string{`user.orders >= 2 and not audience.vip`, `trait.tier in ["gold", "silver"]`, `"a" in user.top ? 1 > 2 : true`, `-user.orders * 3 % 2 == log(4)`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		c, err := condition.Compile(source, w)
		if err != nil {
			var fault *condition.Fault
			if !errors.As(err, &fault) {
				t.Fatalf("Compile(%q): want a *Fault, got %v", source, err)
			}
			return
		}
		if c.True(w) != c.True(w) {
			t.Fatalf("%q says two things of the same world", source)
		}
	})
}

func BenchmarkTrue(b *testing.B) {
	w := &world{names: []string{"user.orders", "user.idle"}, kinds: []condition.Kind{condition.Truth, condition.Truth}, texts: []string{"true", "false"}}
	c, err := condition.Compile("user.orders and not user.idle", w)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.True(w)
	}
}
