package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"nudge/engine"
	"nudge/state"
	"nudge/streams"
)

// The refusals at start. Each message names the cure.
var (
	// ErrLeased is a live lease of another owner.
	ErrLeased = errors.New("another node holds the lease of this app")
	// ErrForeignState is a state folder that does not belong to what the stream's marker says, or to what is out.
	ErrForeignState = errors.New("the state folder does not belong to what is published")
	// ErrRecordsChanged is a record that differs from the one folded before.
	ErrRecordsChanged = errors.New("records differ from those that were folded before")
	// ErrPartitionsChanged is a topic with another number of partitions than before.
	ErrPartitionsChanged = errors.New("the partition count of a topic was changed")
	// ErrGap is records that are gone before they were folded.
	ErrGap = errors.New("records were removed before they were read")
)

// open compiles the pipeline that the state is at, checks that state, journal, stream and topics belong together, and
// takes the lease.
func (n *Node) open(ctx context.Context) error {
	setup, err := n.setupInForce()
	if err != nil {
		return err
	}
	if err := n.build(setup); err != nil {
		return err
	}
	n.makeQueues()
	n.outbox = &outbox{n: n, pub: n.cfg.Publisher, stream: n.cfg.Stream, lease: newLease(n.cfg.Lease, n.cfg.Now), queue: make(chan *epochOut, 256),
		free: make(chan *engine.Output, 256), room: make(chan struct{}, 1), results: make(chan struct{}, 1), wrote: make(chan markerEnd, 1)}
	if err := n.checkTopics(ctx); err != nil {
		return err
	}
	if err := n.takeLease(ctx); err != nil {
		return err
	}
	if n.cfg.Leased != nil {
		n.cfg.Leased()
	}
	return n.beginResults(ctx)
}

// setupInForce is the setup of the checkpoint, unless the first entry after it changes it; that of the journal's first
// entry, or the configured one, where there is no checkpoint.
func (n *Node) setupInForce() (*engine.Setup, error) {
	setup := &n.cfg.Setup
	number := uint64(0)
	last, _ := n.cfg.Journal.Last()
	if !n.cfg.Store.Empty() {
		m, err := engine.ReadMeta(n.cfg.Store.Meta())
		if err != nil {
			return nil, err
		}
		setup, number = &m.Setup, m.Epoch
		if id := n.cfg.Journal.Header().ID; m.JournalID != id {
			return nil, fmt.Errorf("node: %w: the checkpoint was taken with journal %s, the folder holds journal %s: restore a whole backup", ErrForeignState, m.JournalID, id)
		}
		if last < number {
			return nil, fmt.Errorf("node: %w: the checkpoint is of epoch %d, the journal ends at %d: restore a whole backup", ErrForeignState, number, last)
		}
	}
	if last == number {
		return setup, nil
	}
	err := n.cfg.Journal.Read(number+1, func(_, _ uint64, payload []byte) error {
		e, err := engine.DecodeEntry(payload)
		if err != nil {
			return err
		}
		if e.Setup != nil {
			setup = e.Setup
		}
		return state.ErrStop
	})
	return setup, err
}

// build makes the engine of a setup on the last complete checkpoint.
func (n *Node) build(setup *engine.Setup) error {
	p, err := n.cfg.Compile(*setup)
	if err != nil {
		return err
	}
	cfg := p.Engine
	cfg.Parallel, cfg.Beside = workers(n.cfg.Workers), beside
	cfg.ActOnStale = setup.ActOnStale
	if n.engine, err = engine.New(cfg, p.Program, n.cfg.Store); err != nil {
		return err
	}
	n.inputs, n.outputs = cfg.Inputs, p.Program.Outputs()
	n.metrics.cache = engine.CacheStats{} // a new engine counts from 0
	return nil
}

// makeQueues makes the queues of the engine's inputs, standing where the state stands.
func (n *Node) makeQueues() {
	shards := 0
	for i, in := range n.inputs {
		for id := range int32(in.Partitions) {
			p := engine.Partition{Input: i, ID: id}
			from, ok := n.engine.Offset(p)
			if !ok {
				from = -1
			}
			n.queues = append(n.queues, newQueue(p, in.Topic.Topic, from))
		}
		if !in.Catalog && in.Partitions > 0 {
			shards = in.Partitions
		}
	}
	n.lastRecord = make([]time.Time, shards)
}

