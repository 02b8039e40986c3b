package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/segmentio/kafka-go/compress"

	"nudge/streams"
)

// The layout of a record batch, format 2 (Kafka 0.11 and later). Length counts from the leader epoch on, the checksum covers
// everything from the attributes on.
const (
	batchLength      = 8
	batchMagic       = 16
	batchCRC         = 17
	batchAttributes  = 21
	batchLastDelta   = 23
	batchFirstTime   = 27
	batchMaxTime     = 35
	batchProducer    = 43
	batchEpoch       = 51
	batchSequence    = 53
	batchCount       = 57
	batchHeaderBytes = 61

	codecBits       = 0x07
	logAppendBit    = 0x08
	transactionBit  = 0x10
	controlBit      = 0x20
	readCommitted   = 1
	magic           = 2
	minRecordBytes  = 7
	maxDecompressed = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// aborted is one aborted transaction as a fetch reports it: the producer's records from first on, up to its abort marker.
type aborted struct{ producer, first int64 }

// decoder turns the record batches of one fetch into records.
type decoder struct {
	from    int64 // records below are skipped: a batch is only delivered whole
	records []streams.Record
	next    int64
	skipped uint64 // records of aborted transactions and markers

	pending  []aborted // not yet begun, by first
	aborting map[int64]bool
}

// decode reads raw. The records alias raw, or a buffer of their batch's own if it was compressed. A batch that is cut off at the end,
// as brokers do to keep to a size, is left for the next fetch. partial says that there was nothing else.
func (d *decoder) decode(raw []byte, transactions []aborted) (partial bool, err error) {
	d.next = d.from
	d.pending = transactions
	// Brokers list them by the position of the abort marker.
	slices.SortFunc(d.pending, func(a, b aborted) int { return int(max(-1, min(1, a.first-b.first))) })
	d.reserve(raw)
	rest := raw
	for {
		batch, ok := cutBatch(rest)
		if !ok {
			return len(rest) > 0 && len(rest) == len(raw), nil
		}
		rest = rest[len(batch):]
		if err := d.batch(batch); err != nil {
			return false, err
		}
	}
}

// cutBatch returns the first batch of raw, false if it is not whole.
func cutBatch(raw []byte) ([]byte, bool) {
	if len(raw) < batchHeaderBytes {
		return nil, false
	}
	size := int64(binary.BigEndian.Uint32(raw[batchLength:])) + batchLength + 4
	if size < batchHeaderBytes {
		size = batchHeaderBytes // older formats and nonsense: the magic byte or the checksum tells
	}
	if size > int64(len(raw)) {
		return nil, false
	}
	return raw[:size:size], true
}

// reserve makes room for the records that the headers promise, as far as the bytes can hold them.
func (d *decoder) reserve(raw []byte) {
	total := 0
	for {
		batch, ok := cutBatch(raw)
		if !ok {
			break
		}
		raw = raw[len(batch):]
		count := int(int32(binary.BigEndian.Uint32(batch[batchCount:])))
		room := (len(batch) - batchHeaderBytes) / minRecordBytes
		if binary.BigEndian.Uint16(batch[batchAttributes:])&codecBits != 0 {
			room = len(batch)
		}
		total += max(0, min(count, room))
	}
	d.records = make([]streams.Record, 0, total)
}

func (d *decoder) batch(b []byte) error {
	base := int64(binary.BigEndian.Uint64(b))
	if b[batchMagic] != magic {
		return fmt.Errorf("%w: batch at offset %d has message format %d, want %d: it was written by a client older than Kafka 0.11; "+
			"copy the topic with a newer one", ErrUnsupported, base, b[batchMagic], magic)
	}
	if sum := crc32.Checksum(b[batchAttributes:], castagnoli); sum != binary.BigEndian.Uint32(b[batchCRC:]) {
		return fmt.Errorf("%w: checksum of the batch at offset %d: computed %08x, stored %08x", ErrCorrupt, base, sum, b[batchCRC:batchAttributes])
	}
	attributes := binary.BigEndian.Uint16(b[batchAttributes:])
	last := base + int64(binary.BigEndian.Uint32(b[batchLastDelta:]))
	producer := int64(binary.BigEndian.Uint64(b[batchProducer:]))
	count := int(int32(binary.BigEndian.Uint32(b[batchCount:])))
	if last+1 > d.next {
		d.next = last + 1
	}
	d.begin(last)
	switch {
	case attributes&controlBit != 0:
		// A marker ends what its producer had begun, committed or aborted.
		delete(d.aborting, producer)
		d.skipped++
		return nil
	case attributes&transactionBit != 0 && d.aborting[producer]:
		d.skipped += uint64(max(count, 0))
		return nil
	case last < d.from || count == 0:
		return nil
	}
	body := b[batchHeaderBytes:]
	if codec := attributes & codecBits; codec != 0 {
		var err error
		if body, err = decompress(compress.Compression(codec), body); err != nil {
			return fmt.Errorf("%w: batch at offset %d: %w", ErrCorrupt, base, err)
		}
	}
	first := int64(binary.BigEndian.Uint64(b[batchFirstTime:]))
	stamp := int64(-1)
	if attributes&logAppendBit != 0 {
		stamp = int64(binary.BigEndian.Uint64(b[batchMaxTime:]))
	}
	for i := range count {
		size, n := binary.Varint(body)
		if n <= 0 || size < minRecordBytes-1 || size > int64(len(body)-n) {
			return fmt.Errorf("%w: record %d of %d in the batch at offset %d does not fit", ErrCorrupt, i, count, base)
		}
		record := body[n : n+int(size)]
		body = body[n+int(size):]
		if err := d.record(record, base, first, stamp); err != nil {
			return fmt.Errorf("%w: record %d of %d in the batch at offset %d: %w", ErrCorrupt, i, count, base, err)
		}
	}
	return nil
}

// begin moves the transactions that start at or before last to the ones that are being skipped.
func (d *decoder) begin(last int64) {
	for len(d.pending) > 0 && d.pending[0].first <= last {
		if d.aborting == nil {
			d.aborting = make(map[int64]bool)
		}
		d.aborting[d.pending[0].producer] = true
		d.pending = d.pending[1:]
	}
}

// errCutOff says that a record ends within a field.
var errCutOff = fmt.Errorf("it ends within a field")

// record decodes one record: attributes, time and offset deltas, key, value, headers. stamp is the time of the whole batch, -1 if every
// record has its own.
func (d *decoder) record(b []byte, base, first, stamp int64) error {
	at := 1 // behind the attributes, of which none are defined
	timeDelta, n := varint(b[at:])
	at += n
	offsetDelta, n2 := varint(b[at:])
	at += n2
	key, n3 := varbytes(b[at:])
	at += n3
	value, n4 := varbytes(b[at:])
	at += n4
	headers, n5 := varint(b[at:])
	at += n5
	if n == 0 || n2 == 0 || n3 == 0 || n4 == 0 || n5 == 0 || headers < 0 || headers > int64(len(b)-at) {
		return errCutOff
	}
	offset := base + offsetDelta
	if offset < d.from {
		return nil
	}
	if stamp < 0 {
		stamp = first + timeDelta
	}
	d.records = append(d.records, streams.Record{Offset: offset, AppendMS: stamp, Key: key, Value: value})
	r := &d.records[len(d.records)-1]
	if headers > 0 {
		r.Headers = make([]streams.Header, headers)
		for i := range r.Headers {
			name, n := varbytes(b[at:])
			at += n
			content, n2 := varbytes(b[at:])
			at += n2
			if n == 0 || n2 == 0 {
				return errCutOff
			}
			r.Headers[i].Value = content
			r.Headers[i].Key = alias(name)
		}
	}
	r.Hash = streams.HashRecord(r)
	return nil
}

// varint reads a zigzag number and says how many bytes it took, 0 if it does not fit. Most take one byte, a value's length two.
func varint(b []byte) (v int64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return int64(b[0]>>1) ^ -int64(b[0]&1), 1
	}
	return longVarint(b)
}

