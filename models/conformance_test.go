package models_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"nudge/models"
)

// model is what the suite asks of a learner.
type model interface {
	learn(example)
	predict() string                // everything it can say, as text
	rows() [][]byte                 // the canonical encoding, row by row
	load(rows [][]byte) error       // into an empty model
	add(other model)                // a sum of contributions
	limit() (bytes int)             // no row grows beyond
	touched() map[uint32]bool       // rows that were announced since the last call
	same(row uint32, b []byte) bool // whether a row still encodes to b
}

// example is one event for any of the models.
type example struct {
	item, a, b models.Item
	atMS       int64
	weight     float32
}

// subjects makes an empty model of every kind. TestEveryModelConforms finds those that are missing.
var subjects = map[string]func() model{
	"CoOccurrence": func() model {
		m := &together{CoOccurrence: models.NewCoOccurrence(models.CoOccurrenceOptions{
			HalfLifeMS: 3600_000, Neighbours: 6, Gap: 0.8, Backward: 0.25, History: 0.6})}
		m.Touch = m.note
		return m
	},
	"Trending": func() model {
		m := &trend{Trending: models.NewTrending(3600_000, 4)}
		m.Touch = m.note
		return m
	},
	"Rhythm": func() model {
		m := &rhythm{Rhythm: &models.Rhythm{}}
		m.Touch = func() { m.note(0) }
		return m
	},
}

const itemsInTests = 12

type notes map[uint32]bool

func (n *notes) note(row uint32) {
	if *n == nil {
		*n = notes{}
	}
	(*n)[row] = true
}

func (n *notes) touched() map[uint32]bool {
	out := *n
	*n = nil
	return out
}

type together struct {
	*models.CoOccurrence
	notes
}

func (m *together) learn(x example) {
	m.Learn(x.item, []models.Item{x.a, models.NoItem, x.b}, x.atMS, x.weight)
}
func (m *together) predict() string {
	var out strings.Builder
	s := models.NewScratch()
	for i := range models.Item(itemsInTests) {
		s.Reset()
		m.Score(s, []models.Item{i, (i + 1) % itemsInTests}, 1e7)
		fmt.Fprintln(&out, i, s.Top(5, func(models.Item) bool { return true }))
	}
	return out.String()
}
func (m *together) rows() (out [][]byte) {
	for n := range uint32(m.Rows()) {
		out = append(out, m.AppendRow(nil, n))
	}
	return out
}
func (m *together) load(rows [][]byte) error {
	for n, b := range rows {
		if len(b) > 0 {
			if err := m.LoadRow(uint32(n), b); err != nil {
				return err
			}
		}
	}
	return nil
}
func (m *together) add(o model)                    { m.Add(o.(*together).CoOccurrence) }
func (m *together) limit() int                     { return 10 + 4 + 6*8 }
func (m *together) same(row uint32, b []byte) bool { return bytes.Equal(m.AppendRow(nil, row), b) }

type trend struct {
	*models.Trending
	notes
}

func (m *trend) learn(x example) { m.Learn(x.item, x.atMS, x.weight) }
func (m *trend) predict() string {
	m.Settle()
	var out strings.Builder
	for _, i := range m.Top() {
		fmt.Fprintln(&out, i, m.Share(i), m.Value(i, 1e7))
	}
	return out.String()
}
func (m *trend) rows() (out [][]byte) {
	for n := range uint32(itemsInTests) {
		out = append(out, m.AppendRow(nil, n))
	}
	return out
}
func (m *trend) load(rows [][]byte) error {
	for n, b := range rows {
		if len(b) > 0 {
			if err := m.LoadRow(uint32(n), b); err != nil {
				return err
			}
		}
	}
	m.Settle()
	return nil
}
func (m *trend) add(o model)                    { m.Add(o.(*trend).Trending) }
func (m *trend) limit() int                     { return 13 }
func (m *trend) same(row uint32, b []byte) bool { return bytes.Equal(m.AppendRow(nil, row), b) }

type rhythm struct {
	*models.Rhythm
	notes
}