// checkTopics compares where the state stands with what the topics hold.
func (n *Node) checkTopics(ctx context.Context) error {
	made := n.engine.Setup().Inputs
	for i, in := range n.cfg.Setup.Inputs {
		if i >= len(made) || made[i].Topic != in.Topic {
			continue
		}
		was := made[i]
		if was.ID != "" && in.ID != "" && was.ID != in.ID {
			return fmt.Errorf("node: %w: topic %s was created anew since the state was made (id %s, now %s): set another `generation` in the pipeline and use an empty state folder with --adopt", ErrRecordsChanged, in.Topic, was.ID, in.ID)
		}
		if was.Partitions != in.Partitions && was.Partitions != 0 {
			return fmt.Errorf("node: %w: topic %s has %d partitions, the state was made with %d: its keys are spread anew; set another `generation` in the pipeline and use an empty state folder with --adopt, or create the topic with %d partitions", ErrPartitionsChanged, in.Topic, in.Partitions, was.Partitions, was.Partitions)
		}
	}
	for _, q := range n.queues {
		start, end, err := n.cfg.Source.Offsets(ctx, q.topic, q.ID)
		if err != nil {
			return err
		}
		q.start, q.end, q.endAtStart = start, end, end
		if n.cfg.UntilEnd {
			q.stopAt = end
		}
		switch {
		case q.next < 0:
			q.next = start
		case q.next > end:
			return fmt.Errorf("node: %w: %s/%d ends at %d, the state has read up to %d: the topic was created anew or truncated; set another `generation` and use an empty state folder with --adopt, or restore the topic", ErrRecordsChanged, q.topic, q.ID, end, q.next)
		case q.next < start:
			if err := n.checkGap(q); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkGap looks at a partition whose log begins after the state's offset: at what the journal's epochs after the checkpoint
// read of it, and whether what is missing then has been accepted, by them or by the operator.
func (n *Node) checkGap(q *queue) error {
	next := q.next
	err := n.cfg.Journal.Read(n.engine.Number()+1, func(number, _ uint64, payload []byte) error {
		entry, err := engine.DecodeEntry(payload)
		if err != nil {
			return err
		}
		for _, s := range entry.Spans {
			if s.Partition != q.Partition {
				continue
			}
			if s.Count > 0 && s.From < q.start && !n.inputs[q.Input].Catalog {
				return fmt.Errorf("node: %w: %s/%d begins at %d, the journal's epoch %d read from %d on and no checkpoint holds it: it can't be run again; restore the topic's records, or start with an empty state folder and --adopt to build the state from what the topics still hold", ErrGap, q.topic, q.ID, q.start, number, s.From)
			}
			next = s.To
		}
		for _, g := range entry.Gaps {
			if g.Partition == q.Partition {
				next = max(next, g.To)
			}
		}
		return nil
	})
	if err != nil || next >= q.start || n.cfg.AcceptGap {
		return err
	}
	return fmt.Errorf("node: %w: %s/%d begins at %d, the state has read up to %d: restore a backup that reaches further, or use --accept-gap to go on without the %d records between (they are counted and published as an advisory)", ErrGap, q.topic, q.ID, q.start, next, q.start-next)
}

// takeLease reads the marker, checks that journal and marker belong together and writes the marker anew under our name.
func (n *Node) takeLease(ctx context.Context) error {
	o := n.outbox
	m, seq, ok, err := n.readMarker(ctx)
	if err != nil {
		return err
	}
	last, _ := n.cfg.Journal.Last()
	o.fromNew, o.upToOld = last+1, 0
	o.seq = seq
	if o.another, err = n.cutElsewhere(last); err != nil {
		return err
	}
	if ok {
		if m, seq, err = n.waitLease(ctx, m, seq); err != nil {
			return err
		}
		o.seq, o.marker, o.upToOld = seq, m, m.Epoch
		if err := n.belongs(m); err != nil {
			if !n.cfg.Adopt {
				return err
			}
			n.log.Warn("adopting the stream: decisions whose ids it holds are not published again", zap.Error(err))
			o.marker.Adopted, o.marker.Epoch, o.upToOld = true, 0, 0
		}
		if o.marker.Adopted { // by this start or an earlier one: any decision may be in the stream
			o.adopted, o.marker.Floor = true, 0
		}
	}
	o.marker.JournalID, o.marker.Owner, o.marker.LeaseMS, o.marker.Released = n.cfg.Journal.Header().ID, n.cfg.Owner, n.cfg.Lease.Milliseconds(), false
	o.floor = o.marker.Floor
	if err := n.writeMarker(ctx); err != nil {
		return err
	}
	if err := o.look(ctx, o.marker.Floor); err != nil {
		return err
	}
	o.early = o.unmet()
	o.publishedUpTo()
	n.syncedTo.Store(n.cfg.Journal.Synced())
	return nil
}

// writeMarker writes the marker before the outbox runs, however long it takes.
func (n *Node) writeMarker(ctx context.Context) error {
	for {
		err := n.outbox.write(ctx)
		if err == nil {
			n.waitOver(waitNATS)
			return nil
		}
		if errors.Is(err, streams.ErrFenced) || ctx.Err() != nil {
			return err
		}
		if err := n.sleep(ctx, waitNATS, "", err); err != nil {
			return err
		}
	}
}

// cutElsewhere says whether epochs that are to be folded again were cut by another build, or on another kind of CPU. A score of
// theirs may then differ in its last digit.
func (n *Node) cutElsewhere(last uint64) (bool, error) {
	here := n.cfg.Journal.Header()
	for epoch := n.engine.Number() + 1; epoch <= last; epoch++ {
		h, err := n.cfg.Journal.HeaderAt(epoch)
		if err != nil {
			return false, err
		}
		if h != here {
			n.log.Warn("epochs after the checkpoint were cut by another build; what they have published is compared by id", zap.Uint64("epoch", epoch), zap.String("build", h.Build), zap.String("cpu", h.CPU))
			return true, nil
		}
	}
	return false, nil
}

func (n *Node) readMarker(ctx context.Context) (m streams.Marker, seq uint64, ok bool, err error) {
	for {
		if m, seq, ok, err = n.cfg.Stream.LastMarker(ctx); err == nil || ctx.Err() != nil {
			return m, seq, ok, err
		}
		if err := n.sleep(ctx, waitNATS, "", err); err != nil {
			return m, 0, false, err
		}
	}
}

// waitLease refuses a live lease of another owner, or with take-over waits until it has ended: until its marker has not
// changed for the length of the lease by our own clock.
func (n *Node) waitLease(ctx context.Context, m streams.Marker, seq uint64) (streams.Marker, uint64, error) {
	lease := time.Duration(m.LeaseMS) * time.Millisecond
	if m.Released || m.Owner == n.cfg.Owner {
		return m, seq, nil
	}
	ends := time.UnixMilli(m.Written).Add(lease)
	if !n.cfg.TakeOver {
		if n.cfg.Now().Before(ends.Add(time.Second)) {
			return m, seq, fmt.Errorf("node: %w: %q until %s: stop it, or wait, or use --take-over to wait until the lease has ended and go on from this state folder", ErrLeased, m.Owner, ends.UTC().Format(time.RFC3339))
		}
		return m, seq, nil
	}
	defer n.waitOver(waitLease)
	unchanged := n.cfg.Now()
	for n.cfg.Now().Sub(unchanged) < lease {
		if err := n.sleep(ctx, waitLease, "of "+m.Owner, nil); err != nil {
			return m, seq, err
		}
		m2, seq2, _, err := n.readMarker(ctx)
		if err != nil {
			return m, seq, err
		}
		if seq2 != seq {
			m, seq, unchanged = m2, seq2, n.cfg.Now()
		}
		if m.Released {
			break
		}
	}
	return m, seq, nil
}

// belongs checks that the journal holds the entry that the marker speaks of.
func (n *Node) belongs(m streams.Marker) error {
	if m.Epoch == 0 {
		return nil
	}
	const cure = "restore the backup that belongs to the stream, or use --adopt to go on from this folder and suppress what the stream holds by id"
	if n.cfg.Store.Empty() {
		if last, _ := n.cfg.Journal.Last(); last == 0 {
			return fmt.Errorf("node: %w: the folder is empty, the stream's marker stands at epoch %d: %s", ErrForeignState, m.Epoch, cure)
		}
	}
	if m.JournalID != n.cfg.Journal.Header().ID {
		return fmt.Errorf("node: %w: the marker names journal %s, the folder holds %s: %s", ErrForeignState, m.JournalID, n.cfg.Journal.Header().ID, cure)
	}
	hash, ok, err := n.entryHash(m.Epoch)
	if err != nil {
		return err
	}
	if !ok || hash != m.EntryHash {
		return fmt.Errorf("node: %w: the journal does not hold the entry of epoch %d that the marker names: %s", ErrForeignState, m.Epoch, cure)
	}
	return nil
}

func (n *Node) entryHash(epoch uint64) (hash uint64, ok bool, err error) {
	err = n.cfg.Journal.Read(epoch, func(e, h uint64, _ []byte) error {
		hash, ok = h, e == epoch
		return state.ErrStop
	})
	if errors.Is(err, state.ErrNoEntry) {
		return 0, false, nil
	}
	return hash, ok, err
}

// OwnerOf names the owner of a state folder on a machine.
func OwnerOf(host, dir string) string {
	return fmt.Sprintf("%s-%08x", host, uint32(xxhash.Sum64String(dir)))
}
