package node_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// outages runs a test of a node whose brokers fail, on brokers in processes of their own, and compares the stream and the state
// with a replay of the journal.
func outage(t *testing.T, k, n *broker, app string, spec nodeSpec, run func(*testing.T, nodeSpec)) {
	t.Run(app, func(t *testing.T) {
		for _, x := range []*broker{k, n} { // the test before may have failed while one was away
			if x.cmd == nil {
				x.start(t)
			}
		}
		b := brokers{k.addr, n.addr}
		b.fill(t, app, shopRecords()[:5_000])
		if spec.Brokers.NATS == "" {
			spec.Brokers.NATS = n.addr
		}
		spec.Brokers.Kafka = k.addr
		spec.App, spec.Dir = app, t.TempDir()
		spec.Workers, spec.CheckpointEvents, spec.CheckpointEvery = 2, 1500, 200*time.Millisecond
		if spec.EpochEvents == 0 {
			spec.EpochEvents = 100
		}
		if spec.Lease == 0 {
			spec.Lease = 2 * time.Second
		}
		run(t, spec)
		compare(t, b, app, spec.Dir, replayJournal(t, b, app, spec.Dir, 2, 0))
	})
}

// TestOutages takes the brokers away from a node in every way and looks that it says what it waits for, goes on when they are
// back, and has lost and doubled nothing.
func TestOutages(t *testing.T) {
	if testing.Short() {
		t.Skip("kills brokers in processes of their own; run without -short")
	}
	k, n := newBroker(t, "kafka"), newBroker(t, "nats")

	outage(t, k, n, "downatstart", nodeSpec{}, func(t *testing.T, spec nodeSpec) {
		k.kill(t)
		n.kill(t)
		var mu sync.Mutex
		told := ""
		spec.Waiting = func(what string) {
			mu.Lock()
			defer mu.Unlock()
			told += what + "\n"
		}
		said := func(word string) func() bool {
			return func() bool {
				mu.Lock()
				defer mu.Unlock()
				return strings.Contains(told, word)
			}
		}
		r := launch(t, spec, nil)
		r.await(t, "a word of Kafka", said("kafka"))
		k.start(t)
		r.await(t, "a word of NATS", said("NATS"))
		n.start(t)
		r.finish(t)
	})

	outage(t, k, n, "natskilled", nodeSpec{OutboxBytes: 5_000}, func(t *testing.T, spec nodeSpec) {
		r := launch(t, spec, at("publish", 5, func() { n.kill(t) }))
		r.awaitWaiting(t, "nats")
		// What is read is bounded by what can be published: the journal stands still before the end of the log.
		last, since := uint64(0), time.Now()
		r.await(t, "the node to stop reading", func() bool {
			if now, _ := r.node.journal.Last(); now != last {
				last, since = now, time.Now()
			}
			return time.Since(since) > 300*time.Millisecond
		})
		if most := uint64(len(shopRecords()[:5_000]) / spec.EpochEvents); last >= most {
			t.Errorf("%d epochs were cut although nothing could be published: want the node to stop reading", last)
		}
		n.start(t)
		r.finish(t)
	})

	outage(t, k, n, "natsrestarted", nodeSpec{}, func(t *testing.T, spec nodeSpec) {
		steps := []func(string){
			at("marker", 3, func() { n.stop(t); n.start(t) }),
			at("publish", 12, func() { n.stop(t); n.start(t) }),
		}
		r := launch(t, spec, func(name string) {
			for _, s := range steps {
				s(name)
			}
		})
		r.finish(t)
	})

	outage(t, k, n, "kafkakilled", nodeSpec{FetchBytes: 20_000}, func(t *testing.T, spec nodeSpec) {
		spec.Tune = tune(func(c *config) { c.IdleAfter = 200 * time.Millisecond })
		r := launch(t, spec, at("journal appended", 8, func() { k.kill(t) }))
		r.awaitWaiting(t, "kafka")
		k.start(t)
		r.finish(t)
		if w := r.node.Waiting(); w != "" {
			t.Errorf("the node still waits for %q", w)
		}
	})

	outage(t, k, n, "kafkarestarted", nodeSpec{FetchBytes: 20_000}, func(t *testing.T, spec nodeSpec) {
		r := launch(t, spec, at("journal appended", 8, func() { k.stop(t); k.start(t) }))
		r.finish(t)
	})

	// The server stores what it is sent, but its acknowledgements get lost, for longer than it remembers ids.
	const dedup = 300 * time.Millisecond
	lost := newTunnel(t, n.addr)
	outage(t, k, n, "acknowledgementslost", nodeSpec{Brokers: brokers{NATS: lost.url()}, Dedup: dedup, AckTimeout: 200 * time.Millisecond}, func(t *testing.T, spec nodeSpec) {
		r := launch(t, spec, at("publish", 4, func() { lost.setMute(true) }))
		r.awaitWaiting(t, "nats")
		<-time.After(4 * dedup)
		lost.setMute(false)
		lost.cut()
		r.finish(t)
	})

	cut := newTunnel(t, n.addr)
	outage(t, k, n, "connectioncut", nodeSpec{Brokers: brokers{NATS: cut.url()}, Dedup: dedup}, func(t *testing.T, spec nodeSpec) {
		var steps []func(string)
		for i := 1; i < 40; i += 3 {
			steps = append(steps, at("publish", i, cut.cut), at("marker", 5+i, cut.cut), at("published", 20+i, cut.cut))
		}
		r := launch(t, spec, func(name string) {
			for _, s := range steps {
				s(name)
			}
		})
		r.finish(t)
	})
}

// TestDrainAndKill ends a node by its contexts: the first drains, publishes all and gives the lease back, the second ends at
// once, even while NATS is away; the next start goes on exactly.
func TestDrainAndKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills brokers in processes of their own; run without -short")
	}
	k, n := newBroker(t, "kafka"), newBroker(t, "nats")
	outage(t, k, n, "drained", nodeSpec{Live: true, Lease: time.Hour}, func(t *testing.T, spec nodeSpec) {
		stop, drained := make(chan struct{}), make(chan struct{})
		r := launch(t, spec, at("journal appended", 12, func() { close(stop); <-drained }))
		<-stop
		r.drain()
		close(drained)
		r.finish(t)

		// The lease was given back: another owner need not wait for it.
		spec.Owner = "another"
		r = launch(t, spec, at("publish", 3, func() { n.kill(t) }))
		r.awaitWaiting(t, "nats")
		r.drain() // with NATS away it can't end cleanly
		r.awaitWaiting(t, "nats")
		began := time.Now()
		r.kill()
		if err := r.wait(t); !errors.Is(err, context.Canceled) {
			t.Errorf("killed while NATS was away, the node ended with %v, want %v", err, context.Canceled)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v to end at once", took)
		}
		n.start(t)
		spec.Live = false
		launch(t, spec, nil).finish(t)
	})
}
