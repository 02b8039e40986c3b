package operators

import (
	"fmt"
	"maps"
	"slices"

	"nudge/operators/condition"
	"nudge/operators/feature"
)

// Unused lists the features that no condition, log, audience or output asks for.
func (p *Program) Unused() (unused []string) {
	used := map[string]bool{}
	note := func(c *condition.Condition) {
		if c != nil {
			for _, name := range c.Names() {
				used[name] = true
			}
		}
	}
	for _, a := range p.audiences {
		note(a.when)
	}
	deciders := p.moments()
	for _, x := range p.churns {
		deciders = append(deciders, x.decider)
	}
	for _, d := range deciders {
		note(d.when)
		note(d.audience)
	}
	for _, r := range p.recommenders {
		note(r.filter)
		for i := range r.rules {
			note(r.rules[i].boost)
			note(r.rules[i].bury)
		}
	}
	logs := func(names []string) {
		for _, name := range names {
			used[name] = true
		}
	}
	for _, r := range p.config.Recommenders {
		logs(r.Log)
	}
	for _, o := range p.config.Offers {
		logs(o.Log)
	}
	for _, x := range p.config.Churn {
		logs(x.Log)
	}
	for _, r := range p.config.Results {
		logs(r.Of)
	}
	for _, name := range slices.Sorted(maps.Keys(p.config.Features)) {
		entity, own := splitFeature(name)
		set := p.set(entity)
		asked := used[name]
		for full := range used {
			if of, what := splitFeature(full); of == entity {
				if i, ok := set.Find(what); ok && set.Base(i) == own {
					asked = true
				}
			}
		}
		if !asked {
			unused = append(unused, name)
		}
	}
	return unused
}

// KeepOrders lists the features in which an order stays that is cancelled.
func (p *Program) KeepOrders() (names []string) {
	for _, entity := range []string{entityItem, entityGlobal} {
		set := p.set(entity)
		for i := range set.Len() {
			if name := entity + "." + set.Base(i); set.KeepsOrders(i) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// SecondPins lists the rules that pin what stands at a place only where an earlier rule's item may not be shown, each with that rule.
func (p *Program) SecondPins() (second [][2]string) {
	apart := func(a, b *rule) bool {
		return a.until != 0 && b.from >= a.until || b.until != 0 && a.from >= b.until
	}
	for _, r := range p.recommenders {
		key := func(i int) string { return fmt.Sprintf("recommenders.%s.rules[%d]", r.name, i) }
		for i := range r.rules {
			for k := range i {
				if x, y := &r.rules[k], &r.rules[i]; x.pin != 0 && y.pin != 0 && x.at == y.at && !apart(x, y) {
					second = append(second, [2]string{key(i), key(k)})
					break
				}
			}
		}
	}
	return second
}

// set is the compiled features of an entity.
func (p *Program) set(entity string) *feature.Set {
	switch entity {
	case entityCategory:
		return p.sets.category.Set
	case entitySession:
		return p.sets.session.Set
	case entityItem:
		return p.items.set
	case entityGlobal:
		return p.global.set
	}
	return p.features
}

// Estimates says what the features of each entity that has some are expected to take, by entity.
func (p *Program) Estimates() map[string]feature.Estimate {
	out := map[string]feature.Estimate{}
	for _, entity := range entities {
		if set := p.set(entity); set.Len() > 0 {
			x := set.Estimate()
			if entity == entityUser {
				x.MostBytes += p.mostReceipts()
			}
			out[entity] = x
		}
	}
	return out
}

// mostReceipts is the most bytes that the receipts of a customer take in memory.
func (p *Program) mostReceipts() int {
	global, items := p.global.set.NumOrderValues(), p.items.set.NumOrderValues()
	if global+items == 0 {
		return 0
	}
	return keptOrders * (64 + 8*global + keptLines*(32+8*items)*int(bit(items > 0)))
}

// matched counts what a recommender's filter and rules matched: candidates, and lists that a pin stood in; and what its ranking learned from.
type matched struct {
	through, out int64 // of the filter
	seen, won    int64 // items of lists
	rules        []int64
}

func (m *matched) filter(holds bool) {
	switch {
	case m == nil:
	case holds:
		m.through++
	default:
		m.out++
	}
}

func (m *matched) outcome(won bool) {
	if m != nil {
		m.seen++
		m.won += int64(bit(won))
	}
}

func (m *matched) rule(n int) {
	if m != nil {
		m.rules[n]++
	}
}

// RuleCount is what a filter or a rule of a recommender matched since Count.
type RuleCount struct {
	Name    string // as it stands in the pipeline, such as home.rules[0]
	Matched int64
	Words   string
}

// RuleCounts says what the filters and rules of the recommenders matched since Count.
func (p *Program) RuleCounts() (all []RuleCount) {
	for _, r := range p.recommenders {
		if r.matched == nil {
			continue
		}
		if m := r.matched; r.filter != nil {
			all = append(all, RuleCount{r.name + ".filter", m.through, fmt.Sprintf("%d candidates let through, %d left out", m.through, m.out)})
		}
		if m := r.matched; r.clicks != nil {
			all = append(all, RuleCount{r.name + ".rank", m.won, fmt.Sprintf("%d seen items of lists learned from, %d with the goal `%s`", m.seen, m.won, r.Rank.Goal)})
		}
		for i := range r.rules {
			n, what := r.matched.rules[i], "boost of %d candidates"
			switch x := &r.rules[i]; {
			case x.pin != 0:
				what = "pin in %d lists"
			case x.bury != nil:
				what = "%d candidates buried"
			}
			all = append(all, RuleCount{fmt.Sprintf("%s.rules[%d]", r.name, i), n, fmt.Sprintf(what, n)})
		}
	}
	return all
}

// Count has the program count what its features are given and what its rules match; one worker may fold then.
func (p *Program) Count() {
	for _, r := range p.recommenders {
		r.matched = &matched{rules: make([]int64, len(r.rules))}
	}
	for _, entity := range entities {
		p.set(entity).Count()
	}
}

// FeatureCounts says how many events each feature was given since Count, by its full name: traffic that was not ignored, of the
// feature's types and under its conditions.
func (p *Program) FeatureCounts() map[string]int64 {
	out := map[string]int64{}
	for _, entity := range entities {
		set := p.set(entity)
		for i := range set.Len() {
			out[entity+"."+set.Name(i)] = set.Counted(i)
		}
	}
	return out
}

// FeatureNames are the names of all features, of each window its own.
func (p *Program) FeatureNames() []string {
	var names []string
	for _, entity := range entities {
		set := p.set(entity)
		for i := range set.Len() {
			names = append(names, entity+"."+set.Name(i))
		}
	}
	return names
}

// Audiences names the audiences.
func (p *Program) Audiences() []string { return slices.Sorted(maps.Keys(p.config.Audiences)) }

// Ignored names the rules that keep traffic out.
func (p *Program) Ignored() []string { return slices.Sorted(maps.Keys(p.config.Ignore)) }

// Deciders names what decides.
func (p *Program) Deciders() []string { return p.deciders() }
