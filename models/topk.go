package models

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
)

// A TopK counts texts, of which the first 64 bytes matter. Its counts are exact while it has met at most 256 occurrences, or at most 64 texts. Beyond
// that it has the 256 occurrences with the smallest hashes, a uniform sample (bottom-k: Cohen, Kaplan 2007): the count of a text with the share p of n
// occurrences has a standard error of n sqrt(p (1-p) / 256). So it is the same in whatever order texts came and were merged.
//
// It lives in its bytes: the number of occurrences (8 bytes, big endian), the greatest hash of the sample (4), what it knows (1), then for each text
// ascending its length and itself, its count where counts are kept beside the sample, the number of its occurrences in the sample, and their
// hashes ascending (4 each). Numbers are uvarints.
const (
	topTexts  = 64
	topSample = 256
	topBytes  = 64 // of a text
	topHead   = 13
)

// What a TopK knows.
const (
	topAll     = iota // every occurrence is in the sample
	topCounts         // the count of every text
	topSampled        // the sample
)

type topEntry struct {
	text   []byte
	count  uint64 // where counts are known
	hashes []uint32
}

type topK struct {
	n       uint64
	knows   byte
	entries []topEntry
}

var errTopK = errors.New("models: the texts of a TopK are out of order or cut off")

// readTop decodes b, of which the texts stay a part.
func readTop(b []byte) (x topK, err error) {
	if len(b) == 0 {
		return x, nil
	}
	if len(b) < topHead {
		return x, errTopK
	}
	x.n, x.knows = binary.BigEndian.Uint64(b), b[12]
	b = b[topHead:]
	bad := false
	number := func(most uint64) int {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > most {
			bad = true
			return 0
		}
		b = b[n:]
		return int(v)
	}
	hashes := make([]uint32, 0, topSample) // of all entries
	for len(b) > 0 && !bad {
		var e topEntry
		size := min(number(topBytes), len(b))
		e.text, b = b[:size], b[size:]
		if x.knows == topCounts {
			e.count = uint64(number(1<<62 - 1))
		}
		count := number(uint64(topSample - len(hashes)))
		if 4*count > len(b) {
			return x, errTopK
		}
		for i := range count {
			hashes = append(hashes, binary.BigEndian.Uint32(b[4*i:]))
		}
		e.hashes, b = hashes[len(hashes)-count:len(hashes):len(hashes)], b[4*count:]
		if x.knows == topAll {
			e.count = uint64(count)
		}
		x.entries = append(x.entries, e)
	}
	if bad {
		return x, errTopK
	}
	return x, nil
}

func (x *topK) append(b []byte) []byte {
	greatest := uint32(0)
	for i := range x.entries {
		if h := x.entries[i].hashes; len(h) > 0 {
			greatest = max(greatest, h[len(h)-1])
		}
	}
	b = binary.BigEndian.AppendUint64(b, x.n)
	b = append(binary.BigEndian.AppendUint32(b, greatest), x.knows)
	for i := range x.entries {
		e := &x.entries[i]
		b = append(binary.AppendUvarint(b, uint64(len(e.text))), e.text...)
		if x.knows == topCounts {
			b = binary.AppendUvarint(b, e.count)
		}
		b = binary.AppendUvarint(b, uint64(len(e.hashes)))
		for _, h := range e.hashes {
			b = binary.BigEndian.AppendUint32(b, h)
		}
	}
	return b
}

// TopKAdd counts a text and returns the new bytes, which may be the old ones changed. occurrence is a hash of this occurrence of it: no two of one event are
// to have the same.
func TopKAdd(b []byte, occurrence uint32, text string) []byte {
	text = text[:min(len(text), topBytes)]
	if out, ok := addTop(b, occurrence, text); ok {
		return out
	}
	one := topK{n: 1, entries: []topEntry{{text: []byte(text), count: 1, hashes: []uint32{occurrence}}}}
	x, _ := readTop(b)
	x.merge(&one)
	return x.append(make([]byte, 0, len(b)+topHead+len(text)+8))
}

