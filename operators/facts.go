package operators

import (
	"math"
	"slices"
	"strings"
	"time"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/condition"
	"nudge/operators/feature"
	"nudge/streams"
)

// scope is what a condition may speak of.
type scope uint8

const (
	scopeCustomer scope = 1 << iota // the customer, and what time it is
	scopeItem                       // an item: the event's, or the candidate
	scopeThis                       // the event
	scopeEvent    = scopeCustomer | scopeItem | scopeThis
	scopeFilter   = scopeCustomer | scopeItem
)

// What a name stands for. A slot is one of these, and a number within it.
const (
	slotFeature = iota
	slotCategoryFeature
	slotSessionFeature
	slotItemFeature
	slotGlobalFeature
	slotTrait
	slotConsent
	slotAudience
	slotCustomer
	slotEvent
	slotProp
	slotItem
	slotNow
	slotPrediction
	slotNext
	slotBits = 16
)

func slotOf(what, n int) int { return what<<slotBits | n }

// field is a name with a fixed meaning.
type field struct {
	name   string
	kind   condition.Kind
	number func(f *facts) float64
	text   func(f *facts) string
}

// eventFields are event.<name>. A number that the event does not have is not known.
var eventFields = []field{
	{"campaign", condition.Text, nil, func(f *facts) string { return f.event.Context.Campaign }},
	{"channel", condition.Text, nil, func(f *facts) string { return f.event.Context.Channel }},
	{"currency", condition.Text, nil, func(f *facts) string { return f.event.Currency }},
	{"device", condition.Text, nil, func(f *facts) string { return f.event.Context.Device }},
	{"item", condition.Text, nil, func(f *facts) string { return f.event.Item() }},
	{"items", condition.Number, func(f *facts) float64 { return float64(len(f.event.Lines)) }, nil},
	{"locale", condition.Text, nil, func(f *facts) string { return f.event.Context.Locale }},
	{"page", condition.Text, nil, func(f *facts) string { return f.event.Context.Page }},
	{"price", condition.Number, func(f *facts) float64 {
		if len(f.event.Lines) == 0 || !f.event.Lines[0].HasPrice {
			return math.NaN()
		}
		return micros(f.event.Lines[0].Price)
	}, nil},
	{"quantity", condition.Number, func(f *facts) float64 {
		n := 0.0
		for i := range f.event.Lines {
			n += float64(f.event.Lines[i].Quantity)
		}
		return n
	}, nil},
	{"referrer", condition.Text, nil, func(f *facts) string { return f.event.Context.Referrer }},
	{"source", condition.Text, nil, func(f *facts) string { return f.event.Context.Source }},
	{"type", condition.Text, nil, func(f *facts) string { return f.event.Name }},
	{"value", condition.Number, func(f *facts) float64 {
		if !f.event.HasValue {
			return math.NaN()
		}
		return micros(f.event.Value)
	}, nil},
}

// itemFields are item.<name>: what the catalogue says of the event's first item, or of the candidate.
var itemFields = []field{
	{"brand", condition.Text, nil, func(f *facts) string {
		if r := f.row(); r != nil {
			return r.brand
		}
		return ""
	}},
	{"categories", condition.List, nil, nil},
	{"category", condition.Text, nil, (*facts).category},
	{"days", condition.Number, func(f *facts) float64 {
		if r := f.row(); r != nil && r.bornMS != 0 {
			return float64(max(f.nowMS-r.bornMS, 0)) / (24 * 3600_000)
		}
		return math.NaN()
	}, nil},
	{"id", condition.Text, nil, func(f *facts) string {
		if r := f.row(); r != nil {
			return r.id
		}
		return ""
	}},
	{"margin", condition.Number, func(f *facts) float64 {
		if r := f.row(); r != nil && f.program.catalog.marks[f.item.Row()]&itemCosted != 0 {
			return micros(r.price - r.cost)
		}
		return math.NaN()
	}, nil},
	{"price", condition.Number, func(f *facts) float64 {
		if r := f.row(); r != nil && r.fromCatalogue {
			return micros(r.price)
		}
		return math.NaN()
	}, nil},
	{"stock", condition.Number, func(f *facts) float64 {
		if r := f.row(); r != nil && f.program.catalog.marks[f.item.Row()]&itemCounted != 0 {
			return float64(r.stock)
		}
		return math.NaN()
	}, nil},
}

