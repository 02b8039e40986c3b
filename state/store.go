package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"go.uber.org/zap"
)

// Options say whose folder it is and how much memory the store may take. Zero fields take the defaults named.
type Options struct {
	App   string // the folder is bound to it
	Build string // written to a fresh folder

	MemTableBytes int64 // rows gathered before they become a table, at least 8 MiB; 32 MiB, of which two or three are in memory
	BacklogBytes  int64 // rows of a checkpoint that wait for the disk, at least half of MemTableBytes; 32 MiB. Beyond it Put waits
	ReserveBytes  int64 // free disk left alone besides what the store may need in one go; 32 MiB

	Logger *zap.Logger // what Badger has to say; nil: nobody listens

	// free reports the free bytes of the disk that holds the folder; tests fill the disk with it.
	free func(dir string) (int64, error)
}

// The defaults of Options.
const (
	defaultMemTable = 32 << 20
	defaultBacklog  = 32 << 20
	defaultReserve  = 32 << 20

	minMemTable = 8 << 20 // 15 % of it is what Badger takes at once, which must hold a row of MaxValue
)

func (o Options) withDefaults() Options {
	set := func(field *int64, value, least int64) {
		if *field == 0 {
			*field = value
		}
		*field = max(*field, least)
	}
	set(&o.MemTableBytes, defaultMemTable, minMemTable)
	set(&o.BacklogBytes, defaultBacklog, o.MemTableBytes/2)
	set(&o.ReserveBytes, defaultReserve, 0)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.free == nil {
		o.free = freeBytes
	}
	return o
}

// Store is the rows of a node. Reads may run from any goroutine, one checkpoint may be written beside them.
type Store struct {
	dir  string
	opt  Options
	lock *os.File
	made folder

	mu       sync.Mutex
	idle     sync.Cond // a reader left
	db       *badger.DB
	closed   bool
	readers  map[uint64]int // by the version they read
	complete uint64         // the last complete version, 0 if there is none
	previous uint64         // the complete version before it: what Badger must keep besides
	meta     []byte
	next     uint64 // the version of the next checkpoint, above any seen
	leaked   bool   // rows above the last complete version may be on disk
	broken   error  // a write failed: Badger must be opened anew before anything else
	active   *Checkpoint

	fellBack bool
	needed   atomic.Int64 // free bytes that the store may need in one go; set when a checkpoint begins
}

// Open opens the state folder, creating it if need be, and takes its lock. What a process left half-written is out of
// sight from then on.
func Open(dir string, o Options) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, restoringFile)); err == nil {
		return nil, fmt.Errorf("state: open %s: %w: a restore into it has not finished: run it again", dir, ErrCorrupt)
	}
	return openRestoring(dir, o)
}

func openRestoring(dir string, o Options) (*Store, error) {
	if o.App == "" {
		return nil, errors.New("state: open: Options.App is empty: name the app")
	}
	o = o.withDefaults()
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, opt: o, lock: lock, readers: map[uint64]int{}}
	s.idle.L = &s.mu
	if err := s.open(); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	var err error
	if s.made, err = claimFolder(s.dir, s.opt.App, s.opt.Build); err != nil {
		return err
	}
	seen, err := readProgress(s.dir)
	if err != nil {
		return err
	}
	s.needed.Store(s.opt.ReserveBytes + memTablesInFlight*s.opt.MemTableBytes)
	if err := s.checkSpace(); err != nil {
		return fmt.Errorf("state: open %s: %w", s.dir, err)
	}
	if err := s.openDB(); err != nil {
		return err
	}
	if err := s.findComplete(seen); err != nil {
		s.db.Close()
		return err
	}
	return nil
}

// findComplete sets what the store knows of versions from the newest marker row.
func (s *Store) findComplete(seen progress) error {
	version, meta, err := readMarker(s.db)
	if err != nil {
		return err
	}
	if version < seen.Kept {
		return fmt.Errorf("state: open %s: %w: the last whole checkpoint found is %d, but rows older than %d may be gone: restore a backup",
			s.dir, ErrCorrupt, version, seen.Kept)
	}
	newest := max(s.db.MaxVersion(), seen.Version, version)
	s.complete, s.previous, s.meta = version, seen.Kept, meta
	s.fellBack = version < seen.Version
	s.leaked = newest > version
	s.next = newest + 1
	s.db.SetDiscardTs(s.previous)
	return nil
}

func (s *Store) openDB() error {
	dir := filepath.Join(s.dir, dbDir)
	if err := makeDir(dir); err != nil {
		return err
	}
	if err := removeEmptyLogs(dir); err != nil {
		return err
	}
	db, err := badger.OpenManaged(s.badgerOptions(dir))
	if err != nil {
		return fmt.Errorf("state: open %s: %w: if it stays so, restore a backup", dir, noSpace(err))
	}
	s.db = db
	return nil
}