// addTop is TopKAdd in place, where what is known stays the same: nearly always.
func addTop(b []byte, occurrence uint32, text string) ([]byte, bool) {
	if len(b) < topHead {
		return b, false
	}
	n, greatest, knows := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), b[12]
	enters := knows == topAll || occurrence <= greatest // the sample
	if knows == topAll && n >= topSample {
		return b, false
	}
	if knows != topSampled || enters {
		at, same, texts := findTop(b, text)
		if knows == topCounts && !same && texts >= topTexts {
			return b, false
		}
		b = putTop(b, at, same, enters, occurrence, text)
	}
	if enters && knows != topAll {
		b = dropTop(b)
	} else if enters {
		binary.BigEndian.PutUint32(b[8:], max(greatest, occurrence))
	}
	binary.BigEndian.PutUint64(b, n+1)
	return b, true
}

// putTop adds to the entry of a text, or puts in a new one.
func putTop(b []byte, at int, same, enters bool, occurrence uint32, text string) []byte {
	var space [3*binary.MaxVarintLen64 + topBytes + 4]byte
	put := space[:0]
	if !same {
		put = append(binary.AppendUvarint(put, uint64(len(text))), text...)
		if b[12] == topCounts {
			put = append(put, 1)
		}
		if put = append(put, byte(0)); enters {
			put[len(put)-1] = 1
			put = binary.BigEndian.AppendUint32(put, occurrence)
		}
		return slices.Insert(b, at, put...)
	}
	if b[12] == topCounts {
		count, size := binary.Uvarint(b[at:])
		next := binary.AppendUvarint(put, count+1)
		b = slices.Replace(b, at, at+size, next...)
		at += len(next)
	}
	if !enters {
		return b
	}
	count, size := binary.Uvarint(b[at:])
	hashes := b[at+size : at+size+4*int(count)]
	i := sort.Search(int(count), func(i int) bool { return binary.BigEndian.Uint32(hashes[4*i:]) >= occurrence })
	b = slices.Insert(b, at+size+4*i, binary.BigEndian.AppendUint32(put, occurrence)...)
	return slices.Replace(b, at, at+size, binary.AppendUvarint(put, count+1)...)
}

// dropTop takes the occurrence with the greatest hash out of the sample; of one hash that of the greater text.
func dropTop(b []byte) []byte {
	var greatest, next uint32
	var entry, number, size, count int
	walkTop(b, func(from, textEnd, at, hashes, n int) {
		if hashes == 0 {
			return
		}
		last := binary.BigEndian.Uint32(b[at+n+4*(hashes-1):])
		if count > 0 && last < greatest {
			next = max(next, last)
			return
		}
		if count > 0 {
			next = max(next, greatest)
		}
		if hashes > 1 {
			next = max(next, binary.BigEndian.Uint32(b[at+n+4*(hashes-2):]))
		}
		greatest, entry, number, size, count = last, from, at, n, hashes
	})
	end := number + size + 4*count
	if count == 1 && b[12] == topSampled {
		b = slices.Delete(b, entry, end)
	} else {
		var space [binary.MaxVarintLen64]byte
		b = slices.Delete(b, end-4, end)
		b = slices.Replace(b, number, number+size, binary.AppendUvarint(space[:0], uint64(count-1))...)
	}
	binary.BigEndian.PutUint32(b[8:], next)
	return b
}

// walkTop calls f for each entry: where it begins, where its text ends, where the number of its hashes stands, that number, and how long it is.
func walkTop(b []byte, f func(from, textEnd, at, hashes, n int)) {
	for i := topHead; i < len(b); {
		from := i
		size, n := binary.Uvarint(b[i:])
		i += n + int(size)
		textEnd := i
		if b[12] == topCounts {
			_, n = binary.Uvarint(b[i:])
			i += n
		}
		hashes, n := binary.Uvarint(b[i:])
		f(from, textEnd, i, int(hashes), n)
		i += n + 4*int(hashes)
	}
}

// findTop says where what follows a text stands, or where the text's entry belongs, and how many texts there are.
func findTop(b []byte, text string) (at int, same bool, texts int) {
	at = -1
	walkTop(b, func(from, textEnd, _, _, _ int) {
		texts++
		if at >= 0 {
			return
		}
		_, n := binary.Uvarint(b[from:])
		switch other := b[from+n : textEnd]; {
		case string(other) == text:
			at, same = textEnd, true
		case string(other) > text:
			at = from
		}
	})
	if at < 0 {
		at = len(b)
	}
	return at, same, texts
}

// TopKMerge adds the counts of another one and returns new bytes.
func TopKMerge(into, from []byte) []byte {
	if len(from) == 0 {
		return into
	}
	x, _ := readTop(into)
	y, _ := readTop(from)
	x.merge(&y)
	return x.append(make([]byte, 0, len(into)+len(from)))
}

