package node_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// compareMessages fails the test unless the stream holds just what the replay gives, less what customers had decided on them before
// they were erased.
func compareMessages(t *testing.T, b brokers, app string, r replayed) {
	t.Helper()
	stored, _ := b.published(t, app)
	lost, differ := 0, 0
	for id, want := range r.byID {
		got, ok := stored[id]
		switch {
		case !ok:
			if lost++; lost < 4 {
				t.Errorf("lost: %s", want)
			}
		case got != want:
			if differ++; differ < 4 {
				t.Errorf("differs:\n live   %s\n replay %s", got, want)
			}
		}
	}
	extra := 0
	for id := range stored {
		if _, ok := r.byID[id]; !ok {
			if extra++; extra < 4 {
				t.Errorf("the stream holds %s, the replay does not", id)
			}
		}
	}
	if lost+differ+extra > 0 {
		t.Errorf("of %d messages %d are lost, %d differ, %d are too many", len(r.byID), lost, differ, extra)
	}
}

// compare fails the test unless stream, lines and state are just what the replay gives.
func compare(t *testing.T, b brokers, app, dir string, r replayed) {
	t.Helper()
	compareMessages(t, b, app, r)
	b.compareLines(t, app, r)
	if h, live := stateOf(t, app, dir); h != r.hash {
		t.Errorf("the state's hash is %016x, the replay's %016x", h, r.hash)
		differ := 0
		for k := range live {
			if _, ok := r.rows[k]; !ok && differ < 10 {
				differ++
				t.Errorf("the replay lacks row %q", k)
			}
		}
		for k, want := range r.rows {
			if got, ok := live[k]; (!ok || got != want) && differ < 10 {
				differ++
				t.Errorf("row %q (there: %v):\n live   %x\n replay %x", k, ok, got, want)
			}
		}
	}
}

// compareLines fails the test unless the topic of results holds just the lines that the replay gives, each once, in their order.
func (b brokers) compareLines(t *testing.T, app string, r replayed) {
	t.Helper()
	c := b.client(t)
	for p, want := range r.lines {
		_, end, err := c.Offsets(t.Context(), app+"-closed", int32(p))
		if err != nil {
			t.Fatal(err)
		}
		f := c.Fetcher(app+"-closed", int32(p), 0)
		var got []string
		for next := int64(0); next < end; {
			batch, err := f.Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range batch.Records {
				_, place, _ := strings.Cut(string(x.Headers[0].Value), "/")
				got = append(got, fmt.Sprintf("%s %s %s", place, x.Key, x.Value))
			}
			next = batch.Next
		}
		f.Close()
		if !slices.Equal(got, want) {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			t.Errorf("results in partition %d: %d lines, the replay gives %d; the first that differs is number %d", p, len(got), len(want), at)
		}
	}
	if len(r.lines[0]) < 100 {
		t.Errorf("only %d results", len(r.lines[0]))
	}
}

// TestReplayGivesWhatWasPublished runs a node to the end of a log and folds its journal again.
func TestReplayGivesWhatWasPublished(t *testing.T) {
	b := startBrokers(t)
	b.fill(t, "same", shopRecords())
	dir := t.TempDir()
	spec := nodeSpec{Brokers: b, App: "same", Dir: dir, EpochEvents: 500, Workers: 2, CheckpointEvents: 5000}
	if err := runNode(t.Context(), spec, nil, testLog()); err != nil {
		t.Fatal(err)
	}
	r := replayJournal(t, b, "same", dir, 1, 0)
	compare(t, b, "same", dir, r)
	t.Logf("events %d, decisions %v, withheld %v, dead %v, late %d, duplicates %d, counters %v",
		r.counts.Events, r.counts.Decisions, r.counts.Withheld, r.counts.Dead, r.counts.Late, r.counts.Duplicates, r.counts.Named)
	kinds := r.counts.ByKind()
	for _, kind := range []string{"recommendation", "coupon", "churn"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s was decided: %v", kind, kinds)
		}
	}
	if len(r.counts.Dead) == 0 || r.counts.Duplicates == 0 || r.counts.Late == 0 || r.counts.Named["merged"] == 0 || r.counts.Named["erased"] == 0 {
		t.Errorf("the log should hold broken, doubled, late, merging and erasing records: %+v", r.counts)
	}
	if int(r.counts.Events) != len(shopRecords()) {
		t.Errorf("%d records were written, %d folded", len(shopRecords()), r.counts.Events)
	}

	// The number of workers and the size of fetches change nothing.
	odd := replayJournal(t, b, "same", dir, 3, 7000)
	if !slices.Equal(odd.order, r.order) || !maps.Equal(odd.byID, r.byID) || odd.hash != r.hash {
		t.Errorf("with other workers and fetch sizes the replay differs: %d and %d messages, hashes %016x and %016x", len(odd.order), len(r.order), odd.hash, r.hash)
	}
}

// TestStoppedAndResumed ends a node cleanly several times on its way.
func TestStoppedAndResumed(t *testing.T) {
	b := startBrokers(t)
	dir := t.TempDir()
	records := shopRecords()[:12_000]
	b.fill(t, "stopped", records)
	spec := nodeSpec{Brokers: b, App: "stopped", Dir: dir, EpochEvents: 300, Workers: 2, CheckpointEvents: 2000, Live: true, Lease: 2 * time.Second}
	for _, after := range []int{1, 7, 19} {
		if err := stopAfter(t, spec, after); err != nil {
			t.Fatal(err)
		}
	}
	spec.Live = false
	if err := runNode(t.Context(), spec, nil, testLog()); err != nil {
		t.Fatal(err)
	}
	compare(t, b, "stopped", dir, replayJournal(t, b, "stopped", dir, 2, 0))
}
