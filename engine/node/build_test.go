package node_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nudge/engine"
	"nudge/engine/node"
)

// TestAnotherBuild folds epochs again whose decisions come out with other bytes: that ends a node of the build that cut them, and
// one of another build goes on by their ids.
func TestAnotherBuild(t *testing.T) {
	b := startBrokers(t)
	b.fill(t, "build", shopRecords()[:4_000])
	spec := nodeSpec{Brokers: b, App: "build", Dir: t.TempDir(), Build: "one", EpochEvents: 100, Workers: 2, CheckpointEvery: time.Hour, Lease: 2 * time.Second}

	// Killed when an epoch is acknowledged and no marker says so yet.
	spec.Stop, spec.StopAt = "acknowledged", 30
	if err := start(t, spec).Wait(); !killed(err) {
		t.Fatalf("the node ended with %v, want it killed", err)
	}
	spec.Stop = ""
	spec.Tune = tune(func(c *config) {
		compile := c.Compile
		c.Compile = func(s engine.Setup) (node.Pipeline, error) {
			p, err := compile(s)
			p.Engine.Definition = append(slices.Clone(p.Engine.Definition), "\n# another"...)
			return p, err
		}
	})
	if err := launch(t, spec, nil).wait(t); err == nil || !strings.Contains(err.Error(), "other bytes") {
		t.Fatalf("the build that published them ended with %v, want to be told of other bytes", err)
	}
	spec.Build = "two"
	launch(t, spec, nil).finish(t)
	if _, n := b.published(t, "build"); n == 0 { // it fails the test if one is there twice
		t.Error("nothing was published")
	}
}
