package operators

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/feature"
	"nudge/streams"
)

// Program is a compiled pipeline. It implements engine.Program.
type Program struct {
	definition []byte
	config     Config

	zone                         *time.Location
	features                     *feature.Set // of customers
	items                        *sharedFeatures
	global                       *sharedFeatures
	closedMS                     int64    // up to when their windows were closed
	sets                         *ownSets // features of customers and of their parts
	layouts                      *layouts
	outputs                      []string       // streams of closed windows
	published                    []bool         // whether they go to the decision stream
	audiences                    []*audience    // by name
	reviewed                     []*audience    // the same, each after those that it asks for
	recommenders                 []*recommender // each list by name
	offers                       []*offer
	churns                       []*churn
	predictions                  []*prediction
	seenMS                       int64 // the least watermark as of the last epoch; 0 before the first
	ignore                       []ignoreRule
	heard                        []string // traits that the pipeline names, ascending
	featuresOnly                 bool     // nobody asks for carts, orders and what was looked at
	learnsTogether, learnsTrends bool     // some recommender asks for them
	learnsNext                   bool
	learnsSequence               bool // with the sequence model
	learnsContent                bool
	learnsPairs                  bool // what goes with what
	learnsReturns                bool
	learnsAgain                  bool                    // what is bought again
	remembers                    bool                    // orders that can be taken back
	remembersSeen                bool                    // what customers saw and did not click
	ranked                       map[uint32]*recommender // those that rank, by key
	lessonHistory                int                     // items before each that a lesson holds
	daily                        []*decider              // those whose moment is a time of day
	holdout                      uint64                  // customers with a smaller hash get no offer
	on                           [streams.NumTypes]actions
	timers                       map[string]func(*Program, *engine.Turn, *Customer, *scratch)

	begun     *begun
	halfLives halfLives
	nightly   bool // some audience may change as time passes
	looks     []look
	standards *standards
	audit     *Audit // nil: none

	traits, purposes, props []string // that conditions name, by slot

	catalog    *Catalog
	together   *models.CoOccurrence
	trends     *models.Trending // also of next
	next       *models.NextItem
	learning   *models.NextItemScratch // of next, while it learns
	touchNext  func()
	answering  *scratch // of questions
	content    *models.Content
	goesWith   *models.CoOccurrence
	repurchase *models.Repurchase
	returns    *models.Rates   // how often an item that was sold is sent back
	choices    *models.Choices // nil: no recommender asks for them
	rhythm     *models.Rhythm
	learned    uint64 // interactions
	openedMS   int64  // when the catalogue had its first item; 0: it has none
	budgets    *budgets
	shared     *engine.Table // of what is one row: rhythm, learned, closed
	tables     []*engine.Table
	version    string // of the models, in decisions
}

// actions is what an event type sets off.
type actions struct {
	decide        []*decider
	after, unless []*decider
	churn         []*churn
}

// How many of the last items learn that they were met before the present one: more cost their time and gained little (see
// the figures in models).
const learnedHistory = 3

// New compiles a pipeline. config must have been validated; definition is its text.
func New(config Config, definition []byte) (*Program, error) {
	zone, err := time.LoadLocation(config.Timezone)
	if err != nil {
		return nil, fmt.Errorf("operators: timezone %q: want an IANA name such as Asia/Shanghai: %w", config.Timezone, err)
	}
	p := &Program{definition: definition, config: config, zone: zone, timers: map[string]func(*Program, *engine.Turn, *Customer, *scratch){}}
	p.learnsNext = learns(&config, nextItem, similarShoppers, sequence)
	if err := p.addFeatures(config.Results); err != nil {
		return nil, err
	}
	p.outputs = p.Outputs()
	for _, name := range p.outputs {
		p.published = append(p.published, config.Results[name].NATS)
	}
	p.ignore, p.heard = newIgnoreRules(config.Ignore)
	p.holdout = config.Holdout.hashes()
	p.budgets = newBudgets(config.Budgets, zone)
	for _, add := range []func() error{p.addPredictions, p.addAudiences, p.addRecommenders, p.addOffers, p.addChurn} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	p.nightly, p.looks = p.timed(), p.soon()
	p.featuresOnly = len(p.deciders())+len(p.audiences)+len(p.predictions) == 0
	p.remembers = p.remembersOrders()
	p.heard = append(append(p.heard, p.traits...), config.Traits...)
	slices.Sort(p.heard)
	p.heard = slices.Compact(p.heard)
	if len(p.heard) > MaxTraits {
		return nil, fmt.Errorf("operators: %d traits are named, of customers %d are kept: name fewer in conditions, ignore and traits", len(p.heard), MaxTraits)
	}
	for _, d := range p.moments() {
		p.register(d)
	}
	if err := p.checkNames(); err != nil {
		return nil, err
	}
	p.addTables()
	p.newVersion()
	return p, nil
}

