package operators

import (
	"slices"
	"strings"
	"time"

	"nudge/engine"
	"nudge/operators/feature"
)

// What time alone changes moves nobody by an event. When a window that an audience asks for empties, or the time since something reaches a number that it
// is compared with, the customer is looked at then. For the rest - the time of day, what decays - every customer is looked at once a night, within the
// hour from three in the pipeline's zone, each at a second of their own.
const (
	nightHour   = 3
	nightSpread = 3600 // seconds
)

// timed says whether some audience may change as time passes.
func (p *Program) timed() bool {
	for _, a := range p.audiences {
		for _, name := range a.when.Names() {
			if section, _, _ := strings.Cut(name, "."); section == "now" || section == entityUser || section == entitySession || section == "prediction" || section == entityGlobal {
				return true
			}
		}
	}
	return false
}

// night is when the night's hour last began at a time, and when it begins next.
type night struct{ lastMS, nextMS int64 }

func (n *night) of(zone *time.Location, nowMS int64) {
	if nowMS >= n.lastMS && nowMS < n.nextMS {
		return
	}
	now := time.UnixMilli(nowMS).In(zone)
	at := func(days int) int64 {
		return feature.ClockTime(zone, now.Year(), now.Month(), now.Day()+days, nightHour*60).UnixMilli()
	}
	if n.lastMS, n.nextMS = at(0), at(1); n.lastMS > nowMS {
		n.lastMS, n.nextMS = at(-1), n.lastMS
	}
}

// lookNightly asks for the customer's next look.
func (p *Program) lookNightly(t *engine.Turn, s *scratch) {
	if !p.nightly {
		return
	}
	s.night.of(p.zone, t.NowMS)
	spreadMS := int64(t.CustomerHash()%nightSpread) * 1000
	atMS := s.night.lastMS + spreadMS
	if atMS <= t.NowMS {
		atMS = s.night.nextMS + spreadMS
	}
	t.VisitAt(atMS)
}

// look is a feature of customers that an audience asks for, and the number that it compares the feature with, if it does.
type look struct {
	feature int
	bounded bool
	bound   float64
}

// soon lists what moves customers at a time that an event tells.
func (p *Program) soon() (looks []look) {
	note := func(name string, x look) {
		if entity, own := splitFeature(name); entity == entityUser {
			if i, ok := p.features.Find(own); ok {
				if x.feature = i; !slices.Contains(looks, x) {
					looks = append(looks, x)
				}
			}
		}
	}
	for _, a := range p.audiences {
		for _, name := range a.when.Names() {
			note(name, look{})
		}
		for _, b := range a.when.Bounds() {
			note(b.Name, look{bounded: true, bound: b.Number})
		}
	}
	return looks
}

// lookSoon asks for a look at the customer when what the event has counted for leaves the windows that audiences ask for, and when the time since
// reaches what they compare it with.
func (p *Program) lookSoon(t *engine.Turn) {
	var room [2]int64
	for _, x := range p.looks {
		if x.bounded {
			if atMS, ok := p.features.Reaches(x.feature, x.bound, t.Event.Type, t.NowMS); ok {
				t.VisitAt(atMS)
			}
			continue
		}
		for _, atMS := range p.features.Leaves(room[:0], x.feature, t.Event.Type, t.NowMS) {
			t.VisitAt(atMS)
		}
	}
}

// isLook says whether a visit is the customer's nightly look.
func (p *Program) isLook(t *engine.Turn, s *scratch, atMS int64) bool {
	if !p.nightly {
		return false
	}
	s.night.of(p.zone, atMS)
	return atMS == s.night.lastMS+int64(t.CustomerHash()%nightSpread)*1000
}
