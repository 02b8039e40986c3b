package enginetest

import (
	"testing"

	"pgregory.net/rapid"

	"nudge/engine"
)

func TestDiaryMerges(t *testing.T) {
	d := NewDiary()
	rapid.Check(t, func(r *rapid.T) {
		state := func() func() engine.State {
			type event struct {
				at   int64
				text string
			}
			var events []event
			for range rapid.IntRange(0, 2*Kept).Draw(r, "events") {
				events = append(events, event{rapid.Int64Range(0, 20).Draw(r, "at"), rapid.StringMatching("[a-c]").Draw(r, "text")})
			}
			return func() engine.State {
				s := &State{}
				for _, e := range events {
					s.Events++
					s.note(Note{e.at, e.text})
				}
				return s
			}
		}
		CheckMerge(t, d, state(), state(), state())
	})
}