func (m *rhythm) learn(x example) { m.Learn(x.atMS) }
func (m *rhythm) predict() string {
	var out strings.Builder
	for n := range 4 {
		p := models.Purchases{Count: n, FirstMS: 0, LastMS: int64(n) * 30e7}
		fmt.Fprintln(&out, m.Left(p, 3e9), m.Silent(p, 3e9, 1e9), m.Expected(p, 1e9), m.UsualGapDays())
	}
	return out.String()
}
func (m *rhythm) rows() [][]byte               { return [][]byte{m.AppendBinary(nil)} }
func (m *rhythm) load(rows [][]byte) error     { return m.UnmarshalBinary(rows[0]) }
func (m *rhythm) add(o model)                  { m.Add(o.(*rhythm).Rhythm) }
func (m *rhythm) limit() int                   { return 20 }
func (m *rhythm) same(_ uint32, b []byte) bool { return bytes.Equal(m.AppendBinary(nil), b) }

// examples draws events: weights and times at which sums are exact, so that the laws of addition can be asked for to the bit.
func examples(t *rapid.T, label string) []example {
	item := rapid.Custom(func(t *rapid.T) models.Item { return models.Item(rapid.IntRange(0, itemsInTests-1).Draw(t, "item")) })
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) example {
		return example{item: item.Draw(t, "item"), a: item.Draw(t, "a"), b: item.Draw(t, "b"),
			atMS: rapid.Int64Range(0, 40).Draw(t, "hours") * 3600_000, weight: float32(rapid.IntRange(1, 8).Draw(t, "weight"))}
	}), 0, 30).Draw(t, label)
}

func learned(make func() model, xs ...example) model {
	m := make()
	for _, x := range xs {
		m.learn(x)
	}
	return m
}

func each(t *testing.T, check func(t *rapid.T, make func() model)) {
	for name, make := range subjects {
		t.Run(name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { check(t, make) }) })
	}
}

func TestEveryModelConforms(t *testing.T) {
	fset := token.NewFileSet()
	pkgs, err := parser.ParseDir(fset, ".", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range pkgs["models"].Files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "Learn" {
				continue
			}
			star, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
			if !ok {
				continue
			}
			if name := star.X.(*ast.Ident).Name; subjects[name] == nil {
				t.Errorf("%s: %s learns but is not in the conformance suite: add it to subjects", fset.Position(fn.Pos()), name)
			}
		}
	}
}

func TestSameExamplesSameBytes(t *testing.T) {
	each(t, func(t *rapid.T, make func() model) {
		xs := examples(t, "examples")
		a, b := learned(make, xs...), learned(make, xs...)
		b.predict()
		if fmt.Sprint(a.rows()) != fmt.Sprint(b.rows()) {
			t.Fatalf("two models that learned the same differ, or predicting changed one:\n%x\n%x", a.rows(), b.rows())
		}
	})
}

func TestEncodingRoundTrips(t *testing.T) {
	each(t, func(t *rapid.T, make func() model) {
		m := learned(make, examples(t, "examples")...)
		again := make()
		if err := again.load(m.rows()); err != nil {
			t.Fatalf("load %x: %v", m.rows(), err)
		}
		for n, b := range m.rows() {
			if !again.same(uint32(n), b) {
				t.Fatalf("row %d: %x was loaded as something else", n, b)
			}
			if len(b) > m.limit() {
				t.Fatalf("row %d has %d bytes, at most %d can be", n, len(b), m.limit())
			}
		}
		if m.predict() != again.predict() {
			t.Fatalf("before:\n%s\nafter:\n%s", m.predict(), again.predict())
		}
		more := examples(t, "more")
		for _, x := range more {
			m.learn(x)
			again.learn(x)
		}
		if fmt.Sprint(m.rows()) != fmt.Sprint(again.rows()) || m.predict() != again.predict() {
			t.Fatal("the loaded model learns something else")
		}
	})
}

func TestChangesAreAnnounced(t *testing.T) {
	each(t, func(t *rapid.T, make func() model) {
		m := learned(make, examples(t, "examples")...)
		old := m.rows()
		m.touched()
		for _, x := range examples(t, "more") {
			m.learn(x)
		}
		announced := m.touched()
		for n, b := range m.rows() {
			was := []byte(nil)
			if n < len(old) {
				was = old[n]
			}
			if !bytes.Equal(b, was) && !announced[uint32(n)] {
				t.Fatalf("row %d changed without Touch", n)
			}
		}
	})
}

