package node

import (
	"errors"
	"fmt"

	"nudge/engine"
	"nudge/state"
)

// TakeOverConfig is what a state takes over of a rebuild.
type TakeOverConfig struct {
	// Store and Journal are those of a node that was stopped, From is what was folded from the log under the new pipeline up to the same offsets.
	Store, From *state.Store
	Journal     *state.Journal
	// Definition is the text of the new pipeline, or of the one in force.
	Definition []byte
	Compile    func(engine.Setup) (Pipeline, error)
	// Grafter says what the state lacks: now has the state loaded under the new pipeline, from what was folded.
	Grafter func(now, from engine.Program) (engine.Grafter, error)
}

// TakeOver has the state of a stopped node go on under a new pipeline with what was folded from the log for it: one epoch of the journal, which
// names the new pipeline, and a checkpoint of it. If it was interrupted it is to be called again. It returns the epoch and how many customers were completed.
func TakeOver(cfg TakeOverConfig) (epoch uint64, customers int, err error) {
	meta, err := engine.ReadMeta(cfg.Store.Meta())
	if err != nil {
		return 0, 0, err
	}
	from, err := engine.ReadMeta(cfg.From.Meta())
	if err != nil {
		return 0, 0, err
	}
	setup := meta.Setup
	setup.Definition = cfg.Definition
	build := func(s engine.Setup, store *state.Store) (*engine.Engine, engine.Program, error) {
		p, err := cfg.Compile(s)
		if err != nil {
			return nil, nil, err
		}
		p.Engine.Parallel, p.Engine.Beside = workers(1), beside
		e, err := engine.New(p.Engine, p.Program, store)
		return e, p.Program, err
	}
	now, nowProgram, err := build(setup, cfg.Store)
	if err != nil {
		return 0, 0, err
	}
	folded, foldedProgram, err := build(from.Setup, cfg.From)
	if err != nil {
		return 0, 0, err
	}
	grafter, err := cfg.Grafter(nowProgram, foldedProgram)
	if err != nil {
		return 0, 0, err
	}
	epoch, hash, err := rebuiltEntry(cfg.Journal, meta, &setup)
	if err != nil {
		return 0, 0, err
	}
	to, err := cfg.Store.Begin()
	if err != nil {
		return 0, 0, err
	}
	customers, err = now.Graft(folded, grafter, to, cfg.Journal.Header().ID, hash)
	if err != nil {
		to.Abort()
		return 0, 0, err
	}
	_, err = to.Complete(now.CheckpointMeta())
	return epoch, customers, err
}

// rebuiltEntry appends the entry of the epoch at which the state takes over, and makes it durable. One that is there already was interrupted.
func rebuiltEntry(j *state.Journal, meta *engine.Meta, setup *engine.Setup) (epoch, hash uint64, err error) {
	last, hash := j.Last()
	switch {
	case meta.JournalID != j.Header().ID || last < meta.Epoch:
		return 0, 0, fmt.Errorf("node: %w: its journal is another: restore a whole backup", ErrForeignState)
	case last == meta.Epoch+1:
		payload, _, err := j.Entry(last)
		if err != nil {
			return 0, 0, err
		}
		entry, err := engine.DecodeEntry(payload)
		if err != nil {
			return 0, 0, err
		}
		if len(entry.Commands) != 1 || entry.Commands[0].Kind != engine.CommandRebuilt {
			break
		}
		if entry.Setup == nil || !entry.Setup.Equal(setup) {
			return 0, 0, errors.New("node: a rebuild for another pipeline was interrupted: finish it with that one")
		}
		return last, hash, nil
	case last == meta.Epoch:
		entry := engine.Entry{ArrivalMS: meta.ArrivalMS, Setup: setup, Commands: []engine.Command{{Kind: engine.CommandRebuilt}}}
		if epoch, hash, err = j.Append(entry.AppendBinary(nil)); err == nil {
			err = j.Sync()
		}
		return epoch, hash, err
	}
	return 0, 0, fmt.Errorf("node: the state is as of epoch %d, the journal goes on to %d: start the node and stop it cleanly first", meta.Epoch, last)
}
