package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nudge/engine/node"
	"nudge/streams"
	"nudge/streams/files"
	"nudge/streams/simulate"
)

// windowsOnly is a pipeline that decides nothing and puts windows out to one place: "kafka", "files" or "nats".
func windowsOnly(app, to, folder string) []byte {
	place := map[string]string{"kafka": "kafka: " + app + "-closed", "files": "files: " + strconv.Quote(folder), "nats": "nats: true"}[to]
	return fmt.Appendf(nil, `version: 1
app: %s
inputs:
  clickstream: {topic: %[1]s-clickstream, format: native}
  reviews: {topic: %[1]s-reviews, format: native}
  catalog: {topic: %[1]s-catalog, format: native}
currency: CNY
rates: {EUR: 8.3, USD: 7.1}
features:
  user.seen: {count: any, window: {tumbling: [10m, 4h]}}
outputs:
  decisions: {stream: NUDGE_%s}
  features:
    closed: {of: [user.seen], %s}
`, app, strings.ToUpper(app), place)
}

// lossy is a node that only puts windows out, and where they are.
type lossy struct {
	brokers
	to, folder string
	spec       nodeSpec
}

// newLossy runs a node over the first records of a shop, its windows go to one place, and writes the next ones, without the catalogue's.
func newLossy(t *testing.T, app, to string) *lossy {
	t.Helper()
	l := &lossy{brokers: startBrokers(t), to: to, folder: t.TempDir()}
	l.fill(t, app, shopRecords()[:2_000])
	l.spec = nodeSpec{Brokers: l.brokers, App: app, Dir: filepath.Join(t.TempDir(), "state"), EpochEvents: 40, Workers: 1, CheckpointEvents: 400,
		Lease: time.Minute, Dedup: shortest, WindowsTo: to, WindowsIn: l.folder}
	l.run(t)
	l.send(t, app, slices.DeleteFunc(slices.Clone(shopRecords()[2_000:4_000]), func(r simulate.Record) bool { return r.Topic == simulate.Catalog }))
	return l
}

func (l *lossy) run(t *testing.T) {
	t.Helper()
	if err := runNode(t.Context(), l.spec, nil, testLog()); err != nil {
		t.Fatal(err)
	}
}

// window is one that is out: the journal that its line names, epoch and ordinal, and what it says.
type window struct {
	journal, at, says string
	epoch             uint64
}

func newWindow(t *testing.T, place, says string) window {
	t.Helper()
	journal, at, _ := strings.Cut(place, "/")
	number, _, _ := strings.Cut(at, "/")
	epoch, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		t.Fatalf("a window is out with the place %q: %v", place, err)
	}
	return window{journal, at, strings.TrimSpace(says), epoch}
}

// out lists the windows that are out in lines.
func (l *lossy) out(t *testing.T) (all []window) {
	t.Helper()
	if l.to == "files" {
		b, err := os.ReadFile(filepath.Join(l.folder, "closed.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if !strings.HasSuffix(line, "\n") {
				break // it is being written
			}
			place, value, _ := strings.Cut(strings.TrimPrefix(line, `{"at":"`), `",`)
			all = append(all, newWindow(t, place, "{"+value))
		}
		return all
	}
	c := l.client(t)
	for p := range int32(2) {
		_, end, err := c.Offsets(t.Context(), l.spec.App+"-closed", p)
		if err != nil {
			t.Fatal(err)
		}
		f := c.Fetcher(l.spec.App+"-closed", p, 0)
		for next := int64(0); next < end; {
			batch, err := f.Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range batch.Records {
				all = append(all, newWindow(t, string(x.Headers[0].Value), string(x.Value)))
			}
			next = batch.Next
		}
		f.Close()
	}
	return all
}

// linesOf are the windows that a replay of the node's journal puts out in lines, by their place.
func (l *lossy) linesOf(t *testing.T) map[string]string {
	t.Helper()
	r := replayJournal(t, l.brokers, l.spec.App, l.spec.Dir, 1, 0)
	says := map[string]string{}
	for _, line := range slices.Concat(r.lines[0], r.lines[1]) {
		at, _, _ := strings.Cut(line, " ")
		says[at] = line[strings.Index(line, ` {"v":`)+1:] // a key may hold spaces
	}
	return says
}

// unmarked is a stream that takes no marker beyond an epoch.
type unmarked struct {
	node.Stream
	beyond uint64
}

