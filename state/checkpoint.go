package state

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// Checkpoint is one version in the making. Put and Delete are called from one goroutine; Complete, which waits for the
// disk, may be called from another once the last of them has returned. A key is put or deleted once; of several the last
// one counts.
type Checkpoint struct {
	s       *Store
	version uint64
	started time.Time

	size    int    // bytes of a batch
	rows    *batch // being filled by Put
	queue   chan *batch
	spare   chan *batch
	waiting atomic.Int64 // bytes put and not yet written
	written sync.WaitGroup

	failed atomic.Pointer[error]
	stop   atomic.Bool // Abort: throw away what waits
	over   bool

	stats CheckpointStats
}

// CheckpointStats says what a checkpoint took.
type CheckpointStats struct {
	Version  uint64
	Rows     int           // rows put and deleted
	Repaired int           // rows written besides, to cover what a checkpoint left that never completed
	Bytes    int64         // of keys and values
	Took     time.Duration // from Begin to the end of Complete
}

// batch is rows in one buffer.
type batch struct {
	buf  []byte
	rows []row
}

type row struct {
	keyEnd, valEnd int // in buf; the key starts where the row before ended
	deleted        bool
}

// Begin starts a checkpoint. There is one at a time. With ErrNoSpace it can be tried again when there is room.
func (s *Store) Begin() (*Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.broken != nil && len(s.readers) > 0 {
		s.idle.Wait()
	}
	switch {
	case s.closed:
		return nil, errClosed
	case s.active != nil:
		return nil, errors.New("state: a checkpoint is already being written: complete or abort it first")
	}
	if s.broken != nil {
		if err := s.reopen(); err != nil {
			return nil, err
		}
	}
	s.needed.Store(s.need())
	if err := s.checkSpace(); err != nil {
		return nil, fmt.Errorf("state: checkpoint: %w", err)
	}
	// An eighth of a memtable lies below the 15 % that Badger takes at once.
	size := int(s.opt.MemTableBytes / 8)
	depth := int(s.opt.BacklogBytes)/size - 2 // one is being filled, one written
	c := &Checkpoint{
		s: s, version: s.next, started: time.Now(),
		size: size, rows: new(batch), queue: make(chan *batch, depth), spare: make(chan *batch, depth+2),
	}
	s.next++
	s.active = c
	c.written.Add(1)
	go c.write()
	return c, nil
}

// Version returns the version that the checkpoint will have.
func (c *Checkpoint) Version() uint64 { return c.version }

// Put adds a row. Key and value are copied. It waits only while more than Options.BacklogBytes wait for the disk.
func (c *Checkpoint) Put(key, val []byte) {
	if len(val) > MaxValue {
		c.fail(fmt.Errorf("state: put %q: the value has %d bytes, at most %d are allowed", key, len(val), MaxValue))
		return
	}
	c.add(key, val, false)
}

// Delete adds the absence of a row. The key is copied.
func (c *Checkpoint) Delete(key []byte) { c.add(key, nil, true) }

func (c *Checkpoint) add(key, val []byte, deleted bool) {
	if err := checkKey(key); err != nil {
		c.fail(err)
		return
	}
	n := len(key) + len(val)
	if len(c.rows.buf)+n > c.size {
		c.flush()
	}
	b := c.rows
	b.buf = append(append(b.buf, key...), val...)
	b.rows = append(b.rows, row{keyEnd: len(b.buf) - len(val), valEnd: len(b.buf), deleted: deleted})
	c.stats.Rows++
	c.stats.Bytes += int64(n)
}

// flush hands the rows put so far to the writer.
func (c *Checkpoint) flush() {
	if len(c.rows.rows) == 0 {
		return
	}
	c.waiting.Add(int64(len(c.rows.buf)))
	c.queue <- c.rows
	select {
	case c.rows = <-c.spare:
	default:
		c.rows = &batch{buf: make([]byte, 0, c.size)}
	}
}

// Backlog returns how many bytes wait for the disk. Put waits when they exceed Options.BacklogBytes; who can write his
// rows later does so.
func (c *Checkpoint) Backlog() int64 { return c.waiting.Load() }

