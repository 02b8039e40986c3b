package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"nudge/cmd/nudge/internal/feed"
	"nudge/operators/pipeline"
	"nudge/streams"
	"nudge/streams/nats"
	"nudge/streams/simulate"
)

type simulateFlags struct {
	place
	out, truth string
	partitions int
	start      string
	span       time.Duration
	events     int64
	fast       bool
	react      bool
	clean      bool
	world      string
	shop       simulate.Shop
}

func (c *cli) simulateCommand() *cobra.Command {
	f := &simulateFlags{shop: simulate.Default()}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Write a simulated shop's events to Kafka or to files",
		Long: `simulate plays a shop: shoppers with tastes that turn, visits, carts, orders, reviews, a catalogue with stock and
seasons - and out-of-order, late, duplicate and broken records. The same seed gives the same events.

To Kafka it goes in step with the clock, from now on or from --start; with --fast as fast as Kafka takes it. To files
(--out) it is always fast.`,
		Example: `  nudge simulate --kafka localhost:9092 --rate 200          200 events a second, until interrupted
  nudge simulate --rate 200 --react --truth truth.jsonl     shoppers see decisions and respond
  nudge simulate --out log --events 100000 --seed 7         an event log in files, for nudge replay
  nudge simulate --fast --events 1000000 --rate 500         a million events, the last of them now`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.simulate(cmd.Context(), f) },
	}
	f.flags(cmd, withKafka|withNATS)
	fs := cmd.Flags()
	fs.StringVar(&f.out, "out", "", "write an event log to this `DIR` instead of to Kafka")
	fs.IntVar(&f.partitions, "partitions", 4, "partitions of the customers' topics where they are made")
	fs.DurationVar(&f.span, "for", 0, "end after so much time in the shop")
	fs.Int64Var(&f.events, "events", 0, "end after so many records")
	fs.StringVar(&f.start, "start", "", "`TIME` at which the shop opens, RFC 3339 (default: now; for files 2026-01-05T00:00:00Z; with --fast so that it ends now)")
	fs.BoolVar(&f.fast, "fast", false, "do not keep step with the clock")
	fs.BoolVar(&f.react, "react", false, "let shoppers see decisions (from NATS) and respond")
	fs.StringVar(&f.truth, "truth", "", "write what only the shop knows to this `FILE`, as JSON lines")
	fs.StringVar(&f.world, "world", "base", "nature of its people and things: "+worldNames())
	fs.BoolVar(&f.clean, "clean", false, "no out-of-order, late, duplicate or broken records")
	shopFlags(fs, &f.shop)
	fs.Float64Var(&f.shop.OutOfOrder, "out-of-order", f.shop.OutOfOrder, "share of records that come up to 30 s late")
	fs.Float64Var(&f.shop.Late, "late", f.shop.Late, "share of records that come hours late")
	fs.Float64Var(&f.shop.Duplicate, "duplicate", f.shop.Duplicate, "share of records that are sent twice")
	fs.Float64Var(&f.shop.Broken, "broken", f.shop.Broken, "extra records that are no valid event, as a share of all")
	cmd.MarkFlagsMutuallyExclusive("out", "kafka")
	cmd.MarkFlagsMutuallyExclusive("out", "react")
	cmd.MarkFlagsMutuallyExclusive("fast", "react")
	return cmd
}

// shopFlags are the flags of every command that plays a shop.
func shopFlags(fs *pflag.FlagSet, shop *simulate.Shop) {
	shop.EventsPerSecond = 100
	fs.Uint64Var(&shop.Seed, "seed", shop.Seed, "the same seed gives the same shop")
	fs.IntVar(&shop.Shoppers, "shoppers", shop.Shoppers, "known shoppers")
	fs.IntVar(&shop.Items, "items", shop.Items, "items in the catalogue")
	fs.Float64Var(&shop.EventsPerSecond, "rate", shop.EventsPerSecond, "events per second, on average; 0 is what comes natural to so many shoppers")
}

// checkPartitions says whether a log or topic may be made with so many partitions.
func checkPartitions(n int) error {
	if n < 1 || n > maxPartitions {
		return fmt.Errorf("--partitions %d: want 1 to %d", n, maxPartitions)
	}
	return nil
}

const maxPartitions = 1024

// worldNames lists the worlds in words.
func worldNames() string {
	names, what := simulate.Worlds()
	for k := range names {
		names[k] += " (" + what[k] + ")"
	}
	return strings.Join(names, ", ")
}

// window is when the shop opens and closes; a zero end is never.
func (f *simulateFlags) window(now time.Time) (from, to time.Time, err error) {
	if f.span < 0 || f.events < 0 {
		return from, to, usagef("--events %d, --for %v: want no negative number", f.events, f.span)
	}
	bounded := f.span > 0 || f.events > 0
	if (f.fast || f.out != "") && !bounded {
		return from, to, usagef("--fast and --out need an end: add --for or --events")
	}
	switch {
	case f.start != "":
		ms, ok := streams.ParseTime(f.start)
		if !ok {
			return from, to, usagef("--start %q: want a time such as 2026-01-05T00:00:00Z", f.start)
		}
		from = time.UnixMilli(ms)
	case f.out != "":
		from = f.shop.Start
	case f.fast && f.span > 0:
		from = now.Add(-f.span)
	case f.fast && f.shop.EventsPerSecond > 0:
		from = now.Add(-time.Duration(float64(f.events) / f.shop.EventsPerSecond * float64(time.Second)))
	case f.fast:
		return from, to, usagef("--fast with --events needs --rate, --for or --start, to know when the shop opened")
	default:
		from = now
	}
	if f.span > 0 {
		to = from.Add(f.span)
	}
	return from, to, nil
}

