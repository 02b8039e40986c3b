package state

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"
)

// An entry on disk, all integers little-endian:
//
//	 0  length of the payload   uint32
//	 4  CRC32C of bytes 8 to the end of the payload
//	 8  epoch                   uint64
//	16  hash of the entry       uint64
//	24  behind                  uint32, how many of the epochs before this one were not known to be durable when it was written
//	28  payload
const (
	entryHeader = 28
	// MaxEntry is the largest payload of an entry.
	MaxEntry = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// entry is one entry of the journal. Its payload aliases what it was decoded from.
type entry struct {
	epoch   uint64
	hash    uint64
	behind  uint32
	payload []byte
}

// size returns the bytes that the entry takes on disk.
func (e *entry) size() int64 { return entryHeader + int64(len(e.payload)) }

// appendTo appends the entry as it is on disk.
func (e *entry) appendTo(b []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.payload)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, e.epoch)
	b = binary.LittleEndian.AppendUint64(b, e.hash)
	b = binary.LittleEndian.AppendUint32(b, e.behind)
	b = append(b, e.payload...)
	binary.LittleEndian.PutUint32(b[at+4:], crc32.Checksum(b[at+8:], castagnoli))
	return b
}

// What can be wrong with the bytes of an entry.
var (
	errShort    = errors.New("the entry is cut short")
	errChecksum = errors.New("the checksum does not match")
)

// decodeEntry decodes the entry that b starts with. It does not check epoch and hash, which depend on the entry before.
func decodeEntry(b []byte) (entry, error) {
	if len(b) < entryHeader {
		return entry{}, errShort
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > int64(len(b))-entryHeader {
		return entry{}, errShort
	}
	b = b[:entryHeader+n]
	if crc32.Checksum(b[8:], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return entry{}, errChecksum
	}
	return entry{
		epoch:   binary.LittleEndian.Uint64(b[8:]),
		hash:    binary.LittleEndian.Uint64(b[16:]),
		behind:  binary.LittleEndian.Uint32(b[24:]),
		payload: b[entryHeader:],
	}, nil
}

// chainHash returns the hash of an entry: a function of its payload and of the hash of the entry before.
func chainHash(prev uint64, payload []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	d.Write(binary.LittleEndian.AppendUint64(nil, prev))
	d.Write(payload)
	return d.Sum64()
}
