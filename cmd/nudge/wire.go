package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"go.uber.org/zap"

	"nudge/engine"
	"nudge/engine/node"
	"nudge/operators"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams"
	"nudge/streams/files"
	"nudge/streams/kafka"
	"nudge/streams/nats"
)

// nodeOptions is what the command line says about a live node beside its pipeline.
type nodeOptions struct {
	config     *pipeline.Config
	untilEnd   bool
	flush      bool
	actOnStale bool
	takeOver   bool
	adopt      bool
	acceptGap  bool
	workers    int
	// waits is told what is waited for before there is a node, "" for nothing any more. nil: nobody wants to know.
	waits func(broker, what string)
}

func (o *nodeOptions) waitsFor(broker string) func(what string) {
	if o.waits == nil {
		return nil
	}
	return func(what string) { o.waits(broker, what) }
}

// opened is a live node with all that it stands on.
type opened struct {
	node    *node.Node
	config  *pipeline.Config
	kafka   *kafka.Client
	nats    *nats.Conn
	stream  *nats.Stream
	store   *state.Store
	journal *state.Journal
	program func() *operators.Program // of the setup in force

	publisher *nats.Publisher
	leased    func() // called when the node has its lease; nil until somebody wants to know
}

// openNode opens brokers, state and journal and makes a node of them. It waits for brokers that are down.
func openNode(ctx context.Context, o nodeOptions, log *zap.Logger) (_ *opened, err error) {
	c := o.config
	n := &opened{config: c}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if n.store, err = state.Open(c.Dir, state.Options{App: c.App, Build: build(), Logger: log.Named("state")}); err != nil {
		return nil, err
	}
	header := state.JournalHeader{App: c.App, Build: build(), CPU: runtime.GOARCH}
	if n.journal, err = n.store.OpenJournal(header, state.JournalOptions{}); err != nil {
		return nil, err
	}
	if torn := n.journal.Torn(); torn != nil {
		log.Warn("the journal's last entry was torn and is cut off; nothing of it was published", zap.String("segment", torn.Path), zap.Int64("bytes", torn.Bytes), zap.NamedError("cause", torn.Cause))
	}
	if n.kafka, err = openKafka(ctx, &c.Kafka, log, o.waitsFor("kafka")); err != nil {
		return nil, err
	}
	setup, err := describeInputs(ctx, n.kafka, c, log)
	if err != nil {
		return nil, err
	}
	setup.ActOnStale = o.actOnStale
	if n.nats, err = openNATS(ctx, &c.NATS, "nudge "+c.App, log, o.waitsFor("nats")); err != nil {
		return nil, err
	}
	if n.stream, err = n.nats.OpenStream(ctx, streamConfig(c)); err != nil {
		return nil, err
	}
	if n.publisher, err = n.stream.Publisher(0); err != nil {
		return nil, err
	}
	var program *operators.Program
	n.program = func() *operators.Program { return program }
	host, _ := os.Hostname()
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	n.node = node.New(node.Config{
		Setup: setup,
		Compile: func(s engine.Setup) (node.Pipeline, error) {
			p, compiled, err := compile(s, c)
			if err == nil {
				program = compiled
			}
			return p, err
		},
		Source: node.Source{
			Fetcher: func(topic string, partition int32, from int64) node.Fetcher {
				return n.kafka.Fetcher(topic, partition, from)
			},
			Offsets:     n.kafka.Offsets,
			PartitionOf: kafka.PartitionOf,
		},
		OpenSinks: func(ctx context.Context, s engine.Setup, journal string, held func(context.Context) error) ([]node.Sink, error) {
			return openSinks(ctx, s, n.kafka, journal, held)
		},
		Stream: decisionStream{n.stream, n.nats, c.App}, Publisher: n.publisher, Store: n.store, Journal: n.journal,
		Owner: node.OwnerOf(host, dir), Lease: time.Duration(c.Lease),
		EpochEvents: c.Epoch.Events, EpochWait: time.Duration(c.Epoch.Wait),
		CheckpointEvery: time.Duration(c.Checkpoint.Every), CheckpointEvents: c.Checkpoint.Events, CheckpointRedo: time.Duration(c.Checkpoint.Redo),
		IdleAfter: time.Duration(c.Time.Idle), Workers: o.workers,
		StateBytes: int64(c.Node.State), JournalBytes: min(1<<30, int64(c.Node.State)/4),
		UntilEnd: o.untilEnd, Flush: o.flush, TakeOver: o.takeOver, Adopt: o.adopt, AcceptGap: o.acceptGap,
		CommitOffsets: func(ctx context.Context, offsets map[string]map[int32]int64) error {
			return n.kafka.CommitGroup(ctx, "nudge-"+c.App, offsets)
		},
		Leased: func() {
			if n.leased != nil {
				n.leased()
			}
		},
		Now: time.Now, CPU: cpuTime, Log: log.Named("node"),
	})
	return n, nil
}

