package simulate

import "bytes"

// Counts says what a World has written so far. Records is the sum of the others, late and out-of-order ones included in
// Events.
type Counts struct {
	Records    int64
	Events     int64 // valid events, each counted once
	OutOfOrder int64 // of Events: arrived up to 30 s after they happened
	Late       int64 // of Events: arrived hours after they happened
	Duplicates int64 // events that were sent again
	Broken     int64 // records that are no valid event
}

// delayed is a record on its way.
type delayed struct {
	Record
	seq uint64
}

// emit sends a record to the broker, by ways that may lose its order, double it, or put a broken one beside it. The
// noise has random numbers of its own: other rates leave the world as it is.
func (w *World) emit(topic Topic, key, value []byte) {
	if w.muted {
		return
	}
	w.counts.Events++
	s, u := &w.shop, 2.0
	if w.noisy && topic != Catalog {
		u = w.noise.Float64()
	}
	if u < s.Late {
		w.counts.Late++
		w.delay(topic, key, value, int64((1+11*w.noise.Float64())*hourMS))
		return
	}
	if u -= s.Late; u < s.OutOfOrder {
		w.counts.OutOfOrder++
		w.delay(topic, key, value, 100+int64(w.noise.Float64()*30_000))
		return
	}
	w.out = append(w.out, Record{Topic: topic, Key: w.keep(key), Value: w.keep(value), TimeMS: w.now})
	if u -= s.OutOfOrder; u < s.Duplicate {
		w.counts.Duplicates++
		w.delay(topic, key, value, int64(w.noise.ExpFloat64()*20_000))
		return
	}
	if u -= s.Duplicate; u < s.Broken {
		w.counts.Broken++
		w.out = append(w.out, Record{Topic: topic, Key: w.keep(key), Value: w.keep(w.breakRecord(value)), TimeMS: w.now})
	}
}

// delay sends a record that arrives so many milliseconds later. It gets memory of its own: in a chunk it would keep the
// whole chunk from the collector for hours.
func (w *World) delay(topic Topic, key, value []byte, ms int64) {
	w.seq++
	rec := Record{Topic: topic, Key: bytes.Clone(key), Value: bytes.Clone(value), TimeMS: w.now + ms}
	h := append(w.delayed, delayed{rec, w.seq})
	w.delayed = h
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(&h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (d *delayed) before(e *delayed) bool {
	return d.TimeMS < e.TimeMS || d.TimeMS == e.TimeMS && d.seq < e.seq
}

// arrived takes the first delayed record.
func (w *World) arrived() Record {
	h := w.delayed
	top := h[0].Record
	n := len(h) - 1
	h[0] = h[n]
	h[n] = delayed{}
	h = h[:n]
	w.delayed = h
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	return top
}

// chunkBytes is how much is allocated at a time for keys and values: they are cut from it and never written again, so
// that a caller may keep them, and the collector frees a chunk when its last record is gone.
const chunkBytes = 64 << 10

func (w *World) keep(b []byte) []byte {
	if len(b) > cap(w.chunk)-len(w.chunk) {
		w.chunk = make([]byte, 0, max(chunkBytes, len(b)))
	}
	at := len(w.chunk)
	w.chunk = append(w.chunk, b...)
	return w.chunk[at:len(w.chunk):len(w.chunk)]
}

// breakRecord makes of a valid record one that no decoder may accept.
func (w *World) breakRecord(v []byte) []byte {
	replace := func(old, by string) []byte { return bytes.Replace(v, []byte(old), []byte(by), 1) }
	rest := v[1:]
	switch w.noise.IntN(15) {
	case 0: // torn
		return v[:len(v)/2]
	case 1: // not JSON
		return []byte("GET / HTTP/1.1")
	case 2:
		return nil
	case 3:
		return append([]byte(`{"price":"12,5",`), rest...)
	case 4:
		return append([]byte(`{"price":-3,`), rest...)
	case 5:
		return append([]byte("{\"session\":\"\xff\xfe\","), rest...)
	case 6:
		return replace(`"type":"`, `"type":"no such type `)
	case 7:
		return replace(`"time":`, `"time":"yesterday","was":`)
	case 8:
		return replace(`"id":"`, `"was":"`)
	case 9: // before 1970
		return replace(`"time":`, `"time":-86400000,"was":`)
	case 10:
		return append([]byte(`{"price":NaN,`), rest...)
	case 11: // the year 2200
		return replace(`"time":`, `"time":7258118400000,"was":`)
	case 12: // nobody; where there is a user, twice
		return append([]byte(`{"user":"null",`), rest...)
	case 13: // a key twice
		return append([]byte(`{"id":"again",`), rest...)
	default: // larger than a record may be
		b := append([]byte(`{"padding":"`), bytes.Repeat([]byte("x"), 40<<10)...)
		return append(append(b, `",`...), rest...)
	}
}
