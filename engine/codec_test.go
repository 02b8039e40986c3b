package engine

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"nudge/streams"
)

func bytesOrNil(t *rapid.T, label string) []byte {
	return rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 20)).Draw(t, label)
}

func genPartition(t *rapid.T) Partition {
	return Partition{Input: rapid.IntRange(0, 5).Draw(t, "input"), ID: rapid.Int32Min(0).Draw(t, "partition")}
}

func genRecord(t *rapid.T) streams.Record {
	r := streams.Record{Offset: rapid.Int64().Draw(t, "offset"), AppendMS: rapid.Int64().Draw(t, "append"), Key: bytesOrNil(t, "key"), Value: bytesOrNil(t, "value")}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		r.Headers = append(r.Headers, streams.Header{Key: rapid.String().Draw(t, "header"), Value: bytesOrNil(t, "header value")})
	}
	return r
}

func list[T any](t *rapid.T, label string, gen func(*rapid.T) T) (l []T) {
	for range rapid.IntRange(0, 4).Draw(t, label) {
		l = append(l, gen(t))
	}
	return l
}

func genEntry(t *rapid.T) *Entry {
	e := &Entry{ArrivalMS: rapid.Int64().Draw(t, "arrival")}
	e.Spans = list(t, "spans", func(t *rapid.T) Span {
		from := rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "from")
		return Span{Partition: genPartition(t), From: from, To: from + rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "length"),
			Count: rapid.IntMin(0).Draw(t, "count"), Hash: rapid.Uint64().Draw(t, "hash")}
	})
	e.Idle = list(t, "idle", genPartition)
	e.Ticks = list(t, "ticks", func(t *rapid.T) Tick {
		return Tick{Shard: rapid.IntRange(0, 1000).Draw(t, "shard"), AheadMS: rapid.Int64().Draw(t, "ahead")}
	})
	e.Catalog = list(t, "catalog", func(t *rapid.T) CatalogRecord { return CatalogRecord{genPartition(t), genRecord(t)} })
	e.Commands = list(t, "commands", func(t *rapid.T) Command {
		return Command{Kind: rapid.String().Draw(t, "kind"), Name: rapid.String().Draw(t, "name")}
	})
	e.Gaps = list(t, "gaps", func(t *rapid.T) Gap {
		return Gap{Partition: genPartition(t), From: rapid.Int64().Draw(t, "from"), To: rapid.Int64().Draw(t, "to")}
	})
	e.Requests = list(t, "requests", func(t *rapid.T) Request {
		return Request{Shard: rapid.IntRange(0, 1000).Draw(t, "shard"), Data: bytesOrNil(t, "data")}
	})
	if rapid.Bool().Draw(t, "setup") {
		e.Setup = &Setup{Definition: bytesOrNil(t, "definition"), ActOnStale: rapid.Bool().Draw(t, "stale")}
		e.Setup.Inputs = list(t, "inputs", func(t *rapid.T) Topic {
			return Topic{Topic: rapid.String().Draw(t, "topic"), ID: rapid.String().Draw(t, "id"), Partitions: rapid.IntRange(0, 99).Draw(t, "partitions"),
				Catalog: rapid.Bool().Draw(t, "catalog"), LogAppendTime: rapid.Bool().Draw(t, "log append time")}
		})
	}
	return e
}

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genEntry(t)
		got, err := DecodeEntry(want.AppendBinary(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

// An entry without requests is written as before there were any: journals of both kinds are read.
func TestEntryVersions(t *testing.T) {
	e := &Entry{ArrivalMS: 7, Ticks: []Tick{{Shard: 1, AheadMS: 5}}}
	const before = "010e00000101" + "0a" + "00000000"
	if got := fmt.Sprintf("%x", e.AppendBinary(nil)); got != before {
		t.Errorf("without requests it is %s, was %s", got, before)
	}
	e.Requests = []Request{{Shard: 1, Data: []byte("{}")}}
	if got := fmt.Sprintf("%x", e.AppendBinary(nil)); got != "02"+before[2:]+"01"+"01"+"03"+"7b7d" {
		t.Errorf("with a request it is %s", got)
	}
}

func genMessage(t *rapid.T) message {
	return message{to: rapid.IntRange(everyShard, 99).Draw(t, "to"), kind: messageKind(rapid.IntRange(int(claim), int(forwardedRequest)).Draw(t, "kind")),
		user: rapid.String().Draw(t, "user"), anon: rapid.String().Draw(t, "anon"), home: rapid.IntRange(0, 99).Draw(t, "home"), row: bytesOrNil(t, "row"),
		input: rapid.IntRange(0, 5).Draw(t, "input"), pos: streams.Position{Topic: rapid.String().Draw(t, "topic"), Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset")},
		record: genRecord(t), timeMS: rapid.Int64().Draw(t, "time")}
}

func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := list(t, "messages", genMessage)
		var b []byte
		for i := range want {
			b = want[i].appendBinary(b)
		}
		r := reader{b: b}
		var got []message
		for len(r.b) > 0 && r.err == nil {
			got = append(got, r.message())
		}
		if r.err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v: got  %+v\nwant %+v", r.err, got, want)
		}
	})
}

// blob is a program whose states are bytes; the rest of it is never called.
type blob struct{ Program }

type blobState []byte

