package node_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"nudge/engine"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams"
	"nudge/streams/kafka"
	"nudge/streams/simulate"
)

// accountant counts what reaches a program.
type accountant struct {
	engine.Program
	folded, items atomic.Int64
}

func (a *accountant) Fold(t *engine.Turn) {
	a.folded.Add(1)
	a.Program.Fold(t)
}

func (a *accountant) Item(e *streams.Event, appendMS int64) {
	a.items.Add(1)
	a.Program.Item(e, appendMS)
}

// twists are what can happen to a record's bytes on its way.
var twists = []func(r *rand.Rand, b []byte) []byte{
	func(r *rand.Rand, b []byte) []byte { return b },
	func(r *rand.Rand, b []byte) []byte { return b },
	func(r *rand.Rand, b []byte) []byte { return b },
	func(r *rand.Rand, b []byte) []byte { return b },
	func(r *rand.Rand, b []byte) []byte { // another byte
		b[r.IntN(len(b))] = byte(r.Uint32())
		return b
	},
	func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] },
	func(r *rand.Rand, b []byte) []byte { // a piece is gone
		i := r.IntN(len(b))
		return append(b[:i], b[i+r.IntN(len(b)-i):]...)
	},
	func(r *rand.Rand, b []byte) []byte { // a piece comes twice
		i := r.IntN(len(b))
		j := i + r.IntN(len(b)-i)
		return append(append(bytes.Clone(b[:j]), b[i:j]...), b[j:]...)
	},
	func(r *rand.Rand, b []byte) []byte { // a value of another kind
		values := []string{"null", "-1", "1e309", "NaN", `""`, "[]", "{}", `"\ud800"`, "\"\xff\"", `"[object Object]"`, "99999999999999999999", "0.0000001", `"undefined"`, "true"}
		i := bytes.IndexByte(b[r.IntN(len(b)):], ':')
		if i < 0 {
			return b
		}
		end := i + 1
		for end < len(b) && b[end] != ',' && b[end] != '}' {
			end++
		}
		return append(append(bytes.Clone(b[:i+1]), values[r.IntN(len(values))]...), b[end:]...)
	},
	func(r *rand.Rand, b []byte) []byte { // another type
		types := []string{"user.merged", "user.erased", "order.completed", "custom.x", "item.upserted", "nothing", "review.submitted", "decision.shown", "consent.changed"}
		return bytes.Replace(b, []byte(`"type":"`), []byte(`"type":"`+types[r.IntN(len(types))]+`","was":"`), 1)
	},
	func(r *rand.Rand, b []byte) []byte { // the other identity, or both
		return bytes.Replace(b, []byte(`"user":"`), fmt.Appendf(nil, `"anon":"%d","user":"`, r.IntN(300)), 1)
	},
	func(r *rand.Rand, b []byte) []byte {
		return bytes.Replace(b, []byte(`"time":`), fmt.Appendf(nil, `"time":%d,"then":`, r.Int64()), 1)
	},
	func(r *rand.Rand, b []byte) []byte { // too long, at times by far
		n := 40 << 10
		if r.IntN(500) == 0 {
			n = 10 << 20
		}
		return append(b, bytes.Repeat([]byte(" "), n)...)
	},
}

// TestEveryRecordIsAccountedFor twists records of a shop and folds them under the default pipeline: each is folded, or counted
// for what else became of it, once. NUDGE_FUZZ_RECORDS=1000000 takes a million, 50,000 is the default.
func TestEveryRecordIsAccountedFor(t *testing.T) {
	total := 50_000
	if s := os.Getenv("NUDGE_FUZZ_RECORDS"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatalf("NUDGE_FUZZ_RECORDS: %v", err)
		}
	}
	r := rand.New(rand.NewPCG(8, 15))
	records := shopRecords()
	var all engine.Counts
	var folded, items int64
	for done := 0; done < total; { // a shop's life as often as it takes
		lap := records[:min(len(records), total-done)]
		done += len(lap)
		counts, a := foldTwisted(t, r, lap)
		sum := a.folded.Load() + a.items.Load() + counts.Late + counts.Duplicates
		for _, n := range counts.Dead {
			sum += n
		}
		for _, name := range []string{"merged", "merge_refused", "erased", "erased_under_way"} {
			sum += counts.Named[name]
		}
		if counts.Events != int64(len(lap)) || sum != int64(len(lap)) {
			t.Fatalf("%d records were fed, %d counted, %d accounted for: %d folded, %d items, %+v", len(lap), counts.Events, sum, a.folded.Load(), a.items.Load(), counts)
		}
		all.Add(&counts)
		folded, items = folded+a.folded.Load(), items+a.items.Load()
	}
	t.Logf("%d records: %d folded, %d items, late %d, duplicates %d, dead %v, counters %v, decisions %v", total, folded, items, all.Late, all.Duplicates, all.Dead, all.Named, all.Decisions)
}