func TestAddingIsASum(t *testing.T) {
	for name, make := range subjects {
		if name == "CoOccurrence" {
			// A full row forgets, so the laws hold while rows are not full.
			make = func() model {
				m := &together{CoOccurrence: models.NewCoOccurrence(models.CoOccurrenceOptions{
					HalfLifeMS: 3600_000, Neighbours: itemsInTests, Gap: 0.5, Backward: 0.25, History: 0.5})}
				return m
			}
		}
		if _, ok := make().(notASum); ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				x, y, z := clip(examples(t, "x")), clip(examples(t, "y")), clip(examples(t, "z"))
				sum := func(ms ...model) string {
					into := make()
					for _, m := range ms {
						into.add(m)
					}
					return fmt.Sprintf("%x", into.rows())
				}
				a, b, c := learned(make, x...), learned(make, y...), learned(make, z...)
				bc := learned(make, y...)
				bc.add(c)
				if got, want := sum(a, bc), sum(a, b, c); got != want {
					t.Fatalf("not associative:\n%s\n%s", got, want)
				}
				if got, want := sum(b, a), sum(a, b); got != want {
					t.Fatalf("not commutative:\n%s\n%s", got, want)
				}
				if got, want := sum(a, make()), sum(a); got != want {
					t.Fatalf("the empty model is no identity:\n%s\n%s", got, want)
				}
				all := append(append(append([]example(nil), x...), y...), z...)
				if got, want := sum(a, b, c), fmt.Sprintf("%x", learned(make, all...).rows()); got != want {
					t.Fatalf("the sum of the parts is not the whole:\n%s\n%s", got, want)
				}
			})
		})
	}
}

// clip keeps events within so few half-lives that their sums are exact in 24 bits.
func clip(xs []example) []example {
	for i := range xs {
		xs[i].atMS %= 6 * 3600_000
	}
	return xs
}

func TestBadInputTeachesNothing(t *testing.T) {
	nan := float32(math.NaN())
	for name, make := range subjects {
		m := make()
		for _, x := range []example{{item: models.NoItem, weight: 1}, {item: 1, weight: 0}, {item: 1, weight: -1}, {item: 1, weight: nan},
			{item: 1, weight: float32(math.Inf(1))}} {
			m.learn(x)
		}
		if got, want := m.predict(), make().predict(); got != want {
			t.Errorf("%s: learned from bad input:\n%s", name, got)
		}
	}
}

func FuzzLoadRow(f *testing.F) {
	for _, make := range subjects {
		m := make()
		for i := range 200 {
			m.learn(example{item: models.Item(i % 12), a: models.Item(i % 7), b: models.Item(i % 5), atMS: int64(i) * 1e6, weight: 1})
		}
		for _, b := range m.rows() {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, make := range subjects {
			m := make()
			if m.load([][]byte{b}) != nil || len(b) == 0 {
				continue
			}
			m.predict()
			rows := m.rows()
			again := make()
			if err := again.load(rows); err != nil {
				t.Fatalf("%s: what was loaded from %x can't be loaded again: %v", name, b, err)
			}
		}
	})
}

func TestExpAndLog(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		x := r.Float64()*1400 - 700
		if got, want := models.Exp(x), math.Exp(x); math.Abs(got-want) > 4e-16*want {
			t.Fatalf("Exp(%v) = %v, want %v", x, got, want)
		}
		y := math.Exp(x)
		if got, want := models.Log(y), math.Log(y); math.Abs(got-want) > 4e-16*math.Abs(want) {
			t.Fatalf("Log(%v) = %v, want %v", y, got, want)
		}
		u := r.Float64()
		if got, want := models.Exp2(u), math.Exp2(u); math.Abs(got-want) > 4e-16*want {
			t.Fatalf("Exp2(%v) = %v, want %v", u, got, want)
		}
	}
	for _, x := range []float64{0, math.Inf(1), math.Inf(-1), math.NaN(), 1, -1, math.SmallestNonzeroFloat64, math.MaxFloat64} {
		if got, want := models.Exp(x), math.Exp(x); got != want && !(math.IsNaN(got) && math.IsNaN(want)) && math.Abs(got-want) > 4e-16*want {
			t.Errorf("Exp(%v) = %v, want %v", x, got, want)
		}
		want := math.Log(x)
		if x == math.SmallestNonzeroFloat64 {
			want = -744.4400719213812 // math.Log is wrong about it on amd64
		}
		if got := models.Log(x); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("Log(%v) = %v, want %v", x, got, want)
		}
	}
}