// nowFields are now.<name>: event time, in the pipeline's zone.
var nowFields = []field{
	{"hour", condition.Number, func(f *facts) float64 { return float64(f.now().Hour()) }, nil},
	{"minute", condition.Number, func(f *facts) float64 { return float64(f.now().Minute()) }, nil},
	{"weekday", condition.Number, func(f *facts) float64 { return float64((int(f.now().Weekday())+6)%7 + 1) }, nil}, // Monday is 1
}

// customerFields are customer.<name>: what is always remembered of a customer.
var customerFields = []field{
	{"anonymous", condition.Truth, func(f *facts) float64 { return float64(bit(f.anonymous)) }, nil},
	{"cart_lines", condition.Number, func(f *facts) float64 { return float64(len(f.customer.cart)) }, nil},
	{"cart_value", condition.Number, func(f *facts) float64 { return micros(f.program.value(f.customer).value) }, nil},
	{"id", condition.Text, nil, func(f *facts) string { return f.id }},
	{"orders", condition.Number, func(f *facts) float64 { return float64(f.customer.occasions().Count) }, nil},
	{"spent", condition.Number, func(f *facts) float64 { return micros(f.customer.spent) }, nil},
}

// names answers what a condition may name.
type names struct {
	program *Program
	scope   scope
	broken  []string // features that are at fault
	asked   bool     // for one of those
}

func (p *Program) names(s scope) *names { return &names{program: p, scope: s} }

func splitName(name string) []string { return strings.Split(name, ".") }

// Name implements condition.Names.
func (n *names) Name(path []string) (slot int, kind condition.Kind, ok bool) {
	slot, kind, ok = n.find(path)
	n.asked = n.asked || !ok && isBroken(strings.Join(path, "."), n.broken)
	return slot, kind, ok
}

// Most implements condition.Bounded: of features that are texts, and of traits, the beginning is kept.
func (n *names) Most(path []string) int {
	switch path[0] {
	case "trait":
		return maxText
	case entityUser, entityCategory, entitySession, entityGlobal:
		return feature.MostText
	case entityItem:
		if _, ok := n.program.items.set.Find(path[1]); ok {
			return feature.MostText
		}
	}
	return 0
}

