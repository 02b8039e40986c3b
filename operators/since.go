package operators

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"nudge/engine"
	"nudge/operators/feature"
	"nudge/streams"
)

// begun is since when what features are made of has been kept: columns, which features may share, what orders have of their own, and the moments of values
// that are standardised. A feature sees less than its window until that has passed since the last of its columns began. What is new begins where the
// event clock stands after the first epoch under a pipeline that asks for it, so that nothing of the time from then on came before; what is asked for no more is
// forgotten.
type begun struct {
	firstMS  int64 // since when the state is kept at all; 0: it has seen no event yet
	parts    []begunPart
	features []begunFeature
	gone     []string // keys of rows of what is kept no more
	settled  bool     // all of them have begun
	table    *engine.Table

	noted map[string]int64 // as builds noted it that went by features and knew of no columns
	late  map[string]int64 // of features that came later than the state, by name: until when they see less than their window
}

// begunPart is one thing that is kept.
type begunPart struct {
	key     string
	set     *feature.Set // nil: of moments
	kept    feature.Kept
	sinceMS int64 // 0: not yet
	keptMS  int64 // for how long its tiles have been kept; less than is asked for by now until the next epoch
}

// begunFeature is a feature by what it is made of.
type begunFeature struct {
	name    string // such as user.views_1h
	noted   string // its key in begun.noted
	set     *feature.Set
	number  int
	parts   []int
	moments int   // the part that it is standardised by; -1: none
	sinceMS int64 // 0: not yet
	untilMS int64 // from then on it covers its window; feature.Never for one of a lifetime
}

// beginningMS is how exactly a beginning is known: an epoch holds at most a minute of event time.
const beginningMS = 60_000

// firstKey is the key of the row that says since when the state is kept.
const firstKey = "first"

func (p *Program) addBegun() {
	b := &begun{noted: map[string]int64{}, late: map[string]int64{}}
	for _, entity := range entities {
		set, at := p.set(entity), map[string]int{}
		for _, k := range set.Kept() {
			at[k.Key] = len(b.parts)
			b.parts = append(b.parts, begunPart{key: entity + "\n" + k.Key, set: set, kept: k})
		}
		for i := range set.Len() {
			f := begunFeature{name: entity + "." + set.Name(i), noted: entity + "\n" + set.Identity(i), set: set, number: i, moments: -1}
			for _, key := range set.Reads(i) {
				f.parts = append(f.parts, at[key])
			}
			b.features = append(b.features, f)
		}
	}
	for k, key := range p.standards.keys {
		b.features[p.standards.features[k]].moments = len(b.parts) // those of customers come first
		b.parts = append(b.parts, begunPart{key: entityUser + "\nstandard " + key})
	}
	b.table = &engine.Table{Name: "begun", Row: b.row, Load: b.load, Loaded: b.loaded}
	p.begun = b
}

// row 0 says since when the state is kept, then come the parts and what is gone.
func (b *begun) row(i uint32, key, value []byte) (k, v []byte) {
	n := int(i) - 1
	switch {
	case n < 0:
		if key = append(key, firstKey...); b.firstMS == 0 {
			return key, nil
		}
		return key, binary.AppendVarint(value, b.firstMS)
	case n < len(b.parts):
		p := &b.parts[n]
		if key = append(key, p.key...); p.sinceMS == 0 {
			return key, nil
		}
		return key, binary.AppendUvarint(binary.AppendVarint(value, p.sinceMS), uint64(p.keptMS))
	case n < len(b.parts)+len(b.gone):
		return append(key, b.gone[n-len(b.parts)]...), nil
	}
	return key, nil
}

func (b *begun) touch(part int) { b.table.Touch(uint32(part) + 1) }

func (b *begun) load(key, value []byte) error {
	since, n := binary.Varint(value)
	kept, m := binary.Uvarint(value[max(n, 0):])
	text := string(key)
	_, what, _ := strings.Cut(text, "\n")
	byFeature := what != "" && what[0] >= '0' && what[0] <= '9'
	switch whole := text == firstKey || byFeature; {
	case n <= 0, whole && n != len(value), !whole && (m <= 0 || n+m != len(value)):
		return fmt.Errorf("operators: since when %q has been kept: %x is no time", key, value)
	case text == firstKey:
		b.firstMS = since
		return nil
	case byFeature:
		b.noted[text] = since
	}
	if i := slices.IndexFunc(b.parts, func(p begunPart) bool { return p.key == text }); i >= 0 {
		b.parts[i].sinceMS, b.parts[i].keptMS = since, int64(kept)
	} else {
		b.table.Touch(uint32(1 + len(b.parts) + len(b.gone)))
		b.gone = append(b.gone, text)
	}
	return nil
}

func (b *begun) loaded() {
	if b.firstMS == 0 && len(b.noted) > 0 {
		b.adopt()
	}
	b.compare()
}

