package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeBytes returns what an ordinary process may still write to the disk that holds dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("state: look at the free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// checkSpace returns ErrNoSpace when less is free than the store may need in one go.
func (s *Store) checkSpace() error {
	free, err := s.opt.free(s.dir)
	if err != nil {
		return err
	}
	if need := s.needed.Load(); free < need {
		return fmt.Errorf("%w: %s has %d MiB free, %d MiB are needed: make room on it", ErrNoSpace, s.dir, free>>20, need>>20)
	}
	return nil
}

// need returns the free bytes that Badger may use before it gives any back: memtables on their way to the disk, one
// compaction of level 0 into the first level that holds anything, and one of a table into what lies below it.
func (s *Store) need() int64 {
	n := s.opt.ReserveBytes + memTablesInFlight*s.opt.MemTableBytes
	below := int64(0)
	for _, l := range s.db.Levels() {
		if l.Level == 0 || l.IsBaseLevel {
			n += l.Size
		} else {
			below = max(below, min(l.Size, 12*l.TargetFileSize))
		}
	}
	return n + below
}

// skipGone drops the error of a file that went away while the folder was walked.
func skipGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// SizeOnDisk returns the bytes that the state folder occupies, its journal included.
func (s *Store) SizeOnDisk() (int64, error) {
	var n int64
	err := filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return skipGone(err)
		}
		fi, err := d.Info()
		if err != nil {
			return skipGone(err)
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			n += int64(st.Blocks) * 512 // Badger's logs are sparse
		} else {
			n += fi.Size()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("state: size of %s: %w", s.dir, err)
	}
	return n, nil
}

// Compact merges what many checkpoints left into as little as possible. It reads and writes the whole store: do it
// when a node is at rest.
func (s *Store) Compact() error {
	db, version, _, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave(version)
	if err := db.Flatten(2); err != nil {
		return fmt.Errorf("state: compact %s: %w", s.dir, noSpace(err))
	}
	return nil
}
