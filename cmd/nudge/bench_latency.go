package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"nudge/cmd/nudge/internal/bench"
	"nudge/cmd/nudge/internal/latency"
	"nudge/operators/pipeline"
	"nudge/streams"
	"nudge/streams/nats"
	"nudge/streams/simulate"
)

// passThroughEvery and passThroughBytes are about what the default pipeline decides, and how large that is.
const (
	passThroughEvery = 6
	passThroughBytes = 900
)

// passThroughCommand is what bench compares an engine with, in a process of its own. It is not in the list of commands.
func (c *cli) passThroughCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use: "pass-through", Short: "Send a message for some of the events: what bench compares an engine with", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, _, stop := drainOnSignal(cmd.Context(), c.log)
			defer stop()
			config, err := p.config()
			if err != nil {
				return err
			}
			o, err := openBrokers(ctx, config, c.log)
			if err != nil {
				return err
			}
			defer o.Close()
			pass := &bench.PassThrough{App: config.App, Client: o.kafka, Stream: o.stream, Every: passThroughEvery, Bytes: passThroughBytes,
				Topics: []string{config.Inputs.Clickstream.Topic, config.Inputs.Reviews.Topic}}
			return pass.Run(ctx)
		},
	}
	p.flags(cmd, withKafka|withNATS)
	return cmd
}

func (s *stand) passThrough(ctx context.Context, l *latencyResult) (err error) {
	r, end, err := s.begin(ctx, "pass", nil)
	if err != nil {
		return err
	}
	defer func() { err = end(err) }()
	fmt.Fprintf(s.talk, "latency: pass-through, %v events/s for %v\n", l.Rate, s.flags.span)
	var h latency.Histogram
	pass := &bench.PassThrough{App: r.config.App, Stream: r.stream}
	_, err = s.drive(ctx, r, []string{"bench", "pass-through"},
		func(context.Context) error { return nil },
		func(ctx context.Context, since time.Time) error { return pass.Measure(ctx, since, &h) })
	l.PassThrough = quantilesOf(&h)
	return err
}

func (s *stand) engine(ctx context.Context, l *latencyResult) (err error) {
	r, end, err := s.begin(ctx, "engine", nil)
	if err != nil {
		return err
	}
	defer func() { err = end(err) }()
	fmt.Fprintf(s.talk, "latency: engine, %v events/s for %v\n", l.Rate, s.flags.span)
	var h latency.Histogram
	var appends *latency.Appends
	var asked requests
	used, err := s.drive(ctx, r, []string{"run", "--stale", "act", "--dir", r.config.Dir},
		func(ctx context.Context) error { return awaitReady(ctx, r.nats, r.config.App) },
		func(ctx context.Context, _ time.Time) error {
			var err error
			if appends, err = latency.Follow(ctx, r.kafka, &h, r.topics[simulate.Clickstream], r.topics[simulate.Reviews]); err != nil {
				return err
			}
			group, ctx := errgroup.WithContext(ctx)
			group.Go(func() error { return appends.Run(ctx) })
			group.Go(func() error { return receive(ctx, r.stream, appends, &asked) })
			group.Go(func() error { return asked.run(ctx, r.nats, r.config.App, len(r.config.Deciders.Recommenders) > 0) })
			return group.Wait()
		})
	if err != nil {
		return err
	}
	l.Engine, l.Missed, l.CPUSeconds = quantilesOf(&h), appends.Missed(), used.Seconds()
	l.Profile, l.Recommend = quantilesOf(&asked.profiles), quantilesOf(&asked.recommending)
	return nil
}

