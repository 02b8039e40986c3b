package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"nudge/cmd/nudge/internal/feed"
	"nudge/cmd/nudge/internal/latency"
	"nudge/operators/pipeline"
	"nudge/streams/embedded"
	"nudge/streams/simulate"
)

// maxRate is more than any machine of today takes in; what is prepared for it must fit into memory.
const maxRate = 1_000_000

type benchFlags struct {
	place
	events     int64
	rate       float64
	span       time.Duration
	partitions int
	asJSON     bool
	shop       simulate.Shop
}

func (c *cli) benchCommand() *cobra.Command {
	f := &benchFlags{shop: simulate.Default().Clean()}
	f.shop.Shoppers, f.shop.Items, f.shop.EventsPerSecond = 100_000, 20_000, 1000
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what this machine can do: throughput and latency",
		Long: `bench measures the pipeline against given brokers, or embedded ones, on topics and streams of its own, which it removes.

Throughput: so many simulated events are written to Kafka, then processed to their end. With embedded brokers their work is
part of the CPU time. Latency: events come at a rate; for each decision it is the time from its event's append in Kafka
(by the broker's clock, in whole milliseconds) to its arrival at a subscriber on NATS. Beside it stands a pass-through, with
the same fetcher and publisher and no engine, measured before the engine in the same way, and what a customer's profile
and a list take on request meanwhile. Both run in a process of their own, as nudge run does; the events are made before, some
300 bytes of memory each. The first fifth is warm-up.`,
		Example: `  nudge bench
  nudge bench --kafka localhost:9092 --nats nats://localhost:4222 --events 4000000 --rate 20000 --for 60s
  nudge bench --events 0 --rate 5000 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.bench(cmd.Context(), f) },
	}
	cmd.AddCommand(c.passThroughCommand())
	f.flags(cmd, withKafka|withNATS)
	fs := cmd.Flags()
	fs.Int64Var(&f.events, "events", 500_000, "events for throughput; 0 leaves it out")
	fs.Float64Var(&f.rate, "rate", 2000, "events per second for latency; 0 leaves it out")
	fs.DurationVar(&f.span, "for", 20*time.Second, "how long latency is measured, each way")
	fs.IntVar(&f.partitions, "partitions", 4, "partitions of the topics")
	fs.Uint64Var(&f.shop.Seed, "seed", f.shop.Seed, "the same seed gives the same events")
	fs.IntVar(&f.shop.Shoppers, "shoppers", f.shop.Shoppers, "known shoppers")
	fs.IntVar(&f.shop.Items, "items", f.shop.Items, "items in the catalogue")
	fs.BoolVar(&f.asJSON, "json", false, "as JSON")
	return cmd
}

// benchResult is what was measured.
type benchResult struct {
	CPUs       int               `json:"cpus"`
	Go         string            `json:"go"`
	Brokers    string            `json:"brokers"` // embedded, or their addresses
	Partitions int               `json:"partitions"`
	Throughput *throughputResult `json:"throughput,omitempty"`
	Latency    *latencyResult    `json:"latency,omitempty"`
}

type throughputResult struct {
	Events             int64            `json:"events"`
	Decisions          map[string]int64 `json:"decisions"`
	WallSeconds        float64          `json:"wall_seconds"`
	CPUSecondsWork     float64          `json:"cpu_seconds_work"`
	EventsPerSecond    float64          `json:"events_per_second"`
	EventsPerCPUSecond float64          `json:"events_per_cpu_second"`
	Checkpoints        int64            `json:"checkpoints"`
	PeakRSSBytes       int64            `json:"peak_rss_bytes"`
}

type latencyResult struct {
	Rate        float64   `json:"rate"`
	Seconds     float64   `json:"seconds"`
	PassThrough quantiles `json:"pass_through"`
	Engine      quantiles `json:"engine"`
	Profile     quantiles `json:"profile"`     // a customer's profile on request, meanwhile
	Recommend   quantiles `json:"recommend"`   // a list on request, meanwhile; nothing where the pipeline has no recommender
	Missed      int64     `json:"missed"`      // decisions that could not be measured
	CPUSeconds  float64   `json:"cpu_seconds"` // of the engine's process, warm-up, start and end included
}

// quantiles are in milliseconds.
type quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`
}

func quantilesOf(h *latency.Histogram) quantiles {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return quantiles{h.Count(), ms(h.Quantile(0.5)), ms(h.Quantile(0.9)), ms(h.Quantile(0.99)), ms(h.Quantile(0.999)), ms(h.Max())}
}

// stand is where a benchmark runs: brokers, and a folder for what it keeps.
type stand struct {
	*cli
	flags  *benchFlags
	config *pipeline.Config
	dir    string
	log    *zap.Logger
	began  string
	close  []func() error
}

