package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"nudge/cmd/nudge/internal/feed"
	"nudge/cmd/nudge/internal/latency"
	"nudge/operators/pipeline"
	"nudge/streams"
	"nudge/streams/embedded"
	"nudge/streams/nats"
	"nudge/streams/simulate"
)

type demoFlags struct {
	dir  string
	span time.Duration
	shop simulate.Shop
}

func (c *cli) demoCommand() *cobra.Command {
	f := &demoFlags{shop: simulate.Default()}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Everything in one process: brokers, a simulated shop and the engine",
		Long: `demo starts an embedded Kafka-protocol broker and an embedded nats-server on real ports, a simulated shop whose
customers see the decisions and respond, and the engine with the default pipeline. Nothing needs to be installed.`,
		Example: `  nudge demo
  nudge demo --for 30s --seed 7 --rate 1000
  nudge demo --dir here        keep the data; start again to go on with it`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.demo(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "", "keep everything in this `DIR` (default: a temporary one, removed at the end)")
	cmd.Flags().DurationVar(&f.span, "for", 0, "end after so long (default: when interrupted)")
	shopFlags(cmd.Flags(), &f.shop)
	f.shop.EventsPerSecond = 200
	cmd.Flags().Lookup("rate").DefValue = "200"
	return cmd
}

// The past that a demo begins with: enough for tastes to show, for carts that were left half an hour ago, and for regulars who
// have not come for longer than they do.
const (
	pastSpan   = 40 * 24 * time.Hour
	pastEvents = 20_000
	lapsed     = 40
)

// demo is a demo in progress.
type demo struct {
	*cli
	kafka   *embedded.Kafka
	nats    *embedded.NATS
	config  *pipeline.Config
	node    *opened
	feed    *feed.Feed
	seen    chan *streams.Decision // by the shoppers
	screen  *screen
	again   bool // the folder holds an earlier demo: its past is the past
	latency latency.Histogram
	appends atomic.Pointer[latency.Appends] // nil until the past is caught up with
	log     *zap.Logger
}

func (c *cli) demo(ctx context.Context, f *demoFlags) (err error) {
	if f.shop.EventsPerSecond <= 0 {
		return usagef("--rate %v: want more than 0", f.shop.EventsPerSecond)
	}
	if f.span < 0 {
		return usagef("--for %v: want a time, or 0 to go on until interrupted", f.span)
	}
	rate := f.shop.EventsPerSecond
	f.shop = f.shop.History(time.Now(), pastSpan, pastEvents, rate)
	f.shop.Lapsed = simulate.Lapsed{Shoppers: min(lapsed, f.shop.Shoppers/4), Every: 24 * time.Hour, Silence: 10 * 24 * time.Hour, At: time.Now(), Over: time.Hour}
	if err := f.shop.Validate(); err != nil {
		return usageError{err}
	}
	dir, removeDir := f.dir, func() error { return nil }
	if dir == "" {
		if dir, err = os.MkdirTemp("", "nudge-demo-"); err != nil {
			return err
		}
		removeDir = func() error { return os.RemoveAll(dir) }
	} else if err := ownFolder(dir); err != nil {
		return err
	}
	_, there := os.Stat(filepath.Join(dir, "state"))
	if there == nil {
		f.shop.Seed += uint64(time.Now().Unix()) // the same seed would give the same ids of events, which are known already
	}
	defer func() { err = errors.Join(err, removeDir()) }()
	d := &demo{cli: c, again: there == nil, log: c.log, seen: make(chan *streams.Decision, 4096)}
	closeLog, err := d.logAside(dir)
	if err != nil {
		return err
	}
	defer closeLog()
	ctx, kill, stop := drainOnSignal(ctx, d.log)
	defer stop()
	if f.span > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, processBegan.Add(f.span))
		defer cancel()
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(kill, dir, f.shop); err != nil {
		return err
	}
	return d.play(ctx, kill)
}

// ownFolder makes the demo's folder, and refuses one that holds something else.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{"kafka", "nats", "state", "nudge.log"}, e.Name()) {
			return usagef("--dir %s: the folder holds %s, which is not the demo's; name an empty one, or one of an earlier demo", dir, e.Name())
		}
	}
	return nil
}

// logAside keeps the log off the screen: on a terminal it goes to a file.
func (d *demo) logAside(dir string) (closeLog func() error, err error) {
	if !isTerminal(d.out) {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(dir, "nudge.log"))
	if err != nil {
		return nil, err
	}
	d.log = newLog(f, zapcore.InfoLevel)
	return f.Close, nil
}

