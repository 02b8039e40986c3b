package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// ErrNoEntry: the journal does not hold the epoch asked for; it was trimmed, or never written.
var ErrNoEntry = errors.New("the journal does not hold this epoch")

// JournalHeader says what a journal is and who wrote it. Every segment carries it, so a change of build or CPU starts a
// new segment.
type JournalHeader struct {
	ID    string `json:"id"` // 128 random bits in hex; left empty, a fresh journal draws it
	App   string `json:"app"`
	Build string `json:"build"`
	CPU   string `json:"cpu"`
}

// JournalOptions are the rest of what opening a journal takes. The zero value is right for a node.
type JournalOptions struct {
	First        uint64       // epoch of the first entry of a fresh journal; 0 means 1
	SegmentBytes int64        // a segment is closed when it is as large; 0 means 64 MiB
	ReadOnly     bool         // change nothing: a torn end is passed over, Append is refused
	Space        func() error // asked before each entry; an error keeps it from being written
}

// Torn says what was cut off the journal's end when it was opened.
type Torn struct {
	Path   string
	Offset int64
	Bytes  int64
	Cause  error
}

// Journal is the log of epochs. One goroutine appends; Sync, Read and the rest may run beside it.
type Journal struct {
	dir    string
	opt    JournalOptions
	header JournalHeader // of the segments to come
	torn   *Torn

	mu       sync.Mutex // the fields below, and who appends
	segments []*segment
	offsets  []int64 // of the entries of the last segment
	hash     uint64
	roll     bool // the next entry starts a segment
	buf      []byte

	last   atomic.Uint64 // last epoch appended
	synced atomic.Uint64 // last epoch known to be durable
	failed atomic.Pointer[error]

	syncMu sync.Mutex // taken after mu, never before
	f      *os.File   // of the last segment; changed under both
}

// OpenJournal opens the journal in dir, or creates one. The folder is not locked: a Store's lock covers its own journal.
// A torn last entry is cut off and told by Torn, damage elsewhere is ErrCorrupt. Everything it holds is durable when it
// returns.
func OpenJournal(dir string, h JournalHeader, o JournalOptions) (*Journal, error) {
	if o.First == 0 {
		o.First = 1
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	j := &Journal{dir: dir, opt: o, header: h}
	if !o.ReadOnly {
		if err := makeDir(dir); err != nil {
			return nil, err
		}
		if err := removeHalfMade(dir); err != nil {
			return nil, err
		}
	}
	var err error
	if j.segments, err = openSegments(dir); err != nil {
		return nil, err
	}
	if len(j.segments) == 0 {
		return j, j.create()
	}
	have := j.segments[len(j.segments)-1].head.JournalHeader
	if h.App != "" && h.App != have.App {
		return nil, fmt.Errorf("state: journal: open %s: %w: it is %q's, this is %q", dir, ErrOtherApp, have.App, h.App)
	}
	if h.ID != "" && h.ID != have.ID {
		return nil, fmt.Errorf("state: journal: open %s: it is journal %s, not %s: give the folder of that one", dir, have.ID, h.ID)
	}
	j.header.ID, j.header.App = have.ID, have.App
	j.roll = have != j.header
	return j, j.openLast()
}

// OpenJournal opens the journal of the state folder. Its entries leave the store the disk that it may need.
func (s *Store) OpenJournal(h JournalHeader, o JournalOptions) (*Journal, error) {
	if o.Space == nil {
		o.Space = s.checkSpace
	}
	return OpenJournal(s.JournalDir(), h, o)
}

func removeHalfMade(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if err != nil {
		return fmt.Errorf("state: journal: open %s: %w", dir, err)
	}
	for _, n := range names {
		if err := os.Remove(n); err != nil {
			return fmt.Errorf("state: journal: open: %w", err)
		}
	}
	return nil
}

func (j *Journal) create() error {
	if j.opt.ReadOnly {
		return fmt.Errorf("state: journal: open %s: %w: it holds no segment: give the folder of a journal", j.dir, fs.ErrNotExist)
	}
	if j.header.ID == "" {
		var id [16]byte
		if _, err := rand.Read(id[:]); err != nil {
			return fmt.Errorf("state: journal: draw an id: %w", err)
		}
		j.header.ID = hex.EncodeToString(id[:])
	}
	j.hash = chainHash(0, []byte(j.header.ID))
	j.last.Store(j.opt.First - 1)
	j.synced.Store(j.opt.First - 1)
	return j.startSegment()
}

// openLast finds the end of the last segment.
func (j *Journal) openLast() error {
	s := j.segments[len(j.segments)-1]
	flag := os.O_RDWR
	if j.opt.ReadOnly {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(s.path, flag, 0)
	if err != nil {
		return fmt.Errorf("state: journal: open: %w", err)
	}
	if err := j.findEnd(s, f); err != nil {
		f.Close()
		return err
	}
	j.f = f
	return nil
}

func (j *Journal) findEnd(s *segment, f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("state: journal: open: %w", err)
	}
	s.end = fi.Size()
	epoch, hash, bad, err := s.walk(f, s.end, func(at int64, _ *entry) error {
		j.offsets = append(j.offsets, at)
		return nil
	})
	if err != nil {
		return err
	}
	if bad != nil {
		torn, err := s.torn(f, s.end, bad)
		if err != nil {
			return err
		}
		if !torn {
			return s.corrupt(bad)
		}
		j.torn = &Torn{Path: s.path, Offset: bad.offset, Bytes: s.end - bad.offset, Cause: bad.cause}
		s.end = bad.offset
	}
	j.hash = hash
	j.last.Store(epoch)
	j.synced.Store(epoch)
	if j.opt.ReadOnly {
		return nil
	}
	if bad != nil {
		if err := f.Truncate(s.end); err != nil {
			return fmt.Errorf("state: journal: cut off the torn end of %s: %w", s.path, err)
		}
	}
	if err := datasync(f); err != nil {
		return fmt.Errorf("state: journal: sync %s: %w", s.path, err)
	}
	return nil
}

// Header returns the header of the segments to come.
func (j *Journal) Header() JournalHeader { return j.header }

// HeaderAt returns the header of the segment that holds an epoch: which build on which CPU cut it.
func (j *Journal) HeaderAt(epoch uint64) (JournalHeader, error) {
	s, err := j.segmentOf(epoch)
	if err != nil {
		return JournalHeader{}, err
	}
	return s.head.JournalHeader, nil
}

// Torn returns what was cut off when the journal was opened, or nil.
func (j *Journal) Torn() *Torn { return j.torn }

// First returns the oldest epoch that the journal holds, or will hold.
func (j *Journal) First() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments[0].head.First
}

