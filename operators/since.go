package operators

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"nudge/engine"
	"nudge/operators/feature"
	"nudge/streams"
)

// begun is since when features have been kept: until a window's length has passed they see less than their window. It is noted when
// the first epoch with a watermark is folded under a pipeline that has them.
type begun struct {
	names []string // full names, such as user.views_1h
	keys  []string // entity, and what the feature is: one that is renamed has been kept since before
	fills []int64
	since []int64 // 0: not yet
	left  int     // of those
	table *engine.Table

	// The first time that any has been kept since, and until when those that came later see less than their window; 0: none did.
	firstMS, lateMS int64
}

func (p *Program) addBegun() {
	b := &begun{}
	for _, entity := range entities {
		set := p.set(entity)
		for i := range set.Len() {
			if set.Fills(i) == feature.Never {
				continue
			}
			b.names = append(b.names, entity+"."+set.Name(i))
			b.keys = append(b.keys, entity+"\n"+set.Identity(i))
			b.fills = append(b.fills, set.Fills(i))
		}
	}
	b.since, b.left = make([]int64, len(b.keys)), len(b.keys)
	b.table = &engine.Table{Name: "begun",
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			if int(i) >= len(b.keys) {
				return key, nil
			}
			if key = append(key, b.keys[i]...); b.since[i] == 0 {
				return key, nil
			}
			return key, binary.AppendVarint(value, b.since[i])
		},
		Load: func(key, value []byte) error {
			since, n := binary.Varint(value)
			if n != len(value) {
				return fmt.Errorf("operators: since when %q has been kept: %x is no number", key, value)
			}
			for i := range b.keys {
				if b.keys[i] == string(key) && b.since[i] == 0 {
					b.since[i] = since
					b.left--
				}
			}
			return nil
		},
		Loaded: b.compare}
	p.begun = b
}

// note notes the time from which features that are new are kept.
func (b *begun) note(watermarkMS int64) {
	if b.left == 0 || watermarkMS == math.MinInt64 || watermarkMS == 0 {
		return
	}
	for i := range b.since {
		if b.since[i] == 0 {
			b.table.Touch(uint32(i))
			b.since[i] = watermarkMS
		}
	}
	b.left = 0
	b.compare()
}

// compare finds those that came later than the first.
func (b *begun) compare() {
	b.firstMS, b.lateMS = 0, 0
	for _, since := range b.since {
		b.firstMS = earliest(b.firstMS, since)
	}
	for i, since := range b.since {
		if since > b.firstMS {
			b.lateMS = max(b.lateMS, since+b.fills[i])
		}
	}
}

// appendLate appends the name of a feature that a pipeline got later than others, while it sees less than its window.
func (b *begun) appendLate(names []string, name string, nowMS int64) []string {
	if nowMS >= b.lateMS {
		return names
	}
	if i := slices.Index(b.names, name); i >= 0 && b.since[i] > b.firstMS && nowMS < b.since[i]+b.fills[i] {
		names = append(names, name)
	}
	return names
}

// Warming says until when features see less than their window, as of a time.
func (p *Program) Warming(nowMS int64) map[string]string {
	var out map[string]string
	b := p.begun
	for i, name := range b.names {
		if untilMS := b.since[i] + b.fills[i]; b.since[i] != 0 && nowMS < untilMS {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = string(streams.AppendTime(nil, untilMS))
		}
	}
	return out
}