func (blob) NewState() State { return blobState{} }
func (blob) DecodeState(b []byte) (State, error) {
	return append(blobState{}, b...), nil
}
func (s blobState) AppendBinary(b []byte) []byte { return append(b, s...) }
func (s blobState) Size() int                    { return len(s) }

func genCustomer(t *rapid.T) *customer {
	c := &customer{key: "u1", lastMS: rapid.Int64Range(-1<<60, 1<<60).Draw(t, "last")}
	if rapid.Bool().Draw(t, "alias") {
		c.alias = &alias{user: rapid.String().Draw(t, "user"), shard: rapid.IntRange(0, 99).Draw(t, "shard")}
	} else {
		c.state = append(blobState{}, rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "state")...)
	}
	for _, name := range []string{" forget", "a", "b"} {
		if rapid.Bool().Draw(t, "timer") {
			c.timers = append(c.timers, Timer{Name: name, AtMS: rapid.Int64().Draw(t, "at"), ArmedBy: rapid.String().Draw(t, "by")})
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "visits") {
		c.addVisit(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "visit"))
	}
	for range rapid.IntRange(0, 2*maxAnons).Draw(t, "anons") {
		c.addAnon(rapid.StringN(1, 5, -1).Draw(t, "anon"))
	}
	for range rapid.IntRange(0, 20).Draw(t, "ids") {
		c.seen.add(rapid.Uint64Range(0, 30).Draw(t, "id"), 8)
	}
	return c
}

func TestCustomerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genCustomer(t)
		b := want.appendBinary(nil)
		got, err := decodeCustomer("u1", b, blob{})
		if err != nil {
			t.Fatal(err)
		}
		if again := got.appendBinary(nil); !bytes.Equal(again, b) {
			t.Fatalf("encoded again it is\n %x\nwas\n %x", again, b)
		}
		if len(want.anons) > maxAnons || len(want.seen.hashes) > 8 {
			t.Fatalf("%d anonymous ids and %d event ids are remembered, want at most %d and 8", len(want.anons), len(want.seen.hashes), maxAnons)
		}
		if got.lastMS != want.lastMS || !reflect.DeepEqual(got.timers, want.timers) || !reflect.DeepEqual(got.anons, want.anons) || !reflect.DeepEqual(got.alias, want.alias) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

// TestRingAgainstList does the same adds on a ring and on a list.
func TestRingAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 6).Draw(t, "limit")
		var r ring
		var last []uint64
		for range rapid.IntRange(0, 60).Draw(t, "adds") {
			h := rapid.Uint64Range(0, 12).Draw(t, "hash")
			want := false
			for _, x := range last {
				want = want || x == h
			}
			if got := r.add(h, limit); got != want {
				t.Fatalf("add %d: known %v, want %v; the last ones were %v", h, got, want, last)
			}
			if !want {
				last = append(last, h)
				last = last[max(0, len(last)-limit):]
			}
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				d := reader{b: r.appendBinary(nil)}
				r = ring{}
				r.decode(&d)
			}
		}
		var got []uint64
		r.oldestFirst(func(h uint64) { got = append(got, h) })
		if fmt.Sprint(got) != fmt.Sprint(last) {
			t.Fatalf("the ring holds %v, want %v", got, last)
		}
	})
}

// The due row of a timer sorts by time, and comes back as it was.
func TestDueRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := func(label string) due {
			return due{atMS: rapid.Int64().Draw(t, label), key: rapid.StringN(1, 10, 128).Draw(t, "key"), name: rapid.StringN(0, 10, 64).Draw(t, "name")}
		}
		a, b := gen("a"), gen("b")
		x, y := appendDue(nil, a), appendDue(nil, b)
		if parseDue(x) != a {
			t.Fatalf("got %+v, want %+v", parseDue(x), a)
		}
		if a.atMS < b.atMS && bytes.Compare(x, y) >= 0 {
			t.Fatalf("%d sorts behind %d", a.atMS, b.atMS)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add((&Entry{}).AppendBinary(nil))
	f.Add((&Entry{ArrivalMS: 1, Spans: []Span{{From: 3, To: 9, Count: 6}}, Setup: &Setup{Inputs: []Topic{{Topic: "clicks"}}}}).AppendBinary(nil))
	f.Add((&Entry{ArrivalMS: 1, Requests: []Request{{Shard: 2, Data: []byte(`{"id":"R-1","user":"u1"}`)}}}).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntry(b)
		if err != nil {
			return
		}
		once := e.AppendBinary(nil)
		again, err := DecodeEntry(once)
		if err != nil {
			t.Fatalf("what was decoded can't be decoded again: %v", err)
		}
		if twice := again.AppendBinary(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}

func FuzzDecodeCustomer(f *testing.F) {
	f.Add((&customer{state: blobState("state"), timers: []Timer{{Name: "t", AtMS: 5}}, anons: []string{"a"}}).appendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCustomer("u1", b, blob{})
		if err != nil {
			return
		}
		once := c.appendBinary(nil)
		again, err := decodeCustomer("u1", once, blob{})
		if err != nil {
			t.Fatalf("what was decoded can't be decoded again: %v", err)
		}
		if twice := again.appendBinary(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add((&message{to: 1, kind: handOver, row: []byte("row")}).appendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := reader{b: b}
		m := r.message()
		if r.err != nil {
			return
		}
		once := m.appendBinary(nil)
		again := reader{b: once}
		m = again.message()
		if twice := m.appendBinary(nil); again.err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v: %x became %x", again.err, once, twice)
		}
	})
}
