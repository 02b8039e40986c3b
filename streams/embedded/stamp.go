package embedded

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// The layout of a record batch, format 2.
const (
	batchLength      = 8
	batchMagic       = 16
	batchCRC         = 17
	batchAttributes  = 21
	batchFirstTime   = 27
	batchMaxTime     = 35
	batchCount       = 57
	batchHeaderBytes = 61
	codecBits        = 0x07
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func nowMS() int64 { return time.Now().UnixMilli() }

// restamp returns a record batch in which every record carries the time nowMS. What is not a sound batch is returned as it is, for the
// broker to refuse.
//
// It writes times into the records and not the attribute that says that the broker stamped the batch: kfake takes that attribute from
// clients, writes a time of its own into the header and leaves the checksum of the old one.
func restamp(b []byte, nowMS int64) []byte {
	if len(b) < batchHeaderBytes || b[batchMagic] != 2 ||
		binary.BigEndian.Uint32(b[batchCRC:]) != crc32.Checksum(b[batchAttributes:], castagnoli) {
		return b
	}
	records := b[batchHeaderBytes:]
	attributes := binary.BigEndian.Uint16(b[batchAttributes:])
	if codec := attributes & codecBits; codec != 0 {
		var ok bool
		if records, ok = decompress(compress.Compression(codec), records); !ok {
			return b
		}
	}
	fresh, changed, ok := zeroTimes(records, int(binary.BigEndian.Uint32(b[batchCount:])))
	if !ok {
		return b
	}
	out := b
	if changed {
		out = make([]byte, batchHeaderBytes, batchHeaderBytes+len(fresh))
		copy(out, b)
		out = append(out, fresh...)
		binary.BigEndian.PutUint16(out[batchAttributes:], attributes&^codecBits)
		binary.BigEndian.PutUint32(out[batchLength:], uint32(len(out)-batchLength-4))
	}
	binary.BigEndian.PutUint64(out[batchFirstTime:], uint64(nowMS))
	binary.BigEndian.PutUint64(out[batchMaxTime:], uint64(nowMS))
	binary.BigEndian.PutUint32(out[batchCRC:], crc32.Checksum(out[batchAttributes:], castagnoli))
	return out
}

// zeroTimes returns the records with their time deltas set to 0, and whether any was not.
func zeroTimes(records []byte, count int) (fresh []byte, changed, ok bool) {
	for rest, i := records, 0; i < count; i++ {
		size, n := binary.Varint(rest)
		if n <= 0 || size < 2 || size > int64(len(rest)-n) {
			return nil, false, false
		}
		changed = changed || rest[n+1] != 0
		rest = rest[n+int(size):]
	}
	if !changed {
		return records, false, true
	}
	fresh = make([]byte, 0, len(records))
	for rest, i := records, 0; i < count; i++ {
		size, n := binary.Varint(rest)
		record := rest[n : n+int(size)]
		rest = rest[n+int(size):]
		_, width := binary.Varint(record[1:])
		if width <= 0 {
			return nil, false, false
		}
		fresh = binary.AppendVarint(fresh, size-int64(width)+1)
		fresh = append(fresh, record[0], 0)
		fresh = append(fresh, record[1+width:]...)
	}
	return fresh, true, true
}

func decompress(c compress.Compression, b []byte) ([]byte, bool) {
	codec := c.Codec()
	if codec == nil {
		return nil, false
	}
	r := codec.NewReader(bytes.NewReader(b))
	defer r.Close()
	out, err := io.ReadAll(r)
	return out, err == nil
}
