package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"nudge/engine"
	"nudge/state"
)

// runningCheckpoint is a checkpoint whose rows are being written.
type runningCheckpoint struct {
	to      *state.Checkpoint
	epoch   uint64
	folding time.Duration // Node.folding when it began
	drained bool          // all rows are handed over; it is being completed
}

// checkpointEnd is how the completion of a checkpoint ended.
type checkpointEnd struct {
	epoch uint64
	stats state.CheckpointStats
	size  int64 // of the state folder, when it was complete
	err   error
}

// Rows of a checkpoint are encoded where nobody waits: a few at a time while no record does, and between two epochs few of them for each record folded, so that
// it ends on a node that is never idle. One that has a backlog has nobody who waits for milliseconds, and hands over more at a time; one that is overdue, all at once.
const (
	drainIdle     = 32
	recordsPerRow = 4
	rowsPerRecord = 4       // of a backlog
	drainOverdue  = 1 << 14 // mostBacklog is looked at between two
)

// mostBacklog bounds the bytes that wait for the disk before encoding pauses. It lies well below what the store takes before
// it makes the fold wait (state.Options.BacklogBytes).
const mostBacklog = 16 << 20

// redo is how long what lies after the last complete checkpoint took to fold.
func (n *Node) redo() time.Duration { return n.folding - n.foldingSafe }

// overdue says whether a checkpoint in progress has to be complete before anything else is taken in.
func (n *Node) overdue() bool { return n.check != nil && n.redo() > n.cfg.CheckpointRedo }

// tendCheckpoint begins a checkpoint when one is due and hands over some of its rows, after so many records were folded.
func (n *Node) tendCheckpoint(kill context.Context, records int) error {
	if n.check == nil {
		if n.noRoom && n.cfg.Now().Sub(n.lastCheck) < time.Second {
			return nil
		}
		due := n.noRoom || n.cfg.Now().Sub(n.lastCheck) >= n.cfg.CheckpointEvery || n.engine.Events()-n.eventsAtLast >= int64(n.cfg.CheckpointEvents) ||
			n.folding-n.foldingAtLast >= n.cfg.CheckpointRedo/2 || n.engine.Crowded()
		if !due || n.engine.Number() == 0 || n.engine.Number() == n.checked {
			return nil
		}
		if err := n.beginCheckpoint(); err != nil || n.check == nil {
			return err
		}
	}
	switch {
	case n.check.drained:
	case n.waitingRecords() >= n.cfg.EpochEvents:
		n.drain(kill, max(drainIdle, rowsPerRecord*records))
	default:
		n.drain(kill, max(drainIdle, records/recordsPerRow))
	}
	return nil
}

// beginCheckpoint starts one, unless the disk is full: then it is tried again at the next occasion.
func (n *Node) beginCheckpoint() error {
	to, err := n.cfg.Store.Begin()
	n.lastCheck, n.eventsAtLast, n.foldingAtLast = n.cfg.Now(), n.engine.Events(), n.folding
	if errors.Is(err, state.ErrNoSpace) {
		n.checkFailed(err)
		return nil
	}
	if err != nil {
		return err
	}
	n.step("checkpoint begin")
	number := n.engine.Number()
	_, hash := n.cfg.Journal.Last()
	n.engine.BeginCheckpoint(to, n.cfg.Journal.Header().ID, hash)
	n.check = &runningCheckpoint{to: to, epoch: number, folding: n.folding}
	return nil
}

// drains says that a checkpoint in progress has rows to hand over, and that the disk keeps up.
func (n *Node) drains() bool {
	return n.check != nil && !n.check.drained && n.check.to.Backlog() <= mostBacklog
}

// drain hands rows over; after the last one a goroutine completes the checkpoint.
func (n *Node) drain(kill context.Context, rows int) {
	if n.check.to.Backlog() > mostBacklog {
		return // the disk is behind
	}
	n.step("checkpoint batch")
	done, err := n.engine.DrainCheckpoint(rows)
	if !done && err == nil {
		return
	}
	n.check.drained = true
	to, epoch, meta := n.check.to, n.check.epoch, n.engine.CheckpointMeta()
	n.completing.Go(func() {
		end := checkpointEnd{epoch: epoch, err: err}
		if err == nil {
			// A decision that is not yet out must not be lost to a checkpoint that lies after it.
			end.err = n.waitPublished(kill, epoch)
		}
		if end.err == nil {
			n.step("checkpoint complete")
			end.stats, end.err = to.Complete(meta)
			n.step("checkpoint completed")
			if end.err == nil {
				end.size, end.err = n.cfg.Store.SizeOnDisk()
			}
		} else {
			to.Abort()
		}
		n.checkEnded <- end
	})
}

