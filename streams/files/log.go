package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"nudge/streams"
)

// Log is a recorded folder. It is read once, by Open: what is recorded afterwards is not in it.
type Log struct {
	dir    string
	topics map[string][][]segment // files by partition
}

// Open reads what a folder holds. Partitions of a topic must count from 0 without a hole, for their number says to which
// shard a customer belongs.
func Open(dir string) (*Log, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("streams/files: open a recorded log: %w", err)
	}
	l := &Log{dir: dir, topics: map[string][][]segment{}}
	for _, e := range entries {
		if !e.IsDir() || !validTopic(e.Name()) {
			continue
		}
		numbers, err := partitionsIn(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for i, n := range numbers {
			if n != i {
				return nil, fmt.Errorf("streams/files: topic %s in %s has no partition %d, but has %d; restore its folder, or export the topic again",
					e.Name(), dir, i, n)
			}
			segs, err := listSegments(filepath.Join(dir, e.Name(), strconv.Itoa(n)))
			if err != nil {
				return nil, err
			}
			if len(segs) == 0 {
				return nil, fmt.Errorf("streams/files: %s holds no file: its export was not finished; export the partition again",
					filepath.Join(dir, e.Name(), strconv.Itoa(n)))
			}
			l.topics[e.Name()] = append(l.topics[e.Name()], segs)
		}
	}
	if len(l.topics) == 0 {
		return nil, fmt.Errorf("streams/files: %s holds no recorded topic: want folders <topic>/<partition> as nudge export writes them", dir)
	}
	return l, nil
}