// awaitReady waits until a node answers that it takes events in.
func awaitReady(ctx context.Context, conn *nats.Conn, app string) error {
	for {
		var status statusAnswer
		data, err := conn.Request(ctx, nats.APIGroup(app)+"."+apiStatus, nil)
		if err == nil && json.Unmarshal(data, &status) == nil && status.Ready {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// receive takes decisions as a subscriber. Of each it reads no more than it needs: on a machine of two processors what measures must not be more work
// than what is measured.
func receive(ctx context.Context, stream *nats.Stream, appends *latency.Appends, asked *requests) error {
	err := stream.Tail(ctx, stream.DecisionFilter("", "", ""), nats.From{}, func(m nats.Stored) error {
		at := time.Now()
		var cause struct {
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
			Offset    int64  `json:"offset"`
		}
		if err := partOf(m.Data, "cause", &cause); err != nil {
			return err
		}
		if cause.Topic != "" {
			appends.Arrived(streams.Position{Topic: cause.Topic, Partition: cause.Partition, Offset: cause.Offset}, at)
		}
		if asked.wanted.CompareAndSwap(true, false) {
			var user, anon string
			if err := errors.Join(partOf(m.Data, "user", &user), partOf(m.Data, "anon", &anon)); err != nil {
				return err
			}
			customer := cmp.Or(user, anon)
			asked.customer.Store(&customer)
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// partOf decodes what follows the last "key": of a decision. Quotes within strings are escaped, so it can be nothing else.
func partOf(decision []byte, key string, to any) error {
	name := []byte(`"` + key + `":`)
	at := bytes.LastIndex(decision, name)
	if at < 0 {
		return nil
	}
	if err := json.NewDecoder(bytes.NewReader(decision[at+len(name):])).Decode(to); err != nil {
		return fmt.Errorf("%s of a decision: %w", key, err)
	}
	return nil
}

// drive runs nudge with some arguments in a process of its own, writes events at the rate while it works on them once it is ready, and returns the CPU time it
// took; measure begins when the machine is warm.
func (s *stand) drive(ctx context.Context, r *benchRun, args []string, ready func(context.Context) error, measure func(ctx context.Context, since time.Time) error) (used time.Duration, err error) {
	if err := r.feed.Prepare(int(s.flags.rate * (s.flags.span + s.flags.span/5).Seconds())); err != nil {
		return 0, err
	}
	working, stopWork := context.WithCancel(ctx)
	defer stopWork()
	measuring, stopMeasuring := context.WithCancel(ctx)
	defer stopMeasuring()
	group, failed := errgroup.WithContext(ctx)
	defer context.AfterFunc(failed, func() { stopWork(); stopMeasuring() })()
	warm := make(chan struct{})
	group.Go(func() error {
		var err error
		used, err = s.runs(working, r.config, args)
		return err
	})
	group.Go(func() error {
		if err := ready(failed); err != nil {
			return err
		}
		if err := r.feed.Paced(failed, s.flags.rate, s.flags.span/5); err != nil {
			return err
		}
		close(warm)
		if err := r.feed.Paced(failed, s.flags.rate, s.flags.span); err != nil {
			return err
		}
		// What was still under way when the last event was written has half a second to arrive.
		select {
		case <-time.After(500 * time.Millisecond):
		case <-failed.Done():
		}
		stopMeasuring()
		stopWork()
		return nil
	})
	group.Go(func() error {
		select {
		case <-warm:
		case <-measuring.Done():
			return nil
		}
		return measure(measuring, time.Now())
	})
	return used, group.Wait()
}

// runs runs nudge on a configuration until ctx ends, and returns the CPU time that it took.
func (s *stand) runs(ctx context.Context, config *pipeline.Config, args []string) (time.Duration, error) {
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	file := filepath.Join(s.dir, config.App+".yaml")
	if err := os.WriteFile(file, config.Text(), 0o600); err != nil {
		return 0, err
	}
	args = append(args, "-c", file, "--kafka", strings.Join(config.Kafka.Brokers, ","), "--nats", config.NATS.URL, "--log-level", "error")
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Args[0] = "nudge"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) { // it was told to end, and ended well
		err = nil
	}
	if err != nil {
		return 0, fmt.Errorf("nudge %s: %w\n%s", strings.Join(args[:1], " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}
