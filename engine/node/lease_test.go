package node_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"nudge/engine/node"
	"nudge/streams"
	"nudge/streams/nats"
)

// copyFolder copies a state folder as it lies there: what a node finds that starts after the other's machine has died.
func copyFolder(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// marker reads the app's marker.
func (b brokers) marker(t testing.TB, app string) (m streams.Marker, ok bool) {
	t.Helper()
	conn, err := nats.Connect(t.Context(), nats.Config{URL: b.NATS}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := conn.OpenStream(t.Context(), nats.StreamConfig{App: app, Dedup: shortest})
	if err != nil {
		t.Fatal(err)
	}
	m, _, ok, err = stream.LastMarker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m, ok
}

// refused runs a node that must not start and looks for words in the reason.
func refused(t *testing.T, spec nodeSpec, want error, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := runNode(ctx, spec, nil, testLog())
	if err == nil {
		t.Fatalf("the node ran; want it refused: %v", want)
	}
	if want != nil && !errors.Is(err, want) {
		t.Fatalf("the node was refused with\n %v\nwant the cause %v", err, want)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the node was refused with\n %v\nwant it to say %q", err, w)
		}
	}
}

// TestLeaseIsRefused starts a second node while the lease of the first one is live.
func TestLeaseIsRefused(t *testing.T) {
	b := startBrokers(t)
	b.fill(t, "leased", shopRecords()[:1500])
	spec := nodeSpec{Brokers: b, App: "leased", Dir: t.TempDir(), EpochEvents: 100, Live: true, Lease: time.Hour}
	r := launch(t, spec, nil)
	r.await(t, "the node to publish", func() bool {
		m, ok := b.marker(t, "leased")
		return ok && m.Epoch > 3
	})
	second := spec
	second.Dir, second.Owner = t.TempDir(), "second"
	refused(t, second, node.ErrLeased, "node-"+spec.Dir, "--take-over")
	r.drain()
	r.finish(t)
	refused(t, second, node.ErrForeignState, "the folder is empty", "--adopt") // the lease is free; the folder is not the app's
}

// TestTakenOver freezes a node in the midst of publishing for longer than its lease, lets another one take over on a copy
// of its folder, and thaws it: it must find that it is replaced and publish nothing.
func TestTakenOver(t *testing.T) {
	if testing.Short() {
		t.Skip("freezes processes; run without -short")
	}
	for _, at := range []struct {
		app, step string
		n         int
	}{{"frozenpublish", "publish", 5}, {"frozenjournal", "journal appended", 9}, {"frozenmarker", "marker", 3}, {"frozenlines", "lines", 7}} {
		t.Run(at.step, func(t *testing.T) {
			b := startBrokers(t)
			b.fill(t, at.app, shopRecords()[:5000])
			spec := nodeSpec{Brokers: b, App: at.app, Dir: t.TempDir(), EpochEvents: 100, Workers: 2, CheckpointEvents: 1000, Lease: time.Second,
				Stop: at.step, StopAt: at.n, Freeze: true}
			frozen := exec.CommandContext(t.Context(), os.Args[0])
			frozen.Env = append(os.Environ(), child+"="+specJSON(spec))
			var said bytes.Buffer
			frozen.Stderr = &said
			if err := frozen.Start(); err != nil {
				t.Fatal(err)
			}
			await(t, "the node to freeze", func() bool {
				stat, err := os.ReadFile("/proc/" + strconv.Itoa(frozen.Process.Pid) + "/stat")
				return err == nil && strings.Contains(string(stat), ") T ")
			})

			second := spec
			second.Stop, second.Dir, second.Owner, second.TakeOver = "", copyFolder(t, spec.Dir), "second", true
			r := launch(t, second, nil)
			r.awaitWaiting(t, "the lease")
			r.finish(t)
			before, _ := b.published(t, at.app)

			if err := frozen.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if err := frozen.Wait(); err == nil || !strings.Contains(said.String(), "another node owns this app now") {
				t.Errorf("the thawed node ended with %v and said %q, want it to find that it is replaced", err, said.String())
			}
			if after, _ := b.published(t, at.app); len(after) != len(before) {
				t.Errorf("the thawed node published %d messages", len(after)-len(before))
			}
			compare(t, b, at.app, second.Dir, replayJournal(t, b, at.app, second.Dir, 2, 0))
		})
	}
}

// TestSlept has a node's clock jump beyond its lease before it publishes: it renews the lease first, and goes on if nobody
// else has taken it.
func TestSlept(t *testing.T) {
	b := startBrokers(t)
	b.fill(t, "slept", shopRecords()[:3000])
	var slept atomic.Int64
	marks, since := 0, 0
	renewed := true
	spec := nodeSpec{Brokers: b, App: "slept", Dir: t.TempDir(), EpochEvents: 100, Workers: 1, Lease: time.Minute}
	spec.Tune = func(c *node.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
	}
	step := func(name string) { // marked and publish come from one goroutine
		switch name {
		case "acknowledged":
			slept.Add(int64(2 * time.Minute))
			since = marks
		case "marked":
			marks++
		case "publish":
			if slept.Load() > 0 && marks == since {
				renewed = false
			}
		}
	}
	if err := runNode(t.Context(), spec, step, testLog()); err != nil {
		t.Fatal(err)
	}
	if !renewed {
		t.Error("after a sleep longer than the lease something was published before the lease was renewed")
	}
	compare(t, b, "slept", spec.Dir, replayJournal(t, b, "slept", spec.Dir, 1, 0))
}
