package state

import (
	"encoding/binary"
	"fmt"
)

const (
	// MaxKey and MaxValue are the largest key and value that a row may have, in bytes. A value of that size still lies
	// below Badger's value threshold.
	MaxKey   = 4096
	MaxValue = 1<<20 - 1

	// KindIndex is the kind of rows that only say where to look: what they say follows from other rows, but how it is cut into rows
	// depends on when checkpoints were taken. Hash leaves them out.
	KindIndex = 'R'

	kindReserved = 0x00 // the store's own rows
	kindBadger   = '!'  // Badger's own keys start so
)

var markerKey = []byte{kindReserved, 'm'}

// Key returns the key of a row: its kind, its shard and the rest, so that rows sort by kind, then shard. Kind 0 is the
// store's and '!' is Badger's.
func Key(kind byte, shard uint16, rest string) []byte {
	return AppendKey(make([]byte, 0, 3+len(rest)), kind, shard, rest)
}

// AppendKey appends Key(kind, shard, rest) to dst.
func AppendKey(dst []byte, kind byte, shard uint16, rest string) []byte {
	dst = append(dst, kind, byte(shard>>8), byte(shard))
	return append(dst, rest...)
}

// SplitKey undoes Key. The rest aliases key. A key shorter than a kind and a shard is not of Key's making: ok is false.
func SplitKey(key []byte) (kind byte, shard uint16, rest []byte, ok bool) {
	if len(key) < 3 {
		return 0, 0, nil, false
	}
	return key[0], binary.BigEndian.Uint16(key[1:]), key[3:], true
}

func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("state: empty key: give it a kind")
	case key[0] == kindReserved || key[0] == kindBadger:
		return fmt.Errorf("state: key %q: kinds %#x and %q are reserved: choose another", key, kindReserved, kindBadger)
	case len(key) > MaxKey:
		return fmt.Errorf("state: key %q... has %d bytes, at most %d are allowed", key[:64], len(key), MaxKey)
	}
	return nil
}