// openBrokers opens only what leads to the brokers, and the decision stream.
func openBrokers(ctx context.Context, c *pipeline.Config, log *zap.Logger) (_ *opened, err error) {
	n := &opened{config: c}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if n.kafka, err = openKafka(ctx, &c.Kafka, log, nil); err != nil {
		return nil, err
	}
	if n.nats, err = openNATS(ctx, &c.NATS, "nudge "+c.App, log, nil); err != nil {
		return nil, err
	}
	n.stream, err = n.nats.OpenStream(ctx, streamConfig(c))
	return n, err
}

// Close closes whatever was opened.
func (n *opened) Close() error {
	var errs []error
	if n.publisher != nil {
		n.publisher.Close()
	}
	if n.nats != nil {
		n.nats.Close()
	}
	if n.journal != nil {
		errs = append(errs, n.journal.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}

// compile makes a pipeline of a setup. What decides comes from the setup's own text; what only says how a node runs, from
// the configuration at hand.
func compile(s engine.Setup, run *pipeline.Config) (node.Pipeline, *operators.Program, error) {
	cfg, program, err := pipeline.Compile(s)
	cfg.CacheBytes = int64(run.Node.Cache)
	return node.Pipeline{Engine: cfg, Program: program}, program, err
}

// openSinks opens the result streams of a setup: all of them, or none.
func openSinks(ctx context.Context, s engine.Setup, client *kafka.Client, journal string, held func(context.Context) error) (sinks []node.Sink, err error) {
	c, faults := pipeline.Parse("the journalled pipeline", s.Definition)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			return
		}
		for _, sink := range sinks {
			err = errors.Join(err, sink.Close())
		}
		sinks = nil
	}()
	for _, name := range slices.Sorted(maps.Keys(c.Outputs.Features)) {
		r := c.Outputs.Features[name]
		var sink node.Sink
		switch {
		case r.Kafka != "":
			sink, err = client.ResultWriter(ctx, r.Kafka, journal, kafka.ProducerConfig{Gate: held})
		case r.Files != "":
			sink, err = files.NewResultWriter(r.Files, name, journal)
		}
		if err != nil {
			return sinks, fmt.Errorf("outputs.features.%s: %w", name, err)
		}
		sinks = append(sinks, sink)
	}
	return sinks, nil
}

// describeInputs asks the broker about the pipeline's topics.
func describeInputs(ctx context.Context, client *kafka.Client, c *pipeline.Config, log *zap.Logger) (engine.Setup, error) {
	s := engine.Setup{Definition: c.Text()}
	for i, in := range c.Topics() {
		t := engine.Topic{Topic: in.Topic, Catalog: i == 2}
		if in.Topic != "" {
			info, err := client.Topic(ctx, in.Topic)
			switch {
			case errors.Is(err, kafka.ErrTopicMissing) && in.Optional:
				log.Info("the topic does not exist; going on without it", zap.String("topic", in.Topic))
			case err != nil:
				return s, err
			default:
				t.ID, t.Partitions, t.LogAppendTime = info.ID.String(), int(info.Partitions), info.LogAppendTime
				if !t.LogAppendTime && !t.Catalog {
					log.Warn("the topic does not use LogAppendTime: the time at which nudge reads a record stands in for its append time; set message.timestamp.type=LogAppendTime", zap.String("topic", in.Topic))
				}
			}
		}
		s.Inputs = append(s.Inputs, t)
	}
	return s, nil
}