// adopt makes of what was noted by features what is known of their columns. It was noted of all features but those of a lifetime, whose columns are taken to
// be as old as the state.
func (b *begun) adopt() {
	b.table.Touch(0)
	for _, sinceMS := range b.noted {
		b.firstMS = earliest(b.firstMS, sinceMS)
	}
	for i := range b.parts {
		p := &b.parts[i]
		var of []*begunFeature // with what was noted, those that reach back furthest first
		for k := range b.features {
			if f := &b.features[k]; b.noted[f.noted] != 0 && slices.Contains(f.parts, i) {
				of = append(of, f)
			}
		}
		slices.SortStableFunc(of, func(x, y *begunFeature) int { return compare(y.set.Reach(y.number), x.set.Reach(x.number)) })
		switch {
		case len(of) > 0:
			longest := b.noted[of[0].noted]
			p.sinceMS, p.keptMS = longest, min(of[0].set.Reach(of[0].number), p.kept.KeepMS)
			for _, f := range of[1:] { // which may have kept tiles before the longest one was there
				p.sinceMS = min(p.sinceMS, max(b.noted[f.noted], p.set.WholeSince(&p.kept, f.set.Reach(f.number), longest)))
			}
		case p.set == nil || p.set.Lasts(&p.kept):
			p.sinceMS = b.firstMS
		default:
			continue
		}
		b.touch(i)
	}
}

// note notes the time from which what is new is kept.
func (b *begun) note(clockMS int64) {
	if b.settled || clockMS == math.MinInt64 || clockMS == 0 {
		return
	}
	if b.firstMS == 0 {
		b.table.Touch(0)
		b.firstMS = clockMS
	}
	for i := range b.parts {
		if p := &b.parts[i]; p.sinceMS == 0 || p.keptMS != p.kept.KeepMS {
			b.touch(i)
			p.sinceMS, p.keptMS = p.since(clockMS), p.kept.KeepMS
			if p.sinceMS == 0 {
				p.sinceMS = clockMS
			}
		}
	}
	b.settled = true
	b.compare()
}

// since is since when all of the part is there that is asked for: where its tiles are to be kept longer than they were, those of before are gone.
func (p *begunPart) since(clockMS int64) int64 {
	if p.set == nil || p.sinceMS == 0 || p.keptMS >= p.kept.KeepMS {
		return p.sinceMS
	}
	return max(p.sinceMS, p.set.WholeSince(&p.kept, p.keptMS, clockMS))
}

// lacks says of each part whether a state that was kept under an older pipeline has less of it than the log that from was folded from: it was not kept, or it
// began later than the state and than the log. Tiles that began later and are all whole by now lack nothing.
func (b *begun) lacks(old, from *begun, clockMS int64) []bool {
	out := make([]bool, len(b.parts))
	for i := range b.parts {
		p := &b.parts[i]
		since, log := p.since(clockMS), from.parts[i].sinceMS
		switch {
		case !slices.ContainsFunc(old.parts, func(o begunPart) bool { return o.key == p.key }):
			out[i] = true
		case log != 0 && since > log:
			out[i] = p.late(since, b.firstMS, clockMS)
		}
	}
	return out
}

// late says whether less of the part is there than a state has that has kept it from its beginning.
func (p *begunPart) late(sinceMS, firstMS, clockMS int64) bool {
	return sinceMS > firstMS+beginningMS && (p.set == nil || sinceMS > p.set.WholeSince(&p.kept, p.kept.KeepMS, clockMS))
}

// of names the features that are made of some part.
func (b *begun) of(parts func(i int) bool) (names []string) {
	for i := range b.features {
		if f := &b.features[i]; slices.ContainsFunc(f.parts, parts) || f.moments >= 0 && parts(f.moments) {
			names = append(names, f.name)
		}
	}
	return names
}

// BegunEmpty names the features that began later than the state, and see less than they would if they had been there from its beginning: what a rebuild may
// fill. clockMS is where the event clock stands.
func (p *Program) BegunEmpty(clockMS int64) []string {
	b := p.begun
	return b.of(func(i int) bool { return b.parts[i].late(b.parts[i].since(clockMS), b.firstMS, clockMS) })
}

// compare derives what is known of features from what is known of their columns.
func (b *begun) compare() {
	clear(b.late)
	for i := range b.features {
		f := &b.features[i]
		f.sinceMS, f.untilMS = 0, 0
		for _, n := range f.parts {
			since := b.parts[n].sinceMS
			if since == 0 {
				f.sinceMS = 0
				break
			}
			f.sinceMS = max(f.sinceMS, since)
		}
		if f.sinceMS == 0 {
			continue
		}
		if f.untilMS = f.set.Covers(f.number, f.sinceMS); b.younger(f) {
			b.late[f.name] = f.untilMS
		}
	}
}

// younger says whether a feature came later than the state.
func (b *begun) younger(f *begunFeature) bool { return f.sinceMS > b.firstMS+beginningMS }

// appendLate appends the name of a feature that came later than the state, while it sees less than its window: of a lifetime it does until a rebuild.
func (b *begun) appendLate(names []string, name string, nowMS int64) []string {
	if untilMS, ok := b.late[name]; ok && nowMS < untilMS {
		names = append(names, name)
	}
	return names
}

// warming says until when features of some entity, or of all, see less than their window, as of a time; of those of a lifetime that came later than the state since
// when they have counted, as no time makes up for what came before.
func (p *Program) warming(nowMS int64, entity string) (out map[string]string) {
	b := p.begun
	for i := range b.features {
		f := &b.features[i]
		if entity != "" && f.set != p.set(entity) || nowMS >= f.untilMS || f.untilMS == feature.Never && !b.younger(f) {
			continue
		}
		text := string(streams.AppendTime(nil, f.untilMS))
		if f.untilMS == feature.Never {
			text = "since " + string(streams.AppendTime(nil, f.sinceMS))
		}
		if out == nil {
			out = map[string]string{}
		}
		out[f.name] = text
	}
	return out
}
