package streams

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// HashRecord returns the 64-bit hash of what a record says: append time, key, value and headers, each with its length, so
// that no byte can move from one to the next unseen. The journal keeps it to notice a log that was rewritten. A nil key
// or value and an empty one hash alike.
func HashRecord(r *Record) uint64 {
	var d xxhash.Digest
	d.Reset()
	var n [24]byte
	binary.LittleEndian.PutUint64(n[0:], uint64(r.AppendMS))
	binary.LittleEndian.PutUint32(n[8:], uint32(len(r.Key)))
	binary.LittleEndian.PutUint64(n[12:], uint64(len(r.Value)))
	binary.LittleEndian.PutUint32(n[20:], uint32(len(r.Headers)))
	d.Write(n[:])
	d.Write(r.Key)
	d.Write(r.Value)
	for i := range r.Headers {
		h := &r.Headers[i]
		binary.LittleEndian.PutUint32(n[0:], uint32(len(h.Key)))
		binary.LittleEndian.PutUint64(n[4:], uint64(len(h.Value)))
		d.Write(n[:12])
		d.WriteString(h.Key)
		d.Write(h.Value)
	}
	return d.Sum64()
}
