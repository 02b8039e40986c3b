package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"nudge/engine"
	"nudge/state"
	"nudge/streams"
)

// Node runs an engine live: it cuts epochs, journals them, folds, publishes and checkpoints.
type Node struct {
	cfg    Config
	log    *zap.Logger
	engine *engine.Engine
	inputs []engine.Input

	queues     []*queue // by input, then partition
	arrivals   chan arrival
	freeEvents chan []streams.Event

	outbox   *outbox
	appended chan struct{} // the journal has an entry to be synced
	syncedTo atomic.Uint64
	synced   chan struct{}
	marks    chan struct{}

	requests requests
	ended    chan struct{} // closed when Run is over
	calls    chan call
	commands []pendingCommand // to be journalled with the next cut
	ordered  []pendingCommand // in the epoch being folded

	check        *runningCheckpoint
	checkEnded   chan checkpointEnd
	looked       time.Time // when the ends of the logs were last asked for
	waitingSince time.Time // when the oldest record was fetched that no epoch has taken, where there is one
	lastCheck    time.Time
	eventsAtLast int64
	// folding is the time spent folding so far: in all, up to where the last checkpoint begins, and up to the last complete one.
	folding, foldingAtLast, foldingSafe time.Duration
	checked                             uint64 // epoch of the last complete checkpoint that this process took
	noRoom                              bool   // the last one failed for want of disk space
	tooLarge                            bool   // the state folder is larger than it may be
	nearLimit                           bool   // nearly so, and it was said
	measured                            time.Time
	failures                            chan error
	completing                          sync.WaitGroup // of the checkpoint
	lastRecord                          []time.Time    // by shard: when its last record was folded
	ticked                              time.Time
	began                               engine.Counts

	flushed bool           // the last epoch folded closed the last open window
	outputs []string       // result streams of the setup in force
	results *results       // their sinks
	sinks   []Sink         // all that were opened
	lines   string         // what their lines are put out under
	writing sync.WaitGroup // to them

	metrics *Metrics
	work    work
	waits   waits
	step_   func(string)
}

type call struct {
	f    func(e *engine.Engine)
	done chan struct{}
}

type pendingCommand struct {
	command engine.Command
	done    chan struct{}
}

// New makes a node. Run runs it, once.
func New(cfg Config) *Node {
	cfg = cfg.withDefaults()
	n := &Node{cfg: cfg, log: cfg.Log, arrivals: make(chan arrival, 16), freeEvents: make(chan []streams.Event, 64),
		appended: make(chan struct{}, 1), synced: make(chan struct{}, 1), marks: make(chan struct{}, 1),
		requests: requests{byCause: map[string]*asked{}}, ended: make(chan struct{}), calls: make(chan call), checkEnded: make(chan checkpointEnd, 1), failures: make(chan error, 4), step_: cfg.Step}
	n.metrics = newMetrics(&n.cfg, &n.waits)
	return n
}

func (n *Node) step(name string) {
	if n.step_ != nil {
		n.step_(name)
	}
}

// Run runs the node until ctx ends, which drains it cleanly, or, with UntilEnd, until the end. kill ends it at once.
func (n *Node) Run(ctx, kill context.Context) error {
	defer close(n.ended)
	kill, cancel := context.WithCancel(kill)
	defer cancel()
	defer n.closeResults()
	defer cancel()
	if err := n.open(kill); err != nil {
		return err
	}
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	defer n.completing.Wait()
	defer cancel()
	background.Go(func() { n.fail(n.syncJournal(kill)) })
	published := make(chan error, 1)
	background.Go(func() {
		err := n.outbox.run(kill)
		if err != nil {
			n.fail(err)
		}
		published <- err
	})
	if n.cfg.CommitOffsets != nil {
		background.Go(func() { n.commitOffsets(kill) })
	}
	fetching, stopFetching := context.WithCancel(kill)
	defer stopFetching()
	if err := n.recover(fetching, kill); err != nil {
		return err
	}
	if err := n.live(ctx, fetching, kill); err != nil {
		return err
	}
	stopFetching()
	if err := n.finish(kill); err != nil {
		return err
	}
	close(n.outbox.queue)
	select {
	case err := <-published:
		n.workEnds()
		return err
	case err := <-n.failures:
		return err
	}
}

