package node

import (
	"context"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"nudge/streams"
)

// look reads what the stream holds above a sequence, however long it takes.
func (o *outbox) look(ctx context.Context, floor uint64) error {
	for {
		var err error
		if o.recovery, err = o.stored(ctx, floor); err == nil {
			break
		}
		if err := o.n.sleep(ctx, waitNATS, "", err); err != nil {
			return err
		}
	}
	o.n.waitOver(waitNATS)
	if o.adopted { // what it holds now is of no later epoch than those to come: an erasure reaches it
		for _, h := range o.recovery {
			o.floor = max(o.floor, h.seq)
		}
	}
	return nil
}

// unmet says that the stream held messages at the start that no epoch has given again yet, or that nobody has looked.
func (o *outbox) unmet() bool { return !o.adopted && (o.recovery == nil || len(o.recovery) > 0) }

// adopt has the node go on although the stream holds what this journal does not give, as the operator allows: any message may be there from now on.
func (o *outbox) adopt(ctx context.Context, why error) error {
	o.n.log.Warn("adopting the stream: decisions whose ids it holds are not published again", zap.Error(why))
	o.adopted = true
	return o.look(ctx, 0)
}

// settle looks what is left over of what the stream held, when all epochs of the journal have been run again. That may be nothing: it would be
// of epochs that the journal has lost although it had called them durable.
func (o *outbox) settle(ctx context.Context) error {
	if o.another { // whose epochs may have decided otherwise
		clear(o.recovery)
	}
	if !o.unmet() {
		return nil
	}
	first, at := "", held{seq: math.MaxUint64}
	for id, h := range o.recovery {
		if h.seq < at.seq {
			first, at = id, h
		}
	}
	err := fmt.Errorf("node: %w: the stream holds %s and %d more messages of epochs after %d, the journal ends at %d: %w; restore the backup that belongs to the stream, or use --adopt to go on and trust ids alone", ErrForeignState, first, len(o.recovery)-1, o.fromNew-1, o.fromNew-1, errAhead)
	if !o.n.cfg.Adopt {
		return err
	}
	return o.adopt(ctx, err)
}

// lacking returns the messages of an epoch that the stream does not hold: all of them, but while epochs are run again
// after a restart.
func (o *outbox) lacking(e *epochOut) ([]streams.Message, error) {
	switch {
	case o.adopted:
	case e.out.Epoch <= o.upToOld:
		for i := 0; i < len(e.out.Messages) && len(o.recovery) > 0; i++ { // the marker may have been early
			id := e.out.Messages[i].ID
			e.held = max(e.held, o.recovery[id].seq)
			delete(o.recovery, id)
		}
		return nil, nil
	case e.out.Epoch >= o.fromNew:
		return e.out.Messages, nil
	}
	return o.without(e, e.out.Messages, o.recovery)
}

// held is a message that the stream holds.
type held struct{ seq, hash uint64 }

// without drops the messages that are stored; one that is stored with other bytes is an error.
func (o *outbox) without(e *epochOut, msgs []streams.Message, stored map[string]held) ([]streams.Message, error) {
	var lack []streams.Message
	for i := range msgs {
		m := &msgs[i]
		h, ok := stored[m.ID]
		if !ok {
			if !o.gone[m.ID] {
				lack = append(lack, *m)
			}
			continue
		}
		if h.hash != xxhash.Sum64(m.Data) && !o.adopted && !o.another {
			return nil, fmt.Errorf("node: %w: decision %s is in the stream with other bytes than this run gives: the state, the pipeline or the build is not the one that published it; restore the backup that belongs to the stream, or use --adopt to go on and trust ids alone", ErrForeignState, m.ID)
		}
		e.held = max(e.held, h.seq)
		if !o.adopted { // who adopts meets ids in any order
			delete(stored, m.ID)
		}
	}
	return lack, nil
}

// stored reads what the stream holds above a sequence.
func (o *outbox) stored(ctx context.Context, floor uint64) (map[string]held, error) {
	ids := map[string]held{}
	err := o.stream.Read(ctx, floor+1, func(seq uint64, _, id string, data []byte) error {
		ids[id] = held{seq, xxhash.Sum64(data)}
		return nil
	})
	return ids, err
}
