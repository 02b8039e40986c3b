package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"

	"nudge/streams"
)

func TestMurmur2(t *testing.T) {
	// From the tests of the Java client.
	for key, want := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("%q: got %d, want %d", key, got, want)
		}
	}
}

func genBytes(t *rapid.T, name string) []byte {
	if rapid.Bool().Draw(t, name+" is nil") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, name)
}

// What add and seal write, decode reads.
func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b batch
		var want []streams.Record
		base := rapid.Int64Range(0, 1<<40).Draw(t, "base")
		for i := range rapid.IntRange(1, 20).Draw(t, "records") {
			r := Record{Key: genBytes(t, "key"), Value: genBytes(t, "value"), TimeMS: rapid.Int64Range(1, 1<<42).Draw(t, "time")}
			for range rapid.IntRange(0, 2).Draw(t, "headers") {
				r.Headers = append(r.Headers, streams.Header{Key: rapid.StringN(0, 10, -1).Draw(t, "name"), Value: genBytes(t, "content")})
			}
			before := len(b.b)
			b.add(&r, r.TimeMS)
			if grown := len(b.b) - max(before, batchHeaderBytes); grown > room(&r) {
				t.Fatalf("a record took %d bytes, room for %d", grown, room(&r))
			}
			want = append(want, streams.Record{Offset: base + int64(i), AppendMS: r.TimeMS, Key: r.Key, Value: r.Value, Headers: r.Headers})
		}
		b.seal(0, -1, -1, -1)
		binary.BigEndian.PutUint64(b.b, uint64(base)) // as the broker does, outside the checksum
		skip := rapid.IntRange(0, len(want)-1).Draw(t, "skip")
		d := decoder{from: base + int64(skip)}
		if partial, err := d.decode(b.b, nil); err != nil || partial || d.next != base+int64(len(want)) || len(d.records) != len(want)-skip {
			t.Fatalf("got %d records, next %d, %v", len(d.records), d.next, err)
		}
		for i, got := range d.records {
			w := want[skip+i]
			if got.Offset != w.Offset || got.AppendMS != w.AppendMS || !same(got.Key, w.Key) || !same(got.Value, w.Value) || len(got.Headers) != len(w.Headers) {
				t.Fatalf("got %+v, want %+v", got, w)
			}
			for k, h := range got.Headers {
				if h.Key != w.Headers[k].Key || !same(h.Value, w.Headers[k].Value) {
					t.Fatalf("header %d: got %+v, want %+v", k, h, w.Headers[k])
				}
			}
			if got.Hash != streams.HashRecord(&got) {
				t.Fatal("wrong hash")
			}
		}
	})
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func sample() []byte {
	var b batch
	b.add(&Record{Key: []byte("k"), Value: bytes.Repeat([]byte("v"), 200), Headers: []streams.Header{{Key: "h", Value: []byte("x")}}}, 1)
	b.add(&Record{Value: []byte{}}, 2)
	b.seal(0, -1, -1, -1)
	return b.b
}

// A batch that is cut off is left for later; damage is noticed.
func TestBatchDamage(t *testing.T) {
	whole := sample()
	for cut := 1; cut < len(whole); cut++ {
		d := decoder{}
		if partial, err := d.decode(whole[:cut], nil); err != nil || !partial || d.next != 0 {
			t.Fatalf("cut at %d: partial %v, next %d, %v", cut, partial, d.next, err)
		}
		two := append(bytes.Clone(whole), whole[:cut]...)
		if partial, err := (&decoder{}).decode(two, nil); err != nil || partial {
			t.Fatalf("a second one cut at %d: partial %v, %v", cut, partial, err)
		}
	}
	for i := batchCRC; i < len(whole); i++ {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		if _, err := (&decoder{}).decode(bad, nil); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d: got %v", i, err)
		}
	}
	old := bytes.Clone(whole)
	old[batchMagic] = 1
	if _, err := (&decoder{}).decode(old, nil); !errors.Is(err, ErrUnsupported) {
		t.Fatalf("format 1: got %v", err)
	}
}

// FuzzDecode feeds the decoder batches with a valid checksum and whatever content.
func FuzzDecode(f *testing.F) {
	f.Add(sample(), int64(0))
	f.Add(append(sample(), sample()...), int64(1))
	f.Fuzz(func(t *testing.T, raw []byte, from int64) {
		for rest := raw; ; {
			b, ok := cutBatch(rest)
			if !ok {
				break
			}
			rest = rest[len(b):]
			b[batchMagic] = magic
			binary.BigEndian.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAttributes:], castagnoli))
		}
		d := decoder{from: from}
		if _, err := d.decode(raw, []aborted{{1, 2}, {3, 0}}); err != nil {
			return
		}
		if d.next < from {
			t.Fatalf("next %d before from %d", d.next, from)
		}
		for i, r := range d.records {
			if r.Offset < from {
				t.Fatalf("record %d at offset %d before %d", i, r.Offset, from)
			}
		}
	})
}

// FuzzAnswers feeds the decoders of answers.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 2, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		readFetch(&reader{b: b})
		readMetadata(&reader{b: b})
		readProduce(&reader{b: b})
	})
}
