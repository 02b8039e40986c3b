package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"nudge/deploy"
	"nudge/engine"
	"nudge/engine/node"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams"
	"nudge/streams/embedded"
	"nudge/streams/files"
	"nudge/streams/kafka"
	"nudge/streams/nats"
	"nudge/streams/simulate"
)

// brokers are a Kafka and a NATS that a test may use: embedded ones, or real ones where the environment names them.
type brokers struct {
	Kafka, NATS string
}

// startBrokers starts embedded brokers with the topics of a shop, filled with so many records of a simulated one.
func startBrokers(t testing.TB) brokers {
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
	return brokers{k.Addr(), n.URL()}
}

func (b brokers) client(t testing.TB) *kafka.Client {
	t.Helper()
	c, err := kafka.Open(t.Context(), kafka.Config{Brokers: []string{b.Kafka}, MaxWait: 50 * time.Millisecond}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const partitions = 4

// shopRecords is what a small simulated shop writes: all that can be wrong with it included.
var shopRecords = sync.OnceValue(func() []simulate.Record {
	shop := simulate.Default()
	shop.Seed, shop.Shoppers, shop.Items = 7, 400, 200
	shop.EraseShare, shop.Late = 0.3, 0.01
	shop.Start = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC) // the same records whenever the tests run
	shop.EventsPerSecond = 0.008
	shop.MeanLife = 30 * 24 * time.Hour
	w, err := simulate.New(shop)
	if err != nil {
		panic(err)
	}
	var all []simulate.Record
	for len(all) < 30_000 {
		r, ok := w.Until(shop.Start.Add(39 * 24 * time.Hour).UnixMilli())
		if !ok {
			break
		}
		all = append(all, r)
	}
	return all
})

// fill creates the topics of an app and writes the shop's records into them.
func (b brokers) fill(t testing.TB, app string, records []simulate.Record) {
	t.Helper()
	c := b.client(t)
	if err := c.CreateTopic(t.Context(), app+"-closed", 2, nil); err != nil && !errors.Is(err, kafka.ErrTopicExists) {
		t.Fatal(err)
	}
	var producers [simulate.NumTopics]*kafka.Producer
	for i, name := range []string{"clickstream", "reviews", "catalog"} {
		topic, n := app+"-"+name, partitions
		if name == "catalog" {
			n = 1
		}
		// The producer's times stand in for append times, so that weeks pass in a test.
		if err := c.CreateTopic(t.Context(), topic, n, map[string]string{"message.timestamp.type": "CreateTime"}); err != nil && !errors.Is(err, kafka.ErrTopicExists) {
			t.Fatal(err)
		}
		// Small batches: a fetch brings a whole one at least, and some tests need that not everything is fetched at once.
		p, err := c.Producer(t.Context(), topic, kafka.ProducerConfig{BatchBytes: 16 << 10})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		producers[i] = p
	}
	for _, r := range records {
		rec := kafka.Record{Key: r.Key, Value: r.Value, TimeMS: r.TimeMS}
		if err := producers[r.Topic].Send(t.Context(), &rec); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range producers {
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// testPipeline is the default pipeline for one app of a test, with all models at work.
func testPipeline(app string) []byte {
	text := bytes.ReplaceAll(deploy.Shop, []byte("app: shop "), []byte("app: "+app+" "))
	text = bytes.ReplaceAll(text, []byte("candidates: [viewed_together, trending]"), []byte("candidates: [next_item, sequence, viewed_together, similar_content, goes_with, buy_again, trending]\n"+
		"    rank: {goal: order, within: 2h, explore: 0.1}\n    diversify: 0.1\n    seen_at_most: 3 per 1d"))
	text = bytes.ReplaceAll(text, []byte("when: [page.viewed, product.viewed]"), []byte("when: [page.viewed, product.viewed, decision.requested]"))
	text = bytes.ReplaceAll(text, []byte("\noffers:\n"), []byte("\noffers:\n  welcome: {when: decision.requested, gives: {amount_off: 5}, budget: q4, cooldown: 7d}\n"))
	text = bytes.ReplaceAll(text, []byte("stream: NUDGE_SHOP_DECISIONS"), []byte("stream: NUDGE_"+strings.ToUpper(app)))
	for _, topic := range []string{"clickstream", "reviews", "catalog"} {
		text = bytes.ReplaceAll(text, []byte("topic: "+topic+","), []byte("topic: "+app+"-"+topic+","))
	}
	text = bytes.ReplaceAll(text, []byte("outputs:\n"), []byte("outputs:\n  features:\n"+
		"    closed: {of: [user.seen, user.visit], kafka: "+app+"-closed}\n    days: {of: user.days, nats: true}\n"))
	return append(text, "\nfeatures:\n  user.seen: {count: any, window: {tumbling: [10m, 4h]}}\n"+
		"  user.visit: {sum: any.price, window: {session: 30m}}\n  user.days: {count: any, window: {calendar: day}}\n"...)
}

// nodeSpec says how a test's node runs. It goes to child processes as JSON.
type nodeSpec struct {
	Brokers          brokers
	App, Dir         string
	EpochEvents      int
	FetchBytes       int
	Workers          int
	CheckpointEvents int
	CheckpointEvery  time.Duration
	Lease            time.Duration
	Live             bool // not until the end
	Stop             string
	StopAt           int  // at the so manieth time that the step comes
	Freeze           bool // stops with SIGSTOP there, not with SIGKILL
	Owner            string
	TakeOver         bool
	Adopt            bool
	AcceptGap        bool
	Generation       string
	Dedup            time.Duration // the de-duplication window of the stream
	AckTimeout       time.Duration
	OutboxBytes      int64
	JournalBytes     int64
	SegmentBytes     int64
	Build            string   // as the journal's header says
	WindowsTo        string   // nothing is decided, and windows go there alone: "kafka", "files" or "nats"
	WindowsIn        string   // the folder of these files
	Asks             []string // requests made of the node one after the other while it runs; a live one ends after them
	// Waiting is told what brokers are waited for while the node is being opened, Tune changes the node's configuration: both
	// are for a node in the test's own process.
	Waiting func(string)       `json:"-"`
	Tune    func(*node.Config) `json:"-"`
}

// started is a node of a test with what it stands on.
type started struct {
	*node.Node
	kafka     *kafka.Client
	conn      *nats.Conn
	stream    *nats.Stream
	publisher *nats.Publisher
	store     *state.Store
	journal   *state.Journal
}

func (s *started) Close() {
	if s.publisher != nil {
		s.publisher.Close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	if s.journal != nil {
		s.journal.Close()
	}
	if s.store != nil {
		s.store.Close()
	}
}

type decisions struct {
	*nats.Stream
	conn *nats.Conn
}

func (d decisions) WaitConnected(ctx context.Context) error { return d.conn.WaitConnected(ctx) }

func (d decisions) PurgeCustomer(ctx context.Context, id string, upTo uint64) error {
	token := string(streams.EncodeToken(nil, id))
	_, err := d.PurgeUpTo(ctx, upTo, d.DecisionFilter("", "", token), d.FeatureFilter("", token))
	return err
}

func (d decisions) Decisions(ctx context.Context, customer string, f func(id string, data []byte) error) error {
	return d.Scan(ctx, d.DecisionFilter("", "", string(streams.EncodeToken(nil, customer))), nats.From{}, func(m nats.Stored) error { return f(m.ID, m.Data) })
}

func describe(ctx context.Context, c *kafka.Client, definition []byte) (engine.Setup, error) {
	s := engine.Setup{Definition: definition, ActOnStale: true}
	cfg, faults := pipeline.Parse("test", definition)
	if err := faults.Err(); err != nil {
		return s, err
	}
	for i, in := range cfg.Topics() {
		info, err := c.Topic(ctx, in.Topic)
		if err != nil {
			return s, err
		}
		// The topics say CreateTime; the engine is told that these times are append times.
		s.Inputs = append(s.Inputs, engine.Topic{Topic: in.Topic, ID: info.ID.String(), Partitions: int(info.Partitions), Catalog: i == 2, LogAppendTime: true})
	}
	return s, nil
}

func compile(s engine.Setup) (node.Pipeline, error) {
	cfg, program, err := pipeline.Compile(s)
	return node.Pipeline{Engine: cfg, Program: program}, err
}

func source(c *kafka.Client) node.Source {
	return node.Source{
		Fetcher: func(topic string, partition int32, from int64) node.Fetcher { return c.Fetcher(topic, partition, from) },
		Offsets: c.Offsets, PartitionOf: kafka.PartitionOf,
	}
}

func openNode(ctx context.Context, spec nodeSpec, step func(string), log *zap.Logger) (_ *started, err error) {
	s := &started{}
	waiting := spec.Waiting
	if waiting == nil {
		waiting = func(string) {}
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.kafka, err = kafka.Open(ctx, kafka.Config{Brokers: []string{spec.Brokers.Kafka}, MaxBytes: spec.FetchBytes, MaxWait: 50 * time.Millisecond, Waiting: waiting}, log); err != nil {
		return nil, err
	}
	text := testPipeline(spec.App)
	if spec.WindowsTo != "" {
		text = windowsOnly(spec.App, spec.WindowsTo, spec.WindowsIn)
	}
	if spec.Generation != "" {
		text = append(text, "\ngeneration: "+spec.Generation+"\n"...)
	}
	setup, err := describe(ctx, s.kafka, text)
	if err != nil {
		return nil, err
	}
	openSinks := func(ctx context.Context, setup engine.Setup, journal string, held func(context.Context) error) ([]node.Sink, error) {
		switch text := setup.Definition; {
		case bytes.Equal(text, windowsOnly(spec.App, "nats", "")):
			return []node.Sink{nil}, nil
		case bytes.Equal(text, windowsOnly(spec.App, "files", spec.WindowsIn)):
			w, err := files.NewResultWriter(spec.WindowsIn, "closed", journal)
			return []node.Sink{w}, err
		}
		w, err := s.kafka.ResultWriter(ctx, spec.App+"-closed", journal, kafka.ProducerConfig{Gate: held})
		if spec.WindowsTo != "" {
			return []node.Sink{w}, err
		}
		return []node.Sink{w, nil}, err
	}
	if s.conn, err = nats.Connect(ctx, nats.Config{URL: spec.Brokers.NATS, AckTimeout: spec.AckTimeout, Waiting: waiting}, log); err != nil {
		return nil, err
	}
	if s.stream, err = s.conn.OpenStream(ctx, nats.StreamConfig{App: spec.App, Dedup: spec.Dedup}); err != nil {
		return nil, err
	}
	if s.publisher, err = s.stream.Publisher(0); err != nil {
		return nil, err
	}
	if s.store, err = state.Open(spec.Dir, state.Options{App: spec.App}); err != nil {
		return nil, err
	}
	if s.journal, err = state.OpenJournal(s.store.JournalDir(), state.JournalHeader{App: spec.App, Build: spec.Build}, state.JournalOptions{SegmentBytes: spec.SegmentBytes}); err != nil {
		return nil, err
	}
	owner := spec.Owner
	if owner == "" {
		owner = "node-" + spec.Dir
	}
	cfg := node.Config{Setup: setup, Compile: compile, OpenSinks: openSinks, Source: source(s.kafka), Stream: decisions{s.stream, s.conn},
		Publisher: s.publisher, Store: s.store, Journal: s.journal, Owner: owner, Lease: spec.Lease, EpochEvents: spec.EpochEvents,
		CheckpointEvery: spec.CheckpointEvery, CheckpointEvents: spec.CheckpointEvents, Workers: spec.Workers, UntilEnd: !spec.Live,
		OutboxBytes: spec.OutboxBytes, JournalBytes: spec.JournalBytes, TakeOver: spec.TakeOver, Adopt: spec.Adopt, AcceptGap: spec.AcceptGap,
		Step: step, Now: time.Now, Log: log}
	if spec.Tune != nil {
		spec.Tune(&cfg)
	}
	s.Node = node.New(cfg)
	return s, nil
}

// shortest is a de-duplication window that leaves the one of a stream as it is.
const shortest = 100 * time.Millisecond

// messagesAfter counts the messages of the stream beyond a sequence.
func (b brokers) messagesAfter(t testing.TB, app string, seq uint64) (n int) {
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
	if err := stream.Read(t.Context(), seq+1, func(uint64, string, string, []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// published reads the stream: data by id, and how many messages there are.
func (b brokers) published(t testing.TB, app string) (byID map[string]string, messages int) {
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
	byID = map[string]string{}
	err = stream.Read(t.Context(), 0, func(_ uint64, _, id string, data []byte) error {
		if _, twice := byID[id]; twice {
			t.Errorf("%s is in the stream twice", id)
		}
		byID[id] = string(data)
		messages++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return byID, messages
}

// replayed is what a replay of a folder's journal gives: its decisions by id, and the hash of its state.
type replayed struct {
	byID   map[string]string
	order  []string
	hash   uint64
	rows   map[string]string
	counts engine.Counts
	lines  [2][]string // of the results "closed", by partition
}

// replayJournal folds the journal of a state folder from its beginning, with the records that the broker holds.
func replayJournal(t testing.TB, b brokers, app, dir string, workers, fetchBytes int) replayed {
	t.Helper()
	c, err := kafka.Open(t.Context(), kafka.Config{Brokers: []string{b.Kafka}, MaxBytes: fetchBytes, MaxWait: 50 * time.Millisecond}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.Open(filepath.Join(t.TempDir(), "replay"), state.Options{App: app})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	journal, err := state.OpenJournal(filepath.Join(dir, "journal"), state.JournalHeader{App: app}, state.JournalOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	r := replayed{byID: map[string]string{}}
	ids := map[string][]string{} // of messages by the customer's token
	r.counts, err = node.Replay(t.Context(), node.ReplayConfig{Compile: compile, Source: source(c), Journal: journal, Store: store, Keep: true, Workers: workers,
		Write: func(o *engine.Output, _ []string) error {
			for i, line := range o.Results {
				p := kafka.PartitionOf(line.Key, 2)
				r.lines[p] = append(r.lines[p], fmt.Sprintf("%d/%d %s %s", o.Epoch, i, line.Key, line.Value))
			}
			for _, m := range o.Messages {
				id := strings.Clone(m.ID)
				if _, twice := r.byID[id]; twice {
					return fmt.Errorf("the engine gave %s twice", id)
				}
				r.byID[id] = string(m.Data)
				r.order = append(r.order, id)
				if token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]; strings.Contains(m.Subject, ".decisions.") || strings.Contains(m.Subject, ".features.") && strings.Count(m.Subject, ".") == 4 {
					token = strings.Clone(token)
					ids[token] = append(ids[token], id)
				}
			}
			for _, erased := range o.Erased {
				token := string(streams.EncodeToken(nil, erased))
				for _, id := range ids[token] {
					delete(r.byID, id)
				}
				delete(ids, token)
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	if r.hash, _, _, err = store.Hash(); err != nil {
		t.Fatal(err)
	}
	r.rows = rows(t, store)
	return r
}

// rows are all rows of a store.
func rows(t testing.TB, store *state.Store) map[string]string {
	t.Helper()
	m := map[string]string{}
	if err := store.Scan(nil, func(key, value []byte) error {
		if key[0] != state.KindIndex {
			m[string(key)] = string(value)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

// stateOf is the hash and the rows of a folder's last checkpoint.
func stateOf(t testing.TB, app, dir string) (uint64, map[string]string) {
	t.Helper()
	store, err := state.Open(dir, state.Options{App: app})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h, _, _, err := store.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return h, rows(t, store)
}

func specJSON(spec nodeSpec) string {
	b, err := json.Marshal(spec)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func runNode(ctx context.Context, spec nodeSpec, step func(string), log *zap.Logger) error {
	n, err := openNode(ctx, spec, step, log)
	if err != nil {
		return err
	}
	defer n.Close()
	asking, stop := context.WithCancel(ctx)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer stop()
	if len(spec.Asks) == 0 {
		return n.Run(ctx, ctx)
	}
	asked.Go(func() {
		for _, q := range spec.Asks {
			if _, err := n.Decide(asking, []byte(q)); err != nil {
				return // the log is at its end
			}
		}
		if spec.Live {
			stop()
		}
	})
	return n.Run(asking, ctx)
}

func testLog() *zap.Logger {
	if os.Getenv("NUDGE_TEST_LOG") == "" {
		return zap.NewNop()
	}
	l, _ := zap.NewDevelopment()
	return l
}