// badgerOptions: every value in the LSM tree, every write synced, little memory of our own. Chosen by the benchmarks of
// this package: half the memtable cost up to twice the CPU in compactions; memtables of 64 MiB, or 8 or 15 tables in
// level 0, saved a tenth at most and took twice as much. Without compression rows are read from the memory map as they
// lie, and the kernel's page cache is the cache: with snappy and a block cache of 64 MiB a read of a cold row took
// twice, a scan four times the CPU, for half the disk.
func (s *Store) badgerOptions(dir string) badger.Options {
	o := badger.DefaultOptions(dir)
	o.Logger = badgerLog{s.opt.Logger}
	o.MetricsEnabled = false
	o.SyncWrites = true
	o.DetectConflicts = false
	o.ValueThreshold = MaxValue + 1
	o.ValueLogFileSize = 1 << 20
	o.MemTableSize = s.opt.MemTableBytes
	o.NumMemtables = 1
	o.NumCompactors = 2
	o.NumLevelZeroTables = 5
	o.NumLevelZeroTablesStall = 15
	o.BaseTableSize = 8 << 20
	o.BaseLevelSize = 64 << 20
	o.BloomFalsePositive = 0.001
	o.BlockCacheSize = 0
	o.Compression = options.None
	return o
}

// memTablesInFlight is how many memtables' worth of disk may be written between two looks at the free space: the logs
// of the active one and those waiting, and the tables they become.
const memTablesInFlight = 3

// removeEmptyLogs removes the logs that a crash left without their first byte: Badger takes them for new files where it
// expects old ones.
func removeEmptyLogs(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return fmt.Errorf("state: open %s: %w", dir, err)
	}
	values, err := filepath.Glob(filepath.Join(dir, "*.vlog")) // nothing is ever in them
	if err != nil {
		return fmt.Errorf("state: open %s: %w", dir, err)
	}
	for _, path := range append(logs, values...) {
		fi, err := os.Stat(path)
		if err == nil && fi.Size() == 0 {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("state: open %s: %w", dir, err)
		}
	}
	return nil
}

// Close gives the folder back. A checkpoint that is not complete is lost.
func (s *Store) Close() error {
	s.mu.Lock()
	c := s.active
	s.mu.Unlock()
	if c != nil {
		c.Abort()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for len(s.readers) > 0 {
		s.idle.Wait()
	}
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if cerr := s.lock.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("state: close %s: %w", s.dir, noSpace(err))
	}
	return nil
}

// Dir returns the state folder.
func (s *Store) Dir() string { return s.dir }

// JournalDir returns the folder of the journal within the state folder.
func (s *Store) JournalDir() string { return filepath.Join(s.dir, journalDir) }

// Empty says that no checkpoint was ever completed.
func (s *Store) Empty() bool { return s.Version() == 0 }

// Version returns the version of the last complete checkpoint, 0 if there is none. Versions grow, with gaps.
func (s *Store) Version() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete
}

// Meta returns what the last complete checkpoint was completed with. It must not be changed.
func (s *Store) Meta() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meta
}

// FellBack says that the newest checkpoint was torn (a power cut that the disk did not survive as promised) and that
// the store opened at the one before it.
func (s *Store) FellBack() bool { return s.fellBack }

// progress is the content of the checkpoint file: how far versions had come, and what Badger was told to keep.
type progress struct {
	Version uint64 `json:"version"` // the last complete version
	Kept    uint64 `json:"kept"`    // rows that were overwritten at or before this version may be gone
}

func readProgress(dir string) (progress, error) {
	var p progress
	path := filepath.Join(dir, checkpointFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("state: read %s: %w", path, err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("state: read %s: %w: %w: restore a backup", path, ErrCorrupt, err)
	}
	return p, nil
}

func (p progress) write(dir string) error {
	b, err := json.Marshal(p)
	if err == nil {
		err = writeFile(filepath.Join(dir, checkpointFile), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("state: write %s: %w", filepath.Join(dir, checkpointFile), err)
	}
	return nil
}

// badgerLog hands what Badger says to zap.
type badgerLog struct{ log *zap.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger", text(f, a)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger", text(f, a)) }
func (l badgerLog) Infof(f string, a ...any)    { l.debug(f, a) }
func (l badgerLog) Debugf(f string, a ...any)   { l.debug(f, a) }

func (l badgerLog) debug(f string, a []any) {
	if e := l.log.Check(zap.DebugLevel, "badger"); e != nil {
		e.Write(text(f, a))
	}
}

func text(f string, a []any) zap.Field { return zap.String("text", fmt.Sprintf(f, a...)) }