// waitPublished waits until a marker says that everything up to an epoch is published.
func (n *Node) waitPublished(kill context.Context, epoch uint64) error {
	for n.outbox.published.Load() < epoch {
		select {
		case <-n.marks:
		case <-kill.Done():
			return kill.Err()
		}
	}
	return nil
}

func (n *Node) checkpointEnded(end checkpointEnd) error {
	n.engine.EndCheckpoint(end.err == nil)
	if end.err == nil {
		n.foldingSafe = n.check.folding
	}
	n.check = nil
	if errors.Is(end.err, state.ErrNoSpace) {
		n.checkFailed(end.err)
		return nil
	}
	if end.err != nil {
		return fmt.Errorf("node: checkpoint of epoch %d: %w", end.epoch, end.err)
	}
	before := n.checked
	n.checked = end.epoch
	if n.noRoom {
		n.noRoom = false
		n.waitOver(waitCheckpoint)
	}
	n.metrics.checkpointed(end, n.cfg.Now())
	n.sized(end.size)
	n.log.Debug("checkpoint", zap.Uint64("epoch", end.epoch), zap.Int("rows", end.stats.Rows), zap.Int64("bytes", end.stats.Bytes), zap.Duration("took", end.stats.Took))
	n.step("trim")
	// The journal reaches back to the checkpoint before: that is where a power cut that tears this one leaves the store.
	_, err := n.cfg.Journal.TrimTo(before, n.cfg.JournalBytes)
	n.step("trimmed")
	return err
}

// checkFailed notes that there is no room for a checkpoint. Input goes on only as far as the journal and memory allow.
func (n *Node) checkFailed(err error) {
	n.noRoom = true
	n.waitFor(waitCheckpoint, "input is stopped until there is", err)
}

// measure looks how large the state folder is.
func (n *Node) measure() error {
	size, err := n.cfg.Store.SizeOnDisk()
	if err != nil {
		return err
	}
	n.sized(size)
	return nil
}

// sized compares the size of the state folder with what it may be. Beyond that nothing is taken in, for an event-time rule
// that would make room can't work without events: the operator has to.
func (n *Node) sized(bytes int64) {
	n.measured = n.cfg.Now()
	n.metrics.stateBytes.Set(float64(bytes))
	limit := n.cfg.StateBytes
	n.tooLarge = limit > 0 && bytes > limit
	switch {
	case n.tooLarge:
		n.waitFor(waitState, fmt.Sprintf("the state folder has %d MiB, %d are allowed: start again with more, or with a shorter limits.forget_after as well", bytes>>20, limit>>20), nil)
	case limit > 0 && bytes > limit/10*9:
		if !n.nearLimit {
			n.log.Warn("the state folder is nearly as large as limits.state allows; beyond it no input is taken", zap.Int64("bytes", bytes), zap.Int64("limit", limit))
		}
		n.nearLimit = true
		n.waitOver(waitState)
	default:
		n.nearLimit = false
		n.waitOver(waitState)
	}
}

// checkpointNow takes a checkpoint of everything folded and waits for it.
func (n *Node) checkpointNow(kill context.Context) error {
	for n.checked != n.engine.Number() {
		if n.check == nil {
			if err := n.beginCheckpoint(); err != nil {
				return err
			}
		}
		for n.check != nil && !n.check.drained {
			n.drain(kill, 1<<20)
			if !n.check.drained {
				select {
				case <-time.After(time.Millisecond):
				case err := <-n.failures:
					return err
				case <-kill.Done():
					return kill.Err()
				}
			}
		}
		if n.check == nil {
			if err := n.sleep(kill, waitCheckpoint, "input is stopped until there is", state.ErrNoSpace); err != nil {
				return err
			}
			continue
		}
		select {
		case end := <-n.checkEnded:
			if err := n.checkpointEnded(end); err != nil {
				return err
			}
		case c := <-n.calls:
			c.f(n.engine)
			close(c.done)
		case err := <-n.failures:
			return err
		case <-kill.Done():
			return kill.Err()
		}
	}
	return nil
}

// finish takes the closing checkpoint; with flush the watermark then moves to the end of the log, and the windows that are open
// are put out.
func (n *Node) finish(kill context.Context) error {
	if err := n.checkpointNow(kill); err != nil {
		return err
	}
	if !n.cfg.Flush {
		return nil
	}
	entry := &engine.Entry{ArrivalMS: n.cfg.Now().UnixMilli()}
	for shard := range n.lastRecord {
		entry.Ticks = append(entry.Ticks, engine.Tick{Shard: shard, AheadMS: n.engine.LatenessMS()})
	}
	for !n.flushed {
		if err := n.foldNew(kill, &engine.Epoch{Number: n.engine.Number() + 1, Entry: entry}); err != nil {
			return err
		}
		entry = &engine.Entry{ArrivalMS: n.cfg.Now().UnixMilli(), Commands: []engine.Command{{Kind: engine.CommandFlush}}}
	}
	return nil
}
