package operators

import (
	"strings"
	"time"

	"nudge/engine"
)

// What time alone changes - a window that empties, the days since a visit - moves nobody by an event. Where an audience asks for
// such a thing every customer is looked at once a night, within the hour from three in the pipeline's zone, each at a second of their own.
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
		return time.Date(now.Year(), now.Month(), now.Day()+days, nightHour, 0, 0, 0, zone).UnixMilli()
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

// isLook says whether a visit is the customer's nightly look.
func (p *Program) isLook(t *engine.Turn, s *scratch, atMS int64) bool {
	if !p.nightly {
		return false
	}
	s.night.of(p.zone, atMS)
	return atMS == s.night.lastMS+int64(t.CustomerHash()%nightSpread)*1000
}
