package operators

import (
	"errors"
	"fmt"
	"time"

	"nudge/engine"
	"nudge/operators/condition"
	"nudge/operators/feature"
	"nudge/streams"
)

// Moment is when a decision is considered. It has one of these forms:
//
//	[product.viewed, custom.wheel_spun]                                on an event; as one word for one type; decision.requested is on request
//	{quiet: 30m, after: product.added, unless: order.completed}        when the customer has been silent so long after one event and without another
//	{delay: 3d, after: custom.delivered, unless: order.refunded}       so long after an event, unless another comes first
//	{every: 1d, at: "09:00"}                                           for every customer at that time of day in the pipeline's zone; every 7d is on Mondays
//	{enters: vip}, {leaves: vip}                                       when the customer begins or ceases to belong to an audience
//
// and with any of them an if: a condition over the event and what is known of the customer.
type Moment struct {
	Events []string  `yaml:"events,bare" doc:"on an event of one of these types; decision.requested is on request"`
	Quiet  Duration  `yaml:"quiet" allow:"1s.." doc:"when the customer has been silent so long after one event, after, and without another, unless"`
	Delay  Duration  `yaml:"delay" allow:"1s.." doc:"so long after one event, after, unless another comes first; while it waits, another such event changes nothing"`
	After  string    `yaml:"after" doc:"of quiet and delay: the event that it begins with"`
	Unless string    `yaml:"unless" doc:"of quiet and delay: the event that ends the waiting"`
	Every  Duration  `yaml:"every" allow:"1d..366d" doc:"for every customer at a time of day, every so many whole days; every 7d is on Mondays"`
	At     TimeOfDay `yaml:"at" doc:"of every: the time of day in the pipeline's zone"`
	Enters string    `yaml:"enters" doc:"when the customer begins to belong to this audience"`
	Leaves string    `yaml:"leaves" doc:"when the customer ceases to belong to this audience"`
	If     string    `yaml:"if" doc:"a condition over the event and what is known of the customer"`
}

