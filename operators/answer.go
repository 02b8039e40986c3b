package operators

import (
	"errors"
	"fmt"
	"strings"

	"nudge/engine"
	"nudge/streams"
)

// answer takes a decision.requested: the deciders that wait for it are considered, or the one that props.name names. To ask is no doing of the customer:
// it moves neither their last activity nor their audiences, and nothing is learned of it. Features and timers that name the type are given it.
func (p *Program) answer(t *engine.Turn, c *Customer, s *scratch) {
	s.noOrder = false
	p.observe(t, c, s)
	p.observeParts(t, c, s)
	p.lookSoon(t)
	p.noteShared(t, c, s)
	p.arm(t, c)
	name, _ := t.Event.Props.String("name")
	var asked, concerned int
	for _, d := range p.on[streams.DecisionRequested].decide {
		if name != "" && d.name != name {
			continue
		}
		asked++
		if d.concerns(p, t, c, s) {
			concerned++
			d.decide(p, t, c, s)
		}
	}
	switch {
	case asked == 0 && name != "":
		t.Why(strings.Clone(name) + " is not considered on request: add decision.requested to its `when`")
	case asked == 0:
		t.Why("no decider asks for decision.requested: name it in the `when` of one")
	case concerned == 0:
		t.Why("the conditions of what was asked do not hold (`if`, `audience`)")
	default:
		t.Why("there is nothing to show, or `at_most` is reached")
	}
}

// CheckAsked says whether there is a decider of that name; "" is any.
func (p *Program) CheckAsked(name string) error {
	if name == "" {
		return nil
	}
	var names []string
	for _, d := range p.moments() {
		if d.name == name {
			return nil
		}
		names = append(names, d.name)
	}
	if len(names) == 0 {
		return errors.New("the pipeline has no decider that could be asked: add one under recommenders or offers")
	}
	return fmt.Errorf("props.name: there is no decider %q, but %s", name, strings.Join(names, ", "))
}
