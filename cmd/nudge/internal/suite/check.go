package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"nudge/cmd/nudge/internal/sandbox"
)

// checking is a look at a file's cases, for what is wrong with them whatever the pipeline does.
type checking struct {
	*File
	box      *sandbox.Sandbox
	features []string
	faults   []error
	spoilt   bool
}

func (k *checking) fault(key, format string, args ...any) {
	k.faults = append(k.faults, k.File.fault(key, format, args...))
}

func (k *checking) memberFault(key, name, format string, args ...any) {
	k.faults = append(k.faults, fmt.Errorf("%s: %s", k.member(key, name), fmt.Sprintf(format, args...)))
}

func (k *checking) catalog(key string, items []map[string]any) {
	for i, item := range items {
		at := fmt.Sprintf("%s.catalog[%d]", key, i)
		record, err := k.itemRecord(at, item, i)
		if err != nil {
			k.faults = append(k.faults, err)
		} else if f := k.box.Check(record); f != nil {
			k.fault(at, "the catalogue refuses it: %v", f)
		}
	}
}

// steps looks at times, events and expectations of a case. One that expects nothing could never fail.
func (k *checking) steps(key string, c *Case) {
	now, expects := k.day, false
	for i := range c.Events {
		s, at := &c.Events[i], fmt.Sprintf("%s.events[%d]", key, i)
		var err error
		if now, err = k.stepTime(at, s, now); err != nil {
			k.faults = append(k.faults, err)
		}
		if s.Type != "" && !k.spoilt {
			record, err := s.record(i, now)
			if err != nil {
				k.fault(at, "%v", err)
			} else if f := k.box.Check(record); f != nil && (s.Expect == nil || s.Expect.Refused == "") {
				k.fault(at, "the event is refused: %v", f)
			}
		}
		if s.Expect != nil {
			expects = true
			k.expectation(at+".expect", s.Expect)
		}
	}
	if !expects && !k.spoilt {
		k.fault(key, "case %q expects nothing: add expect to an event", c.Name)
	}
}

// expectation refuses names that the pipeline does not have: that they are not there would hold for ever.
func (k *checking) expectation(key string, x *Expect) {
	d := &k.config.Deciders
	deciders := slices.Concat(slices.Collect(maps.Keys(d.Recommenders)), slices.Collect(maps.Keys(d.Offers)), slices.Collect(maps.Keys(d.Churn)), slices.Collect(maps.Keys(d.Audiences)))
	for _, list := range []struct {
		key   string
		names []string
		known []string
		what  string
	}{
		{"no_decisions", x.NoDecisions, deciders, "decider or audience"},
		{"audiences", x.Audiences, slices.Collect(maps.Keys(d.Audiences)), "audience"},
		{"not_audiences", x.NotAudiences, slices.Collect(maps.Keys(d.Audiences)), "audience"},
	} {
		for i, name := range list.names {
			if !slices.Contains(list.known, name) {
				k.fault(fmt.Sprintf("%s.%s[%d]", key, list.key, i), "%q: the pipeline has no such %s, but %s", name, list.what, among(list.known))
			}
		}
	}
	k.values(key+".features", x.Features, func(entity string) string {
		if entity == "item" {
			return "want it under items, of an item"
		}
		return ""
	})
	for _, id := range slices.Sorted(maps.Keys(x.Items)) {
		k.values(key+".items."+id, x.Items[id], func(entity string) string {
			if entity != "item" {
				return "want a feature of items; the others stand under features"
			}
			return ""
		})
	}
	for i := range x.Decisions {
		logged := maps.Clone(x.Decisions[i].Features)
		maps.DeleteFunc(logged, func(name string, _ any) bool { return !k.isFeature(name) })
		k.values(fmt.Sprintf("%s.decisions[%d].features", key, i), logged, nil)
	}
	if x.PassedOver != "" && !slices.Contains(passedOver, x.PassedOver) {
		k.fault(key+".passed_over", "%q: want %s", x.PassedOver, strings.Join(passedOver, ", "))
	}
}

// passedOver are the reasons for which an event is passed over.
var passedOver = []string{"duplicate", "late", "merge_refused"}

// isFeature says whether a name is one that only a declared feature can have; what the catalogue says of items is none.
func (k *checking) isFeature(name string) bool {
	entity, _, ok := strings.Cut(name, ".")
	return ok && slices.Contains([]string{"user", "user_category", "session", "global"}, entity)
}

// values looks at the names and forms of wanted values; of says what is wrong with an entity, nil where all are right and stand by themselves.
func (k *checking) values(key string, wanted map[string]any, of func(entity string) string) {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		entity, _, _ := strings.Cut(name, ".")
		values := []any{wanted[name]}
		if !slices.Contains(k.features, name) {
			k.memberFault(key, name, "%q: the pipeline has no such feature, but %s", name, among(k.features))
			continue
		}
		if of != nil {
			if wrong := of(entity); wrong != "" {
				k.memberFault(key, name, "%q: %s", name, wrong)
				continue
			}
			if entity == "user_category" {
				byCategory, ok := wanted[name].(map[string]any)
				if !ok {
					k.memberFault(key, name, "%q: want its values by category, such as {Shoes: 2}", name)
					continue
				}
				values = slices.Collect(maps.Values(byCategory))
			}
		}
		for _, value := range values {
			if _, _, ok := about(value); !ok {
				if _, isMap := value.(map[string]any); isMap {
					k.memberFault(key, name, "%q: want a value, or {about: 7, within: 0.5}", name)
				}
			}
		}
	}
}

func among(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}
