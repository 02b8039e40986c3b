package engine

import (
	"errors"
	"fmt"
	"maps"

	"nudge/state"
)

// CommandRebuilt is in the entry at which a state took over what was folded from the log under a new pipeline. It can't be folded: what was
// taken over is in the checkpoint of that epoch and nowhere else.
const CommandRebuilt = "rebuilt"

// ErrRebuilt says that an epoch cannot be folded because a rebuild was taken over in it.
var ErrRebuilt = errors.New("a rebuild was taken over in this epoch, and the state alone has what it brought: begin with a backup that was taken since")

// Grafter completes the state of a program out of that of another one which folded the same events.
type Grafter interface {
	Customer(into, from State)
	// Timer says whether timers of that name are among what is lacking.
	Timer(name string) bool
	// Tables completes shared state.
	Tables()
	// Whole names the tables whose rows are taken as they are.
	Whole() []string
}

// Graft completes this engine's state, of which nothing was folded since it was made, by what another engine folded up to the same offsets,
// moves on to the next epoch and writes it all as a checkpoint of that. It returns how many customers were completed.
func (e *Engine) Graft(from *Engine, g Grafter, to *state.Checkpoint, journalID string, entryHash uint64) (customers int, err error) {
	if len(e.shards) != len(from.shards) {
		return 0, fmt.Errorf("engine: %d shards and %d: the partition count of a topic was changed", len(e.shards), len(from.shards))
	}
	for i := range e.offsets {
		if !maps.Equal(e.offsets[i], from.offsets[i]) && !e.cfg.Inputs[i].Catalog {
			return 0, fmt.Errorf("engine: %s: the state has read up to %v, the rebuild up to %v", e.cfg.Inputs[i].Topic.Topic, e.offsets[i], from.offsets[i])
		}
	}
	for _, s := range e.shards {
		prefix := state.Key(kindCustomer, uint16(s.number), "")
		err := from.store.Scan(prefix, func(row, value []byte) error {
			key := string(row[len(prefix):])
			x, err := decodeCustomer(key, value, from.program)
			if err != nil || x.alias != nil {
				return err
			}
			c := s.load(key)
			if c == nil || c.alias != nil { // erased or forgotten meanwhile
				return s.err
			}
			s.graft(c, x, g)
			customers++
			w := s.row(c)
			to.Put(w.key, w.value)
			return nil
		})
		if err != nil {
			return customers, err
		}
	}
	g.Tables()
	e.number++
	e.BeginCheckpoint(to, journalID, entryHash)
	for done := false; !done; {
		if done, err = e.DrainCheckpoint(1 << 20); err != nil {
			return customers, err
		}
	}
	return customers, e.takeWhole(from, g.Whole(), to)
}

// graft completes one customer. What the watermark has passed comes no more: windows that closed by then were put out, if anybody asked for them.
func (s *shard) graft(c, x *customer, g Grafter) {
	g.Customer(c.state, x.state)
	for _, t := range x.timers {
		if _, armed := c.timer(t.Name); g.Timer(t.Name) && !armed {
			s.setTimer(c, Timer{Name: t.Name, AtMS: s.ahead(t.AtMS), ArmedBy: t.ArmedBy})
		}
	}
	for _, atMS := range x.visits {
		if atMS > s.watermarkMS && c.addVisit(atMS) {
			s.rounds.add(atMS, c.key)
		}
	}
}

// takeWhole takes the rows of tables as they are. They come after the checkpoint's own, whose place they take.
func (e *Engine) takeWhole(from *Engine, names []string, to *state.Checkpoint) error {
	for _, name := range names {
		prefix := tablePrefix(name)
		taken := map[string]bool{}
		err := from.store.Scan(prefix, func(key, value []byte) error {
			taken[string(key)] = true
			to.Put(key, value)
			return nil
		})
		if err != nil {
			return err
		}
		err = e.store.ScanKeys(prefix, func(key []byte) error {
			if !taken[string(key)] {
				to.Delete(key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return to.Err()
}