func (n *names) find(path []string) (slot int, kind condition.Kind, ok bool) {
	p := n.program
	if len(path) == 3 && path[0] == "event" && path[1] == "props" && n.scope&scopeThis != 0 {
		return slotOf(slotProp, intern(&p.props, path[2])), condition.Loose, true
	}
	if len(path) != 2 {
		return 0, 0, false
	}
	of := func(what int, fields []field) (int, condition.Kind, bool) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == path[1] })
		if i < 0 {
			return 0, 0, false
		}
		return slotOf(what, i), fields[i].kind, true
	}
	switch path[0] {
	case "user":
		if i, ok := p.features.Find(path[1]); ok {
			return slotOf(slotFeature, i), kindOf(p.features.KindOf(i)), true
		}
	case "trait":
		return slotOf(slotTrait, intern(&p.traits, path[1])), condition.Loose, true
	case "consent":
		return slotOf(slotConsent, intern(&p.purposes, path[1])), condition.Truth, true
	case "audience":
		if i := p.audienceNumber(path[1]); i >= 0 {
			return slotOf(slotAudience, i), condition.Truth, true
		}
	case "prediction":
		if i := p.predictionNumber(path[1]); i >= 0 {
			return slotOf(slotPrediction, i), condition.Number, true
		}
	case "next":
		if i := slices.Index(nextLists, path[1]); i >= 0 && p.learnsNext {
			return slotOf(slotNext, i), condition.List, true
		}
	case "customer":
		return of(slotCustomer, customerFields)
	case "now":
		return of(slotNow, nowFields)
	case "event":
		if n.scope&scopeThis != 0 {
			return of(slotEvent, eventFields)
		}
	case entitySession:
		if i, ok := p.sets.session.Find(path[1]); ok {
			return slotOf(slotSessionFeature, i), kindOf(p.sets.session.KindOf(i)), true
		}
	case entityCategory:
		if i, ok := p.sets.category.Find(path[1]); ok && n.scope&scopeItem != 0 {
			return slotOf(slotCategoryFeature, i), kindOf(p.sets.category.KindOf(i)), true
		}
	case "item":
		if n.scope&scopeItem == 0 {
			break
		}
		if i, ok := p.items.set.Find(path[1]); ok {
			return slotOf(slotItemFeature, i), kindOf(p.items.set.KindOf(i)), true
		}
		return of(slotItem, itemFields)
	case "global":
		if i, ok := p.global.set.Find(path[1]); ok {
			return slotOf(slotGlobalFeature, i), kindOf(p.global.set.KindOf(i)), true
		}
	}
	return 0, 0, false
}

// facts gives a condition its values: of a turn, its customer and an item. It is filled anew for each.
type facts struct {
	program   *Program
	customer  *Customer
	event     *streams.Event
	id        string
	anonymous bool
	nowMS     int64
	item      models.Item
	zoned     time.Time // nowMS in the pipeline's zone, once asked for
	knows     []uint16  // for predictions, once asked for
	key       uint64    // of the customer, for models
	scratch   *scratch  // whose facts these are
	foreseen  bool      // scratch.likely is this customer's
	view      feature.View
	paths     []string // of the item's categories, while a condition looks at them
}

var noEvent streams.Event

// set fills the facts of a turn. The item is the event's first.
func (f *facts) set(p *Program, t *engine.Turn, c *Customer) {
	*f = facts{program: p, customer: c, event: t.Event, id: t.Customer, anonymous: t.Anonymous, nowMS: t.NowMS, item: models.NoItem, view: f.view, paths: f.paths[:0], knows: f.knows[:0], scratch: f.scratch, key: customerKey(t.CustomerHash())}
	f.view.Look(p.features, &c.features, t.NowMS)
	if f.event == nil {
		f.event = &noEvent
	} else if len(f.event.Lines) > 0 {
		f.item = p.catalog.find(hashItem(f.event.Lines[0].ID))
	}
}

// ask fills the facts of a question for a list, without a candidate.
func (f *facts) ask(p *Program, c *Customer, a *asked) {
	*f = facts{program: p, customer: c, event: a.event, id: a.id, anonymous: a.anonymous, nowMS: a.nowMS, item: models.NoItem, view: f.view, paths: f.paths[:0], knows: f.knows[:0], scratch: f.scratch, key: a.key}
	f.view.Look(p.features, &c.features, a.nowMS)
	if f.event == nil {
		f.event = &noEvent
	}
}

func (f *facts) now() time.Time {
	if f.zoned.IsZero() {
		f.zoned = msIn(f.nowMS, f.program.zone)
	}
	return f.zoned
}

func msIn(ms int64, zone *time.Location) time.Time { return time.UnixMilli(ms).In(zone) }

// nextLists are next.<name>: what the model of the next item expects of the customer, the likeliest first.
var nextLists = []string{"items", "categories"}

func (f *facts) next(n int) (names []string) {
	l := &f.scratch.likely
	if !f.foreseen {
		f.foreseen = true
		f.scratch.foresee(f.program, f.customer, f.key, f.nowMS)
	}
	for _, x := range [...][]Likely{l.items, l.categories}[n] {
		names = append(names, x.Name)
	}
	return names
}

