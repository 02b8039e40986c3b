package state

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
	badger "github.com/dgraph-io/badger/v4"
)

var errClosed = errors.New("state: the store is closed")

// enter returns the database, the version to read and its meta. Badger keeps that version until leave is called.
func (s *Store) enter() (*badger.DB, uint64, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, nil, errClosed
	}
	if s.broken != nil {
		if err := s.reopen(); err != nil {
			return nil, 0, nil, err
		}
	}
	s.readers[s.complete]++
	return s.db, s.complete, s.meta, nil
}

func (s *Store) leave(version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readers[version]--; s.readers[version] == 0 {
		delete(s.readers, version)
		s.idle.Broadcast()
	}
}

// keep returns the version up to which Badger may drop overwritten rows: that of the complete checkpoint before the
// last, or of the oldest reader. s.mu is held.
func (s *Store) keep() uint64 {
	v := s.previous
	for r := range s.readers {
		v = min(v, r)
	}
	return v
}

// Get calls fn with the value of key as of the last complete checkpoint and says whether there is one. The value is
// only valid during the call. It takes some microseconds: keep what is used often in memory.
func (s *Store) Get(key []byte, fn func(val []byte)) (bool, error) {
	db, version, _, err := s.enter()
	if err != nil {
		return false, err
	}
	defer s.leave(version)
	if version == 0 {
		return false, checkKey(key)
	}
	return get(db, version, key, fn)
}

// GetCopy appends the value of key to dst and says whether there is one.
func (s *Store) GetCopy(dst []byte, key []byte) ([]byte, bool, error) {
	ok, err := s.Get(key, func(val []byte) { dst = append(dst, val...) })
	return dst, ok, err
}

func get(db *badger.DB, version uint64, key []byte, fn func(val []byte)) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	txn := db.NewTransactionAt(version, false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err == nil {
		err = item.Value(func(val []byte) error {
			fn(val)
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("state: get %q: %w", key, err)
	}
	return true, nil
}

// Scan calls fn with every row whose key starts with prefix, in key order, as of the last complete checkpoint. Key and
// value are only valid during the call. An error of fn ends the scan and is returned, ErrStop ends it without error. A
// checkpoint may complete meanwhile; the scan goes on over the old one.
func (s *Store) Scan(prefix []byte, fn func(key, val []byte) error) error {
	return s.scan(span{prefix: prefix, values: true}, fn)
}

// ScanKeys is Scan without the values.
func (s *Store) ScanKeys(prefix []byte, fn func(key []byte) error) error {
	return s.scan(span{prefix: prefix}, func(key, _ []byte) error { return fn(key) })
}

// ScanRange is Scan over the keys from <= key < to, at most limit of them. A nil to is the end, a limit of 0 is none.
func (s *Store) ScanRange(from, to []byte, limit int, fn func(key, val []byte) error) error {
	return s.scan(span{from: from, to: to, limit: limit, values: true}, fn)
}

// span is what a scan covers.
type span struct {
	prefix, from, to []byte
	limit            int
	values           bool
}

func (s *Store) scan(sp span, fn func(key, val []byte) error) error {
	db, version, _, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave(version)
	if err := scan(db, version, sp, fn); err != nil && !errors.Is(err, ErrStop) {
		return err
	}
	return nil
}

func scan(db *badger.DB, version uint64, sp span, fn func(key, val []byte) error) error {
	txn := db.NewTransactionAt(version, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: sp.prefix})
	defer it.Close()
	first := sp.from
	if first == nil {
		first = sp.prefix
	}
	n := 0
	for it.Seek(first); it.Valid(); it.Next() {
		item := it.Item()
		key := item.Key()
		if sp.to != nil && bytes.Compare(key, sp.to) >= 0 {
			return nil
		}
		if key[0] == kindReserved || key[0] == kindBadger {
			continue
		}
		var err error
		if sp.values {
			err = item.Value(func(val []byte) error { return fn(key, val) })
		} else {
			err = fn(key, nil)
		}
		if err != nil {
			return err
		}
		if n++; n == sp.limit {
			return nil
		}
	}
	return nil
}

// Hash returns a hash over all rows of the last complete checkpoint but those of KindIndex, their number and the bytes of their keys and
// values. The hash is a sum over rows: it depends on nothing but what they are.
func (s *Store) Hash() (hash uint64, rows int, size int64, err error) {
	var d xxhash.Digest
	err = s.Scan(nil, func(key, val []byte) error {
		if key[0] == KindIndex {
			return nil
		}
		hash += rowHash(&d, key, val)
		rows++
		size += int64(len(key) + len(val))
		return nil
	})
	return hash, rows, size, err
}

func rowHash(d *xxhash.Digest, key, val []byte) uint64 {
	d.Reset()
	d.Write([]byte{byte(len(key)), byte(len(key) >> 8)})
	d.Write(key)
	d.Write(val)
	return d.Sum64()
}

// readMarker returns the newest marker row: the version it completed and the meta it was completed with.
func readMarker(db *badger.DB) (uint64, []byte, error) {
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	item, err := txn.Get(markerKey)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil, nil
	}
	var meta []byte
	if err == nil {
		meta, err = item.ValueCopy(nil)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("state: read the last checkpoint's marker: %w", err)
	}
	return item.Version(), meta, nil
}
