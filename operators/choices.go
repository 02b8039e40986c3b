package operators

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"nudge/engine"
	"nudge/models"
	"nudge/streams"
)

// chooser is what a customer likes, and what they have before them and may yet choose of.
type chooser struct {
	leaning models.Leaning
	daily   models.Daily // choices that taught
	slate   options      // a recommended list
	other   options      // a list of the shop's, or the item on the page
}

// options are items that something may be chosen of.
type options struct {
	kind   models.Kind
	atMS   int64
	hashes []uint64 // nil: nothing is open
}

// merge keeps the later ones.
func (x *options) merge(o *options) {
	if cmp.Or(cmp.Compare(o.atMS, x.atMS), cmp.Compare(o.kind, x.kind), slices.Compare(o.hashes, x.hashes)) > 0 {
		*x = options{o.kind, o.atMS, slices.Clone(o.hashes)}
	}
}

// mergeChooser takes in that of the same customer under another name.
func (c *Customer) mergeChooser(o *Customer) {
	if o.chooser == nil {
		return
	}
	x, y := c.choosing(), o.chooser
	for d := range x.leaning {
		x.leaning[d] += y.leaning[d]
	}
	x.daily.Add(y.daily)
	x.slate.merge(&y.slate)
	x.other.merge(&y.other)
}

func (c *Customer) choosing() *chooser {
	if c.chooser == nil {
		c.chooser = &chooser{}
	}
	return c.chooser
}

// choose takes in what an event says of what the customer chose, or passed over, and what they have before them now.
func (p *Program) choose(t *engine.Turn, c *Customer, s *scratch) {
	e := t.Event
	switch e.Type {
	case streams.PageViewed, streams.ListViewed, streams.ProductViewed, streams.ProductClicked, streams.ProductAdded, streams.ProductRemoved, streams.CartViewed,
		streams.CheckoutStarted, streams.OrderCompleted, streams.SearchPerformed, streams.DecisionShown, streams.DecisionClicked:
	default:
		return
	}
	if c.chooser == nil && e.Type != streams.ListViewed && e.Type != streams.ProductViewed && e.Type != streams.DecisionShown {
		return // nothing is before them
	}
	x := c.choosing()
	p.chosen(t, x, s, &x.slate, e.Type == streams.DecisionClicked)
	switch e.Type {
	case streams.DecisionShown:
		x.slate = optionsOf(models.ChoiceOfSlate, e)
		return
	case streams.DecisionClicked:
		x.other = options{} // something else came up
		return
	}
	p.chosen(t, x, s, &x.other, e.Type == streams.ProductViewed || e.Type == streams.ProductClicked || e.Type == streams.ProductAdded)
	switch e.Type {
	case streams.ListViewed:
		x.other = optionsOf(models.ChoiceOfList, e)
	case streams.ProductViewed:
		x.other = optionsOf(models.ChoiceOfCart, e)
	}
}

func optionsOf(kind models.Kind, e *streams.Event) options {
	n := min(len(e.Lines), models.MostOptions)
	if n == 0 {
		return options{}
	}
	x := options{kind: kind, atMS: e.TimeMS, hashes: make([]uint64, 0, n)}
	for k := range e.Lines[:n] {
		if h := hashItem(e.Lines[k].ID); !slices.Contains(x.hashes, h) {
			x.hashes = append(x.hashes, h)
		}
	}
	return x
}

// chosen closes options by an event, of which takes says that something is chosen by it. Where that is none of them, the customer came to it by another way, and nothing
// is known of these.
func (p *Program) chosen(t *engine.Turn, x *chooser, s *scratch, o *options, takes bool) {
	if len(o.hashes) == 0 {
		return
	}
	was := *o
	*o = options{}
	hash := pageOf(t.Event)
	if was.kind == models.ChoiceOfCart { // whatever else they do, they don't put it into the cart
		takes = t.Event.Type == streams.ProductAdded && hash == was.hashes[0]
	} else if takes && !slices.Contains(was.hashes, hash) {
		return
	}
	x.daily.Turn(t.NowMS)
	if heard, _ := x.daily.Teach(0, 1); !heard {
		return
	}
	from := len(s.options)
	choice := models.Choice{Kind: was.kind, Chosen: -1}
	for _, h := range was.hashes {
		if i := p.catalog.find(h); i != models.NoItem {
			if takes && h == hash {
				choice.Chosen = len(s.options) - from
			}
			s.options = append(s.options, i)
		}
	}
	choice.Options = s.options[from:len(s.options):len(s.options)]
	if takes && choice.Chosen < 0 || !p.choices.Read(&choice, &x.leaning) {
		return
	}
	s.choices = append(s.choices, choice)
}

