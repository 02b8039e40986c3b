package files

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"nudge/streams"
)

// DecisionWriter writes decisions to a file, one JSON object a line, exactly as they would be published. A path that ends
// in .zst is compressed. The file appears under its name, whole, when Close succeeds. It is for one goroutine.
type DecisionWriter struct {
	path string
	file *os.File
	buf  *bufio.Writer
	zip  *zstd.Encoder // nil where the file is plain
	out  io.Writer
	n    int64
	err  error
}

// CreateDecisions opens a file for decisions. One of that name is replaced by Close.
func CreateDecisions(path string) (*DecisionWriter, error) {
	if strings.HasSuffix(path, ".gz") {
		return nil, fmt.Errorf("streams/files: write %s: gzip is only read: let the name end in .zst, or leave the ending out", path)
	}
	file, err := os.Create(path + partSuffix)
	if err != nil {
		return nil, fmt.Errorf("streams/files: write decisions: %w", err)
	}
	w := &DecisionWriter{path: path, file: file, buf: bufio.NewWriterSize(file, 256<<10)}
	w.out = w.buf
	if compressed(path) {
		if w.zip, err = newEncoder(w.buf); err != nil {
			file.Close()
			return nil, fmt.Errorf("streams/files: write decisions to %s: %w", path, err)
		}
		w.out = w.zip
	}
	return w, nil
}

func compressed(path string) bool { return strings.HasSuffix(path, ".zst") }

// Write appends the Data of messages.
func (w *DecisionWriter) Write(messages ...streams.Message) error {
	for i := range messages {
		if w.err != nil {
			return w.err
		}
		m := &messages[i]
		if bytes.IndexByte(m.Data, '\n') >= 0 {
			w.err = fmt.Errorf("streams/files: write decision %s to %s: want JSON in one line, got a line feed in it", m.ID, w.path)
			return w.err
		}
		_, err := w.out.Write(m.Data)
		if err == nil {
			_, err = w.out.Write(newline)
		}
		if err != nil {
			w.err = fmt.Errorf("streams/files: write decision %s to %s: %w", m.ID, w.path, err)
			return w.err
		}
		w.n++
	}
	return nil
}

// Count is how many decisions have been written.
func (w *DecisionWriter) Count() int64 { return w.n }

// Close gives the file its name. After an error of Write it removes what was written and returns that error.
func (w *DecisionWriter) Close() error {
	err := w.err
	if err == nil {
		err = w.finish()
	}
	if err != nil {
		w.Abort()
		return fmt.Errorf("streams/files: close %s: %w", w.path, err)
	}
	return nil
}

func (w *DecisionWriter) finish() error {
	if w.zip != nil {
		if err := w.zip.Close(); err != nil {
			return err
		}
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
	return publish(w.file, w.path)
}

// Abort drops what was written. A file of that name from before stays as it is.
func (w *DecisionWriter) Abort() {
	w.file.Close()
	os.Remove(w.file.Name())
}

// ReadDecisions calls each for every decision of a file, with its line as it stands there, until each returns an error.
// The line is valid during the call only; the decision is the callee's.
func ReadDecisions(path string, each func(line []byte, d *streams.Decision) error) error {
	return ReadLines(path, func(n int, line []byte) error {
		d, err := streams.ParseDecision(line)
		if err != nil {
			return fmt.Errorf("streams/files: %s:%d: want a decision: %w; run the replay that wrote it again", path, n, err)
		}
		return each(line, d)
	})
}

// ReadLines calls each for every line of a file of JSON lines, plain or compressed (.zst, .gz), with its number, until each
// returns an error. The line is valid during the call only.
func ReadLines(path string, each func(n int, line []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("streams/files: %w", err)
	}
	defer file.Close()
	var in io.Reader = file
	switch {
	case compressed(path):
		zip, err := newDecoder(file)
		if err != nil {
			return fmt.Errorf("streams/files: %s: %w", path, err)
		}
		defer zip.Close()
		in = zip
	case strings.HasSuffix(path, ".gz"):
		zip, err := gzip.NewReader(file)
		if err != nil {
			return fmt.Errorf("streams/files: %s: %w", path, err)
		}
		in = zip
	}
	return ScanLines(path, in, each)
}

// ScanLines is ReadLines of a text that is open already; path stands in errors.
func ScanLines(path string, in io.Reader, each func(n int, line []byte) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := each(n, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("streams/files: %s:%d: %w: %w; write the file again, or restore it from a copy", path, n+1, ErrCorrupt, err)
	}
	return nil
}
