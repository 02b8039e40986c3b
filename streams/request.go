package streams

import (
	"fmt"
	"unicode/utf8"
)

// RequestTopic stands for a topic where a position is asked for of a request that came on NATS. No topic can have that name.
const RequestTopic = "~request"

// DecodeRequest makes *e the decision.requested that b holds, as it is asked for on NATS, or says what is wrong with it: a native event whose type
// goes without saying, and whose time is arrivalMS (Unix milliseconds) where it has none. Unlike an event of a topic it is refused for a field that
// the schema does not know: its sender hears of it at once. *e aliases b.
func (d *Decoder) DecodeRequest(b []byte, arrivalMS int64, e *Event) *Fault {
	if len(b) > MaxEventBytes {
		return &Fault{FaultTooLarge, fmt.Sprintf("request of %d bytes: want at most %d", len(b), MaxEventBytes)}
	}
	if !utf8.Valid(b) {
		return utf8Fault(b)
	}
	strict := d.Strict
	d.Strict = true
	defer func() { d.Strict = strict }()
	d.text = b
	if !d.event(b, e) {
		if d.fault.Reason == FaultUnknown {
			d.fault.Detail += `; what a condition looks at, and the name of a decider, go into props, such as "props":{"name":"home"}`
		}
		return d.fault
	}
	switch {
	case !d.set.has(fieldType):
		e.Type, e.Name = DecisionRequested, typeNames[DecisionRequested]
	case e.Type != DecisionRequested:
		return &Fault{FaultEvent, fmt.Sprintf("field \"type\": want %s, which goes without saying, got %q: other events go to Kafka", typeNames[DecisionRequested], excerpt(e.Name))}
	}
	if !d.set.has(fieldTime) {
		e.TimeMS = arrivalMS
	}
	d.set |= 1<<fieldType | 1<<fieldTime
	if !d.check(b, e) {
		return d.fault
	}
	if d.Currencies != nil {
		return d.Currencies.event(e)
	}
	return nil
}
