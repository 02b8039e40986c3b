package operators

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"nudge/engine"
	"nudge/operators/condition"
	"nudge/streams"
)

// audience is a named condition over what is known of a customer. Who begins or ceases to belong is told as a decision of
// kind audience, and is a moment for deciders.
type audience struct {
	name   string
	key    uint32
	when   *condition.Condition
	logs   []logged
	enters []*decider
	leaves []*decider
}

// member is an audience that a customer belongs to.
type member struct {
	key     uint32 // hash of the audience's name
	sinceMS int64
}

// addAudiences compiles the audiences.
func (p *Program) addAudiences() error {
	for _, name := range slices.Sorted(maps.Keys(p.config.Audiences)) {
		p.audiences = append(p.audiences, &audience{name: name, key: nameHash(name)})
	}
	for _, a := range p.audiences {
		var err error
		if a.when, err = p.condition(p.config.Audiences[a.name], scopeCustomer); err != nil {
			return fmt.Errorf("operators: audiences.%s: %w", a.name, err)
		}
		for _, name := range a.when.Names() {
			if slot, kind, _ := p.names(scopeCustomer).Name(splitName(name)); kind == condition.Number {
				a.logs = append(a.logs, newLogged(name, slot, kind))
			}
		}
	}
	order, circle := inOrder(p.audiences)
	if circle != nil {
		return fmt.Errorf("operators: audiences.%s: %w", circle[0].name, circular(circle))
	}
	p.reviewed = order
	return nil
}

// inOrder puts those before an audience that it asks for; what is left is those that ask each other in a circle.
func inOrder(all []*audience) (order, circle []*audience) {
	circle = slices.Clone(all)
	for {
		var left []*audience
		for _, a := range circle {
			if slices.ContainsFunc(circle, func(b *audience) bool { return slices.Contains(a.when.Names(), "audience."+b.name) }) {
				left = append(left, a)
			} else {
				order = append(order, a)
			}
		}
		if len(left) == len(circle) {
			return order, left
		}
		circle = left
	}
}

func circular(circle []*audience) *condition.Fault {
	var names []string
	for _, a := range circle {
		names = append(names, a.name)
	}
	return &condition.Fault{Found: "audiences that ask each other: " + strings.Join(names, ", "), Allowed: "take one out of the other's condition"}
}

// audienceNumber is the number of the audience of that name, -1 if there is none.
func (p *Program) audienceNumber(name string) int {
	i, ok := slices.BinarySearchFunc(p.audiences, name, func(a *audience, n string) int { return strings.Compare(a.name, n) })
	if !ok {
		return -1
	}
	return i
}

// review looks at whom the customer belongs to now, tells what changed, and lets the deciders decide that wait for it.
func (p *Program) review(t *engine.Turn, c *Customer, s *scratch) {
	if len(p.reviewed) == 0 {
		return
	}
	if len(c.members) > len(p.reviewed) { // audiences that the pipeline no longer has
		c.members = slices.DeleteFunc(c.members, func(m member) bool {
			return !slices.ContainsFunc(p.reviewed, func(a *audience) bool { return a.key == m.key })
		})
	}
	s.facts.set(p, t, c)
	s.moved = s.moved[:0]
	for _, a := range p.reviewed {
		is := a.when.True(&s.facts)
		i, was := c.member(a.key)
		switch {
		case is && !was:
			c.members = slices.Insert(grow(c.members), i, member{a.key, t.NowMS})
		case !is && was:
			c.members = slices.Delete(c.members, i, i+1)
		default:
			continue
		}
		s.moved = append(s.moved, moved{a, is})
	}
	for _, m := range s.moved {
		p.tell(t, s, m)
	}
	for _, m := range s.moved {
		who := m.audience.leaves
		if m.entered {
			who = m.audience.enters
		}
		for _, d := range who {
			d.consider(p, t, c, s)
		}
	}
}

// moved is a change of membership.
type moved struct {
	audience *audience
	entered  bool
}

func (p *Program) tell(t *engine.Turn, s *scratch, m moved) {
	d := &s.decision
	*d = streams.Decision{Kind: streams.KindAudience, Name: m.audience.name, Action: streams.ActionLeave, Propensity: 1,
		Items: d.Items[:0], Reasons: d.Reasons[:0], Features: d.Features[:0], Logged: d.Logged[:0], Warming: d.Warming[:0]}
	if m.entered {
		d.Action = streams.ActionEnter
	}
	for _, l := range m.audience.logs {
		d.Logged = s.facts.appendLogged(d.Logged, &l)
		d.Warming = p.begun.appendLate(d.Warming, l.name, t.NowMS)
	}
	if p.audit != nil {
		p.audit.logged(t, t.State.(*Customer), d.Name, m.audience.logs, d.Logged)
	}
	t.Decide(d)
}

// member says whether the customer belongs to an audience, and where in the list it stands or would.
func (c *Customer) member(key uint32) (int, bool) {
	return slices.BinarySearchFunc(c.members, key, func(m member, k uint32) int { return compare(m.key, k) })
}

// mergeMembers takes in the audiences of another part of the same customer: of each the one since when it has been so.
func (c *Customer) mergeMembers(o *Customer) {
	for _, m := range o.members {
		i, ok := c.member(m.key)
		if !ok {
			c.members = slices.Insert(grow(c.members), i, m)
		} else {
			c.members[i].sinceMS = min(c.members[i].sinceMS, m.sinceMS)
		}
	}
}