// foldTwisted folds records, twisted, with a fresh engine.
func foldTwisted(t *testing.T, r *rand.Rand, records []simulate.Record) (counts engine.Counts, a *accountant) {
	t.Helper()
	setup := engine.Setup{Definition: testPipeline("fuzzed")}
	for i, name := range []string{"clickstream", "reviews", "catalog"} {
		n := partitions
		if i == 2 {
			n = 1
		}
		setup.Inputs = append(setup.Inputs, engine.Topic{Topic: "fuzzed-" + name, Partitions: n, Catalog: i == 2, LogAppendTime: true})
	}
	cfg, program, err := pipeline.Compile(setup)
	if err != nil {
		t.Fatal(err)
	}
	a = &accountant{Program: program}
	cfg.Parallel = func(n int, f func(int)) {
		for i := range n {
			f(i)
		}
	}
	store, err := state.Open(filepath.Join(t.TempDir(), "state"), state.Options{App: "fuzzed"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, err := engine.New(cfg, a, store)
	if err != nil {
		t.Fatal(err)
	}
	var decoders []*streams.Decoder
	for _, in := range cfg.Inputs {
		decoders = append(decoders, in.NewDecoder())
	}
	next := map[engine.Partition]int64{}
	given := map[string]bool{}
	fold := func(ep *engine.Epoch) {
		t.Helper()
		out, err := e.Fold(ep)
		if err != nil {
			t.Fatalf("epoch %d: %v", ep.Number, err)
		}
		for _, m := range out.Messages {
			if given[m.ID] {
				t.Fatalf("the engine gave %s twice", m.ID)
			}
			given[strings.Clone(m.ID)] = true
		}
		counts.Add(&out.Counts)
		e.Release(out)
	}
	for len(records) > 0 {
		entry := &engine.Entry{}
		ep := &engine.Epoch{Number: e.Number() + 1, Entry: entry}
		chunks := map[engine.Partition]*engine.Chunk{}
		n := min(1000, len(records))
		for _, rec := range records[:n] {
			value := bytes.Clone(rec.Value)
			if len(value) > 0 {
				value = twists[r.IntN(len(twists))](r, value)
			}
			p := engine.Partition{Input: int(rec.Topic)}
			if rec.Topic != simulate.Catalog {
				p.ID = kafka.PartitionOf(rec.Key, partitions)
			}
			record := streams.Record{Offset: next[p], AppendMS: rec.TimeMS, Key: rec.Key, Value: value}
			next[p]++
			entry.ArrivalMS = max(entry.ArrivalMS, record.AppendMS)
			if rec.Topic == simulate.Catalog {
				entry.Catalog = append(entry.Catalog, engine.CatalogRecord{Partition: p, Record: record})
				continue
			}
			c := chunks[p]
			if c == nil {
				c = &engine.Chunk{Partition: p, Faults: map[int]*streams.Fault{}}
				chunks[p] = c
			}
			var event streams.Event
			if f := decoders[p.Input].Decode(&record, &event); f != nil {
				event.Type = streams.Invalid
				c.Faults[len(c.Records)] = f
			}
			c.Records, c.Events, c.Next = append(c.Records, record), append(c.Events, event), record.Offset+1
		}
		records = records[n:]
		for input := range 2 {
			for id := range int32(partitions) {
				p := engine.Partition{Input: input, ID: id}
				if c := chunks[p]; c != nil {
					ep.Runs = append(ep.Runs, engine.Run{Chunk: c, J: len(c.Records)})
					entry.Spans = append(entry.Spans, engine.Span{Partition: p, From: c.Records[0].Offset, To: c.Next, Count: len(c.Records)})
				} else {
					entry.Idle = append(entry.Idle, p)
				}
			}
		}
		fold(ep)
	}
	for range 3 { // what is under way between shards arrives
		fold(&engine.Epoch{Number: e.Number() + 1, Entry: &engine.Entry{}})
	}
	return counts, a
}
