package pipeline

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/token"

	"nudge/operators"
)

const momentForms = "want event types (decision.requested: on request), or one of {quiet, after, unless}, {delay, after, unless}, {every, at}, {enters}, {leaves}"

// moment checks when a decider is considered.
func (k checker) moment(key string, m *operators.Moment) {
	forms := m.Forms()
	switch {
	case len(forms) == 0 && k.isSection(key):
		k.report(key, "no moment", momentForms, "")
		return
	case len(forms) == 0 && k.given(key):
		k.report(key, "no event type", "want at least one, such as page.viewed", "")
		return
	case len(forms) == 0:
		return // that it is missing has been said
	case len(forms) > 1:
		k.report(key, "several moments at once: "+strings.Join(forms, ", "), momentForms, "")
		return
	}
	form := forms[0]
	timed := form == "quiet" || form == "delay"
	for _, part := range []struct {
		name  string
		right bool
		with  string
	}{{"after", timed, "quiet or delay"}, {"unless", timed, "quiet or delay"}, {"at", form == "every", "every"}} {
		if at := key + "." + part.name; k.given(at) && !part.right {
			k.report(at, "a key of another moment", "it goes with "+part.with+"; remove it", "")
		}
	}
	switch form {
	case "events":
		at := key
		if k.given(key + ".events") {
			at = key + ".events"
		}
		k.events(at, m.Events)
	case "quiet", "delay":
		k.event(key+".after", m.After)
		if m.Unless != "" {
			k.event(key+".unless", m.Unless)
		}
		if m.Unless == m.After {
			k.report(key+".unless", strconv.Quote(short(m.Unless)), "want another event than when.after", "", key+".after")
		}
	case "every":
		const day = 24 * 3600 * 1000
		if m.Every.MS()%day != 0 {
			k.report(key+".every", m.Every.String(), "want whole days, such as 1d or 7d", "")
		}
		if !k.given(key + ".at") {
			k.report(key+".at", "missing", `needed: the time of day, such as "09:00"`, "")
		}
	}
}

// isSection says whether the key's value has keys of its own.
func (k checker) isSection(key string) bool {
	for at := range k.places {
		if strings.HasPrefix(at, key+".") {
			return true
		}
	}
	return false
}

// conditions checks expressions and references to audiences, when the rest of the sections can be read.
func (k checker) conditions(c *operators.Config) {
	for _, name := range slices.Sorted(maps.Keys(c.Features)) {
		d, key := c.Features[name], "features."+name
		for _, f := range d.Unused(func(of string) bool { return k.given(join(key, of)) }) {
			k.name(join(key, f.Key), f.Found, f.Allowed, "")
		}
	}
	var broken []string
	for name := range c.Features {
		if k.follows("features." + name) {
			broken = append(broken, name)
		}
	}
	for _, f := range c.Faults(broken...) {
		if list, _, ok := strings.Cut(f.Key, "["); ok && !k.given(f.Key) { // a list of one, written as the one
			f.Key = list
		}
		if k.follows(f.Key) {
			continue
		}
		at := *k.valuePlace(f.Key)
		if p, ok := k.places[f.Key]; ok && p.value != nil {
			at = *p.value
			if k.plain(f.Key) {
				at.Column += f.Offset
			}
		}
		k.add(&token.Position{Line: at.Line, Column: at.Column}, f.Key, f.Found, f.Allowed, f.Suggestion)
	}
	declared := slices.Sorted(func(yield func(string) bool) {
		for name := range c.Audiences {
			if !yield(name) {
				return
			}
		}
	})
	audience := func(key, name string) {
		if name == "" || slices.Contains(declared, name) || k.spoilt["audiences"] {
			return
		}
		allowed := "allowed: " + strings.Join(declared, ", ")
		if len(declared) == 0 {
			allowed = "no audience is declared: add it under audiences"
		}
		k.report(key, strconv.Quote(short(name)), allowed, nearest(name, declared), "audiences."+name)
	}
	moments := map[string]operators.Moment{}
	for name, r := range c.Recommenders {
		moments["recommenders."+name] = r.When
	}
	for name, o := range c.Offers {
		moments["offers."+name] = o.When
	}
	for key, m := range moments { // faults are sorted by their place in the end
		audience(key+".when.enters", m.Enters)
		audience(key+".when.leaves", m.Leaves)
	}
}

// plain says whether the key's value is written without quotes on the key's line, so that its characters are those of the file.
func (k checker) plain(key string) bool {
	p := k.places[key]
	return p.value != nil && (p.key == nil || p.key.Line == p.value.Line)
}
