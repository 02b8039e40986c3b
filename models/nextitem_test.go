package models

import (
	"encoding/binary"
	"math"
	"testing"
)

// What most have met, of all times, is named where what is in demand now is something else, and it counts the more the more often it comes true.
func TestNextItemNamesWhatMostHaveMet(t *testing.T) {
	const day = 24 * 3600_000
	opt := DefaultNextItem()
	opt.TrendHalfLifeMS = day
	m := NewNextItem(opt)
	s := m.NewScratch()
	staple, fads := MakeItem(0, 0), 30
	key := uint64(0)
	meet := func(item Item, at int64) {
		key++
		m.Learn(s, item, &Query{Session: key, NowMS: at}, at, 1)
	}
	for k := range 200 {
		meet(staple, int64(k)*day/10)
	}
	for k := range 4 * fads {
		meet(MakeItem(uint32(1+k%fads), 0), 60*day+int64(k))
	}
	q := &Query{Session: key + 1, NowMS: 60*day + 1000, Items: []Item{MakeItem(40, 0)}, TimesMS: []int64{60 * day}}
	found := false
	for _, c := range m.Rank(s, q) {
		found = found || c.Item == staple
	}
	if !found {
		t.Error("what most have met is no candidate")
	}
	before := m.blend.weight[VoicePopular]
	for k := range 300 {
		q := &Query{Session: key + 2 + uint64(k), NowMS: 61*day + int64(k), Items: []Item{MakeItem(uint32(40+k%3), 0)}, TimesMS: []int64{61 * day}}
		m.Learn(s, staple, q, q.NowMS, 1)
	}
	if after := m.blend.weight[VoicePopular]; after < 2*before {
		t.Errorf("it came true 300 times, and its weight went from %v to %v", before, after)
	}
}

// A head from before there was VoicePopular is read, with its first weight.
func TestNextItemHeadOfFewerVoices(t *testing.T) {
	m := NewNextItem(DefaultNextItem())
	whole := m.AppendHead(nil)
	seen := len(whole) - 8
	old := append(append([]byte(nil), whole[:seen-8]...), whole[seen:]...)
	again := NewNextItem(DefaultNextItem())
	if err := again.LoadHead(old); err != nil {
		t.Fatal(err)
	}
	if got := again.AppendHead(nil); string(got) != string(whole) {
		t.Errorf("read as %v of %v", got, whole)
	}
	if math.Float64frombits(binary.LittleEndian.Uint64(whole[seen-8:])) != popularAtFirst {
		t.Error("the last weight is not that of the newest voice")
	}
	if err := again.LoadHead(old[:len(old)-8]); err == nil {
		t.Error("a head of two fewer is read")
	}
}