func (n *Node) fail(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		select {
		case n.failures <- err:
		default:
		}
	}
}

// always is ready to be received from.
var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// live cuts and folds epochs as records arrive.
func (n *Node) live(ctx, fetching, kill context.Context) error {
	if err := n.measure(); err != nil {
		return err
	}
	n.metrics.ready.Store(true)
	tick := time.NewTicker(min(n.cfg.TickEvery, 100*time.Millisecond))
	defer tick.Stop()
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		if err := n.hearAll(); err != nil {
			return err
		}
		if n.cfg.UntilEnd && n.allFinished() {
			return nil
		}
		// Nothing is taken in until the disk has room for a checkpoint, the state is as small as it must be, and no checkpoint is overdue.
		stopped := n.noRoom || n.tooLarge || n.overdue()
		if n.overdue() && !n.check.drained {
			n.drain(kill, drainOverdue)
			linger.Reset(time.Millisecond) // the disk may be behind
		}
		waiting := n.waitingRecords()
		if stopped {
			waiting = 0
		}
		wait := n.cfg.EpochWait - n.cfg.Now().Sub(n.waitingSince)
		if !stopped && (len(n.commands) > 0 || n.asking() || waiting >= n.cfg.EpochEvents || waiting > 0 && wait <= 0 || n.tickDue()) {
			progress, err := n.epoch(kill)
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
			if progress {
				continue // what an epoch has left behind has waited long enough
			}
			n.waitingSince, wait = n.cfg.Now(), n.cfg.EpochWait // for other partitions, or the next tick
		}
		if waiting > 0 {
			linger.Reset(wait)
		}
		var spare chan struct{} // time that nobody waits in
		if n.drains() {
			spare = always
		}
		select {
		case a := <-n.arrivals:
			if err := n.hear(a); err != nil {
				return err
			}
		case <-linger.C:
		case <-spare:
			n.drain(kill, drainIdle)
		case <-tick.C:
			n.watchKafka()
			n.metrics.gauge(n, n.cfg.Now())
			if stopped {
				n.lookAtEnds(kill)
			}
			if n.tooLarge && n.cfg.Now().Sub(n.measured) >= time.Second {
				if err := n.measure(); err != nil {
					return err
				}
			}
			if err := n.tendCheckpoint(kill, 0); err != nil {
				return err
			}
		case c := <-n.calls:
			c.f(n.engine)
			close(c.done)
		case end := <-n.checkEnded:
			if err := n.checkpointEnded(end); err != nil {
				return err
			}
		case err := <-n.failures:
			return err
		case <-ctx.Done():
			return nil
		case <-kill.Done():
			return kill.Err()
		}
	}
}

// hearAll takes in what fetchers have brought, and answers calls, without waiting.
func (n *Node) hearAll() error {
	for {
		select {
		case a := <-n.arrivals:
			if err := n.hear(a); err != nil {
				return err
			}
		case c := <-n.calls:
			c.f(n.engine)
			close(c.done)
		case end := <-n.checkEnded:
			if err := n.checkpointEnded(end); err != nil {
				return err
			}
		case err := <-n.failures:
			return err
		default:
			return nil
		}
	}
}

func (n *Node) hear(a arrival) error {
	if a.err != nil {
		return fmt.Errorf("node: read %s: %w", a.queue.describe(), a.err)
	}
	if n.waitingRecords() == 0 {
		n.waitingSince = a.at
	}
	a.queue.hear(a)
	a.queue.alive = n.cfg.Now()
	if n.waits.has(waitKafka) {
		n.watchKafka()
	}
	return nil
}

