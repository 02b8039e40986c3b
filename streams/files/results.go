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
	"strconv"
)

// ResultWriter appends the lines of a result stream to a file of JSON lines, each once.
//
// The first member of a line says where it stands, {"at":"<journal>/<epoch>/<ordinal>",... Lines come in that order, so the last whole
// one of the file says which it has: a writer that is opened again cuts off a torn one and passes over those. It is used by one goroutine.
type ResultWriter struct {
	file    *os.File
	out     *bufio.Writer
	journal string
	epoch   uint64 // of the last line that the file held
	ordinal int
	line    []byte
	ended   uint64
	stored  uint64
	dirty   bool
}

// ErrOtherJournal is a file of results that another state folder has written.
var ErrOtherJournal = errors.New("the file was written from another state folder")

const linePlace = `{"at":"`

// NewResultWriter opens folder/name.jsonl for one journal.
func NewResultWriter(folder, name, journal string) (*ResultWriter, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("streams/files: results: %w", err)
	}
	path := filepath.Join(folder, name+".jsonl")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("streams/files: results: %w", err)
	}
	w := &ResultWriter{file: f, out: bufio.NewWriterSize(f, 256<<10), journal: journal}
	if err := w.resume(); err != nil {
		return nil, errors.Join(fmt.Errorf("streams/files: results %s: %w", path, err), f.Close())
	}
	return w, nil
}

// resume finds the last whole line and goes on behind it.
func (w *ResultWriter) resume() error {
	size, err := w.file.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	const longest = 4 << 20
	from := max(0, size-longest)
	tail := make([]byte, size-from)
	if _, err := w.file.ReadAt(tail, from); err != nil {
		return err
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	if end == 0 && from > 0 {
		return fmt.Errorf("no end of a line in the last %d bytes: it is no file of results; move it away", longest)
	}
	if last := bytes.TrimSuffix(tail[:end], []byte("\n")); len(last) > 0 {
		if err := w.parse(last[bytes.LastIndexByte(last, '\n')+1:]); err != nil {
			return err
		}
	}
	if err := w.file.Truncate(from + int64(end)); err != nil {
		return err
	}
	_, err = w.file.Seek(from+int64(end), io.SeekStart)
	return err
}

func (w *ResultWriter) parse(line []byte) error {
	rest, ours := bytes.CutPrefix(line, []byte(linePlace))
	place, _, whole := bytes.Cut(rest, []byte{'"'})
	parts := bytes.Split(place, []byte{'/'})
	if !ours || !whole || len(parts) != 3 {
		return errors.New(`its last line does not begin with {"at":"JOURNAL/EPOCH/ORDINAL": it is no file of results; move it away`)
	}
	if string(parts[0]) != w.journal {
		return fmt.Errorf("%w (%s, not %s): move it away, or name another folder", ErrOtherJournal, parts[0], w.journal)
	}
	var err1, err2 error
	w.epoch, err1 = strconv.ParseUint(string(parts[1]), 10, 64)
	w.ordinal, err2 = strconv.Atoi(string(parts[2]))
	return errors.Join(err1, err2)
}

// Held is the last epoch of which the file held a line when it was opened, and the file.
func (w *ResultWriter) Held() (epoch uint64, at string) { return w.epoch, w.file.Name() }

// Write appends a line, unless the file holds it already. value is a JSON object.
func (w *ResultWriter) Write(_ context.Context, epoch uint64, ordinal int, _, value []byte) error {
	if epoch < w.epoch || epoch == w.epoch && ordinal <= w.ordinal {
		return nil
	}
	b := append(w.line[:0], linePlace...)
	b = append(b, w.journal...)
	b = append(b, '/')
	b = strconv.AppendUint(b, epoch, 10)
	b = append(b, '/')
	b = strconv.AppendInt(b, int64(ordinal), 10)
	b = append(b, '"', ',')
	b = append(b, value[1:]...)
	b = append(b, '\n')
	w.line, w.dirty = b, true
	_, err := w.out.Write(b)
	return err
}

// EndEpoch says that all lines of an epoch were written.
func (w *ResultWriter) EndEpoch(epoch uint64) error {
	w.ended = epoch
	if !w.dirty {
		w.stored = epoch
	}
	return nil
}

// Stored is the last epoch that was ended and all of whose lines are durable.
func (w *ResultWriter) Stored() uint64 { return w.stored }

// Notify never receives: what is stored changes with Sync alone.
func (w *ResultWriter) Notify() <-chan struct{} { return nil }

// Sync makes durable what was written.
func (w *ResultWriter) Sync() error {
	if !w.dirty {
		return nil
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.dirty, w.stored = false, w.ended
	return nil
}

// Close ends the writer. What is not durable is written again by the next one.
func (w *ResultWriter) Close() error { return w.file.Close() }
