package node_test

import (
	"strings"
	"testing"
	"time"
)

// TestStateLimit runs a node whose state folder is larger than it may be: it says so and takes nothing in, and goes on once it
// is allowed more.
func TestStateLimit(t *testing.T) {
	b := startBrokers(t)
	b.fill(t, "limit", shopRecords()[:3_000])
	spec := nodeSpec{Brokers: b, App: "limit", Dir: t.TempDir(), EpochEvents: 200, Workers: 2, CheckpointEvents: 500, Lease: 2 * time.Second}
	spec.Tune = tune(func(c *config) { c.StateBytes = 1 })
	r := launch(t, spec, nil)
	r.awaitWaiting(t, "limits.state")
	if w := r.node.Waiting(); !strings.Contains(w, "0 are allowed") {
		t.Errorf("the node waits for %q: want to be told what is allowed", w)
	}
	if r.node.Ready() {
		t.Error("the node says that it is ready")
	}
	r.drain()
	r.finish(t)
	if n := r.node.Report().Counts.Events; n > 300 { // the catalogue, which is read before
		t.Errorf("%d records were folded beyond the limit", n)
	}

	spec.Tune = nil
	launch(t, spec, nil).finish(t)
	compare(t, b, "limit", spec.Dir, replayJournal(t, b, "limit", spec.Dir, 2, 0))
}