func (n *Node) allFinished() bool {
	for _, q := range n.queues {
		if !q.finished() {
			return false
		}
	}
	return true
}

// waitingRecords counts what could be cut now, up to an epoch's worth.
func (n *Node) waitingRecords() int {
	total := 0
	for _, q := range n.queues {
		for i, c := range q.chunks {
			total += len(c.Records)
			if i == 0 {
				total -= q.head
			}
			if len(c.Records) == 0 {
				total++ // offsets to step over
			}
		}
		if total >= n.cfg.EpochEvents {
			return total
		}
	}
	return total
}

// epoch cuts, journals, folds and hands out one epoch.
func (n *Node) epoch(kill context.Context) (progress bool, err error) {
	ep, err := n.cut()
	if ep == nil || err != nil {
		return false, err
	}
	return true, n.foldNew(kill, ep)
}

// foldNew journals an epoch and folds it.
func (n *Node) foldNew(kill context.Context, ep *engine.Epoch) error {
	hash, err := n.append(kill, ep)
	if err != nil {
		return err
	}
	return n.fold(kill, ep, hash)
}

// append writes an epoch's entry to the journal. When the disk is full it waits for room: nothing is taken in meanwhile.
func (n *Node) append(kill context.Context, ep *engine.Epoch) (hash uint64, err error) {
	payload := ep.Entry.AppendBinary(nil)
	n.step("journal append")
	for {
		var number uint64
		number, hash, err = n.cfg.Journal.Append(payload)
		if err == nil {
			if number != ep.Number {
				return 0, fmt.Errorf("node: the journal gave epoch %d the number %d: the state folder is mixed; restore a backup", ep.Number, number)
			}
			break
		}
		if !errors.Is(err, state.ErrNoSpace) {
			return 0, err
		}
		n.lookAtEnds(kill)
		if err := n.sleep(kill, waitJournal, "", err); err != nil {
			return 0, err
		}
	}
	n.waitOver(waitJournal)
	n.step("journal appended")
	select {
	case n.appended <- struct{}{}:
	default:
	}
	return hash, nil
}

func (n *Node) fold(kill context.Context, ep *engine.Epoch, hash uint64) error {
	if len(ep.Entry.Spans) > 0 {
		n.workBegins()
	}
	started := n.cfg.Now()
	n.releaseOutputs()
	out, err := n.engine.Fold(ep)
	if err != nil {
		return err
	}
	n.folding += n.cfg.Now().Sub(started)
	records := ep.Records()
	n.release(ep.Runs)
	n.flushed = out.Flushed
	n.metrics.folded(ep, out, n.cfg.Now().Sub(started))
	n.metrics.gauge(n, started)
	for _, c := range n.ordered {
		close(c.done)
	}
	n.ordered = n.ordered[:0]
	if err := n.handOut(kill, &epochOut{out: out, results: n.results, told: n.answered(ep.Entry, out), hash: hash, offsets: n.offsets(), cutAt: started}); err != nil {
		return err
	}
	return n.tendCheckpoint(kill, records)
}

func (n *Node) releaseOutputs() {
	for {
		select {
		case o := <-n.outbox.free:
			n.engine.Release(o)
		default:
			return
		}
	}
}

// handOut gives an epoch to the outbox. While that is full nothing is taken in: memory is bounded.
func (n *Node) handOut(kill context.Context, e *epochOut) error {
	for i := range e.out.Messages {
		m := &e.out.Messages[i]
		e.bytes += int64(len(m.Data)+len(m.Subject)+len(m.ID)) + 64
	}
	for i := range e.out.Results {
		e.bytes += int64(len(e.out.Results[i].Key)+len(e.out.Results[i].Value)) + 56
	}
	for n.outbox.bytes.Load() > n.cfg.OutboxBytes {
		select {
		case <-n.outbox.room:
		case c := <-n.calls:
			c.f(n.engine)
			close(c.done)
		case err := <-n.failures:
			return err
		case <-kill.Done():
			return kill.Err()
		}
	}
	n.outbox.bytes.Add(e.bytes)
	for {
		select {
		case n.outbox.queue <- e:
			return nil
		case c := <-n.calls:
			c.f(n.engine)
			close(c.done)
		case err := <-n.failures:
			return err
		case <-kill.Done():
			return kill.Err()
		}
	}
}