// Err returns why the checkpoint can't complete any more, or nil.
func (c *Checkpoint) Err() error {
	if p := c.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (c *Checkpoint) fail(err error) { c.failed.CompareAndSwap(nil, &err) }

// write is the goroutine that hands batches to Badger, one at a time: after a failed write the next one must not reach it.
func (c *Checkpoint) write() {
	defer c.written.Done()
	var w writer
	for b := range c.queue {
		if c.Err() == nil && !c.stop.Load() {
			if err := c.commit(&w, b); err != nil {
				c.fail(err)
			}
		}
		c.waiting.Add(-int64(len(b.buf)))
		b.buf, b.rows = b.buf[:0], b.rows[:0]
		select {
		case c.spare <- b:
		default:
		}
	}
}

// writer holds what is used again from batch to batch. Badger keeps no reference to it after a commit.
type writer struct{ entries []badger.Entry }

// commit writes one batch at the checkpoint's version, synced.
func (c *Checkpoint) commit(w *writer, b *batch) error {
	c.s.needed.Store(c.s.need())
	if err := c.s.checkSpace(); err != nil {
		return fmt.Errorf("state: checkpoint %d: %w", c.version, err)
	}
	if cap(w.entries) < len(b.rows) {
		w.entries = make([]badger.Entry, len(b.rows))
	}
	w.entries = w.entries[:len(b.rows)]
	txn := c.s.db.NewTransactionAt(math.MaxUint64, true)
	defer func() { txn.Discard() }()
	start := 0
	for i, r := range b.rows {
		key := b.buf[start:r.keyEnd:r.keyEnd]
		e := &w.entries[i]
		*e = badger.Entry{Key: key, Value: b.buf[r.keyEnd:r.valEnd:r.valEnd]}
		start = r.valEnd
		set := func() error {
			if r.deleted {
				return txn.Delete(key)
			}
			return txn.SetEntry(e)
		}
		err := set()
		if errors.Is(err, badger.ErrTxnTooBig) {
			if err = txn.CommitAt(c.version, nil); err != nil {
				return c.broken(err)
			}
			txn = c.s.db.NewTransactionAt(math.MaxUint64, true)
			err = set()
		}
		if err != nil {
			return fmt.Errorf("state: checkpoint %d: put %q: %w", c.version, key, err)
		}
	}
	if err := txn.CommitAt(c.version, nil); err != nil {
		return c.broken(err)
	}
	return nil
}

// broken notes that Badger has failed a write.
func (c *Checkpoint) broken(err error) error {
	err = fmt.Errorf("state: checkpoint %d: write: %w", c.version, noSpace(err))
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.broken = err
	return err
}

// Complete waits until all rows are on disk and makes the checkpoint the last complete one, with meta beside it. If it
// fails, nothing has changed and the checkpoint is over: begin another one.
func (c *Checkpoint) Complete(meta []byte) (CheckpointStats, error) {
	if c.over {
		return c.stats, errors.New("state: the checkpoint is over")
	}
	c.flush()
	c.drain()
	err := c.Err()
	if err == nil {
		err = c.complete(meta)
	}
	c.end()
	if err != nil {
		return c.stats, err
	}
	c.stats.Version, c.stats.Took = c.version, time.Since(c.started)
	return c.stats, nil
}

// Abort gives the checkpoint up. Its rows stay out of sight. Aborting one that is over does nothing.
func (c *Checkpoint) Abort() {
	if c.over {
		return
	}
	c.stop.Store(true)
	c.drain()
	c.end()
}

func (c *Checkpoint) drain() {
	c.over = true
	close(c.queue)
	c.written.Wait()
}

func (c *Checkpoint) end() {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = nil
	if s.complete != c.version {
		s.leaked = true
	}
}

func (c *Checkpoint) complete(meta []byte) error {
	s := c.s
	if len(meta) > MaxValue {
		return fmt.Errorf("state: checkpoint %d: the meta has %d bytes, at most %d are allowed", c.version, len(meta), MaxValue)
	}
	if s.leaked {
		if err := c.cover(); err != nil {
			return err
		}
	}
	// A log's name must be durable before the marker says that what is in it is.
	if err := syncDir(filepath.Join(s.dir, dbDir)); err != nil {
		return err
	}
	if err := s.checkSpace(); err != nil {
		return fmt.Errorf("state: checkpoint %d: %w", c.version, err)
	}
	meta = append([]byte(nil), meta...)
	txn := s.db.NewTransactionAt(math.MaxUint64, true)
	defer txn.Discard()
	if err := txn.Set(markerKey, meta); err != nil {
		return fmt.Errorf("state: checkpoint %d: marker: %w", c.version, err)
	}
	if err := txn.CommitAt(c.version, nil); err != nil {
		return c.broken(err)
	}
	return c.publish(meta)
}

// publish moves reads to the checkpoint, whose marker is synced, and lets Badger drop what the one before the last had
// overwritten.
func (c *Checkpoint) publish(meta []byte) error {
	s := c.s
	// The marker may have gone to a log of its own.
	err := syncDir(filepath.Join(s.dir, dbDir))
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.complete
	s.complete, s.meta, s.leaked = c.version, meta, false
	if err == nil {
		err = progress{Version: c.version, Kept: before}.write(s.dir)
	}
	if err != nil {
		// The checkpoint stands. What Badger may drop stays as it was until the next one.
		s.opt.Logger.Warn("checkpoint is complete, but its progress could not be written", zap.Error(err))
		return nil
	}
	s.previous = before
	s.db.SetDiscardTs(s.keep())
	return nil
}
