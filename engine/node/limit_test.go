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
	b.fill(t, "limit", shopRecords()[3_000:3_600])
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	late := time.After(time.Minute)
	for lag := 0.0; lag <= 3_000; lag = lagOf(t, r) { // so many were there before, some of them of the catalogue, which was folded
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("the metrics say that %v records wait: want more than before", lag)
		}
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

// lagOf is what the node's metrics say of the records that wait, in all.
func lagOf(t *testing.T, r *running) (lag float64) {
	families, err := r.node.Metrics().Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "nudge_lag_records" {
			for _, m := range f.Metric {
				lag += m.Gauge.GetValue()
			}
		}
	}
	return lag
}