func (c *cli) simulate(ctx context.Context, f *simulateFlags) (err error) {
	now := time.Now()
	from, to, err := f.window(now)
	if err != nil {
		return err
	}
	config, err := f.config()
	if err != nil {
		return err
	}
	f.shop.Start = from
	if f.shop.Nature, err = simulate.NatureOf(f.world); err != nil {
		return usageError{err}
	}
	if f.clean {
		f.shop = f.shop.Clean()
	}
	if err := errors.Join(checkPartitions(f.partitions), f.shop.Validate()); err != nil {
		return usageError{err}
	}
	if f.fast && f.start == "" && f.span == 0 && f.out == "" {
		if f.shop.Start, err = endingAt(f.shop, f.events, now); err != nil {
			return err
		}
	}
	if f.truth != "" {
		file, err := os.Create(f.truth)
		if err != nil {
			return err
		}
		buffer := bufio.NewWriterSize(file, 256<<10)
		f.shop.Truth = buffer
		defer func() { err = errors.Join(err, buffer.Flush(), file.Close()) }()
	}
	ctx, _, stop := drainOnSignal(ctx, c.log)
	defer stop()
	sink, err := f.sink(ctx, c, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	world, err := simulate.New(f.shop)
	if err != nil {
		return err
	}
	feed := &feed.Feed{World: world, Sink: sink, Now: time.Now, Records: f.events}
	switch {
	case f.fast || f.out != "":
		if to.IsZero() {
			to = time.UnixMilli(1<<62 - 1)
		}
		err = feed.Past(ctx, to)
	case f.react:
		err = c.simulateLoop(ctx, feed, config, to)
	default:
		err = feed.Live(ctx, to)
	}
	n := world.Counts()
	fmt.Fprintf(c.talk, "wrote %d records; what happened: %d events (%d out of order, %d late), %d sent twice, %d broken; what is late may still be on its way\n",
		n.Records, n.Events, n.OutOfOrder, n.Late, n.Duplicates, n.Broken)
	return err
}

// endingAt is when a shop must open for so many records to end at a time: how many there are depends on the hour and on how the shop fills.
func endingAt(shop simulate.Shop, records int64, end time.Time) (time.Time, error) {
	for range 3 {
		world, err := simulate.New(shop)
		if err != nil {
			return end, err
		}
		last := shop.Start.UnixMilli()
		for range records {
			r, ok := world.Until(1<<62 - 1)
			if !ok {
				break
			}
			last = max(last, r.TimeMS)
		}
		beyond := time.UnixMilli(last).Sub(end)
		shop.Start = shop.Start.Add(-beyond)
		if beyond.Abs() < time.Second {
			break
		}
	}
	return shop.Start, nil
}

// sink opens where the records go.
func (f *simulateFlags) sink(ctx context.Context, c *cli, config *pipeline.Config) (*feed.Sink, error) {
	in := config.Inputs
	topics := feed.Topics{simulate.Clickstream: in.Clickstream.Topic, simulate.Reviews: in.Reviews.Topic, simulate.Catalog: in.Catalog.Topic}
	if f.out != "" {
		return feed.Files(f.out, topics, f.partitions)
	}
	client, err := openKafka(ctx, &config.Kafka, quiet(c.log), nil)
	if err != nil {
		return nil, err
	}
	if err := topics.Create(ctx, client, f.partitions); err != nil {
		return nil, err
	}
	return feed.Kafka(ctx, client, topics, 0)
}

// simulateLoop plays the shop with shoppers that see the decisions.
func (c *cli) simulateLoop(ctx context.Context, f *feed.Feed, config *pipeline.Config, until time.Time) error {
	conn, err := openNATS(ctx, &config.NATS, "nudge simulate", quiet(c.log), nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := conn.OpenStream(ctx, streamConfig(config))
	if err != nil {
		return err
	}
	decisions := make(chan *streams.Decision, 1024)
	f.Decisions = decisions
	group, ctx := errgroup.WithContext(ctx)
	tailing, end := context.WithCancel(ctx)
	group.Go(func() error {
		defer end()
		return f.Live(ctx, until)
	})
	group.Go(func() error { return tailDecisions(tailing, stream, decisions) })
	return group.Wait()
}

// tailDecisions hands on decisions as they are published, until ctx ends.
func tailDecisions(ctx context.Context, stream *nats.Stream, to chan<- *streams.Decision) error {
	err := stream.Tail(ctx, stream.DecisionFilter("", "", ""), nats.From{}, func(m nats.Stored) error {
		d, err := streams.ParseDecision(m.Data)
		if err != nil {
			return err
		}
		select {
		case to <- d:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