// syncJournal makes entries durable as they come, many at a time when they come fast.
func (n *Node) syncJournal(kill context.Context) error {
	for {
		select {
		case <-n.appended:
		case <-kill.Done():
			return nil
		}
		n.step("journal sync")
		for {
			err := n.cfg.Journal.Sync()
			if err == nil {
				break
			}
			if !errors.Is(err, state.ErrNoSpace) {
				return err
			}
			if err := n.sleep(kill, waitJournal, "", err); err != nil {
				return nil
			}
		}
		n.waitOver(waitJournal)
		n.step("journal synced")
		n.syncedTo.Store(n.cfg.Journal.Synced())
		select {
		case n.synced <- struct{}{}:
		default:
		}
	}
}

func (n *Node) durable(epoch uint64) bool { return n.syncedTo.Load() >= epoch }

func (n *Node) nudgeMarks() {
	select {
	case n.marks <- struct{}{}:
	default:
	}
}

// Do runs f with the engine between two epochs.
func (n *Node) Do(ctx context.Context, f func(e *engine.Engine)) error {
	c := call{f: f, done: make(chan struct{})}
	select {
	case n.calls <- c:
		<-c.done
		return nil
	case <-ctx.Done():
		return fmt.Errorf("node: the fold did not answer: %w", ctx.Err())
	}
}

// Command journals a command and returns when the epoch that holds it is folded.
func (n *Node) Command(ctx context.Context, c engine.Command) error {
	done := make(chan struct{})
	err := n.Do(ctx, func(*engine.Engine) { n.commands = append(n.commands, pendingCommand{c, done}) })
	if err != nil {
		return err
	}
	select {
	case <-done:
		n.log.Info("an operator's command is in force", zap.String("command", c.Kind), zap.String("name", c.Name))
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// offsets snapshots the next input offsets, by queue.
func (n *Node) offsets() []int64 {
	o := make([]int64, len(n.queues))
	for i, q := range n.queues {
		o[i] = q.next
	}
	return o
}

func (n *Node) offsetMap(offsets []int64) map[string]map[int32]int64 {
	m := map[string]map[int32]int64{}
	for i, q := range n.queues[:len(offsets)] {
		if m[q.topic] == nil {
			m[q.topic] = map[int32]int64{}
		}
		m[q.topic][q.ID] = offsets[i]
	}
	return m
}

func (n *Node) commitOffsets(kill context.Context) {
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-kill.Done():
			return
		}
		var offsets map[string]map[int32]int64
		ctx, cancel := context.WithTimeout(kill, 5*time.Second)
		if n.Do(ctx, func(e *engine.Engine) { offsets = e.Offsets() }) == nil {
			if err := n.cfg.CommitOffsets(ctx, offsets); err != nil && kill.Err() == nil {
				n.log.Info("group offsets were not committed; they serve dashboards only", zap.Error(err))
			}
		}
		cancel()
	}
}

// workers runs f(0) to f(n-1) on at most w goroutines.
func workers(w int) func(n int, f func(i int)) {
	return func(n int, f func(i int)) {
		if w <= 1 || n <= 1 {
			for i := range n {
				f(i)
			}
			return
		}
		var next atomic.Int64
		var wg sync.WaitGroup
		for range min(w, n) {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					f(i)
				}
			})
		}
		wg.Wait()
	}
}

// beside runs f on a goroutine of its own.
func beside(f func()) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	return wg.Wait
}

const noOffset = math.MaxInt64