// Last returns epoch and hash of the last entry. Of a fresh journal it is the epoch before the first one.
func (j *Journal) Last() (epoch, hash uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last.Load(), j.hash
}

// Synced returns the last epoch known to be durable.
func (j *Journal) Synced() uint64 { return j.synced.Load() }

// Append writes the next entry and returns its epoch and hash. It is durable after the next Sync. After ErrNoSpace the
// same call can be made again; after another error the journal is over.
func (j *Journal) Append(payload []byte) (epoch, hash uint64, err error) {
	if len(payload) > MaxEntry {
		return 0, 0, fmt.Errorf("state: journal: append: the entry has %d bytes, at most %d are allowed", len(payload), MaxEntry)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.usable(); err != nil {
		return 0, 0, err
	}
	if j.opt.Space != nil {
		if err := j.opt.Space(); err != nil {
			return 0, 0, fmt.Errorf("state: journal: append: %w", err)
		}
	}
	s := j.segments[len(j.segments)-1]
	if j.roll || s.end >= j.opt.SegmentBytes {
		if err := j.startSegment(); err != nil {
			return 0, 0, err
		}
		s = j.segments[len(j.segments)-1]
	}
	last := j.last.Load()
	e := entry{epoch: last + 1, hash: chainHash(j.hash, payload), payload: payload, behind: uint32(last - j.synced.Load())}
	j.buf = e.appendTo(j.buf[:0])
	if _, err := j.f.WriteAt(j.buf, s.end); err != nil {
		if terr := j.f.Truncate(s.end); terr != nil {
			return 0, 0, j.fail(fmt.Errorf("state: journal: cut back a failed write to %s: %w", s.path, terr))
		}
		return 0, 0, fmt.Errorf("state: journal: append epoch %d to %s: %w", e.epoch, s.path, noSpace(err))
	}
	j.offsets = append(j.offsets, s.end)
	s.end += e.size()
	j.hash = e.hash
	j.last.Store(e.epoch)
	return e.epoch, e.hash, nil
}

// startSegment closes the last segment, all of it durable, and starts the next one. j.mu is held.
func (j *Journal) startSegment() error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	last := j.last.Load()
	if j.f != nil && j.synced.Load() < last {
		if err := datasync(j.f); err != nil {
			return j.fail(fmt.Errorf("state: journal: sync: %w", err))
		}
		j.synced.Store(last)
	}
	s, f, err := createSegment(j.dir, segmentText{JournalHeader: j.header, First: last + 1, Prev: j.hash})
	if err != nil {
		return err
	}
	if j.f != nil {
		if err := j.f.Close(); err != nil {
			f.Close()
			return j.fail(fmt.Errorf("state: journal: close a segment: %w", err))
		}
	}
	if n := len(j.segments); n > 0 && j.segments[n-1].path == s.path {
		j.segments = j.segments[:n-1] // it held no entry yet
	}
	j.segments = append(j.segments[:len(j.segments):len(j.segments)], s)
	j.f, j.offsets, j.roll = f, j.offsets[:0], false
	return nil
}

// Sync makes everything durable that was appended before the call. It may run beside Append; of several at once one
// does the work of all.
func (j *Journal) Sync() error {
	want := j.last.Load()
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.synced.Load() >= want {
		return nil
	}
	if err := j.usable(); err != nil {
		return err
	}
	covers := j.last.Load()
	if err := datasync(j.f); err != nil {
		// What the disk holds is unknown from here on, and a second sync may report success for lost pages.
		return j.fail(fmt.Errorf("state: journal: sync: %w: restart: what follows the last synced epoch is read anew", noSpace(err)))
	}
	j.synced.Store(covers)
	return nil
}

func (j *Journal) usable() error {
	if p := j.failed.Load(); p != nil {
		return *p
	}
	if j.opt.ReadOnly {
		return fmt.Errorf("state: journal: %s is open for reading only", j.dir)
	}
	return nil
}

func (j *Journal) fail(err error) error {
	j.failed.CompareAndSwap(nil, &err)
	return err
}

// Close makes everything durable and closes the journal.
func (j *Journal) Close() error {
	var err error
	if !j.opt.ReadOnly && j.failed.Load() == nil {
		err = j.Sync()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if p := j.failed.Load(); p != nil && errors.Is(*p, fs.ErrClosed) {
		return nil
	}
	j.fail(fmt.Errorf("state: journal: %s: %w", j.dir, fs.ErrClosed))
	if cerr := j.f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("state: journal: close: %w", cerr)
	}
	return err
}

func (j *Journal) String() string {
	epoch, hash := j.Last()
	return fmt.Sprintf("journal %s up to epoch %d, hash %016x", j.header.ID, epoch, hash)
}