func streamConfig(c *pipeline.Config) nats.StreamConfig {
	d := c.Outputs.Decisions
	return nats.StreamConfig{App: c.App, Name: d.Stream, Replicas: d.Replicas, Dedup: time.Duration(d.DedupWindow),
		Storage: nats.Storage(d.Storage), MaxAge: time.Duration(d.MaxAge), Outage: time.Duration(d.Outage)}
}

// openKafka connects; waiting, where it is not nil, is told what is waited for, and "" when nothing is any more.
func openKafka(ctx context.Context, c *pipeline.Kafka, log *zap.Logger, waiting func(what string)) (*kafka.Client, error) {
	cfg := kafka.Config{Brokers: c.Brokers, Waiting: waiting}
	if c.SASL.Mechanism != "" {
		password, err := c.SASL.Password.Read()
		if err != nil {
			return nil, err
		}
		cfg.SASL = kafka.SASL{Mechanism: c.SASL.Mechanism, User: c.SASL.User, Password: password}
	}
	var err error
	if cfg.TLS, err = tlsConfig(&c.TLS); err != nil {
		return nil, err
	}
	return kafka.Open(ctx, cfg, log.Named("kafka"))
}

// openNATS is openKafka for NATS.
func openNATS(ctx context.Context, c *pipeline.NATS, name string, log *zap.Logger, waiting func(what string)) (*nats.Conn, error) {
	cfg := nats.Config{URL: c.URL, Credentials: c.Credentials, User: c.User, Name: name, Waiting: waiting}
	var err error
	if c.Password.IsSet() {
		if cfg.Password, err = c.Password.Read(); err != nil {
			return nil, err
		}
	}
	if c.Token.IsSet() {
		if cfg.Token, err = c.Token.Read(); err != nil {
			return nil, err
		}
	}
	if cfg.TLS, err = tlsConfig(&c.TLS); err != nil {
		return nil, err
	}
	return nats.Connect(ctx, cfg, log.Named("nats"))
}

// tlsConfig returns nil where TLS is not enabled.
func tlsConfig(c *pipeline.TLS) (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	t := &tls.Config{ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify, MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca: %s holds no certificate in PEM form", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert and tls.key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// decisionStream is the JetStream stream as a node wants it.
type decisionStream struct {
	*nats.Stream
	conn *nats.Conn
	app  string
}

func (d decisionStream) WaitConnected(ctx context.Context) error { return d.conn.WaitConnected(ctx) }

// PurgeCustomer removes the decisions of a customer.
func (d decisionStream) PurgeCustomer(ctx context.Context, id string, upTo uint64) error {
	token := string(streams.EncodeToken(nil, id))
	if _, err := d.PurgeUpTo(ctx, upTo, d.DecisionFilter("", "", token)); err != nil {
		return err
	}
	_, err := d.PurgeUpTo(ctx, upTo, d.FeatureFilter("", token))
	return err
}

// Decisions reads the decisions on a customer.
func (d decisionStream) Decisions(ctx context.Context, customer string, f func(id string, data []byte) error) error {
	filter := d.DecisionFilter("", "", string(streams.EncodeToken(nil, customer)))
	return d.Scan(ctx, filter, nats.From{}, func(m nats.Stored) error { return f(m.ID, m.Data) })
}

// build names this build: the version control's revision, if the toolchain recorded one.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				modified = "+changes"
			}
		}
	}
	if revision == "" {
		return runtime.Version()
	}
	return revision[:min(12, len(revision))] + modified + " " + runtime.Version()
}