// predict is what a prediction says.
func (f *facts) predict(n int) float64 {
	if len(f.knows) == 0 {
		f.knows = f.program.knows(f.knows, f.customer, f.anonymous, f.nowMS)
	}
	return f.program.predict(f.program.predictions[n], f.knows)
}

// category is the first category of the item, as the catalogue has it.
func (f *facts) category() string {
	if r := f.row(); r != nil {
		first, _, _ := strings.Cut(r.categories, "\n")
		return first
	}
	return ""
}

// categories are all categories of the item with those that they lie within. The slice is the facts' own until they are asked again.
func (f *facts) categories() []string {
	f.paths = f.paths[:0]
	if r := f.row(); r != nil {
		f.paths = appendCategories(f.paths, r.categories)
	}
	return f.paths
}

func (f *facts) row() *item {
	if !f.program.catalog.valid(f.item) {
		return nil
	}
	return &f.program.catalog.rows[f.item.Row()]
}

// feature is the value of a feature; ok if the slot is one.
func (f *facts) feature(slot int) (v feature.Value, ok bool) {
	n := slot & (1<<slotBits - 1)
	switch slot >> slotBits {
	case slotFeature:
		return f.view.Value(n), true
	case slotSessionFeature:
		row := f.customer.parts.sessionRow()
		if f.scratch != nil && f.scratch.between && f.nowMS-f.customer.lastMS > sessionGapMS {
			row = &emptyRow // it is over
		}
		return f.program.sets.session.Value(row, n, f.nowMS), true
	case slotCategoryFeature:
		return f.program.sets.category.Value(f.customer.parts.categoryRow(f.category()), n, f.nowMS), true
	case slotItemFeature:
		row := uint32(noRow)
		if f.program.catalog.valid(f.item) {
			row = f.item.Row()
		}
		return f.program.items.value(row, n, f.nowMS), true
	case slotGlobalFeature:
		return f.program.global.value(0, n, f.nowMS), true
	}
	return feature.Value{}, false
}

// Number implements condition.Vars.
func (f *facts) Number(slot int) float64 {
	if v, ok := f.feature(slot); ok {
		return v.Number
	}
	n := slot & (1<<slotBits - 1)
	switch slot >> slotBits {
	case slotEvent:
		return eventFields[n].number(f)
	case slotItem:
		return itemFields[n].number(f)
	case slotNow:
		return nowFields[n].number(f)
	case slotCustomer:
		return customerFields[n].number(f)
	case slotPrediction:
		return f.predict(n)
	}
	return math.NaN()
}

// Text implements condition.Vars.
func (f *facts) Text(slot int) string {
	if v, ok := f.feature(slot); ok {
		return v.Text
	}
	n := slot & (1<<slotBits - 1)
	switch slot >> slotBits {
	case slotTrait:
		return f.customer.trait(f.program.traits[n])
	case slotEvent:
		return eventFields[n].text(f)
	case slotItem:
		return itemFields[n].text(f)
	case slotCustomer:
		return customerFields[n].text(f)
	case slotProp:
		v, _ := f.event.Props.Get(f.program.props[n])
		if text, ok := v.Text(); ok {
			return text
		}
		return string(v)
	}
	return ""
}

// Truth implements condition.Vars.
func (f *facts) Truth(slot int) bool {
	n := slot & (1<<slotBits - 1)
	switch slot >> slotBits {
	case slotConsent:
		return f.customer.consented(f.program.purposes[n])
	case slotAudience:
		_, in := f.customer.member(f.program.audiences[n].key)
		return in
	case slotCustomer:
		return customerFields[n].number(f) != 0
	}
	return false
}

// List implements condition.Vars.
func (f *facts) List(slot int) []string {
	switch slot >> slotBits {
	case slotNext:
		return f.next(slot & (1<<slotBits - 1))
	case slotItem:
		return f.categories()
	}
	v, _ := f.feature(slot)
	return v.List
}

