package operators

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"nudge/operators/condition"
)

// ConfigFault is what is wrong with a condition or the name of a feature in a Config. Key is where it stands, such as
// offers.winback.audience; Offset counts characters from the beginning of its text.
type ConfigFault struct {
	Key string
	condition.Fault
}

// Faults lists what is wrong with the conditions of the Config and with the names that it logs, all of it, in the order of
// sections and names.
func (c *Config) Faults() (faults []ConfigFault) {
	faults = featureFaults(c.Features)
	p := &Program{config: *c, learnsNext: learns(c, nextItem, similarShoppers, sequence)}
	if len(faults) > 0 {
		return faults // what is said of features would follow from it
	}
	var err error
	p.zone = time.UTC
	if err = p.addFeatures(nil); err != nil {
		return []ConfigFault{{"features", condition.Fault{Found: err.Error(), Allowed: "rename one of them"}}}
	}
	faults = c.resultFaults()
	for _, name := range slices.Sorted(maps.Keys(c.Predictions)) {
		p.predictions = append(p.predictions, &prediction{name: name})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Audiences)) {
		p.audiences = append(p.audiences, &audience{name: name})
	}
	note := func(key, source string, s scope) *condition.Condition {
		x, err := p.condition(source, s)
		var f *condition.Fault
		if errors.As(err, &f) {
			faults = append(faults, ConfigFault{key, *f})
		}
		return x
	}
	for _, a := range p.audiences {
		if c.Audiences[a.name] == "" {
			faults = append(faults, ConfigFault{"audiences." + a.name, condition.Fault{Found: "nothing", Allowed: "want a condition, such as customer.orders >= 2"}})
		}
		a.when = note("audiences."+a.name, c.Audiences[a.name], scopeCustomer)
	}
	if len(faults) == 0 {
		if _, circle := inOrder(p.audiences); circle != nil {
			faults = append(faults, ConfigFault{"audiences." + circle[0].name, *circular(circle)})
		}
	}
	decider := func(key string, m Moment, audience string, logs []string) {
		note(key+".when.if", m.If, scopeEvent)
		note(key+".audience", audience, scopeCustomer)
		for i, name := range logs {
			at := fmt.Sprintf("%s.log[%d]", key, i)
			if _, kind, ok := p.names(scopeEvent).Name(splitName(name)); ok && kind != condition.Truth {
				continue
			}
			x, err := condition.CompileNumber(name, p.names(scopeEvent))
			var f *condition.Fault
			switch {
			case errors.As(err, &f):
				faults = append(faults, ConfigFault{at, *f})
			case !slices.Equal(x.Names(), []string{name}):
				faults = append(faults, ConfigFault{at, condition.Fault{Found: "an expression", Allowed: "want the name of a feature; declare what is computed under features"}})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Recommenders)) {
		r := c.Recommenders[name]
		decider("recommenders."+name, r.When, r.Audience, r.Log)
		note("recommenders."+name+".filter", r.Filter, scopeFilter)
		for i := range r.Rules {
			note(fmt.Sprintf("recommenders.%s.rules[%d].boost", name, i), r.Rules[i].Boost, scopeFilter)
			note(fmt.Sprintf("recommenders.%s.rules[%d].bury", name, i), r.Rules[i].Bury, scopeFilter)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Offers)) {
		o := c.Offers[name]
		decider("offers."+name, o.When, o.Audience, o.Log)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Churn)) {
		x := c.Churn[name]
		decider("churn."+name, Moment{}, x.Audience, x.Log)
	}
	return faults
}