func longVarint(b []byte) (v int64, n int) {
	if len(b) > 1 && b[1] < 0x80 {
		u := uint64(b[0]&0x7f) | uint64(b[1])<<7
		return int64(u>>1) ^ -int64(u&1), 2
	}
	v, n = binary.Varint(b)
	return v, max(n, 0)
}

// varbytes reads a length and as many bytes, and says how many it took in all, 0 if they do not fit. The length -1 stands for nil.
func varbytes(b []byte) (v []byte, n int) {
	size, n := varint(b)
	if size < 0 || n == 0 {
		return nil, n
	}
	if size > int64(len(b)-n) {
		return nil, 0
	}
	end := n + int(size)
	return b[n:end:end], end
}

// decompress returns the records of a compressed batch in a buffer of their own.
func decompress(c compress.Compression, b []byte) ([]byte, error) {
	codec := c.Codec()
	if codec == nil {
		return nil, fmt.Errorf("compression %d is not known; want gzip (1), snappy (2), lz4 (3) or zstd (4)", c)
	}
	r := codec.NewReader(bytes.NewReader(b))
	defer r.Close()
	out := make([]byte, 0, 4*len(b)+512)
	for {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", codec.Name(), err)
		}
		if len(out) > maxDecompressed {
			return nil, fmt.Errorf("%s: more than %d bytes once decompressed", codec.Name(), maxDecompressed)
		}
		if len(out) == cap(out) {
			out = slices.Grow(out, len(out))
		}
	}
}