func (p *Program) addRecommenders() error {
	half, trend := Duration(14*day), Duration(day)
	for i, name := range slices.Sorted(maps.Keys(p.config.Recommenders)) {
		r := p.config.Recommenders[name]
		if i == 0 {
			half, trend = r.HalfLife, r.TrendHalfLife
		} else if r.HalfLife != half || r.TrendHalfLife != trend {
			return fmt.Errorf("operators: recommenders.%s: half_life %v and trend_half_life %v differ from recommenders.%s (%v, %v): "+
				"all recommenders score with the same models; give them the same half-lives", name, r.HalfLife, r.TrendHalfLife, p.recommenders[0].name, half, trend)
		}
		x, err := p.newRecommender(name, r)
		if err != nil {
			return err
		}
		p.recommenders = append(p.recommenders, x)
		asks := func(sources ...string) bool {
			return slices.ContainsFunc(r.Candidates, func(c string) bool { return slices.Contains(sources, c) })
		}
		p.learnsTogether = p.learnsTogether || asks(viewedTogether, insteadOf) || r.Diversify > 0 && !p.learnsNext
		p.learnsTrends = p.learnsTrends || asks(trending, choices) || r.Diversify > 0
		p.learnsSequence = p.learnsSequence || asks(sequence)
		if asks(choices) && p.choices == nil {
			p.choices = models.NewChoices()
		}
		p.learnsContent = p.learnsContent || asks(similarContent) || r.Diversify > 0
		p.learnsPairs = p.learnsPairs || asks(goesWith)
		p.learnsReturns = p.learnsReturns || r.Rank.Goal == goalKept
		p.learnsAgain = p.learnsAgain || asks(buyAgain)
		p.remembersSeen = p.remembersSeen || x.clicks != nil || r.SeenAtMost.N > 0
		if x.clicks != nil {
			if p.ranked == nil {
				p.ranked = map[uint32]*recommender{}
			}
			p.ranked[x.key] = x
			p.timers[x.settles] = x.onSettle
		}
	}
	switch {
	case p.learnsNext:
		p.lessonHistory = nextHistory
	case p.learnsTogether:
		p.lessonHistory = learnedHistory
	}
	if half.MS() <= 0 || trend.MS() <= 0 {
		return fmt.Errorf("operators: half_life %v and trend_half_life %v must be longer than nothing", half, trend)
	}
	p.halfLives = halfLives{together: half.MS(), trends: trend.MS()}
	p.together = models.NewCoOccurrence(models.DefaultCoOccurrence(half.MS()))
	p.next = models.NewNextItem(models.NextItemOptions{HalfLifeMS: half.MS(), TrendHalfLifeMS: trend.MS(), Sequence: p.learnsSequence})
	p.trends, p.learning = p.next.Trends, p.next.NewScratch()
	p.content, p.goesWith, p.repurchase = models.NewContent(), models.NewCoOccurrence(models.DefaultCoOccurrence(half.MS())), models.NewRepurchase()
	p.returns = models.NewRates(usualReturns)
	p.rhythm = &models.Rhythm{}
	return nil
}

func (p *Program) addOffers() error {
	for _, name := range slices.Sorted(maps.Keys(p.config.Offers)) {
		o := p.config.Offers[name]
		budget := p.budgets.index(o.Budget)
		if budget < 0 {
			return fmt.Errorf("operators: offers.%s.budget: %q is not declared under budgets", name, o.Budget)
		}
		x, err := p.newOffer(name, o, budget)
		if err != nil {
			return err
		}
		p.offers = append(p.offers, x)
	}
	return nil
}

func (p *Program) addChurn() error {
	for _, name := range slices.Sorted(maps.Keys(p.config.Churn)) {
		x, err := p.newChurn(name, p.config.Churn[name])
		if err != nil {
			return err
		}
		p.churns = append(p.churns, x)
		for _, t := range x.after.types() {
			p.on[t].churn = append(p.on[t].churn, x)
		}
		p.timers[name] = x.onTimer
	}
	return nil
}

