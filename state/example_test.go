package state_test

import (
	"fmt"
	"os"

	"nudge/state"
)

func Example() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	s, err := state.Open(dir, state.Options{App: "shop"})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	j, err := s.OpenJournal(state.JournalHeader{App: "shop", Build: "v1", CPU: "amd64"}, state.JournalOptions{})
	if err != nil {
		panic(err)
	}
	defer j.Close()

	epoch, _, err := j.Append([]byte("what arrived"))
	if err != nil {
		panic(err)
	}
	if err := j.Sync(); err != nil {
		panic(err)
	}
	c, err := s.Begin()
	if err != nil {
		panic(err)
	}
	c.Put(state.Key('c', 3, "u-42"), []byte("two orders"))
	if _, err := c.Complete(fmt.Append(nil, "epoch ", epoch)); err != nil {
		panic(err)
	}
	val, found, err := s.GetCopy(nil, state.Key('c', 3, "u-42"))
	fmt.Printf("%s: %s %v %v\n", s.Meta(), val, found, err)
	// Output: epoch 1: two orders true <nil>
}