// learnChoices takes in what the shards noted.
func (p *Program) learnChoices(s *scratch) {
	for k := range s.choices {
		x := &s.choices[k]
		for j, i := range x.Options {
			if !p.catalog.valid(i) {
				x.Options[j] = models.NoItem
			}
		}
		p.choices.Learn(x)
	}
	clear(s.choices)
	s.choices, s.options = s.choices[:0], s.options[:0]
}

// Of a catalogue of up to choicesWhole items all are weighed, of a larger one choicesAsked of what is in demand, in the shop and its categories.
const (
	choicesWhole = 2048
	choicesAsked = 1024
)

// askChoices gathers what is worth most to the customer.
func (p *Program) askChoices(c *Customer, s *scratch) {
	var by models.Leaning
	if c.chooser != nil {
		by = c.chooser.leaning
	}
	p.choices.Score(s.candidates, &by, func(each func(models.Item)) {
		if p.catalog.Len() <= choicesWhole {
			for n, h := range p.catalog.hashes {
				if h != 0 {
					each(models.MakeItem(uint32(n), p.catalog.gens[n]))
				}
			}
			return
		}
		n := 0
		for _, i := range p.trends.Top() {
			n++
			each(i)
		}
		p.trends.Groups(askedCategories, func(top []models.Item) {
			for _, i := range top {
				if n < choicesAsked && !p.trends.Listed(i) {
					n++
					each(i)
				}
			}
		})
	})
}

// brandKey is a hash of a brand, 0 for none.
func brandKey(brand string) uint32 {
	if brand == "" {
		return 0
	}
	return uint32(xxhash.Sum64String(brand)) | 1
}

func (x *chooser) append(w *writer) {
	for _, v := range x.leaning {
		w.int(int64(v))
	}
	w.int(int64(x.daily.Day))
	w.uint(uint64(x.daily.Items))
	for _, o := range [...]*options{&x.slate, &x.other} {
		w.uint(uint64(len(o.hashes)))
		if len(o.hashes) == 0 {
			continue
		}
		w.uint(uint64(o.kind))
		w.time(o.atMS)
		for _, h := range o.hashes {
			w.fixed(h)
		}
	}
}

// chooser is the inverse of append.
func (r *reader) chooser() *chooser {
	x := &chooser{}
	for d := range x.leaning {
		v := r.int()
		if v != int64(int32(v)) {
			r.failf("a leaning of %d", v)
		}
		x.leaning[d] = int32(v)
	}
	day := r.int()
	if day != int64(int32(day)) {
		r.failf("day %d", day)
	}
	x.daily = models.Daily{Day: int32(day), Items: uint16(r.limited(models.DailyItems))}
	for _, o := range [...]*options{&x.slate, &x.other} {
		n := r.limited(models.MostOptions)
		if n == 0 {
			continue
		}
		o.kind, o.atMS = models.Kind(r.limited(uint64(models.ChoiceKinds-1))), r.time()
		for range n {
			o.hashes = append(o.hashes, r.fixed())
		}
	}
	return x
}

func (x *chooser) size() int {
	if x == nil {
		return 0
	}
	return 160 + 8*(cap(x.slate.hashes)+cap(x.other.hashes))
}

// choicesTable is the shared state of what customers choose: the rows of the items, then, beyond models.MaxItems, those of the groups.
func (p *Program) choicesTable() *engine.Table {
	t := &engine.Table{Name: choices,
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			key = binary.BigEndian.AppendUint32(key, i)
			if i < models.MaxItems {
				return key, orNil(p.choices.AppendItem(value, i))
			}
			return key, orNil(p.choices.AppendRow(value, i-models.MaxItems))
		},
		Load: func(key, value []byte) error {
			return loadRow(key, value, func(row uint32, b []byte) error {
				if row < models.MaxItems {
					return p.choices.LoadItem(row, b)
				}
				return p.choices.LoadRow(row-models.MaxItems, b)
			})
		}}
	p.choices.TouchItem = t.Touch
	p.choices.Touch = func(row uint32) { t.Touch(models.MaxItems + row) }
	return t
}
