package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	suffix     = ".jsonl.zst"
	partSuffix = ".part"

	// A file ends in a skippable frame of zstd, which other tools pass over.
	footerMagic = 0x184D2A5E
	footerBytes = 8 + 8 + 24
	footerTag   = "nudgelog"
)

// Errors that a caller can act on.
var (
	// ErrEnd says that a partition has been read to its end. It is an io.EOF.
	ErrEnd = fmt.Errorf("end of the recorded log: %w", io.EOF)
	// ErrCorrupt says that a file is not what was written.
	ErrCorrupt = errors.New("the file is damaged")
	// ErrOutOfRange says that an offset lies outside what was recorded.
	ErrOutOfRange = errors.New("outside the recorded log")
)

const curedByExport = "delete the partition's files from this one on and export them again, or restore them from a copy"

// segment is one file of a partition.
type segment struct {
	path    string
	first   int64 // offset at which it begins
	next    int64 // offset that follows it
	records int64
}

func segmentName(first int64) string { return fmt.Sprintf("%020d%s", first, suffix) }

// appendFooter writes the frame that ends a file.
func appendFooter(b []byte, s *segment) []byte {
	b = binary.LittleEndian.AppendUint32(b, footerMagic)
	b = binary.LittleEndian.AppendUint32(b, footerBytes-8)
	b = append(b, footerTag...)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.next))
	return binary.LittleEndian.AppendUint64(b, uint64(s.records))
}

// readFooter learns from a file's end what it holds.
func readFooter(s *segment) error {
	f, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("streams/files: %w", err)
	}
	defer f.Close()
	var b [footerBytes]byte
	info, err := f.Stat()
	if err == nil && info.Size() >= footerBytes {
		_, err = f.ReadAt(b[:], info.Size()-footerBytes)
	}
	if err != nil {
		return fmt.Errorf("streams/files: read the end of %s: %w", s.path, err)
	}
	first := int64(binary.LittleEndian.Uint64(b[16:]))
	s.next = int64(binary.LittleEndian.Uint64(b[24:]))
	s.records = int64(binary.LittleEndian.Uint64(b[32:]))
	if binary.LittleEndian.Uint32(b[:]) != footerMagic || string(b[8:16]) != footerTag {
		return fmt.Errorf("streams/files: %s: %w: it does not end as files of nudge do, it was cut off or made by something else; %s",
			s.path, ErrCorrupt, curedByExport)
	}
	if first != s.first || s.next < s.first || s.records < 0 || s.records > s.next-s.first {
		return fmt.Errorf("streams/files: %s: %w: it says that it holds %d records from offset %d to %d, and is named for %d; %s",
			s.path, ErrCorrupt, s.records, first, s.next, s.first, curedByExport)
	}
	return nil
}

// listSegments reads which files a partition has, in order, and checks that none is missing.
func listSegments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("streams/files: %w", err)
	}
	var all []segment
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || e.IsDir() {
			continue
		}
		first, err := strconv.ParseInt(name, 10, 64)
		if err != nil || len(name) != 20 {
			return nil, fmt.Errorf("streams/files: %s: want a name of 20 digits and %s; move it out of the folder", filepath.Join(dir, e.Name()), suffix)
		}
		s := segment{path: filepath.Join(dir, e.Name()), first: first}
		if err := readFooter(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b segment) int { return strings.Compare(a.path, b.path) })
	for i := 1; i < len(all); i++ {
		if all[i-1].next != all[i].first {
			return nil, fmt.Errorf("streams/files: %s begins at offset %d, the file before it ends at %d: a file is missing or was recorded twice; "+
				"restore it from a copy, or export the partition again", all[i].path, all[i].first, all[i-1].next)
		}
	}
	return all, nil
}
