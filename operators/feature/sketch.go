package feature

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"nudge/models"
	"nudge/streams"
)

// sketch is a partial aggregate that lives in canonical bytes; nothing is the empty one. Law: add and merge may reuse the bytes of their first
// argument and never keep the second; merge is associative and commutative.
type sketch interface {
	key() string
	add(b []byte, x sample) []byte
	merge(into, from []byte) []byte
	value(b []byte, nowMS int64) Value
	check(b []byte) error
	cost() sketchCost
}

// sketchCost is what a sketch takes: bytes after one value and at most, and the time of adding a value once it has met a thousand, from
// BenchmarkSketches.
type sketchCost struct {
	few, most   int
	nanoseconds float64
}

// sample is one value that an event has of a source.
type sample struct {
	atMS   int64
	number int64
	line   *streams.Line
	source *source
	o      *Observation
}

func (x *sample) text() string { return textOf(x.source.field, x.source.prop, x.o, x.line) }

// occurrence is a hash of the event and the line that the value is of.
func (x *sample) occurrence() uint32 {
	h := hashText(x.o.Event.ID)
	for i := range x.o.Event.Lines {
		if x.line == &x.o.Event.Lines[i] {
			h ^= uint64(i+1) * 0x9e3779b97f4a7c15
		}
	}
	return uint32(h * 0xff51afd7ed558ccd >> 32)
}

// MostText is how many bytes of a text first, last, topk and sequence keep.
const MostText = 64