// partitionsIn returns the numbers that name folders, in order.
func partitionsIn(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("streams/files: %w", err)
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() && strconv.Itoa(n) == e.Name() && n >= 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Topics returns the names of the recorded topics in order.
func (l *Log) Topics() []string {
	names := make([]string, 0, len(l.topics))
	for name := range l.topics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Partitions returns how many partitions of a topic are recorded: 0 if the topic is not.
func (l *Log) Partitions(topic string) int { return len(l.topics[topic]) }

func (l *Log) partition(topic string, partition int32) ([]segment, error) {
	parts := l.topics[topic]
	if partition < 0 || int(partition) >= len(parts) {
		return nil, fmt.Errorf("streams/files: %s holds no partition %s/%d: it has topics %v, of this one %d partitions",
			l.dir, topic, partition, l.Topics(), len(parts))
	}
	return parts[partition], nil
}

// Offsets returns the offset at which the record of a partition begins and the one that follows it.
func (l *Log) Offsets(topic string, partition int32) (start, end int64, err error) {
	segs, err := l.partition(topic, partition)
	if err != nil {
		return 0, 0, err
	}
	return segs[0].first, segs[len(segs)-1].next, nil
}

// Records returns how many records of a partition lie at offset from or later, counting a file that holds from as whole.
// It is for progress bars.
func (l *Log) Records(topic string, partition int32, from int64) (n int64, err error) {
	segs, err := l.partition(topic, partition)
	for _, s := range segs {
		if s.next > from {
			n += s.records
		}
	}
	return n, err
}

// Fetcher returns a reader of one partition that begins at offset from.
func (l *Log) Fetcher(topic string, partition int32, from int64) (*Fetcher, error) {
	segs, err := l.partition(topic, partition)
	if err != nil {
		return nil, err
	}
	start, end := segs[0].first, segs[len(segs)-1].next
	if from < start || from > end {
		return nil, fmt.Errorf("streams/files: read %s/%d@%d: %w: offsets %d to %d are recorded; start there, or export the log again from %d on",
			topic, partition, from, ErrOutOfRange, start, end, from)
	}
	i := sort.Search(len(segs), func(i int) bool { return segs[i].next > from })
	return &Fetcher{segs: segs[i:], next: from, end: end}, nil
}

const (
	readBytes = 512 << 10 // of lines in a batch, about
	maxLine   = 64 << 20
)

// Fetcher reads one partition of a Log in order. It is for one goroutine.
type Fetcher struct {
	segs []segment // still to be read; the first may be open
	next int64     // offset to return next
	end  int64
	err  error // what every further Fetch returns

	file *os.File
	zip  *zstd.Decoder
	rest []byte // what the last read brought beyond its last whole line
	last int64  // offset of the last line of the open file
	line int64  // its number
}

// Fetch returns the records that follow, half a megabyte at a time. Batch.End is the end of the recorded log, and the
// batch that reaches it has Next == End. After that comes an empty batch with ErrEnd, at once and every time.
//
// A damaged file is an error that wraps ErrCorrupt, after the records before the damage have been returned.
func (f *Fetcher) Fetch(ctx context.Context) (streams.Batch, error) {
	batch := streams.Batch{Next: f.next, End: f.end}
	if err := ctx.Err(); err != nil {
		return batch, err
	}
	for len(batch.Records) == 0 {
		if f.err == nil && len(f.segs) == 0 {
			f.next, f.err = f.end, ErrEnd
			batch.Next = f.end
		}
		if f.err != nil {
			return batch, f.err
		}
		var over bool
		batch.Records, over, f.err = f.read()
		if n := len(batch.Records); n > 0 {
			f.next = batch.Records[n-1].Offset + 1
		}
		if over { // the gap behind its last record is passed, too
			f.next = max(f.next, f.segs[0].next)
			f.segs = f.segs[1:]
		}
		batch.Next = f.next
	}
	return batch, nil
}

// read returns the next records of the first file, and whether they are its last.
func (f *Fetcher) read() (records []streams.Record, over bool, err error) {
	if f.file == nil {
		if err := f.open(); err != nil {
			return nil, false, err
		}
	}
	seg := &f.segs[0]
	buf := append(make([]byte, 0, max(readBytes, 2*len(f.rest))), f.rest...)
	for !over && len(buf) < cap(buf) {
		n, err := f.zip.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			over = true
		} else if err != nil {
			return nil, false, f.damaged(f.line+1, fmt.Sprintf("it can't be unpacked: %v", err))
		}
	}
	records = make([]streams.Record, 0, bytes.Count(buf, newline))
	for {
		n := bytes.IndexByte(buf, '\n')
		if n < 0 {
			break
		}
		f.line++
		var r *streams.Record
		records, r = records[:len(records)+1], &records[:len(records)+1][len(records)]
		if err := parseLine(buf[:n:n], r); err != nil {
			return records[:len(records)-1], false, f.damaged(f.line, err.Error())
		}
		if r.Offset <= f.last || r.Offset >= seg.next {
			return records[:len(records)-1], false, f.damaged(f.line, fmt.Sprintf("offset %d: want one of %d to %d", r.Offset, f.last+1, seg.next-1))
		}
		f.last = r.Offset
		if r.Offset < f.next {
			records = records[:len(records)-1]
		}
		buf = buf[n+1:]
	}
	f.rest = buf
	switch {
	case over && (len(buf) > 0 || f.line != seg.records):
		err = f.damaged(f.line+1, fmt.Sprintf("it holds %d lines, and says that it holds %d", f.line, seg.records))
	case over:
		err = f.close()
	case len(buf) > maxLine:
		err = f.damaged(f.line+1, fmt.Sprintf("a line of more than %d bytes", maxLine))
	}
	return records, over && err == nil, err
}

var newline = []byte{'\n'}

// open opens the first file.
func (f *Fetcher) open() error {
	seg := &f.segs[0]
	file, err := os.Open(seg.path)
	if err != nil {
		return fmt.Errorf("streams/files: %w", err)
	}
	f.file, f.rest, f.line, f.last = file, nil, 0, seg.first-1
	in := bufio.NewReaderSize(file, 128<<10)
	if f.zip == nil {
		f.zip, err = newDecoder(in)
	} else {
		err = f.zip.Reset(in)
	}
	if err != nil {
		return f.damaged(1, err.Error())
	}
	return nil
}

// newDecoder unpacks in the calling goroutine: there are many partitions.
func newDecoder(in io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
}

func (f *Fetcher) damaged(line int64, what string) error {
	return fmt.Errorf("streams/files: %s:%d: %w: %s; %s", f.segs[0].path, line, ErrCorrupt, what, curedByExport)
}

func (f *Fetcher) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Close ends reading.
func (f *Fetcher) Close() error {
	if f.zip != nil {
		f.zip.Close()
	}
	f.err = errClosed
	return f.close()
}

var errClosed = errors.New("streams/files: the fetcher is closed")
