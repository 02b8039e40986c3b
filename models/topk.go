package models

import (
	"encoding/binary"
	"errors"
	"sort"
)

// A TopK counts texts. While it has met at most 64 of them its counts are exact; beyond that it keeps the 64 whose hashes are smallest, with exact
// counts: a fair sample of the texts, the same in whatever order they came (a bottom-k sample: Cohen, Kaplan 2007). It lives in its bytes: for each text,
// ascending by hash, the hash (8 bytes, big endian), its count and its length as uvarints, and the text.
const (
	topTexts = 64
	topBytes = 64 // of a text that are kept
)

type topEntry struct {
	hash  uint64
	count uint64
	text  []byte
	size  int // of the entry
}

func readTop(b []byte) (e topEntry, ok bool) {
	if len(b) < 10 {
		return e, false
	}
	e.hash = binary.BigEndian.Uint64(b)
	count, n := binary.Uvarint(b[8:])
	length, m := binary.Uvarint(b[8+max(n, 0):])
	if n <= 0 || m <= 0 || length > topBytes || uint64(len(b)-8-n-m) < length {
		return e, false
	}
	e.count, e.size = count, 8+n+m+int(length)
	e.text = b[8+n+m : e.size]
	return e, true
}

func appendTop(b []byte, hash, count uint64, text []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, hash)
	b = binary.AppendUvarint(b, count)
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// TopKAdd counts a text, of which the first 64 bytes are kept, and returns the new bytes. hash is that of the whole text.
func TopKAdd(b []byte, hash uint64, text string) []byte {
	var one [8 + 2*binary.MaxVarintLen64 + topBytes]byte
	return TopKMerge(b, appendTop(one[:0], hash, 1, []byte(text[:min(len(text), topBytes)])))
}

// TopKMerge adds the counts of another one and returns new bytes.
func TopKMerge(into, from []byte) []byte {
	if len(from) == 0 {
		return into
	}
	out := make([]byte, 0, len(into)+len(from))
	x, xOK := readTop(into)
	y, yOK := readTop(from)
	for n := 0; n < topTexts && (xOK || yOK); n++ {
		takeX := xOK && (!yOK || x.hash <= y.hash)
		takeY := yOK && (!xOK || y.hash <= x.hash)
		switch {
		case takeX && takeY:
			text := x.text
			if string(y.text) < string(text) { // two texts of one hash count as the smaller
				text = y.text
			}
			out = appendTop(out, x.hash, x.count+y.count, text)
		case takeX:
			out = append(out, into[:x.size]...)
		default:
			out = append(out, from[:y.size]...)
		}
		if takeX {
			into = into[x.size:]
			x, xOK = readTop(into)
		}
		if takeY {
			from = from[y.size:]
			y, yOK = readTop(from)
		}
	}
	return out
}

// TopKValue lists the k texts that were counted most often, the most frequent first; of equal counts by text.
func TopKValue(b []byte, k int) (texts []string, counts []uint64) {
	var all []topEntry
	for e, ok := readTop(b); ok; e, ok = readTop(b) {
		all = append(all, e)
		b = b[e.size:]
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].count != all[j].count {
			return all[i].count > all[j].count
		}
		return string(all[i].text) < string(all[j].text)
	})
	for _, e := range all[:min(k, len(all))] {
		texts = append(texts, string(e.text))
		counts = append(counts, e.count)
	}
	return texts, counts
}

// TopKCheck refuses bytes that no TopK has.
func TopKCheck(b []byte) error {
	before, n := uint64(0), 0
	for ; len(b) > 0; n++ {
		e, ok := readTop(b)
		if !ok || n > 0 && e.hash <= before || e.count == 0 || n >= topTexts || e.size != len(appendTop(nil, e.hash, e.count, e.text)) {
			return errors.New("models: the texts of a TopK are out of order or cut off")
		}
		before = e.hash
		b = b[e.size:]
	}
	return nil
}

// TopKMost is how many bytes a TopK takes at most.
const TopKMost = topTexts * (8 + 2*binary.MaxVarintLen32 + topBytes)