// Forms lists the keys of the moment that say which form it has; one is right.
func (m *Moment) Forms() (keys []string) {
	for _, k := range []struct {
		name string
		used bool
	}{{"events", len(m.Events) > 0}, {"quiet", m.Quiet > 0}, {"delay", m.Delay > 0}, {"every", m.Every > 0}, {"enters", m.Enters != ""}, {"leaves", m.Leaves != ""}} {
		if k.used {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// TimeOfDay is a time of day in minutes, written "09:00".
type TimeOfDay int

// String writes the time as it is read.
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60) }

// MarshalText is the inverse of UnmarshalText.
func (t TimeOfDay) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads "09:00".
func (t *TimeOfDay) UnmarshalText(text []byte) error {
	x, err := time.Parse("15:04", string(text))
	if err != nil {
		return errors.New(`want a time of day in quotes, such as "09:00"`)
	}
	*t = TimeOfDay(x.Hour()*60 + x.Minute())
	return nil
}

// decider is what recommenders and offers have in common: when they are considered, for whom, and what they publish of what
// they knew.
type decider struct {
	name     string
	key      uint32
	events   trigger
	after    trigger // arms the timer
	unless   trigger // disarms it
	quietMS  int64
	delayMS  int64
	every    int64 // days; 0: not by the clock
	at       TimeOfDay
	enters   int // audience's number + 1
	leaves   int
	when     *condition.Condition // nil: always
	audience *condition.Condition // nil: everybody
	logs     []logged
	decide   func(p *Program, t *engine.Turn, c *Customer, s *scratch)
}

// logged is a feature that is published with a decision.
type logged struct {
	name   string
	member []byte // of the JSON: the name, after a comma
	slot   int
	kind   condition.Kind
}

func newLogged(name string, slot int, kind condition.Kind) logged {
	return logged{name, append(streams.AppendJSONString([]byte{','}, name), ':'), slot, kind}
}

// newDecider compiles a moment. Faults of conditions are found by Conditions; here the first one is returned.
func (p *Program) newDecider(name string, m Moment, audience string, logs []string) (*decider, error) {
	d := &decider{name: name, key: nameHash(name), quietMS: m.Quiet.MS(), delayMS: m.Delay.MS(), every: int64(m.Every) / int64(day), at: m.At}
	for _, e := range m.Events {
		d.events.add(e)
	}
	if d.quietMS > 0 || d.delayMS > 0 {
		d.after = newTrigger(m.After)
		if m.Unless != "" {
			d.unless = newTrigger(m.Unless)
		}
	}
	d.enters, d.leaves = p.audienceNumber(m.Enters)+1, p.audienceNumber(m.Leaves)+1
	var err error
	if d.when, err = p.condition(m.If, scopeEvent); err != nil {
		return nil, err
	}
	if d.audience, err = p.condition(audience, scopeCustomer); err != nil {
		return nil, err
	}
	for _, name := range logs {
		slot, kind, ok := p.names(scopeEvent).Name(splitName(name))
		if !ok || kind == condition.Truth {
			return nil, fmt.Errorf("operators: %s: log: %q is no feature", d.name, name)
		}
		d.logs = append(d.logs, newLogged(name, slot, kind))
	}
	return d, nil
}

// register enters the decider where its moment is looked for.
func (p *Program) register(d *decider) {
	for _, t := range d.events.types() {
		p.on[t].decide = append(p.on[t].decide, d)
	}
	for _, t := range d.after.types() {
		p.on[t].after = append(p.on[t].after, d)
	}
	for _, t := range d.unless.types() {
		p.on[t].unless = append(p.on[t].unless, d)
	}
	if d.quietMS > 0 || d.delayMS > 0 {
		p.timers[d.name] = d.onTimer
	}
	if d.every > 0 {
		p.daily = append(p.daily, d)
		p.timers[d.name] = d.onDaily
	}
	if d.enters > 0 {
		a := p.audiences[d.enters-1]
		a.enters = append(a.enters, d)
	}
	if d.leaves > 0 {
		a := p.audiences[d.leaves-1]
		a.leaves = append(a.leaves, d)
	}
}

// onAfter arms the timer. That of a silence is not moved by every later event: when it fires it looks at the last activity.
func (d *decider) onAfter(t *engine.Turn) {
	if _, armed := t.TimerAt(d.name); !armed {
		t.SetTimer(d.name, t.NowMS+d.quietMS+d.delayMS)
	}
}

func (d *decider) onTimer(p *Program, t *engine.Turn, c *Customer, s *scratch) {
	if quietAt := c.lastMS + d.quietMS; d.quietMS > 0 && quietAt > t.NowMS {
		t.SetTimer(d.name, quietAt)
		return
	}
	d.consider(p, t, c, s)
}

// onDaily decides and waits for the next time.
func (d *decider) onDaily(p *Program, t *engine.Turn, c *Customer, s *scratch) {
	d.consider(p, t, c, s)
	t.SetTimer(d.name, d.nextAt(p.zone, t.NowMS))
}

// consider decides if its conditions hold.
func (d *decider) consider(p *Program, t *engine.Turn, c *Customer, s *scratch) {
	if d.concerns(p, t, c, s) {
		d.decide(p, t, c, s)
	}
}

// concerns says whether the conditions hold.
func (d *decider) concerns(p *Program, t *engine.Turn, c *Customer, s *scratch) bool {
	if d.when == nil && d.audience == nil {
		return true
	}
	s.facts.set(p, t, c)
	return (d.when == nil || d.when.True(&s.facts)) && (d.audience == nil || d.audience.True(&s.facts))
}

// log publishes the features that the pipeline asks for. One that is not known is left out.
func (d *decider) log(p *Program, t *engine.Turn, c *Customer, s *scratch, x *streams.Decision) {
	if len(d.logs) == 0 {
		return
	}
	s.facts.set(p, t, c)
	for i := range d.logs {
		l := &d.logs[i]
		x.Logged = s.facts.appendLogged(x.Logged, l)
		x.Warming = p.begun.appendLate(x.Warming, l.name, t.NowMS)
	}
	if p.audit != nil {
		p.audit.logged(t, c, x.Name, d.logs, x.Logged)
	}
}

// nextAt is the next time after a time at which a daily moment comes: at d.at of the first day that is a multiple of d.every.
func (d *decider) nextAt(zone *time.Location, afterMS int64) int64 {
	now := time.UnixMilli(afterMS).In(zone)
	for n := 0; ; n++ { // at most every + 1 days on
		x := feature.ClockTime(zone, now.Year(), now.Month(), now.Day()+n, int(d.at))
		day := time.Date(x.Year(), x.Month(), x.Day(), 0, 0, 0, 0, time.UTC).Unix() / (24 * 3600)
		if ms := x.UnixMilli(); ms > afterMS && (day-4)%d.every == 0 { // day 4 of 1970 was a Monday
			return ms
		}
	}
}