func (c *cli) bench(ctx context.Context, f *benchFlags) (err error) {
	if (len(f.over.Brokers) > 0) != (f.over.NATS != "") {
		return usagef("give --kafka and --nats, or neither")
	}
	if err := errors.Join(checkPartitions(f.partitions), f.shop.Validate()); err != nil {
		return usageError{err}
	}
	if f.events < 0 || !(f.rate >= 0 && f.rate <= maxRate) || f.span < 0 || f.span == 0 && f.rate > 0 {
		return usagef("--events %d, --rate %v, --for %v: want no negative number, at most %v events per second, and time to measure a rate in",
			f.events, f.rate, f.span, maxRate)
	}
	ctx, _, stop := drainOnSignal(ctx, c.log)
	defer stop()
	s := &stand{cli: c, flags: f, log: quiet(c.log), began: strconv.FormatInt(time.Now().Unix(), 36)}
	defer func() {
		for i := len(s.close) - 1; i >= 0; i-- {
			err = errors.Join(err, s.close[i]())
		}
	}()
	if err := s.open(); err != nil {
		return err
	}
	r := benchResult{CPUs: runtime.NumCPU(), Go: runtime.Version(), Brokers: "embedded", Partitions: f.partitions}
	if f.over.NATS != "" {
		r.Brokers = fmt.Sprintf("Kafka %v, NATS %s", f.over.Brokers, f.over.NATS)
	}
	if f.events > 0 {
		if r.Throughput, err = s.throughput(ctx); err != nil {
			return err
		}
	}
	if f.rate > 0 {
		r.Latency = &latencyResult{Rate: f.rate, Seconds: f.span.Seconds()}
		if err := s.passThrough(ctx, r.Latency); err != nil {
			return err
		}
		if err := s.engine(ctx, r.Latency); err != nil {
			return err
		}
	}
	if f.asJSON {
		out := json.NewEncoder(c.out)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	return r.print(c.out)
}

func (s *stand) open() (err error) {
	if s.config, err = s.flags.config(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "nudge-bench-"); err != nil {
		return err
	}
	s.close = append(s.close, func() error { return os.RemoveAll(s.dir) })
	if s.flags.over.NATS != "" {
		return nil
	}
	log := s.log.WithOptions(zap.IncreaseLevel(zapcore.ErrorLevel))
	kafka, err := embedded.StartKafka(filepath.Join(s.dir, "kafka"), 0, log)
	if err != nil {
		return err
	}
	s.close = append(s.close, func() error { kafka.Close(); return nil })
	nats, err := embedded.StartNATS(filepath.Join(s.dir, "nats"), 0, log)
	if err != nil {
		return err
	}
	s.close = append(s.close, func() error { nats.Close(); return nil })
	s.config = s.config.With(pipeline.Overrides{Brokers: []string{kafka.Addr()}, NATS: nats.URL()})
	return nil
}

// benchRun is one part of a benchmark: the pipeline under another app, on topics of its own.
type benchRun struct {
	*opened
	topics feed.Topics
	feed   *feed.Feed
}

// begin makes the topics of a part, opens a node on them, or without options for one only the connections, and fills in the catalogue.
func (s *stand) begin(ctx context.Context, name string, o *nodeOptions) (r *benchRun, end func(error) error, err error) {
	app := "bench-" + s.began + "-" + name
	topics := feed.Topics{simulate.Clickstream: app + ".clickstream", simulate.Reviews: app + ".reviews", simulate.Catalog: app + ".catalog"}
	text, err := renamed(s.config.Text(), app, topics)
	if err != nil {
		return nil, nil, err
	}
	config, faults := pipeline.Parse("the benchmark's pipeline", text)
	if err := faults.Err(); err != nil {
		return nil, nil, err
	}
	config = config.With(pipeline.Overrides{Brokers: s.config.Kafka.Brokers, NATS: s.config.NATS.URL, Dir: filepath.Join(s.dir, name)})
	client, err := openKafka(ctx, &config.Kafka, s.log, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := topics.Create(ctx, client, s.flags.partitions); err != nil {
		return nil, nil, err
	}
	r = &benchRun{topics: topics}
	end = func(err error) error {
		ctx := context.WithoutCancel(ctx)
		if r.feed != nil {
			err = errors.Join(err, r.feed.Sink.Close())
		}
		if r.opened != nil {
			err = errors.Join(err, r.stream.Delete(ctx), r.Close())
		}
		for _, topic := range topics {
			err = errors.Join(err, client.DeleteTopic(ctx, topic))
		}
		return err
	}
	defer func() {
		if err != nil {
			err = end(err)
		}
	}()
	if o != nil {
		o.config, o.actOnStale, o.workers = config, true, runtime.NumCPU()
		r.opened, err = openNode(ctx, *o, s.log)
	} else {
		r.opened, err = openBrokers(ctx, config, s.log)
	}
	if err != nil {
		return nil, nil, err
	}
	shop := s.flags.shop
	shop.Start = time.Now().Add(-s.worldSpan(shop.EventsPerSecond))
	world, err := simulate.New(shop)
	if err != nil {
		return nil, nil, err
	}
	sink, err := feed.Kafka(ctx, client, topics, time.Millisecond)
	if err != nil {
		return nil, nil, err
	}
	r.feed = &feed.Feed{World: world, Sink: sink, Now: time.Now}
	return r, end, r.feed.Past(ctx, shop.Start)
}

// worldSpan is how much time passes in the shop while its events are written, with some to spare: none may lie ahead of now.
func (s *stand) worldSpan(perSecond float64) time.Duration {
	most := max(float64(s.flags.events), s.flags.rate*s.flags.span.Seconds())
	return time.Duration(2*most/perSecond)*time.Second + time.Hour
}

// renamed is a pipeline's text with another app and other topics.
func renamed(text []byte, app string, topics feed.Topics) ([]byte, error) {
	var m yaml.MapSlice
	if err := yaml.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	set := func(m yaml.MapSlice, key string, value any) yaml.MapSlice {
		for i := range m {
			if m[i].Key == key {
				m[i].Value = value
				return m
			}
		}
		return append(m, yaml.MapItem{Key: key, Value: value})
	}
	m = set(m, "app", app)
	m = set(m, "inputs", yaml.MapSlice{
		{Key: "clickstream", Value: yaml.MapSlice{{Key: "topic", Value: topics[simulate.Clickstream]}}},
		{Key: "reviews", Value: yaml.MapSlice{{Key: "topic", Value: topics[simulate.Reviews]}}},
		{Key: "catalog", Value: yaml.MapSlice{{Key: "topic", Value: topics[simulate.Catalog]}}},
	})
	m = set(m, "outputs", yaml.MapSlice{})
	return yaml.Marshal(m)
}

// throughput processes a log to its end.
func (s *stand) throughput(ctx context.Context) (_ *throughputResult, err error) {
	r, end, err := s.begin(ctx, "throughput", &nodeOptions{untilEnd: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = end(err) }()
	fmt.Fprintf(s.talk, "throughput: writing %d events\n", s.flags.events)
	items := int64(s.flags.shop.Items) // the catalogue comes first, and is not counted
	r.feed.Records = s.flags.events + items
	if err := r.feed.Past(ctx, time.Now()); err != nil {
		return nil, err
	}
	fmt.Fprintln(s.talk, "throughput: processing")
	if err := r.node.Run(ctx, ctx); err != nil {
		return nil, err
	}
	report := r.node.Report()
	t := &throughputResult{Events: report.Counts.Events - items, Decisions: report.Counts.ByKind(), WallSeconds: report.Wall.Seconds(),
		CPUSecondsWork: report.CPUWork.Seconds(), Checkpoints: report.Checkpoints, PeakRSSBytes: peakRSS()}
	t.EventsPerSecond = float64(t.Events) / t.WallSeconds
	t.EventsPerCPUSecond = float64(t.Events) / t.CPUSecondsWork
	return t, nil
}

func (r *benchResult) print(w io.Writer) error {
	fmt.Fprintf(w, "%d CPUs, %s, %d partitions, brokers: %s\n", r.CPUs, r.Go, r.Partitions, r.Brokers)
	if t := r.Throughput; t != nil {
		var decisions int64
		for _, n := range t.Decisions {
			decisions += n
		}
		fmt.Fprintf(w, "\nthroughput  %d events in %.1f s: %.0f events/s, %.0f per CPU-second; %d decisions, %d checkpoints, peak memory %d MiB\n",
			t.Events, t.WallSeconds, t.EventsPerSecond, t.EventsPerCPUSecond, decisions, t.Checkpoints, t.PeakRSSBytes>>20)
	}
	if l := r.Latency; l != nil {
		fmt.Fprintf(w, "\nlatency at %.0f events/s for %.0f s, from append to arrival, in ms\n", l.Rate, l.Seconds)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "\tp50\tp90\tp99\tp99.9\tmax\tcount\t")
		for _, row := range []struct {
			name string
			q    quantiles
		}{{"pass-through", l.PassThrough}, {"engine", l.Engine}, {"profile on request", l.Profile}, {"list on request", l.Recommend}} {
			if row.q.Count == 0 {
				continue
			}
			fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t\n", row.name, row.q.P50, row.q.P90, row.q.P99, row.q.P999, row.q.Max, row.q.Count)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(w, "the engine's process took %.1f s of CPU\n", l.CPUSeconds)
		if l.Missed > 0 {
			fmt.Fprintf(w, "%d decisions could not be measured\n", l.Missed)
		}
	}
	return nil
}
