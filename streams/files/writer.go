package files

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"nudge/streams"
)

// DefaultRollBytes is how many bytes of lines a file of a log holds at most: small
// enough that a lost file is no disaster, large enough that a month of a shop is not thousands of files.
const DefaultRollBytes = 64 << 20

// Writer records one partition. It is for one goroutine.
type Writer struct {
	// RollBytes is how many bytes of lines a file holds before the next one is begun; 0 means DefaultRollBytes.
	RollBytes int

	dir   string
	seg   segment // the file being written
	done  int64   // whole files reach up to here
	empty bool    // the partition has no file yet
	file  *os.File
	out   *bufio.Writer
	zip   *zstd.Encoder
	line  []byte
	bytes int // of lines in this file
	err   error
}

// Create opens the log of a partition for recording. A partition that was recorded before goes on where it ended, and from
// must be that offset; from below 0 means: wherever it ended, 0 if it was never recorded. What a crash left unfinished is
// dropped: Next says from where to record again.
func Create(dir, topic string, partition int32, from int64) (*Writer, error) {
	if !validTopic(topic) || partition < 0 {
		return nil, fmt.Errorf("streams/files: record %q/%d: want a topic of a-z A-Z 0-9 . _ - with at most 249 bytes and a partition of 0 or more", topic, partition)
	}
	w := &Writer{dir: filepath.Join(dir, topic, strconv.Itoa(int(partition)))}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return nil, fmt.Errorf("streams/files: %w", err)
	}
	parts, err := filepath.Glob(filepath.Join(w.dir, "*"+partSuffix))
	if err != nil {
		return nil, fmt.Errorf("streams/files: %w", err)
	}
	for _, part := range parts {
		if err := os.Remove(part); err != nil {
			return nil, fmt.Errorf("streams/files: drop an unfinished file: %w", err)
		}
	}
	segs, err := listSegments(w.dir)
	if err != nil {
		return nil, err
	}
	w.empty = len(segs) == 0
	if w.empty {
		w.seg.next = max(from, 0)
		w.done = w.seg.next
		return w, nil
	}
	w.seg.next = segs[len(segs)-1].next
	w.done = w.seg.next
	if from >= 0 && from != w.seg.next {
		return nil, fmt.Errorf("streams/files: record %s/%d from offset %d: the log in %s ends at %d; go on there, or record into an empty folder",
			topic, partition, from, w.dir, w.seg.next)
	}
	return w, nil
}

func validTopic(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 249 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// Next is the offset at which recording goes on.
func (w *Writer) Next() int64 { return w.seg.next }

// Write records a batch. Its records must follow in order what was recorded; offsets in between are taken for gaps. Where
// it fails, the log ends at its last whole file.
func (w *Writer) Write(batch streams.Batch) error {
	if w.err != nil {
		return w.err
	}
	for i := range batch.Records {
		r := &batch.Records[i]
		if r.Offset < w.seg.next {
			return fmt.Errorf("streams/files: record offset %d into %s: want %d or more", r.Offset, w.dir, w.seg.next)
		}
		if err := w.record(r); err != nil {
			return w.fail(err)
		}
	}
	w.seg.next = max(w.seg.next, batch.Next)
	return nil
}

func (w *Writer) record(r *streams.Record) error {
	if w.file == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	w.line = appendLine(w.line[:0], r)
	if _, err := w.zip.Write(w.line); err != nil {
		return err
	}
	w.seg.next = r.Offset + 1
	w.seg.records++
	w.bytes += len(w.line)
	roll := w.RollBytes
	if roll == 0 {
		roll = DefaultRollBytes
	}
	if w.bytes >= roll {
		return w.finish()
	}
	return nil
}

// begin opens the next file.
func (w *Writer) begin() error {
	w.seg.first, w.seg.records, w.bytes = w.done, 0, 0
	w.seg.path = filepath.Join(w.dir, segmentName(w.seg.first))
	file, err := os.Create(w.seg.path + partSuffix)
	if err != nil {
		return err
	}
	w.file = file
	w.out = bufio.NewWriterSize(file, 256<<10)
	if w.zip == nil {
		w.zip, err = newEncoder(w.out)
		return err
	}
	w.zip.Reset(w.out)
	return nil
}

// newEncoder compresses in the calling goroutine: there are many partitions. The fastest level gives files 3 % larger than
// the default one does, and they are read and written faster.
func newEncoder(out io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

// finish closes the file and gives it its name.
func (w *Writer) finish() error {
	if err := w.zip.Close(); err != nil {
		return err
	}
	if _, err := w.out.Write(appendFooter(nil, &w.seg)); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	file := w.file
	w.file = nil
	if err := publish(file, w.seg.path); err != nil {
		return err
	}
	w.done, w.empty = w.seg.next, false
	return nil
}

// publish syncs a file that was written under a temporary name, and gives it its own.
func publish(file *os.File, path string) error {
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("streams/files: record into %s at offset %d: %w", w.dir, w.seg.next, err)
	return w.err
}

// Close finishes the log. A partition without any record gets a file, too: it says where the log stood.
func (w *Writer) Close() error {
	if w.err != nil {
		if w.file != nil {
			w.file.Close()
			os.Remove(w.file.Name())
			w.file = nil
		}
		return w.err
	}
	if w.file == nil {
		if !w.empty && w.done == w.seg.next {
			return nil
		}
		if err := w.begin(); err != nil {
			return w.fail(err)
		}
	}
	if err := w.finish(); err != nil {
		return w.fail(err)
	}
	return nil
}