func (x *topK) merge(y *topK) {
	exact := x.knows != topSampled && y.knows != topSampled
	x.n += y.n
	merged := make([]topEntry, 0, len(x.entries)+len(y.entries))
	sampled := 0
	for a, b := x.entries, y.entries; len(a)+len(b) > 0; {
		var e topEntry
		switch order := compareTops(a, b); {
		case order < 0:
			e, a = a[0], a[1:]
		case order > 0:
			e, b = b[0], b[1:]
		default:
			e = topEntry{a[0].text, a[0].count + b[0].count, append(slices.Clip(a[0].hashes), b[0].hashes...)}
			slices.Sort(e.hashes)
			a, b = a[1:], b[1:]
		}
		merged = append(merged, e)
		sampled += len(e.hashes)
	}
	x.entries = merged
	switch {
	case x.n <= topSample:
		x.knows = topAll
		return
	case exact && len(merged) <= topTexts:
		x.knows = topCounts
	default:
		x.knows = topSampled
	}
	if sampled > topSample {
		x.cut()
	}
	if x.knows == topSampled {
		x.entries = slices.DeleteFunc(x.entries, func(e topEntry) bool { return len(e.hashes) == 0 })
	}
}

// compareTops compares the first entries; where there is none the other comes first.
func compareTops(a, b []topEntry) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return bytes.Compare(a[0].text, b[0].text)
}

// cut leaves the occurrences with the smallest hashes in the sample; of one hash those of the smaller text.
func (x *topK) cut() {
	var all []uint32
	for i := range x.entries {
		all = append(all, x.entries[i].hashes...)
	}
	slices.Sort(all)
	most := all[topSample-1]
	below, _ := slices.BinarySearch(all, most)
	room := topSample - below // for those of that hash
	for i := range x.entries {
		e := &x.entries[i]
		n, _ := slices.BinarySearch(e.hashes, most)
		for n < len(e.hashes) && e.hashes[n] == most && room > 0 {
			n++
			room--
		}
		e.hashes = e.hashes[:n]
	}
}

// TopKValue lists the k texts that were counted most often, the most frequent first; of equal counts by text.
func TopKValue(b []byte, k int) (texts []string, counts []uint64) {
	x, _ := readTop(b)
	if x.knows == topSampled {
		for i := range x.entries {
			x.entries[i].count = uint64(float64(len(x.entries[i].hashes)) / topSample * float64(x.n))
		}
	}
	sort.SliceStable(x.entries, func(i, j int) bool { return x.entries[i].count > x.entries[j].count })
	for _, e := range x.entries[:min(k, len(x.entries))] {
		texts = append(texts, string(e.text))
		counts = append(counts, e.count)
	}
	return texts, counts
}

// TopKExact says whether the counts of a TopK that met so many occurrences of so many texts are exact.
func TopKExact(occurrences, texts int) bool { return occurrences <= topSample || texts <= topTexts }

// TopKError is the standard error of the share of a text whose counts are not exact, for a share of a half, the greatest.
const TopKError = 0.5 / 16

// TopKCheck refuses bytes that no TopK has.
func TopKCheck(b []byte) error {
	x, err := readTop(b)
	if err != nil || len(b) == 0 {
		return err
	}
	var sampled int
	var counted uint64
	for i := range x.entries {
		e := &x.entries[i]
		if i > 0 && bytes.Compare(x.entries[i-1].text, e.text) >= 0 || !slices.IsSorted(e.hashes) || uint64(len(e.hashes)) > e.count && x.knows == topCounts ||
			len(e.hashes) == 0 && x.knows != topCounts || e.count == 0 && x.knows == topCounts {
			return errTopK
		}
		sampled += len(e.hashes)
		counted += e.count
	}
	switch x.knows {
	case topAll:
		if x.n == 0 || x.n > topSample || uint64(sampled) != x.n {
			return errTopK
		}
	case topCounts:
		if x.n <= topSample || sampled != topSample || counted != x.n || len(x.entries) > topTexts {
			return errTopK
		}
	case topSampled:
		if x.n <= topSample || sampled != topSample {
			return errTopK
		}
	default:
		return errTopK
	}
	if !bytes.Equal(x.append(nil), b) {
		return errTopK
	}
	return nil
}

// TopKMost is how many bytes a TopK takes at most.
const TopKMost = topHead + topSample*(2+topBytes+4)
