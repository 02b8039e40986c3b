package state

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A segment is a file of entries. It begins with the magic, the length and the CRC32C of a JSON text (two little-endian
// uint32) and that text; the entries follow. It is named by its first epoch, so that names sort as epochs do, and is
// created under another name, so that its head is never torn.
const (
	segmentMagic  = "nudgeJ01"
	segmentSuffix = ".journal"
	segmentHead   = len(segmentMagic) + 8
	maxHeadText   = 1 << 16
)

type segment struct {
	path string
	head segmentText
	// start is the offset of the first entry, end that behind the last; end is only known of the last segment.
	start, end int64
}

type segmentText struct {
	JournalHeader
	First uint64 `json:"first"`       // epoch of the first entry
	Prev  uint64 `json:"prev,string"` // hash of the entry before it
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// createSegment writes an empty segment and makes it and its name durable.
func createSegment(dir string, text segmentText) (*segment, *os.File, error) {
	b, err := json.Marshal(text)
	if err != nil {
		return nil, nil, fmt.Errorf("state: journal: create a segment: %w", err)
	}
	head := []byte(segmentMagic)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(b)))
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(b, castagnoli))
	head = append(head, b...)
	path := filepath.Join(dir, segmentName(text.First))
	if err := writeFile(path, head); err != nil {
		return nil, nil, fmt.Errorf("state: journal: create %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("state: journal: create a segment: %w", err)
	}
	n := int64(len(head))
	return &segment{path: path, head: text, start: n, end: n}, f, nil
}

// openSegment reads the head of a segment.
func openSegment(path string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("state: journal: open a segment: %w", err)
	}
	defer f.Close()
	head := make([]byte, segmentHead)
	damaged := func(what string) error {
		return fmt.Errorf("state: journal: %s: head: %w: %s: restore a backup", path, ErrCorrupt, what)
	}
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, damaged("cut short")
	}
	if magic := string(head[:len(segmentMagic)]); magic != segmentMagic {
		if strings.HasPrefix(magic, segmentMagic[:6]) && magic > segmentMagic {
			return nil, fmt.Errorf("state: journal: %s: %w: %q: use the newer nudge", path, ErrNewerFormat, magic)
		}
		return nil, damaged(fmt.Sprintf("want %q, got %q", segmentMagic, magic))
	}
	n := binary.LittleEndian.Uint32(head[len(segmentMagic):])
	if n > maxHeadText {
		return nil, damaged("impossible length")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, damaged("cut short")
	}
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[len(segmentMagic)+4:]) {
		return nil, damaged("the checksum does not match")
	}
	s := &segment{path: path, start: int64(segmentHead) + int64(n)}
	if err := json.Unmarshal(b, &s.head); err != nil {
		return nil, damaged(err.Error())
	}
	if want := segmentName(s.head.First); s.head.First == 0 || filepath.Base(path) != want {
		return nil, damaged(fmt.Sprintf("it is the head of %s", want))
	}
	s.end = s.start
	return s, nil
}

// openSegments reads the heads of all segments of a folder and checks that they belong together.
func openSegments(dir string) ([]*segment, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("state: journal: open: %w", err)
	}
	var all []*segment
	for _, e := range names {
		if !strings.HasSuffix(e.Name(), segmentSuffix) {
			continue
		}
		s, err := openSegment(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *segment) int { return strings.Compare(a.path, b.path) })
	for i, s := range all {
		if s.head.ID != all[0].head.ID || s.head.App != all[0].head.App {
			return nil, fmt.Errorf("state: journal: %s: %w: it is of journal %s, %s is of %s: remove what does not belong here",
				s.path, ErrCorrupt, s.head.ID, all[0].path, all[0].head.ID)
		}
		if i > 0 && s.head.First <= all[i-1].head.First {
			return nil, fmt.Errorf("state: journal: %s: %w: its first epoch %d does not follow %s", s.path, ErrCorrupt, s.head.First, all[i-1].path)
		}
	}
	return all, nil
}

// badEntry says where the walk over a segment ended and why.
type badEntry struct {
	offset int64
	epoch  uint64 // the epoch that should be there
	cause  error
}

// walk calls fn with every entry of the segment in f up to offset end, and returns the epoch and the hash of the last
// one. Anything that is not the next entry ends it with a badEntry. The payload is only valid during the call.
func (s *segment) walk(f io.ReaderAt, end int64, fn func(offset int64, e *entry) error) (epoch, hash uint64, bad *badEntry, err error) {
	epoch, hash = s.head.First-1, s.head.Prev
	r := bufio.NewReaderSize(io.NewSectionReader(f, s.start, end-s.start), 1<<18)
	var buf []byte
	for at := s.start; at < end; {
		wrong := func(cause error) (uint64, uint64, *badEntry, error) {
			return epoch, hash, &badEntry{offset: at, epoch: epoch + 1, cause: cause}, nil
		}
		if end-at < entryHeader {
			return wrong(errShort)
		}
		buf = slices.Grow(buf[:0], entryHeader)[:entryHeader]
		if _, err := io.ReadFull(r, buf); err != nil {
			return epoch, hash, nil, fmt.Errorf("state: journal: read %s at %d: %w", s.path, at, err)
		}
		n := int64(binary.LittleEndian.Uint32(buf))
		if n > end-at-entryHeader {
			return wrong(errShort)
		}
		buf = slices.Grow(buf, int(n))[:entryHeader+n]
		if _, err := io.ReadFull(r, buf[entryHeader:]); err != nil {
			return epoch, hash, nil, fmt.Errorf("state: journal: read %s at %d: %w", s.path, at, err)
		}
		e, err := decodeEntry(buf)
		switch {
		case err != nil:
			return wrong(err)
		case e.epoch != epoch+1:
			return wrong(fmt.Errorf("want epoch %d, got %d", epoch+1, e.epoch))
		case e.hash != chainHash(hash, e.payload):
			return wrong(fmt.Errorf("the hash of epoch %d does not follow from the one before", e.epoch))
		}
		if err := fn(at, &e); err != nil {
			return epoch, hash, nil, err
		}
		epoch, hash = e.epoch, e.hash
		at += e.size()
	}
	return epoch, hash, nil, nil
}

// corrupt makes an error of a badEntry.
func (s *segment) corrupt(b *badEntry) error {
	return fmt.Errorf("state: journal: %s at %d: epoch %d: %w: %w: restore a backup", s.path, b.offset, b.epoch, ErrCorrupt, b.cause)
}

// torn says whether what is wrong at b can be the end of writing at a power cut: nothing from there on was known to be
// durable. A later entry, written when the bad one was known to be, says that it was damaged instead.
func (s *segment) torn(f io.ReaderAt, end int64, b *badEntry) (bool, error) {
	if !errors.Is(b.cause, errShort) && !errors.Is(b.cause, errChecksum) {
		return false, nil
	}
	rest := make([]byte, end-b.offset)
	if _, err := f.ReadAt(rest, b.offset); err != nil {
		return false, fmt.Errorf("state: journal: read %s at %d: %w", s.path, b.offset, err)
	}
	for at := 1; at+entryHeader <= len(rest); at++ {
		epoch := binary.LittleEndian.Uint64(rest[at+8:])
		behind := binary.LittleEndian.Uint32(rest[at+24:])
		if epoch <= b.epoch || epoch-b.epoch > math.MaxUint32 || epoch-1-min(uint64(behind), epoch-1) < b.epoch {
			continue // no entry, or one that says nothing of the bad one
		}
		if _, err := decodeEntry(rest[at:]); err == nil {
			return false, nil
		}
	}
	return true, nil
}