// open starts the brokers, opens the shop and the node.
func (d *demo) open(ctx context.Context, dir string, shop simulate.Shop) (err error) {
	config, err := (&place{}).config()
	if err != nil {
		return err
	}
	in := config.Inputs
	topics := feed.Topics{simulate.Clickstream: in.Clickstream.Topic, simulate.Reviews: in.Reviews.Topic, simulate.Catalog: in.Catalog.Topic}
	brokerLog := d.log.Named("embedded").WithOptions(zap.IncreaseLevel(zapcore.WarnLevel))
	if d.kafka, err = embedded.StartKafka(filepath.Join(dir, "kafka"), 0, brokerLog,
		embedded.KafkaTopic{Name: in.Clickstream.Topic, Partitions: 4},
		embedded.KafkaTopic{Name: in.Reviews.Topic, Partitions: 4},
		embedded.KafkaTopic{Name: in.Catalog.Topic, Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}},
	); err != nil {
		return err
	}
	if d.nats, err = embedded.StartNATS(filepath.Join(dir, "nats"), 0, brokerLog); err != nil {
		return err
	}
	d.config = config.With(pipeline.Overrides{Brokers: []string{d.kafka.Addr()}, NATS: d.nats.URL(), Dir: filepath.Join(dir, "state")})
	if d.node, err = openNode(ctx, nodeOptions{config: d.config, workers: 2}, d.log.WithOptions(zap.IncreaseLevel(zapcore.WarnLevel))); err != nil {
		return err
	}
	world, err := simulate.New(shop)
	if err != nil {
		return err
	}
	sink, err := feed.Kafka(ctx, d.node.kafka, topics, time.Millisecond)
	if err != nil {
		return err
	}
	d.feed = &feed.Feed{World: world, Sink: sink, Decisions: d.seen, Now: time.Now, Unsaid: d.again}
	d.screen = newScreen(d.out, d)
	return nil
}

// play runs everything until ctx ends, then lets the node drain.
func (d *demo) play(ctx, kill context.Context) error {
	stopServing, err := d.node.serve(d.log)
	if err != nil {
		return err
	}
	defer stopServing()
	// The catalogue stands before the first shopper comes, as in any shop.
	if err := d.feed.Past(kill, time.UnixMilli(d.feed.World.NowMS()+1)); err != nil {
		return err
	}
	d.screen.begin()
	ctx, failed := context.WithCancel(ctx)
	defer failed()
	beside, endBeside := context.WithCancel(kill)
	defer endBeside()
	group, _ := errgroup.WithContext(kill)
	start := func(f func() error) {
		group.Go(func() error {
			err := f()
			if err != nil {
				failed()
			}
			return err
		})
	}
	start(func() error {
		defer endBeside()
		defer failed()
		return d.node.node.Run(ctx, kill)
	})
	start(func() error {
		if err := d.openDoors(ctx, func(a *latency.Appends) { start(func() error { return a.Run(beside) }) }); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		return d.feed.Live(ctx, time.Time{})
	})
	start(func() error { return d.watch(beside) })
	start(func() error { return d.screen.run(ctx) })
	err = group.Wait()
	if err == nil {
		d.screen.end()
	}
	return err
}

// openDoors writes the past, waits until the engine has caught up with it, and begins to measure.
func (d *demo) openDoors(ctx context.Context, follow func(*latency.Appends)) error {
	if err := d.feed.Past(ctx, time.Now()); err != nil {
		return err
	}
	d.feed.Unsaid = false
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if lag := d.node.status(ctx, processBegan).Lag; lag == 0 && d.screen.quiet(100*time.Millisecond) {
			break
		}
	}
	a, err := latency.Follow(ctx, d.node.kafka, &d.latency, d.config.Inputs.Clickstream.Topic, d.config.Inputs.Reviews.Topic)
	if err != nil {
		return err
	}
	d.appends.Store(a)
	follow(a)
	return nil
}

// watch takes decisions as any subscriber would: it measures when they arrive and shows them to the shoppers.
func (d *demo) watch(ctx context.Context) error {
	err := d.node.stream.Tail(ctx, d.node.stream.DecisionFilter("", "", ""), nats.From{}, func(m nats.Stored) error {
		at := time.Now()
		x, err := streams.ParseDecision(m.Data)
		if err != nil {
			return err
		}
		if a := d.appends.Load(); a != nil && x.Cause.Topic != "" {
			a.Arrived(streams.Position{Topic: x.Cause.Topic, Partition: x.Cause.Partition, Offset: x.Cause.Offset}, at)
		}
		d.screen.arrived(x, at)
		if x.Action == streams.ActionShow {
			select {
			case d.seen <- x:
			default: // nobody looks: the shop is not open yet
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *demo) close() error {
	var errs []error
	if d.feed != nil {
		errs = append(errs, d.feed.Sink.Close())
	}
	if d.node != nil {
		errs = append(errs, d.node.Close())
	}
	if d.nats != nil {
		d.nats.Close()
	}
	if d.kafka != nil {
		d.kafka.Close()
	}
	return errors.Join(errs...)
}

// paste is what can be tried from another terminal.
func (d *demo) paste(w io.Writer) {
	fmt.Fprintf(w, `Kafka %s, NATS %s
publish an event: echo '{"id":"paste-'$(date +%%s)'","type":"product.viewed","time":'$(date +%%s)000',"user":"you","item":"SKU-00001"}' | kcat -P -b %s -t %s -k you -X topic.partitioner=murmur2_random
watch decisions:  nats --server %s sub 'nudge.%s.decisions.>'
`, d.kafka.Addr(), d.nats.URL(), d.kafka.Addr(), d.config.Inputs.Clickstream.Topic, d.nats.URL(), d.config.App)
}
