package operators

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"nudge/models"
)

// writer appends the parts of an encoding. Times are written as what they lie before base.
type writer struct {
	b    []byte
	base int64
}

func (w *writer) uint(x uint64)    { w.b = binary.AppendUvarint(w.b, x) }
func (w *writer) int(x int64)      { w.b = binary.AppendVarint(w.b, x) }
func (w *writer) time(ms int64)    { w.b = binary.AppendVarint(w.b, w.base-ms) }
func (w *writer) fixed(x uint64)   { w.b = binary.LittleEndian.AppendUint64(w.b, x) }
func (w *writer) fixed32(x uint32) { w.b = binary.LittleEndian.AppendUint32(w.b, x) }
func (w *writer) text(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

// seen writes a list of items; each time is the difference to the one before it.
func (w *writer) seen(list []seen) {
	w.uint(uint64(len(list)))
	at := w.base
	for _, s := range list {
		w.fixed(s.hash)
		w.int(s.atMS - at)
		at = s.atMS
	}
}

// reader is the inverse of writer. After an error everything it returns is zero.
type reader struct {
	b    []byte
	base int64
	err  error
}

func (r *reader) failf(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("operators: decode: "+format, args...)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.failf("the bytes end too early")
		return 0
	}
	x := r.b[0]
	r.b = r.b[1:]
	return x
}

func (r *reader) uint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 { // only the shortest form is canonical
		r.failf("a number is cut off or too long")
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) limited(most uint64) uint64 {
	x := r.uint()
	if x > most {
		r.failf("%d where at most %d can be", x, most)
		return 0
	}
	return x
}

func (r *reader) int() int64 {
	u := r.uint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) time() int64 { return r.base - r.int() }

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.failf("the bytes end too early")
		return 0
	}
	x := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return x
}

func (r *reader) fixed32() uint32 {
	if len(r.b) < 4 {
		r.failf("the bytes end too early")
		return 0
	}
	x := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return x
}

// count reads the number of entries, each of at least size bytes.
func (r *reader) count(size int) int {
	n := r.uint()
	if n == 0 || n > uint64(len(r.b)/size) {
		if r.err == nil {
			r.failf("%d entries in %d bytes", n, len(r.b))
		}
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.failf("a text of %d bytes in %d", n, len(r.b))
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) seen() []seen {
	n := r.count(9)
	list := make([]seen, 0, n)
	at := r.base
	for range n {
		s := seen{hash: r.fixed(), item: models.NoItem}
		s.atMS = at + r.int()
		at = s.atMS
		if k := len(list); k > 0 && (list[k-1].atMS > s.atMS || list[k-1].atMS == s.atMS && list[k-1].hash >= s.hash) {
			r.failf("a list of items is out of order")
		}
		list = append(list, s)
	}
	return list
}

// clip copies what is kept of a text that a sender chose.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
		for len(s) > 0 && !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return strings.Clone(s)
}
