package node_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nudge/engine"
	"nudge/engine/node"
)

// TestAnotherBuild folds epochs again whose decisions come out with other bytes: that ends a node of the build that cut them. One of
// another build goes on by their ids, and so does the same one where the operator allows it.
func TestAnotherBuild(t *testing.T) {
	t.Run("another", func(t *testing.T) {
		otherBytes(t, "build", func(s *nodeSpec) { s.Build = "two" })
	})
	t.Run("adopted", func(t *testing.T) {
		otherBytes(t, "adoptbytes", func(s *nodeSpec) { s.Adopt = true })
	})
}

// otherBytes has the epochs of a killed node come out with other bytes, which ends it, and goes on as the cure has it.
func otherBytes(t *testing.T, app string, cure func(*nodeSpec)) {
	b := startBrokers(t)
	b.fill(t, app, shopRecords()[:4_000])
	spec := nodeSpec{Brokers: b, App: app, Dir: t.TempDir(), Build: "one", EpochEvents: 100, Workers: 2, CheckpointEvery: time.Hour, Lease: 2 * time.Second}

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
	before, n := b.published(t, app)
	cure(&spec)
	launch(t, spec, nil).finish(t)
	after, m := b.published(t, app) // it fails the test if one is there twice
	if m <= n {
		t.Errorf("%d messages were published before, %d are now: want more", n, m)
	}
	for id, data := range before {
		if now, ok := after[id]; ok && now != data {
			t.Errorf("%s was published anew with other bytes", id)
		}
	}
}
