package node_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"nudge/engine/node"
	"nudge/state"
	"nudge/streams/embedded"
	"nudge/streams/kafka"
	"nudge/streams/nats"
	"nudge/streams/simulate"
)

// shop is brokers with the topics of one app, and a node's folder.
type shop struct {
	brokers
	kafka *embedded.Kafka
	spec  nodeSpec
}

// newShop starts brokers and writes records, and runs a node over them if asked to.
func newShop(t *testing.T, app string, records []simulate.Record, run bool) *shop {
	t.Helper()
	dir := t.TempDir()
	k, err := embedded.StartKafka(filepath.Join(dir, "kafka"), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	n, err := embedded.StartNATS(filepath.Join(dir, "nats"), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	s := &shop{brokers: brokers{k.Addr(), n.URL()}, kafka: k}
	s.fill(t, app, records)
	s.spec = nodeSpec{Brokers: s.brokers, App: app, Dir: filepath.Join(dir, "state"), EpochEvents: 200, Workers: 1, CheckpointEvents: 1000, Lease: 2 * time.Second}
	if run {
		s.run(t)
	}
	return s
}

func (s *shop) run(t *testing.T) {
	t.Helper()
	if err := runNode(t.Context(), s.spec, nil, testLog()); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) topic(name string) string { return s.spec.App + "-" + name }

// send writes records to the topics of the app, which are there.
func (b brokers) send(t *testing.T, app string, records []simulate.Record) {
	t.Helper()
	c := b.client(t)
	for i, name := range []string{"clickstream", "reviews", "catalog"} {
		p, err := c.Producer(t.Context(), app+"-"+name, kafka.ProducerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if int(r.Topic) != i {
				continue
			}
			if err := p.Send(t.Context(), &kafka.Record{Key: r.Key, Value: r.Value, TimeMS: r.TimeMS}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
}

func (s *shop) send(t *testing.T, records []simulate.Record) {
	t.Helper()
	s.brokers.send(t, s.spec.App, records)
}

// advisories counts the messages of the stream with a subject that begins so.
func (s *shop) advisories(t *testing.T, subject string) (messages []string) {
	t.Helper()
	conn, err := nats.Connect(t.Context(), nats.Config{URL: s.NATS}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := conn.OpenStream(t.Context(), nats.StreamConfig{App: s.spec.App, Dedup: shortest})
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Read(t.Context(), 0, func(_ uint64, on, _ string, data []byte) error {
		if strings.HasPrefix(on, subject) {
			messages = append(messages, string(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// TestGap removes records that were not read yet: the start is refused, and goes on with --accept-gap, which is journalled,
// counted and published.
func TestGap(t *testing.T) {
	records := shopRecords()
	s := newShop(t, "gap", records[:2000], true)
	s.send(t, records[2000:4000])
	topic := s.topic("clickstream")
	_, end, err := s.client(t).Offsets(t.Context(), topic, 1)
	if err != nil {
		t.Fatal(err)
	}
	before := end - 50
	if err := s.kafka.DeleteRecords(topic, 1, before); err != nil {
		t.Fatal(err)
	}
	refused(t, s.spec, node.ErrGap, topic+"/1", fmt.Sprint(before), "--accept-gap", "restore a backup")

	s.spec.AcceptGap = true
	s.run(t)
	told := s.advisories(t, "nudge.gap.advisory.gap")
	if len(told) != 1 || !strings.Contains(told[0], fmt.Sprintf(`"partition":1`)) || !strings.Contains(told[0], fmt.Sprintf(`"to":%d`, before)) {
		t.Errorf("the advisories say %q, want one of the gap up to %d", told, before)
	}
	s.spec.AcceptGap = false
	s.run(t) // it was accepted once and for all
}

// in keeps the records of the clickstream that lie in a partition.
func in(partition int32, records []simulate.Record) (kept []simulate.Record) {
	for _, r := range records {
		if r.Topic == simulate.Clickstream && kafka.PartitionOf(r.Key, partitions) == partition {
			kept = append(kept, r)
		}
	}
	return kept
}

// TestGapAfterCrash removes records while epochs of the journal are still to be run again. What they did not read can be
// accepted as lost; what they have read can't.
func TestGapAfterCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a process; run without -short")
	}
	records := shopRecords()
	s := newShop(t, "gapcrash", records[:2000], true)
	topic := s.topic("clickstream")
	remove := func(partition int32) {
		t.Helper()
		_, end, err := s.client(t).Offsets(t.Context(), topic, partition)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.kafka.DeleteRecords(topic, partition, end-5); err != nil {
			t.Fatal(err)
		}
	}
	s.send(t, in(0, records[2000:4000]))
	crash := s.spec
	crash.CheckpointEvents, crash.CheckpointEvery = 1<<30, time.Hour
	crash.Stop, crash.StopAt = "checkpoint begin", 1
	if err := start(t, crash).Wait(); !killed(err) {
		t.Fatalf("want the node killed before its checkpoint, it ended with %v", err)
	}
	crashed := s.spec
	crashed.Dir, crashed.Owner = copyFolder(t, s.spec.Dir), "node-"+s.spec.Dir

	s.send(t, in(1, records[2000:4000]))
	remove(1)
	refused(t, s.spec, node.ErrGap, topic+"/1", "--accept-gap")
	s.spec.AcceptGap = true
	s.run(t)
	if told := s.advisories(t, "nudge.gapcrash.advisory.gap"); len(told) != 1 {
		t.Errorf("the advisories say %q, want one gap", told)
	}
	s.spec.AcceptGap = false
	s.run(t)

	remove(0)
	for _, accept := range []bool{false, true} {
		crashed.AcceptGap = accept
		refused(t, crashed, node.ErrGap, topic+"/0", "no checkpoint holds it", "--adopt")
	}
}

// TestTopicCreatedAnew deletes a topic and makes another one of its name.
func TestTopicCreatedAnew(t *testing.T) {
	records := shopRecords()
	s := newShop(t, "anew", records[:1500], true)
	c := s.client(t)
	topic := s.topic("reviews")
	if err := c.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	refused(t, s.spec, kafka.ErrTopicMissing, topic)
	if err := c.CreateTopic(t.Context(), topic, partitions, nil); err != nil {
		t.Fatal(err)
	}
	refused(t, s.spec, node.ErrRecordsChanged, topic, "created anew", "generation")

	// The cure: another generation and an empty folder. The stream has our marker, so that must be said, too.
	cured := s.spec
	cured.Dir, cured.Generation, cured.Adopt = t.TempDir(), "g2", true
	if err := runNode(t.Context(), cured, nil, testLog()); err != nil {
		t.Fatal(err)
	}
}

// TestPartitionsChanged makes a topic anew, or larger, with another number of partitions.
func TestPartitionsChanged(t *testing.T) {
	s := newShop(t, "parts", shopRecords()[:1500], true)
	c := s.client(t)
	for _, name := range []string{"clickstream", "reviews"} {
		if err := c.DeleteTopic(t.Context(), s.topic(name)); err != nil {
			t.Fatal(err)
		}
		if err := c.CreateTopic(t.Context(), s.topic(name), partitions+2, nil); err != nil {
			t.Fatal(err)
		}
	}
	// The broker may know topics without ids: then the number of partitions says it.
	s.spec.Tune = func(c *node.Config) {
		for i := range c.Setup.Inputs {
			c.Setup.Inputs[i].ID = ""
		}
	}
	refused(t, s.spec, node.ErrPartitionsChanged, "6 partitions", "made with 4", "generation")
}

// TestRecordChanged has another record where the journal's epochs are to be run again from.
func TestRecordChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a process; run without -short")
	}
	records := slices.Clone(shopRecords()[:1500])
	s := newShop(t, "changed", records, false)
	s.spec.CheckpointEvents, s.spec.CheckpointEvery = 1<<30, time.Hour
	s.spec.Stop, s.spec.StopAt = "checkpoint begin", 1
	if err := start(t, s.spec).Wait(); !killed(err) {
		t.Fatalf("want the node killed before its first checkpoint, it ended with %v", err)
	}
	c := s.client(t)
	for i := range records { // same keys and sizes, another byte
		if r := &records[i]; r.Topic == simulate.Clickstream {
			records[i].Value = []byte(strings.Replace(string(r.Value), "20", "21", 1))
		}
	}
	for _, name := range []string{"clickstream", "reviews", "catalog"} {
		if err := c.DeleteTopic(t.Context(), s.topic(name)); err != nil {
			t.Fatal(err)
		}
	}
	s.fill(t, "changed", records)
	s.spec.Stop = ""
	refused(t, s.spec, node.ErrRecordsChanged, "created anew", "generation")
	s.spec.Tune = func(c *node.Config) {
		for i := range c.Setup.Inputs {
			c.Setup.Inputs[i].ID = ""
		}
	}
	refused(t, s.spec, node.ErrRecordsChanged, "hash", "generation", "restore the topic")
}

// TestTruncated has a topic end before what the state has read.
func TestTruncated(t *testing.T) {
	s := newShop(t, "short", shopRecords()[:1500], true)
	c := s.client(t)
	topic := s.topic("clickstream")
	if err := c.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic(t.Context(), topic, partitions, nil); err != nil {
		t.Fatal(err)
	}
	s.spec.Tune = func(c *node.Config) {
		for i := range c.Setup.Inputs {
			c.Setup.Inputs[i].ID = ""
		}
	}
	refused(t, s.spec, node.ErrRecordsChanged, topic, "ends at 0", "generation")
}

// TestForeignFolder starts nodes on folders that are not theirs.
func TestForeignFolder(t *testing.T) {
	records := shopRecords()
	s := newShop(t, "mine", records[:2000], true)

	t.Run("of another app", func(t *testing.T) {
		other := newShop(t, "theirs", records[:100], false)
		other.spec.Dir = s.spec.Dir
		refused(t, other.spec, state.ErrOtherApp, "mine", "--dir")
	})
	t.Run("in use", func(t *testing.T) {
		held, err := state.Open(s.spec.Dir, state.Options{App: "mine"})
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		refused(t, s.spec, state.ErrInUse, "--dir")
	})
	t.Run("of a newer version", func(t *testing.T) {
		newer := s.spec
		newer.Dir = copyFolder(t, s.spec.Dir)
		path := filepath.Join(newer.Dir, "nudge.json")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(b), `"format":1`, `"format":99`, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, newer, state.ErrNewerFormat, "--dir")
	})
	t.Run("with the journal of another", func(t *testing.T) {
		mixed := s.spec
		mixed.Dir = copyFolder(t, s.spec.Dir)
		if err := os.RemoveAll(filepath.Join(mixed.Dir, "journal")); err != nil {
			t.Fatal(err)
		}
		refused(t, mixed, node.ErrForeignState, "restore")
	})
	t.Run("behind the marker", func(t *testing.T) {
		old := s.spec
		old.Dir = copyFolder(t, s.spec.Dir) // what was here when the other went on
		old.Owner = "node-" + s.spec.Dir
		s.send(t, records[2000:3000])
		s.run(t)
		refused(t, old, node.ErrForeignState, "does not hold the entry of epoch", "restore the backup", "--adopt")
	})
	t.Run("empty", func(t *testing.T) {
		empty := s.spec
		empty.Dir, empty.Owner = t.TempDir(), "node-"+s.spec.Dir
		refused(t, empty, node.ErrForeignState, "the folder is empty", "restore the backup", "--adopt")
	})
}

// TestAdopt goes on from an empty folder although the stream holds what another one has published: nothing is published
// again, also after the adopting node was killed on its way and started without --adopt.
func TestAdopt(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a process; run without -short")
	}
	records := shopRecords()
	s := newShop(t, "adopted", records[:3000], false)
	s.run(t)
	before, n := s.published(t, "adopted")
	s.send(t, records[3000:4000])
	adopting := s.spec
	adopting.Dir, adopting.Owner, adopting.Adopt = t.TempDir(), "node-"+s.spec.Dir, true
	adopting.Stop, adopting.StopAt = "marked", 2
	if err := start(t, adopting).Wait(); !killed(err) {
		t.Fatalf("want the adopting node killed at its second marker, it ended with %v", err)
	}
	adopting.Adopt, adopting.Stop = false, ""
	if err := runNode(t.Context(), adopting, nil, testLog()); err != nil {
		t.Fatal(err)
	}
	after, m := s.published(t, "adopted") // it looks for doubled ids
	if m <= n {
		t.Errorf("the stream held %d messages, with the later records %d: want more", n, m)
	}
	for id, data := range before {
		if now, ok := after[id]; !ok && !mentions(data, erased(records[:4000])) {
			t.Errorf("%s is gone", id)
		} else if ok && now != data {
			t.Errorf("%s was published anew with other bytes", id)
		}
	}

	// An erasure that is the first thing a later start takes in reaches what others have published.
	user, had := "", 0
	for _, id := range slices.Sorted(maps.Keys(after)) {
		_, rest, _ := strings.Cut(after[id], `"user":"`)
		if name, _, ok := strings.Cut(rest, `"`); ok && !slices.Contains(erased(records[:4000]), name) {
			user = name
			break
		}
	}
	for _, data := range after {
		had += len(data) - len(strings.ReplaceAll(data, `"user":"`+user+`"`, ""))
	}
	last := records[3999].TimeMS
	s.send(t, []simulate.Record{{Topic: simulate.Clickstream, Key: []byte(user), TimeMS: last,
		Value: fmt.Appendf(nil, `{"id":"forget-me","type":"user.erased","time":%d,"user":%q}`, last, user)}})
	if err := runNode(t.Context(), adopting, nil, testLog()); err != nil {
		t.Fatal(err)
	}
	left, _ := s.published(t, "adopted")
	for id, data := range left {
		if mentions(data, []string{user}) {
			t.Errorf("%s of %s is still there; before its erasure there were %d bytes of its name", id, user, had)
		}
	}
	if user == "" || had == 0 {
		t.Error("nobody had decisions")
	}
}

// erased lists the customers that records erase.
func erased(records []simulate.Record) (ids []string) {
	for _, r := range records {
		if _, rest, ok := strings.Cut(string(r.Value), `"user.erased"`); ok {
			if _, rest, ok = strings.Cut(rest, `"user":"`); ok {
				id, _, _ := strings.Cut(rest, `"`)
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func mentions(data string, ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(data, `"`+id+`"`) })
}
