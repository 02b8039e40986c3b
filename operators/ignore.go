package operators

import (
	"maps"
	"slices"
	"strings"

	"nudge/engine"
	"nudge/streams"
)

// ignoreRule keeps traffic out of every model and state.
type ignoreRule struct {
	count    string // name of its counter
	fields   []fieldMatch
	moreThan uint32 // events of one customer
	perMS    int64
}

// fieldMatch matches one field of the event's context, or a trait of the customer.
type fieldMatch struct {
	context func(*streams.Context) string // nil: a trait
	trait   string
	values  []string
}

var contextFields = map[string]func(*streams.Context) string{
	"context.channel":  func(c *streams.Context) string { return c.Channel },
	"context.locale":   func(c *streams.Context) string { return c.Locale },
	"context.page":     func(c *streams.Context) string { return c.Page },
	"context.referrer": func(c *streams.Context) string { return c.Referrer },
	"context.campaign": func(c *streams.Context) string { return c.Campaign },
	"context.device":   func(c *streams.Context) string { return c.Device },
	"context.source":   func(c *streams.Context) string { return c.Source },
}

func newIgnoreRules(config map[string]IgnoreRule) (rules []ignoreRule, traits []string) {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		r := ignoreRule{count: "ignored/" + name, moreThan: uint32(config[name].MoreThan), perMS: config[name].Per.MS()}
		for _, key := range slices.Sorted(maps.Keys(config[name].Match)) {
			f := fieldMatch{context: contextFields[key], values: config[name].Match[key]}
			if trait, ok := strings.CutPrefix(key, "trait."); ok {
				f.trait = trait
				traits = append(traits, trait)
			}
			r.fields = append(r.fields, f)
		}
		rules = append(rules, r)
	}
	return rules, traits
}

func (r *ignoreRule) matches(c *Customer, context *streams.Context) bool {
	for i := range r.fields {
		f := &r.fields[i]
		var value string
		switch {
		case f.trait != "":
			value = c.trait(f.trait)
		case context != nil:
			value = f.context(context)
		}
		if value == "" || !slices.Contains(f.values, value) {
			return false
		}
	}
	return len(r.fields) > 0
}

// ignored says whether the event is one of those that a rule keeps out, and counts it. What a customer is or consents to
// is always heard.
func (p *Program) ignored(t *engine.Turn, c *Customer) bool {
	if t.Event.Type == streams.UserUpdated || t.Event.Type == streams.ConsentChanged {
		return false
	}
	for i := range p.ignore {
		r := &p.ignore[i]
		if r.moreThan > 0 && t.Event.Type != streams.DecisionRequested && c.flooded(r, t.NowMS) || len(r.fields) > 0 && r.matches(c, &t.Event.Context) {
			t.Count(r.count)
			return true
		}
	}
	return false
}

// ignoredCustomer says whether a rule keeps out all that the customer does.
func (p *Program) ignoredCustomer(t *engine.Turn, c *Customer) bool {
	for i := range p.ignore {
		if r := &p.ignore[i]; len(c.traits) > 0 && r.matches(c, nil) {
			t.Count(r.count)
			return true
		}
	}
	return false
}

// flooded counts one event and says whether it was one too many.
func (c *Customer) flooded(r *ignoreRule, nowMS int64) bool {
	switch f := &c.flood; {
	case nowMS >= f.startMS+r.perMS:
		*f = flood{startMS: nowMS}
	case nowMS <= f.startMS-r.perMS: // late, or forwarded: not of this time
		return false
	}
	if c.flood.n <= r.moreThan {
		c.flood.n++
	}
	return c.flood.n > r.moreThan
}

// hear takes in the traits that the pipeline names.
func (p *Program) hear(e *streams.Event, c *Customer, nowMS int64) {
	if len(p.heard) == 0 {
		return
	}
	e.Props.Each(func(key string, v streams.Value) bool {
		i, wanted := slices.BinarySearch(p.heard, key)
		if !wanted {
			return true
		}
		text, ok := v.Text()
		if !ok {
			switch v.Kind() {
			case "number", "bool":
				text = string(v)
			}
		}
		c.setTrait(p.heard[i], text, nowMS)
		return true
	})
}
