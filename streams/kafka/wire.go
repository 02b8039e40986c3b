package kafka

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/segmentio/kafka-go/protocol"
)

// TopicID is the broker's id of one incarnation of a topic. A topic that is deleted and created again gets another one.
type TopicID [16]byte

// String writes the id as a UUID.
func (id TopicID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// writer appends the fields of a request. Methods named compact write the flexible encoding (KIP-482).
type writer struct{ b []byte }

func (w *writer) int8(v int8)      { w.b = append(w.b, byte(v)) }
func (w *writer) int16(v int16)    { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *writer) int32(v int32)    { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *writer) int64(v int64)    { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }
func (w *writer) uvarint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) varint(v int64)   { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) tags()            { w.b = append(w.b, 0) }

func (w *writer) string(s string) {
	w.int16(int16(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) compactString(s string) {
	w.uvarint(uint64(len(s)) + 1)
	w.b = append(w.b, s...)
}

// compactLen writes the length of a compact array.
func (w *writer) compactLen(n int) { w.uvarint(uint64(n) + 1) }

// request starts a frame: four bytes for its size, then the request header. finish fills in the size.
func (w *writer) request(key protocol.ApiKey, version int16, correlation int32, clientID string, flexible bool) {
	w.b = append(w.b[:0], 0, 0, 0, 0)
	w.int16(int16(key))
	w.int16(version)
	w.int32(correlation)
	w.string(clientID)
	if flexible {
		w.tags()
	}
}

func (w *writer) finish() []byte {
	binary.BigEndian.PutUint32(w.b, uint32(len(w.b)-4))
	return w.b
}

// reader takes the fields of a response off its front. After a field that does not fit it is bad: every further
// field is zero, and err says so once at the end.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) int8() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// compactLen returns the length of a compact array or string, -1 for null. A length beyond what is left is bad.
func (r *reader) compactLen() int {
	n := r.uvarint()
	if n > uint64(len(r.b))+1 {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n) - 1
}

// compactBytes returns a slice of the response.
func (r *reader) compactBytes() []byte {
	n := r.compactLen()
	if n < 0 {
		return nil
	}
	return r.take(n)
}

func (r *reader) compactString() string { return string(r.compactBytes()) }

func (r *reader) nullableString() string {
	n := r.int16()
	if n < 0 {
		return ""
	}
	return string(r.take(int(n)))
}

// arrayLen returns the length of an array in the encoding before KIP-482.
func (r *reader) arrayLen() int {
	n := int(r.int32())
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return 0
	}
	return max(n, 0)
}

func (r *reader) topicID() (id TopicID) {
	copy(id[:], r.take(16))
	return id
}

// tags skips the tagged fields at the end of a structure.
func (r *reader) tags() {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		r.uvarint()
		if size := r.uvarint(); size <= uint64(len(r.b)) {
			r.take(int(size))
		} else {
			r.bad, r.b = true, nil
		}
	}
}

func (r *reader) err() error {
	if r.bad {
		return fmt.Errorf("%w: the broker's answer ends within a field", ErrCorrupt)
	}
	return nil
}

// alias returns b as a string that shares its bytes.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