// cutText cuts a text to MostText bytes, not within a character.
func cutText(text string) string {
	if len(text) <= MostText {
		return text
	}
	n := MostText
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

type distinctSketch struct{}

func (distinctSketch) key() string { return "distinct" }
func (distinctSketch) add(b []byte, x sample) []byte {
	return models.HLLAdd(b, hashText(x.text()))
}
func (distinctSketch) merge(into, from []byte) []byte { return models.HLLMerge(into, from) }
func (distinctSketch) value(b []byte, _ int64) Value {
	return Value{Number: math.Floor(models.HLLEstimate(b) + 0.5)}
}
func (distinctSketch) check(b []byte) error { return models.HLLCheck(b) }
func (distinctSketch) cost() sketchCost     { return sketchCost{8, models.HLLMost, 70} }

type topSketch struct{ k int }

func (topSketch) key() string { return "top" }
func (topSketch) add(b []byte, x sample) []byte {
	return models.TopKAdd(b, x.occurrence(), cutText(x.text()))
}
func (topSketch) merge(into, from []byte) []byte { return models.TopKMerge(into, from) }
func (s topSketch) value(b []byte, _ int64) Value {
	texts, _ := models.TopKValue(b, s.k)
	return Value{List: texts}
}
func (topSketch) check(b []byte) error { return models.TopKCheck(b) }
func (topSketch) cost() sketchCost     { return sketchCost{40, models.TopKMost, 2500} }

type quantileSketch struct{ q float64 }

func (quantileSketch) key() string { return "quantiles" }
func (quantileSketch) add(b []byte, x sample) []byte {
	return models.QuantilesAdd(b, x.number)
}
func (quantileSketch) merge(into, from []byte) []byte { return models.QuantilesMerge(into, from) }
func (s quantileSketch) value(b []byte, _ int64) Value {
	return Value{Number: models.QuantilesValue(b, s.q) / streams.Micro}
}
func (quantileSketch) check(b []byte) error { return models.QuantilesCheck(b) }
func (quantileSketch) cost() sketchCost     { return sketchCost{8, models.QuantilesMost, 2500} }

type decayedSketch struct{ halfLifeMS int64 }

func (s decayedSketch) key() string { return fmt.Sprintf("decayed %d", s.halfLifeMS) }
func (s decayedSketch) add(b []byte, x sample) []byte {
	if x.source.field == nil {
		x.number = streams.Micro
	}
	return models.DecayedAdd(b, x.number, x.atMS, s.halfLifeMS)
}
func (decayedSketch) merge(into, from []byte) []byte { return models.DecayedMerge(into, from) }
func (s decayedSketch) value(b []byte, nowMS int64) Value {
	return Value{Number: models.DecayedValue(b, nowMS, s.halfLifeMS) / streams.Micro}
}
func (decayedSketch) check(b []byte) error { return models.DecayedCheck(b) }
func (decayedSketch) cost() sketchCost     { return sketchCost{16, models.DecayedMost, 1000} }

// edgeSketch is the first or last value: its time (8 bytes, sortable) and then the text or the number (8 bytes). Of one time the greater goes
// before the smaller.
type edgeSketch struct{ first, number bool }

func (s edgeSketch) key() string { return fmt.Sprintf("edge %v %v", s.first, s.number) }
func (s edgeSketch) add(b []byte, x sample) []byte {
	var space [8 + MostText]byte
	e := binary.BigEndian.AppendUint64(space[:0], uint64(x.atMS)^1<<63)
	if s.number {
		e = binary.BigEndian.AppendUint64(e, uint64(x.number)^1<<63)
	} else {
		text := x.text()
		e = append(e, text[:min(len(text), MostText)]...)
	}
	return s.merge(b, e)
}
func (s edgeSketch) merge(into, from []byte) []byte {
	if len(from) == 0 {
		return into
	}
	if len(into) > 0 {
		order := bytes.Compare(from[:8], into[:8])
		if s.first {
			order = -order
		}
		if order < 0 || order == 0 && bytes.Compare(from[8:], into[8:]) <= 0 {
			return into
		}
	}
	return append(into[:0], from...)
}
func (s edgeSketch) value(b []byte, _ int64) Value {
	switch {
	case len(b) == 0:
		return Value{Number: math.NaN()}
	case s.number:
		return Value{Number: micros(int64(binary.BigEndian.Uint64(b[8:]) ^ 1<<63))}
	}
	return Value{Text: strings.ToValidUTF8(string(b[8:]), ""), Number: math.NaN()}
}
func (edgeSketch) cost() sketchCost { return sketchCost{24, 8 + MostText, 50} }
func (s edgeSketch) check(b []byte) error {
	if n := len(b); n != 0 && n < 8 || s.number && n != 0 && n != 16 || n > 8+MostText {
		return errors.New("feature: a first or last value is cut off")
	}
	return nil
}

// sequenceSketch is the last k values, the latest first, each with its time (8 bytes, sortable, inverted), its length (1 byte) and its text. Of one time they
// are in the order of their texts.
type sequenceSketch struct{ k int }

func (s sequenceSketch) key() string { return fmt.Sprintf("sequence %d", s.k) }
func (s sequenceSketch) add(b []byte, x sample) []byte {
	var space [9 + MostText]byte
	text := x.text()
	text = text[:min(len(text), MostText)]
	e := binary.BigEndian.AppendUint64(space[:0], ^(uint64(x.atMS) ^ 1<<63))
	e = append(append(e, byte(len(text))), text...)
	at := 0
	for n := 0; at < len(b) && compareElements(b[at:], e) <= 0; n++ {
		if n == s.k {
			return b
		}
		at += 9 + int(b[at+8])
	}
	end := len(b)
	b = append(b, e...)
	copy(b[at+len(e):], b[at:end])
	copy(b[at:], e)
	return s.cut(b)
}

// compareElements orders two elements by time, then by text.
func compareElements(a, b []byte) int {
	if x, y := binary.BigEndian.Uint64(a), binary.BigEndian.Uint64(b); x != y {
		return cmp.Compare(x, y)
	}
	return bytes.Compare(a[9:9+int(a[8])], b[9:9+int(b[8])])
}

// since is the time of the oldest of k elements: what is older is not among the last k. With fewer than k it is the least there is.
func (s sequenceSketch) since(b []byte) int64 {
	for at, n := 0, 1; at < len(b); n++ {
		if n == s.k {
			return int64(^binary.BigEndian.Uint64(b[at:]) ^ 1<<63)
		}
		at += 9 + int(b[at+8])
	}
	return math.MinInt64
}

// cut leaves k elements.
func (s sequenceSketch) cut(b []byte) []byte {
	at := 0
	for n := 0; n < s.k && at < len(b); n++ {
		at += 9 + int(b[at+8])
	}
	return b[:at]
}
func (s sequenceSketch) merge(into, from []byte) []byte {
	if len(from) == 0 {
		return into
	}
	out := make([]byte, 0, len(into)+len(from))
	for len(into)+len(from) > 0 {
		x := &into
		if len(into) == 0 || len(from) > 0 && compareElements(from, into) < 0 {
			x = &from
		}
		n := 9 + int((*x)[8])
		out = append(out, (*x)[:n]...)
		*x = (*x)[n:]
	}
	return s.cut(out)
}
func (s sequenceSketch) value(b []byte, _ int64) Value {
	var v Value
	for len(b) > 0 {
		n := 9 + int(b[8])
		v.List = append(v.List, strings.ToValidUTF8(string(b[9:n]), ""))
		b = b[n:]
	}
	return v
}
func (s sequenceSketch) cost() sketchCost { return sketchCost{32, s.k * (9 + MostText), 90} }
func (s sequenceSketch) check(b []byte) error {
	var before []byte
	for n := 0; len(b) > 0; n++ {
		if len(b) < 9 || len(b) < 9+int(b[8]) || b[8] > MostText || n >= s.k || before != nil && compareElements(before, b) > 0 {
			return errors.New("feature: a sequence is cut off or out of order")
		}
		before, b = b, b[9+int(b[8]):]
	}
	return nil
}