// moments lists the deciders that are considered at moments: offers, then recommenders.
func (p *Program) moments() (all []*decider) {
	for _, x := range p.offers {
		all = append(all, x.decider)
	}
	for _, x := range p.recommenders {
		all = append(all, x.decider)
	}
	return all
}

// checkNames makes sure that two deciders never take each other's timers, marks or decision ids.
func (p *Program) checkNames() error {
	taken := map[uint32]string{}
	for _, name := range p.deciders() {
		if other, ok := taken[nameHash(name)]; ok {
			return fmt.Errorf("operators: the names %q and %q can't be told apart: rename one", other, name)
		}
		taken[nameHash(name)] = name
	}
	return nil
}

func (p *Program) deciders() []string {
	var names []string
	for _, x := range p.recommenders {
		names = append(names, x.name)
	}
	for _, x := range p.offers {
		names = append(names, x.name)
	}
	for _, x := range p.churns {
		names = append(names, x.name)
	}
	return names
}

// Names lists what can be paused: the deciders, then the groups.
func (p *Program) Names() []string {
	return append(p.deciders(), GroupRecommendations, GroupCoupons, GroupChurn)
}

// Definition returns the text of the pipeline.
func (p *Program) Definition() []byte { return p.definition }

func (p *Program) addTables() {
	p.catalog = newCatalog(p.config.Limits.Items)
	p.catalog.evicted = func(row uint32) {
		p.together.Forget(row)
		p.next.Forget(row)
		p.items.forget(row)
		p.content.Forget(row)
		p.goesWith.Forget(row)
		p.repurchase.Forget(row)
		p.returns.Forget(row)
		if p.choices != nil {
			p.choices.Forget(row)
		}
		for _, r := range p.recommenders {
			if r.clicks != nil {
				r.clicks.Forget(row)
			}
		}
	}
	p.catalog.forgetting = func() { p.shared.Touch(rowForgot) }
	p.catalog.described = func(i models.Item, x *item) {
		if p.learnsContent {
			p.content.Set(i, x.bornMS, x.terms)
		}
		if p.choices != nil {
			p.choices.Describe(i, x.leaf, brandKey(x.brand), x.price)
		}
		if p.learnsTrends || p.learnsNext {
			p.trends.Group(i, x.leaf)
		}
	}
	together := &engine.Table{Name: "viewed_together",
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			return binary.BigEndian.AppendUint32(key, i), orNil(p.together.AppendRow(value, i))
		},
		Load: func(key, value []byte) error {
			return p.loadDecayed(key, value, p.halfLives.togetherChanged, p.together.Touch, p.together.LoadRow)
		}}
	p.together.Touch = together.Touch
	trends := &engine.Table{Name: "trending",
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			return binary.BigEndian.AppendUint32(key, i), orNil(p.trends.AppendRow(value, i))
		},
		Load: func(key, value []byte) error {
			return p.loadDecayed(key, value, p.halfLives.trendsChanged, p.trends.Touch, p.trends.LoadRow)
		},
		Loaded: p.trends.Settle}
	p.trends.Touch = trends.Touch
	p.shared = &engine.Table{Name: "models", Row: p.modelRow, Load: p.loadModel}
	p.rhythm.Touch = func() { p.shared.Touch(rowRhythm) }
	if p.learnsTogether || p.learnsTrends || p.learnsNext {
		p.shared.Touch(rowHalfLives)
	}
	p.tables = []*engine.Table{p.catalog.table, p.shared, together, trends, p.budgets.table, p.layouts.table, p.items.table, p.global.table, p.standards.table, p.begun.table}
	p.tables = append(p.tables, p.nextTables()...)
	p.tables = append(p.tables, p.pairTables()...)
	if p.choices != nil {
		p.tables = append(p.tables, p.choicesTable())
	}
	for _, x := range p.predictions {
		p.tables = append(p.tables, x.table())
	}
	for _, r := range p.recommenders {
		if r.clicks != nil {
			p.tables = append(p.tables, r.clicksTable())
		}
	}
}

// The rows of the table "models".
const (
	rowRhythm = iota
	rowLearned
	rowClosed
	rowHalfLives
	rowOpened
	rowForgot
)