// appendLogged appends what is published with a decision; nothing if it is not known.
func (f *facts) appendLogged(b []byte, l *logged) []byte {
	start, known := len(b), false
	b = append(b, l.member...)
	switch what := l.slot >> slotBits; {
	case len(f.event.Lines) == 0 && (what == slotItemFeature || what == slotCategoryFeature): // of no item
	case what == slotFeature:
		b, known = f.view.AppendJSON(b, l.slot&(1<<slotBits-1))
	case l.kind == condition.Number:
		x := f.Number(l.slot)
		if known = x == x; known {
			b = streams.AppendJSONNumber(b, x)
		}
	case l.kind == condition.List:
		list := f.List(l.slot)
		if known = len(list) > 0; known {
			for i, x := range list {
				b = streams.AppendJSONString(append(b, ",["[bit(i == 0)]), x)
			}
			b = append(b, ']')
		}
	default:
		x := f.Text(l.slot)
		if known = x != ""; known {
			b = streams.AppendJSONString(b, x)
		}
	}
	if !known {
		return b[:start]
	}
	return b
}

// condition compiles a condition; nil for none.
func (p *Program) condition(source string, s scope) (*condition.Condition, error) {
	if source == "" {
		return nil, nil
	}
	return condition.Compile(source, p.names(s))
}

// intern returns the number of a name in a list, put there if need be.
func intern(list *[]string, name string) int {
	if i := slices.Index(*list, name); i >= 0 {
		return i
	}
	*list = append(*list, name)
	return len(*list) - 1
}

// Near implements condition.Names: names that there are and that differ little.
func (n *names) Near(path []string) []string { return closest(strings.Join(path, "."), n.all()) }

// closest lists the words that differ little from one, the closest first.
func closest(word string, words []string) (near []string) {
	for _, x := range words {
		if distance(x, word) <= 1+len(word)/4 {
			near = append(near, x)
		}
	}
	slices.SortStableFunc(near, func(a, b string) int { return distance(a, word) - distance(b, word) })
	return near
}

// all lists the names that are fixed or declared.
func (n *names) all() (all []string) {
	add := func(section string, fields []field) {
		for _, f := range fields {
			all = append(all, section+"."+f.name)
		}
	}
	declared := func(entity string, set *feature.Set) {
		for i := range set.Len() {
			all = append(all, entity+"."+set.Name(i))
		}
	}
	declared(entityUser, n.program.features)
	declared(entitySession, n.program.sets.session.Set)
	declared(entityGlobal, n.program.global.set)
	for _, a := range n.program.audiences {
		all = append(all, "audience."+a.name)
	}
	for _, x := range n.program.predictions {
		all = append(all, "prediction."+x.name)
	}
	for _, x := range nextLists {
		if n.program.learnsNext {
			all = append(all, "next."+x)
		}
	}
	add("customer", customerFields)
	add("now", nowFields)
	if n.scope&scopeThis != 0 {
		add("event", eventFields)
	}
	if n.scope&scopeItem != 0 {
		declared(entityItem, n.program.items.set)
		declared(entityCategory, n.program.sets.category.Set)
		add("item", itemFields)
	}
	return all
}

// ConditionNames lists what a condition may name: fields by their names, and <name> where the pipeline or the sender chooses.
func ConditionNames() (all []string) {
	for _, entity := range entities {
		all = append(all, entity+".<name>")
	}
	for _, section := range []string{"trait", "consent", "audience", "prediction", "event.props"} {
		all = append(all, section+".<name>")
	}
	for _, name := range nextLists {
		all = append(all, "next."+name)
	}
	for _, x := range []struct {
		section string
		fields  []field
	}{{"customer", customerFields}, {"event", eventFields}, {"item", itemFields}, {"now", nowFields}} {
		for _, f := range x.fields {
			all = append(all, x.section+"."+f.name)
		}
	}
	return all
}

// distance is the number of letters to insert, delete or replace between two words (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
