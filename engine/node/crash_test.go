package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// child is the environment variable that makes the test binary run a node of that spec instead of tests.
const child = "NUDGE_CRASH_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(child); spec != "" {
		if err := runChild(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runChild(text string) error {
	var spec nodeSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	var came atomic.Int64
	step := func(name string) {
		if name == spec.Stop && came.Add(1) == int64(spec.StopAt) {
			if spec.Freeze {
				syscall.Kill(os.Getpid(), syscall.SIGSTOP)
				return
			}
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	return runNode(context.Background(), spec, step, testLog())
}

// start runs a node in a process of its own.
func start(t *testing.T, spec nodeSpec) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+specJSON(spec))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// killed says that a process ended by SIGKILL.
func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	ws, ok := exit.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// stopAfter runs a live node in this process and drains it after so many epochs.
func stopAfter(t *testing.T, spec nodeSpec, epochs int) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var came atomic.Int64
	step := func(name string) {
		if name == "journal appended" && came.Add(1) == int64(epochs) {
			cancel()
		}
	}
	n, err := openNode(t.Context(), spec, step, testLog())
	if err != nil {
		return err
	}
	defer n.Close()
	return n.Run(ctx, t.Context())
}

// steps are the places of the protocol at which a process may die.
var steps = []string{"journal append", "journal appended", "journal sync", "journal synced", "lines", "publish", "published", "acknowledged",
	"marker", "marked", "purge", "purged", "checkpoint begin", "checkpoint batch", "checkpoint complete", "checkpoint completed", "trim", "trimmed"}

// TestKilledAtEveryStep kills a node at each step of the protocol, early and late, and compares what it has published and
// what it knows in the end with an uninterrupted run of the same journal.
func TestKilledAtEveryStep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some forty processes; run without -short")
	}
	b := startBrokers(t)
	records := shopRecords()[:9_000]
	b.fill(t, "steps", records)
	dir := t.TempDir()
	spec := nodeSpec{Brokers: b, App: "steps", Dir: dir, EpochEvents: 150, Workers: 2, CheckpointEvents: 1500, CheckpointEvery: 100 * time.Millisecond, Lease: 2 * time.Second}
	reached := 0
	for _, at := range []int{1, 2} {
		for _, step := range steps {
			spec.Stop, spec.StopAt, spec.Asks = step, at, asks(fmt.Sprintf("%d-%s", at, step))
			err := start(t, spec).Wait()
			if killed(err) {
				reached++
			} else if err != nil {
				t.Fatalf("killed at %q for the %d. time: the run after the one before failed: %v", step, at, err)
			}
		}
	}
	spec.Stop, spec.Asks = "", asks("last")
	if err := start(t, spec).Wait(); err != nil {
		t.Fatalf("the last run: %v", err)
	}
	t.Logf("%d of %d kills were reached", reached, 2*len(steps))
	if reached < len(steps) {
		t.Errorf("only %d kills were reached; the log is too short", reached)
	}
	r := replayJournal(t, b, "steps", dir, 2, 0)
	compare(t, b, "steps", dir, r)
	if n := r.counts.Named["requests"]; n == 0 {
		t.Error("no request was journalled")
	} else {
		t.Logf("%d requests", n)
	}
}

// TestKilledAtRandom kills a node under load at random moments, a few times by default, 100 times with NUDGE_KILLS=100, as
// .ci/run does. When a node comes to the end of its log, all is compared and another one begins.
func TestKilledAtRandom(t *testing.T) {
	kills := 8
	if s := os.Getenv("NUDGE_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatalf("NUDGE_KILLS: %v", err)
		}
	}
	if testing.Short() {
		t.Skip("starts many processes; run without -short")
	}
	b := startBrokers(t)
	r := rand.New(rand.NewPCG(11, uint64(kills)))
	done := 0
	for round := 0; done < kills; round++ {
		app := fmt.Sprintf("random%d", round)
		b.fill(t, app, shopRecords())
		dir := t.TempDir()
		spec := nodeSpec{Brokers: b, App: app, Dir: dir, EpochEvents: 40, Workers: 2, CheckpointEvents: 3000, CheckpointEvery: 150 * time.Millisecond, Lease: 2 * time.Second}
		for {
			spec.Asks = asks(fmt.Sprintf("%d-%d", round, done))
			cmd := start(t, spec)
			var timer *time.Timer
			if done < kills {
				timer = time.AfterFunc(100*time.Millisecond+time.Duration(r.IntN(400))*time.Millisecond, func() { cmd.Process.Kill() })
			}
			err := cmd.Wait()
			if timer != nil {
				timer.Stop()
			}
			if err == nil {
				break // the log is at its end
			}
			if !killed(err) {
				t.Fatalf("round %d, after %d kills: %v", round, done, err)
			}
			done++
		}
		compare(t, b, app, dir, replayJournal(t, b, app, dir, 2, 0))
		if t.Failed() {
			t.Fatalf("round %d, after %d kills", round, done)
		}
	}
	t.Logf("%d kills", done)
}