func (p *Program) modelRow(i uint32, key, value []byte) (k, v []byte) {
	switch i {
	case rowRhythm:
		return append(key, "rhythm"...), p.rhythm.AppendBinary(value)
	case rowLearned:
		return append(key, "learned"...), binary.AppendUvarint(value, p.learned)
	}
	switch i {
	case rowHalfLives:
		return append(key, "half_lives"...), p.halfLives.append(value)
	case rowOpened:
		return append(key, "opened"...), binary.AppendVarint(value, p.openedMS)
	case rowForgot:
		if p.catalog.forgot {
			value = append(value, 1)
		}
		return append(key, "forgot"...), orNil(value)
	}
	return append(key, "closed"...), binary.AppendVarint(value, p.closedMS)
}

func (p *Program) loadModel(key, value []byte) error {
	switch string(key) {
	case "rhythm":
		return p.rhythm.UnmarshalBinary(value)
	case "learned":
		n, size := binary.Uvarint(value)
		if size != len(value) {
			return fmt.Errorf("operators: the number of lessons learned: %x is no number", value)
		}
		p.learned = n
		p.newVersion()
	case "half_lives":
		return p.halfLives.compare(value)
	case "forgot":
		p.catalog.forgot = true
	case "closed", "opened":
		n, size := binary.Varint(value)
		if size != len(value) {
			return fmt.Errorf("operators: the time at which something was %s: %x is no number", key, value)
		}
		if string(key) == "opened" {
			p.openedMS = n
		} else {
			p.closedMS = n
		}
	}
	return nil
}

// orNil turns an empty encoding into the nil that deletes a row.
func orNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func loadRow(key, value []byte, load func(row uint32, b []byte) error) error {
	if len(key) != 4 {
		return fmt.Errorf("operators: row key %x: want 4 bytes", key)
	}
	return load(binary.BigEndian.Uint32(key), value)
}

// Tables lists the shared state.
func (p *Program) Tables() []*engine.Table { return p.tables }

func (p *Program) newVersion() { p.version = "n" + strconv.FormatUint(p.learned, 10) }

// NewState returns a customer of whom nothing is known.
func (p *Program) NewState() engine.State { return newCustomer(p.sets) }

// DecodeState is the inverse of Customer.AppendBinary.
func (p *Program) DecodeState(b []byte) (engine.State, error) {
	c, err := decodeCustomer(b, p.sets, p.layouts)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Merge takes an anonymous customer into a known one.
func (p *Program) Merge(into, from engine.State) {
	c, o := into.(*Customer), from.(*Customer)
	c.merge(o, &p.config.Limits)
	if p.audit != nil {
		p.audit.past.merge(c, o)
	}
	p.features.Merge(&c.features, &o.features, &feature.Observation{})
	p.mergeParts(c, o)
}

// Grant gives out budget.
func (p *Program) Grant(t *engine.Turn, x *engine.Proposal) { x.Data.(*offer).grant(p, t, x) }

// Fire looks at whom the customer belongs to by now, and lets the decider that armed the timer decide.
func (p *Program) Fire(t *engine.Turn, timer engine.Timer) {
	decide, ok := p.timers[timer.Name]
	if !ok {
		return // armed by a decider that the pipeline no longer has
	}
	if c, s := t.State.(*Customer), t.Scratch.(*scratch); !p.ignoredCustomer(t, c) {
		s.idleMS = max(0, t.NowMS-c.lastMS)
		p.review(t, c, s)
		decide(p, t, c, s)
	}
}

// Spent says how far each budget has been used.
func (p *Program) Spent() []Spending { return p.budgets.spending() }

// trigger is a set of event types.
type trigger struct {
	builtin uint64   // bit per type but Custom
	custom  []string // names of custom types
}

func newTrigger(names ...string) trigger {
	var t trigger
	for _, n := range names {
		t.add(n)
	}
	return t
}

func (t *trigger) add(name string) {
	if strings.HasPrefix(name, streams.CustomPrefix) {
		t.custom = append(t.custom, name)
	} else {
		t.builtin |= 1 << streams.ParseType(name)
	}
}

// types lists the types that may match.
func (t trigger) types() []streams.Type {
	var out []streams.Type
	for x := streams.PageViewed; x < streams.NumTypes; x++ {
		if t.builtin&(1<<x) != 0 || x == streams.Custom && len(t.custom) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// has says whether the event is one of the trigger's.
func (t *trigger) has(e *streams.Event) bool {
	return t.builtin&(1<<e.Type) != 0 || e.Type == streams.Custom && slices.Contains(t.custom, e.Name)
}

// match decides for the types that types listed.
func (t *trigger) match(e *streams.Event) bool {
	return e.Type != streams.Custom || slices.Contains(t.custom, e.Name)
}

func nameHash(name string) uint32 { return uint32(xxhash.Sum64String(name)) }