func (u unmarked) WriteMarker(ctx context.Context, m streams.Marker, seq uint64) (uint64, error) {
	if m.Epoch <= u.beyond {
		return u.Stream.WriteMarker(ctx, m, seq)
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

// loseEntries runs the node until more than so many windows are out that no marker covers, kills it, and takes the journal's entries of their epochs away, as a disk
// does that lies about what it has synced. It returns a copy of the folder as the kill left it, and the epoch at which the journal ends now.
func (l *lossy) loseEntries(t *testing.T, many int) (whole string, end uint64) {
	t.Helper()
	m, _ := l.marker(t, l.spec.App)
	killed := l.spec
	killed.Tune = tune(func(c *config) { c.Stream = unmarked{c.Stream, m.Epoch} })
	r := launch(t, killed, nil)
	r.await(t, "windows of epochs that no marker covers", func() bool {
		if l.to == "nats" {
			return l.messagesAfter(t, l.spec.App, m.Floor) > many
		}
		return slices.ContainsFunc(l.out(t), func(w window) bool { return w.epoch > m.Epoch })
	})
	r.kill()
	if err := r.wait(t); !errors.Is(err, context.Canceled) {
		t.Fatalf("killed, the node ended with %v", err)
	}
	whole = copyFolder(t, l.spec.Dir)
	t.Log(cutJournal(t, l.spec.Dir, int(journalEnd(t, l.spec.App, l.spec.Dir)-m.Epoch)))
	if last := journalEnd(t, l.spec.App, l.spec.Dir); last != m.Epoch {
		t.Fatalf("the journal ends at epoch %d, want it cut to the marker's, %d", last, m.Epoch)
	}
	return whole, m.Epoch
}

// TestLostEntries cuts a journal below epochs that have put out windows and no decision, wherever they went: a start is refused with the cure before it
// has journalled anything, and on the whole folder the node goes on exactly.
func TestLostEntries(t *testing.T) {
	for _, to := range []string{"kafka", "files", "nats"} {
		t.Run(to, func(t *testing.T) {
			l := newLossy(t, "lost"+to, to)
			whole, end := l.loseEntries(t, 20)
			refused(t, l.spec, node.ErrForeignState, "closed", fmt.Sprintf("the journal ends at %d", end), "last entries are lost", "restore the backup", "--adopt")
			if last := journalEnd(t, l.spec.App, l.spec.Dir); last != end {
				t.Errorf("the start that was refused has journalled epochs %d to %d", end+1, last)
			}

			l.spec.Dir, l.spec.Owner = whole, "node-"+l.spec.Dir
			l.run(t)
			if to == "nats" {
				compareMessages(t, l.brokers, l.spec.App, replayJournal(t, l.brokers, l.spec.App, l.spec.Dir, 1, 0))
				return
			}
			want := l.linesOf(t)
			for _, w := range l.out(t) {
				if says, ok := want[w.at]; !ok || says != w.says {
					t.Errorf("at %s is out %s\nwant %s (or it is there twice)", w.at, w.says, says)
				}
				delete(want, w.at)
			}
			if len(want) > 0 {
				t.Errorf("%d windows are not out", len(want))
			}
		})
	}
}

// TestLostChange loses the entry of a changed pipeline, too: the windows are ahead in a topic that the pipeline in force does not have.
func TestLostChange(t *testing.T) {
	l := newLossy(t, "lostchange", "nats")
	l.to, l.spec.WindowsTo = "kafka", "kafka"
	_, end := l.loseEntries(t, 20)
	refused(t, l.spec, node.ErrForeignState, "lostchange-closed/", fmt.Sprintf("ends at %d", end), "restore the backup", "--adopt")
	if last := journalEnd(t, l.spec.App, l.spec.Dir); last != end {
		t.Errorf("the start that was refused has journalled epochs %d to %d", end+1, last)
	}
}

// deleteMessage takes a message out of the stream.
func (b brokers) deleteMessage(t *testing.T, app string, seq uint64) {
	t.Helper()
	nc, err := client.Connect(b.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "NUDGE_"+strings.ToUpper(app)+"_DECISIONS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
}

// TestFloorBelowHeld has a start send a message anew that was deleted, behind those of later epochs, and kills it when the marker covers the epoch of that one and
// later ones are not run again yet: the next start finds both.
func TestFloorBelowHeld(t *testing.T) {
	l := newLossy(t, "floor", "nats")
	whole, _ := l.loseEntries(t, 70) // of which 45 are of epochs before the checkpoint that begins below
	l.spec.Dir, l.spec.Owner = whole, "node-"+l.spec.Dir
	before, _ := l.marker(t, "floor")
	all, _ := l.published(t, "floor")
	l.deleteMessage(t, "floor", before.Floor+1)
	left, _ := l.published(t, "floor")
	deleted := ""
	for id := range all {
		if _, ok := left[id]; !ok {
			deleted = id
		}
	}
	<-time.After(2 * shortest) // the server has forgotten its id

	held := make(chan struct{})
	killed, kill := context.WithCancel(t.Context())
	defer kill()
	first := l.spec
	first.CheckpointEvents = 2_200 // of which the checkpoint holds 2,000
	r := launch(t, first, at("checkpoint begin", 1, func() { close(held); <-killed.Done() }))
	r.await(t, "the first checkpoint", func() bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	var m streams.Marker
	r.await(t, "the message and a marker that covers it", func() bool {
		last := m
		m, _ = l.marker(t, "floor")
		now, _ := l.published(t, "floor")
		_, again := now[deleted]
		return again && m.Epoch > before.Epoch && m.Epoch == last.Epoch
	})
	r.kill()
	kill()
	if err := r.wait(t); !errors.Is(err, context.Canceled) {
		t.Fatalf("killed, the node ended with %v", err)
	}
	if n := l.messagesAfter(t, "floor", m.Floor); n < 2 {
		t.Errorf("above the floor %d of the marker of epoch %d are %d messages: want those of later epochs, and the one that was sent anew", m.Floor, m.Epoch, n)
	}
	l.run(t)
	compareMessages(t, l.brokers, "floor", replayJournal(t, l.brokers, "floor", l.spec.Dir, 1, 0))
}

// TestAdoptedStream has an operator go on from a folder whose journal lacks epochs that the stream holds messages of: none of them is published
// again, and later starts, without the operator, go on from there.
func TestAdoptedStream(t *testing.T) {
	l := newLossy(t, "adoptstream", "nats")
	l.loseEntries(t, 20)
	before, n := l.published(t, "adoptstream")
	l.spec.Adopt = true
	l.run(t)
	if m, _ := l.marker(t, "adoptstream"); !m.Adopted {
		t.Errorf("the marker does not say that the stream was adopted: %+v", m)
	}
	l.send(t, "adoptstream", shopRecords()[4_000:5_000])
	l.spec.Adopt = false
	l.run(t)
	after, m := l.published(t, "adoptstream") // it fails the test if one is there twice
	if m <= n {
		t.Errorf("%d messages were published before, %d are now: want more", n, m)
	}
	for id, data := range before {
		if now, ok := after[id]; ok && now != data {
			t.Errorf("%s was published anew with other bytes", id)
		}
	}
	for id := range replayJournal(t, l.brokers, "adoptstream", l.spec.Dir, 1, 0).byID {
		if _, ok := after[id]; !ok {
			t.Errorf("%s was left out", id)
		}
	}
}

// begunAnew fails the test unless all windows that the journal's epochs from one on put out are out under the name of lines that were begun anew,
// once, and under the journal's own name none beyond those that were.
func (l *lossy) begunAnew(t *testing.T, from uint64, before int) {
	t.Helper()
	want, anew, olds := l.linesOf(t), 0, 0
	for _, w := range l.out(t) {
		if !strings.HasSuffix(w.journal, "+1") {
			olds++
			continue
		}
		anew++
		if says, ok := want[w.at]; !ok || says != w.says {
			t.Errorf("at %s is out %s\nwant %s (or it is there twice)", w.at, w.says, says)
		}
		delete(want, w.at)
	}
	for at := range want {
		if newWindow(t, "/"+at, "").epoch >= from {
			t.Errorf("the window of %s is not out", at)
		}
	}
	if anew < 50 || olds != before {
		t.Errorf("%d windows are out under the new name, %d under the old one: want more than 50, and %d as before", anew, olds, before)
	}
}

// TestAdoptedLines has an operator go on from folders whose journal ends below what is out in lines: what comes from there on is put out, though the topic
// holds other lines of these epochs, and later starts go on exactly.
func TestAdoptedLines(t *testing.T) {
	goOn := func(t *testing.T, l *lossy, end uint64, before int) {
		t.Helper()
		l.spec.Adopt = false
		l.begunAnew(t, end+1, before)
		l.send(t, l.spec.App, shopRecords()[4_000:5_000])
		killed := l.spec
		m, _ := l.marker(t, l.spec.App)
		killed.Tune = tune(func(c *config) { c.Stream = unmarked{c.Stream, m.Epoch} })
		r := launch(t, killed, nil)
		r.await(t, "windows of new epochs", func() bool {
			return slices.ContainsFunc(l.out(t), func(w window) bool { return strings.HasSuffix(w.journal, "+1") && w.epoch > m.Epoch })
		})
		r.kill()
		r.wait(t)
		l.run(t)
		l.begunAnew(t, end+1, before)
	}
	t.Run("lost entries", func(t *testing.T) {
		l := newLossy(t, "adoptlost", "kafka")
		_, end := l.loseEntries(t, 20)
		before := len(l.out(t))
		l.spec.Adopt = true
		l.run(t)
		goOn(t, l, end, before)
	})
	t.Run("restored", func(t *testing.T) {
		l := newLossy(t, "adoptrestored", "kafka")
		restored := copyFolder(t, l.spec.Dir)
		end := journalEnd(t, l.spec.App, l.spec.Dir)
		l.run(t)
		before := len(l.out(t))
		l.spec.Dir, l.spec.Owner, l.spec.Adopt = restored, "node-"+l.spec.Dir, true
		l.run(t)
		goOn(t, l, end, before)
	})
	t.Run("files", func(t *testing.T) {
		l := newLossy(t, "adoptfiles", "files")
		_, end := l.loseEntries(t, 20)
		l.spec.Adopt = true
		refused(t, l.spec, files.ErrOtherJournal, "closed.jsonl", "move it away")
		if err := os.Rename(filepath.Join(l.folder, "closed.jsonl"), filepath.Join(l.folder, "before.jsonl")); err != nil {
			t.Fatal(err)
		}
		l.run(t)
		goOn(t, l, end, 0)
	})
}
