package models_test

import (
	"bytes"
	"testing"

	"nudge/models"
)

// A record is worth something only when it has outcomes of either kind and its predictions are better than the share that happens; a bad
// beginning is forgotten.
func TestRecordIsWorthSomething(t *testing.T) {
	m := models.NewLogistic(4)
	for n := range 200 {
		m.Learn([]uint16{1}, m.Logit([]uint16{1}), n < 195)
	}
	if r := m.Record(); r.Enough() {
		t.Errorf("enough is known by %v outcomes of which %v happened", r.Examples, r.Happened)
	}
	for n := range 300 { // log-odds that are sure, and say nothing
		logit := float32(8)
		if n%4 < 2 {
			logit = -8
		}
		m.Learn([]uint16{2}, logit, n%2 == 0)
	}
	if r := m.Record(); !r.Enough() || r.Better() {
		t.Errorf("what says nothing is better than nothing: %+v", r)
	}
	wrong := m.AppendRecord(nil)
	for n := range 6000 {
		f := []uint16{uint16(n % 2)}
		m.Learn(f, m.Logit(f), n%2 == 0)
	}
	if r := m.Record(); !r.Better() {
		t.Errorf("what is right for long is not better than nothing: %+v", r)
	}
	// A record from before the losses of late were kept is that of all.
	old := models.NewLogistic(4)
	if err := old.LoadRecord(wrong[:len(wrong)-16]); err != nil {
		t.Fatal(err)
	}
	if r := old.Record(); !r.Enough() || r.Better() {
		t.Errorf("%+v", r)
	}
	if b := old.AppendRecord(nil); len(b) != len(wrong) || !bytes.Equal(b[:len(b)-16], wrong[:len(wrong)-16]) {
		t.Error("the rest of an old record is not as it was")
	}
}
