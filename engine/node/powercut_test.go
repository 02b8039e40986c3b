package node_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nudge/state"
)

// The power is cut: what a process had written and not synced may be gone, whole or in part. kill -9 never tests that, so
// these functions do to a state folder what it would.

// entryHeader is the bytes before an entry's payload in a segment of the journal (state/journal_entry.go).
const entryHeader = 28

// lastSegment reads the journal's last segment and where its entries begin.
func lastSegment(t *testing.T, dir string) (path string, b []byte, entries []int) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "journal", "*.journal"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no journal in %s: %v", dir, err)
	}
	path = slices.Max(all)
	if b, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	for at := 16 + int(binary.LittleEndian.Uint32(b[8:])); at+entryHeader <= len(b); {
		entries = append(entries, at)
		at += entryHeader + int(binary.LittleEndian.Uint32(b[at:]))
	}
	return path, b, entries
}

// cutJournal takes the last k entries away.
func cutJournal(t *testing.T, dir string, k int) string {
	path, b, entries := lastSegment(t, dir)
	k = min(k, len(entries))
	if k == 0 {
		return "the journal has no entry to be cut"
	}
	write(t, path, b[:entries[len(entries)-k]])
	return fmt.Sprintf("the journal's last %d entries are gone", k)
}

// tearJournal tears the last entry: cut short, or its end never written.
func tearJournal(t *testing.T, r *rand.Rand, dir string) string {
	path, b, entries := lastSegment(t, dir)
	if len(entries) == 0 {
		return "the journal has no entry to be torn"
	}
	last := entries[len(entries)-1]
	at := last + 1 + r.IntN(len(b)-last-1)
	if r.IntN(2) == 0 {
		b = b[:at]
	} else {
		clear(b[at:])
	}
	write(t, path, b)
	return fmt.Sprintf("the journal's last entry is torn at byte %d", at-last)
}

// tearStore tears the log of the store that was written last: often a little, sometimes much.
func tearStore(t *testing.T, r *rand.Rand, dir string) string {
	logs, err := filepath.Glob(filepath.Join(dir, "db", "*.mem"))
	if err != nil || len(logs) == 0 {
		return "the store has no log to be torn"
	}
	path := slices.Max(logs)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(b, "\x00"))
	at := max(0, end-1-r.IntN(1+end>>r.IntN(8)))
	if r.IntN(2) == 0 {
		b = b[:at]
	} else {
		clear(b[at:])
	}
	write(t, path, b)
	return fmt.Sprintf("the store's log is torn at %d of %d bytes", at, end)
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// journalEnd is where the journal of a folder ends.
func journalEnd(t *testing.T, app, dir string) uint64 {
	t.Helper()
	j, err := state.OpenJournal(filepath.Join(dir, "journal"), state.JournalHeader{App: app}, state.JournalOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	last, _ := j.Last()
	return last
}

// putBack has a folder as it was.
func putBack(t *testing.T, as, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(as, dir); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCut kills a node under load and does to its folder what a power cut may, 50 times (NUDGE_POWER_CUTS=n for n), a
// few by default. The next start either goes on exactly, or is refused with the cure; then the folder is put back as
// the kill left it. So it is where a start was killed before it had journalled anything: it may not have noticed yet what was cut. In the end the
// stream and the state must be what the journal gives: nothing has diverged in silence.
func TestPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes; run without -short")
	}
	cuts := 10
	if s := os.Getenv("NUDGE_POWER_CUTS"); s != "" {
		var err error
		if cuts, err = strconv.Atoi(s); err != nil {
			t.Fatalf("NUDGE_POWER_CUTS: %v", err)
		}
	}
	b := startBrokers(t)
	records := shopRecords()
	portion := len(records) / (cuts + 2)
	b.fill(t, "power", records[:portion])
	records = records[portion:]
	spec := nodeSpec{Brokers: b, App: "power", Dir: filepath.Join(t.TempDir(), "state"), EpochEvents: 40, Workers: 2, Lease: 2 * time.Second, Live: true}
	r := rand.New(rand.NewPCG(3, 14))
	run := func() (said string, err error) {
		b.send(t, "power", records[:portion])
		records = records[portion:]
		spec.Stop, spec.StopAt = steps[r.IntN(len(steps))], 1+r.IntN(30)
		// Checkpoints come sooner and later than before: the one after a torn one is cut at an earlier or a later epoch.
		spec.CheckpointEvents = 50 + r.IntN(1500)
		spec.CheckpointEvery = time.Duration(20+r.IntN(200)) * time.Millisecond
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+specJSON(spec))
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Second, func() { cmd.Process.Kill() }) // where the step does not come so often
		defer timer.Stop()
		err = cmd.Wait()
		return errs.String(), err
	}
	ways := []func(dir string) string{
		func(dir string) string { return cutJournal(t, dir, 1+r.IntN(3)) },
		func(dir string) string { return cutJournal(t, dir, 1+r.IntN(60)) },
		func(dir string) string { return tearJournal(t, r, dir) },
		func(dir string) string { return tearStore(t, r, dir) },
		func(dir string) string { return tearStore(t, r, dir) + "; " + tearJournal(t, r, dir) },
	}
	outcomes := map[string]int{}
	if said, err := run(); !killed(err) {
		t.Fatalf("want the node killed, it ended with %v: %s", err, said)
	}
	for i := range cuts {
		as := copyFolder(t, spec.Dir)
		what := ways[i%len(ways)](spec.Dir)
		cut := journalEnd(t, "power", spec.Dir)
		said, err := run()
		switch {
		case killed(err) && journalEnd(t, "power", spec.Dir) > cut:
			outcomes["went on"]++
		case killed(err):
			outcomes["killed at once"]++
			putBack(t, as, spec.Dir)
		default:
			outcomes["refused"]++
			t.Logf("cut %d: %s: refused: %s", i, what, strings.TrimSpace(said))
			if !strings.Contains(said, "restore") {
				t.Fatalf("cut %d: %s: the start was refused without a cure: %s", i, what, said)
			}
			putBack(t, as, spec.Dir)
		}
		os.RemoveAll(as)
	}
	t.Logf("%d cuts: %v", cuts, outcomes)
	spec.Stop, spec.Live = "", false
	if err := runNode(t.Context(), spec, nil, testLog()); err != nil {
		t.Fatal(err)
	}
	compare(t, b, "power", spec.Dir, replayJournal(t, b, "power", spec.Dir, 2, 0))
}
