package operators

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nudge/operators/condition"
	"nudge/operators/feature"
)

// ConfigFault is what is wrong with a condition or the name of a feature in a Config. Key is where it stands, such as
// offers.winback.audience; Offset counts characters from the beginning of its text.
type ConfigFault struct {
	Key string
	condition.Fault

	feature string // whose definition it is; "": of none
}

// isBroken says whether a name is that of one of the features, or of what one of its windows makes.
func isBroken(name string, features []string) bool {
	return slices.ContainsFunc(features, func(f string) bool { return name == f || strings.HasPrefix(name, f+"_") })
}

// Faults lists what is wrong with features, outputs and conditions of the Config and with the names that it logs, all of it, in the order of
// sections and names. broken are features that are at fault already: nothing is said of what asks for them.
func (c *Config) Faults(broken ...string) (faults []ConfigFault) {
	faults = featureFaults(c.Features)
	for _, f := range faults {
		broken = append(broken, f.feature)
	}
	whole := *c
	whole.Features = maps.Clone(c.Features)
	maps.DeleteFunc(whole.Features, func(name string, _ feature.Definition) bool { return slices.Contains(broken, name) })
	c = &whole
	p := &Program{config: *c, learnsNext: learns(c, nextItem, similarShoppers, sequence)}
	p.zone = time.UTC
	if err := p.addFeatures(nil); err != nil {
		return append(faults, ConfigFault{Key: "features", Fault: condition.Fault{Found: err.Error(), Allowed: "rename one of them"}})
	}
	faults = append(faults, c.resultFaults(broken)...)
	for _, name := range slices.Sorted(maps.Keys(c.Predictions)) {
		p.predictions = append(p.predictions, &prediction{name: name})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Audiences)) {
		p.audiences = append(p.audiences, &audience{name: name})
	}
	note := func(key, source string, s scope) *condition.Condition {
		if source == "" {
			return nil
		}
		n := &names{program: p, scope: s, broken: broken}
		x, err := condition.Compile(source, n)
		var f *condition.Fault
		if errors.As(err, &f) && !n.asked {
			faults = append(faults, ConfigFault{Key: key, Fault: *f})
		}
		return x
	}
	for _, a := range p.audiences {
		if c.Audiences[a.name] == "" {
			faults = append(faults, ConfigFault{Key: "audiences." + a.name, Fault: condition.Fault{Found: "nothing", Allowed: "want a condition, such as customer.orders >= 2"}})
		}
		a.when = note("audiences."+a.name, c.Audiences[a.name], scopeCustomer)
	}
	compiled := slices.DeleteFunc(slices.Clone(p.audiences), func(a *audience) bool { return a.when == nil })
	if _, circle := inOrder(compiled); circle != nil {
		faults = append(faults, ConfigFault{Key: "audiences." + circle[0].name, Fault: *circular(circle)})
	}
	decider := func(key string, m Moment, audience string, logs []string) {
		note(key+".when.if", m.If, scopeEvent)
		note(key+".audience", audience, scopeCustomer)
		for i, name := range logs {
			at := fmt.Sprintf("%s.log[%d]", key, i)
			if isBroken(name, broken) {
				continue
			}
			if _, kind, ok := p.names(scopeEvent).Name(splitName(name)); ok && kind != condition.Truth {
				continue
			}
			x, err := condition.CompileNumber(name, p.names(scopeEvent))
			var f *condition.Fault
			switch {
			case errors.As(err, &f):
				faults = append(faults, ConfigFault{Key: at, Fault: *f})
			case !slices.Equal(x.Names(), []string{name}):
				faults = append(faults, ConfigFault{Key: at, Fault: condition.Fault{Found: "an expression", Allowed: "want the name of a feature; declare what is computed under features"}})
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
