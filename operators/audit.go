package operators

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"nudge/engine"
	"nudge/operators/feature"
	"nudge/streams"
)

// Audit keeps every event that a program folds, by customer, and holds each customer's features that are logged with a decision against what the
// raw events say: point in time, by a second, simple implementation (feature.Set.Naive). It needs all customers in memory, and their events.
//
// It is used by one goroutine. Features of items, of all together and of parts are not audited: they are seen as of the epoch before, or of what the
// catalogue said then.
type Audit struct {
	// Every is how many decisions one is audited of.
	Every int
	// Differs is told of each feature that does not hold.
	Differs func(d *Difference)

	Decisions, Audited, Features, Skipped int64

	program *Program
	past    map[*Customer][]feature.Past
}

// Difference is a logged feature that the raw events contradict.
type Difference struct {
	Customer string `json:"customer"`
	Decision string `json:"decision"` // its name
	Time     string `json:"time"`
	Feature  string `json:"feature"`
	Logged   string `json:"logged"`
	Expected any    `json:"expected"`
}

// Audit has the program audited. It must be called before anything is folded.
func (p *Program) Audit(a *Audit) {
	a.program, a.past = p, map[*Customer][]feature.Past{}
	p.audit = a
}

func (a *Audit) observed(c *Customer, o *feature.Observation) {
	a.past[c] = append(a.past[c], feature.Keep(o))
}

func (a *Audit) merged(into, from *Customer) {
	from = a.original(from)
	a.past[into] = append(a.past[into], a.past[from]...)
	delete(a.past, from)
}

// original is the customer that another shard has sent a copy of: the one that is written the same.
func (a *Audit) original(c *Customer) *Customer {
	if _, known := a.past[c]; known {
		return c
	}
	text := c.AppendBinary(nil)
	for x := range a.past {
		if x.firstMS == c.firstMS && x.lastMS == c.lastMS && bytes.Equal(x.AppendBinary(nil), text) {
			return x
		}
	}
	return c
}

// logged audits what a decision logs: members of a JSON object, each after a comma.
func (a *Audit) logged(t *engine.Turn, c *Customer, name string, members []byte) {
	if a.Decisions++; (a.Decisions-1)%int64(max(a.Every, 1)) != 0 || len(members) == 0 {
		return
	}
	a.Audited++
	var published map[string]json.RawMessage
	if err := json.Unmarshal(append([]byte{'{'}, append(members[1:len(members):len(members)], '}')...), &published); err != nil {
		published = map[string]json.RawMessage{}
	}
	var names []string
	for key := range published {
		names = append(names, key)
	}
	slices.Sort(names)
	for _, key := range names {
		own, isUser := strings.CutPrefix(key, entityUser+".")
		i, there := a.program.features.Find(own)
		if !isUser || !there {
			continue
		}
		x, ok := a.program.features.Naive(i, a.past[c], t.NowMS)
		if !ok {
			a.Skipped++
			continue
		}
		a.Features++
		var v feature.Value
		v.Kind = x.Value.Kind
		into := any(&v.Number)
		switch x.Value.Kind {
		case feature.Text:
			into = &v.Text
		case feature.List:
			into = &v.List
		}
		if err := json.Unmarshal(published[key], into); err == nil && x.Holds(v) {
			continue
		}
		expected := any(x.Value.Number)
		switch x.Value.Kind {
		case feature.Text:
			expected = x.Value.Text
		case feature.List:
			expected = x.Value.List
		}
		if x.Value.Kind == feature.Number && x.Value.Number != x.Value.Number {
			expected = "not known"
		}
		a.Differs(&Difference{t.Customer, name, string(streams.AppendTime(nil, t.NowMS)), key, string(published[key]), expected})
	}
}
