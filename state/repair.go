package state

import (
	"fmt"
	"math"

	badger "github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// cover writes, at the checkpoint's version, the value or absence as of the last complete version of every key that a
// checkpoint left above it which never completed, unless the key is part of this checkpoint anyway. Deleting the
// orphans at their own version would hide the good rows as well.
func (c *Checkpoint) cover() error {
	s := c.s
	db, complete, _, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave(complete)
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{AllVersions: true, SinceTs: complete})
	defer it.Close()

	var w writer
	out := new(batch)
	var last []byte
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		key := item.Key()
		if string(key) == string(last) {
			continue // an older version
		}
		last = append(last[:0], key...)
		if v := item.Version(); v <= complete || v >= c.version || key[0] == kindBadger {
			continue
		}
		if string(key) == string(markerKey) {
			return fmt.Errorf("state: checkpoint %d: %w: found the marker of %d above the last complete %d: restart",
				c.version, ErrCorrupt, item.Version(), complete)
		}
		out.buf = append(out.buf, key...)
		keyEnd := len(out.buf)
		found, err := get(db, complete, key, func(val []byte) { out.buf = append(out.buf, val...) })
		if err != nil {
			return err
		}
		out.rows = append(out.rows, row{keyEnd: keyEnd, valEnd: len(out.buf), deleted: !found})
		c.stats.Repaired++
		if len(out.buf) >= c.size {
			if err := c.commit(&w, out); err != nil {
				return err
			}
			out.buf, out.rows = out.buf[:0], out.rows[:0]
		}
	}
	if len(out.rows) == 0 {
		return nil
	}
	return c.commit(&w, out)
}

// reopen opens Badger anew: it survives neither writes nor reads after some failed writes. s.mu is held.
func (s *Store) reopen() error {
	if len(s.readers) > 0 {
		return fmt.Errorf("state: wait until what reads has ended: the store is opened anew after %w", s.broken)
	}
	if err := s.checkSpace(); err != nil {
		return fmt.Errorf("state: open anew after %w: %w", s.broken, err)
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.opt.Logger.Warn("closing badger after a failed write", zap.Error(err))
		}
		s.db = nil
	}
	if err := s.openDB(); err != nil {
		return err
	}
	version, meta, err := readMarker(s.db)
	if err != nil {
		return err
	}
	if version < s.complete {
		return fmt.Errorf("state: %w: checkpoint %d was complete, after a failed write (%w) it is %d: restart, and restore a backup if it stays so",
			ErrCorrupt, s.complete, s.broken, version)
	}
	if version > s.complete {
		// Its marker was written, only the sync of it failed. All its rows were synced before.
		s.complete, s.meta = version, meta
	}
	newest := s.db.MaxVersion()
	s.leaked = newest > s.complete
	s.next = max(s.next, newest+1)
	s.db.SetDiscardTs(s.keep())
	s.broken = nil
	return nil
}
