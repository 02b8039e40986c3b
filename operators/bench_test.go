package operators_test

import (
	"fmt"
	"math/rand"
	"os"
	"strings"
	"syscall"
	"testing"

	"nudge/engine"
	"nudge/operators"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams"
)

// traffic makes n events of 100,000 customers on 20,000 items by Zipf's law: 35 % lists, 40 % views, 10 % clicks, 9 % adds,
// 4 % orders, 2 % removals, 2,000 a second of event time.
func traffic(b *testing.B, n int) []streams.Record {
	r := rand.New(rand.NewSource(1))
	users, items := rand.NewZipf(r, 1.1, 10, 99_999), rand.NewZipf(r, 1.1, 10, 19_999)
	out := make([]streams.Record, n)
	for i := range out {
		at, item, user := base+36_000_000+int64(i)/2, items.Uint64(), users.Uint64()
		price := 1.99 + float64(item*7919%20000)/100
		head := fmt.Sprintf(`{"id":"e%09d","user":"u%06d","time":%d,"context":{"channel":"web"}`, i, user, at)
		one := fmt.Sprintf(`,"item":"p%05d","price":%.2f,"quantity":1`, item, price)
		var tail string
		switch x := r.Intn(100); {
		case x < 35:
			tail = fmt.Sprintf(`,"type":"list.viewed","items":[{"id":"p%05d","position":1}],"props":{"list":"home"}`, item)
		case x < 75:
			tail = `,"type":"product.viewed"` + one
		case x < 85:
			tail = `,"type":"product.clicked"` + one
		case x < 94:
			tail = `,"type":"product.added"` + one
		case x < 98:
			tail = fmt.Sprintf(`,"type":"order.completed","items":[{"id":"p%05d","price":%.2f}],"value":%.2f,"props":{"order":"o%d"}`, item, price, price, i)
		default:
			tail = `,"type":"product.removed"` + one
		}
		out[i] = streams.Record{Offset: int64(i), AppendMS: at, Value: []byte(head + tail + "}")}
	}
	return out
}

// census keeps the states that a program makes.
type census struct {
	*operators.Program
	states []engine.State
}

func (c *census) NewState() engine.State {
	s := c.Program.NewState()
	c.states = append(c.states, s)
	return s
}

// BenchmarkPipeline folds that traffic, decoding left out: the engine and the program together. Then it asks for lists, as a backend would.
//
//	go test ./operators -run xxx -bench Pipeline -benchtime 1x
func BenchmarkPipeline(b *testing.B) {
	text, err := os.ReadFile("../deploy/shop.yaml")
	if err != nil {
		b.Fatal(err)
	}
	const usual = "candidates: [viewed_together, trending]"
	for _, x := range []struct {
		name, candidates string
		epochs           int
	}{
		{"default", usual, 800},
		{"next_item", "candidates: [next_item, trending]", 200},
		{"ranked", "candidates: [next_item, similar_content, trending]\n    rank: {goal: click, explore: 0.02}", 200},
		{"choices", "candidates: [choices, next_item, similar_content, trending]\n    rank: {goal: click, explore: 0.02}", 200},
		{"sequence", "candidates: [next_item, sequence, trending]", 200},
	} {
		b.Run(x.name, func(b *testing.B) {
			changed := []byte(strings.Replace(string(text), usual, x.candidates, 1))
			config, faults := pipeline.Parse("shop.yaml", changed)
			if len(faults) > 0 {
				b.Fatal(faults)
			}
			benchmark(b, config.Deciders, changed, x.epochs)
		})
	}
}

func benchmark(b *testing.B, config operators.Config, text []byte, epochs int) {
	const epoch = 4096
	n := epochs * epoch
	records := traffic(b, n)
	events := make([]streams.Event, n)
	decoder := func() *streams.Decoder { return streams.NewDecoder(streams.Native) }
	d := decoder()
	for i := range records {
		if f := d.Decode(&records[i], &events[i]); f != nil {
			b.Fatal(f)
		}
	}
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	for b.Loop() {
		b.StopTimer()
		program, err := operators.New(config, text)
		if err != nil {
			b.Fatal(err)
		}
		store, err := state.Open(b.TempDir(), state.Options{App: "shop"})
		if err != nil {
			b.Fatal(err)
		}
		all := &census{Program: program}
		e, err := engine.New(engine.Config{App: "shop", Definition: text, RememberedIDs: 32, KeepLateMS: 3600_000, CacheBytes: 1 << 30, ActOnStale: true,
			Parallel: func(n int, f func(int)) {
				for i := range n {
					f(i)
				}
			},
			Inputs: []engine.Input{{Topic: engine.Topic{Topic: "clickstream", Partitions: 1, LogAppendTime: true}, NewDecoder: decoder}}}, all, store)
		if err != nil {
			b.Fatal(err)
		}
		before := used()
		b.StartTimer()
		decisions := 0
		for k := 0; k < n; k += epoch {
			c := &engine.Chunk{Records: records[k : k+epoch], Events: events[k : k+epoch], Next: int64(k + epoch)}
			out, err := e.Fold(&engine.Epoch{Number: e.Number() + 1, Runs: []engine.Run{{Chunk: c, I: 0, J: epoch}},
				Entry: &engine.Entry{Spans: []engine.Span{{From: int64(k), To: int64(k + epoch), Count: epoch}}}})
			if err != nil {
				b.Fatal(err)
			}
			decisions += len(out.Messages)
			e.Release(out)
		}
		b.ReportMetric(float64(used()-before)/float64(n), "cpu-ns/event")
		b.ReportMetric(float64(decisions)/float64(n), "decisions/event")
		b.StopTimer()
		const answers = 20_000
		before = used()
		for k := range answers {
			if _, err := program.Recommend(all.states[k*7919%len(all.states)], uint64(k)*2654435761, &operators.Question{}, records[n-1].AppendMS); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(answers/(float64(used()-before)/1e9), "answers/cpu-s")
		bytes := 0
		for _, c := range all.states {
			bytes += len(c.AppendBinary(nil))
		}
		b.ReportMetric(float64(bytes)/float64(len(all.states)), "state-B/customer")
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
