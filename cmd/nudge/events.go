package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/feed"
	"nudge/operators/pipeline"
	"nudge/streams"
	"nudge/streams/files"
	"nudge/streams/simulate"
)

type eventsFlags struct {
	from       string
	out        string
	memory     pipeline.Bytes
	partitions int
}

func (c *cli) eventsCommand() *cobra.Command {
	f := &eventsFlags{}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Convert, check and sort files of events, and make logs of them",
		Long: `events works on files of events, one JSON text on a line, plain or compressed (.gz, .zst), or standard input. --from says their format, as
inputs.*.format does in a pipeline; auto tells it of each line.`,
		Example: `  nudge events check events.jsonl.gz
  nudge events convert --from ga4 export.jsonl -o native.jsonl.zst
  nudge events sort native.jsonl.zst -o sorted.jsonl.zst
  nudge events log sorted.jsonl.zst -o log && nudge replay log -c shop.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("events what? want convert, check, sort or log\n%s", seeHelp(cmd))
		},
	}
	sub := func(use, short, example string, run func(f *eventsFlags, in []string) error) *cobra.Command {
		x := &cobra.Command{Use: use, Short: short, Example: example, RunE: func(_ *cobra.Command, args []string) error {
			if _, err := streams.ParseFormat(f.from); err != nil {
				return usageError{fmt.Errorf("--from: %w", err)}
			}
			if len(args) == 0 {
				args = []string{"-"}
			}
			return run(f, args)
		}}
		x.Flags().StringVar(&f.from, "from", "auto", "format of the events: native, segment, ga4, cloudevents or auto")
		cmd.AddCommand(x)
		return x
	}
	convert := sub("convert [FILE...]", "Write events in the native format", "  nudge events convert --from segment calls.jsonl.gz -o native.jsonl.zst", c.convertEvents)
	sub("check [FILE...]", "Say which events would be refused, and why", "  nudge events check events.jsonl\n  cat events.jsonl | nudge events check --from native", c.checkEvents)
	sort := sub("sort [FILE...]", "Put events into the order of their times", "  nudge events sort monday.jsonl tuesday.jsonl -o sorted.jsonl.zst", c.sortEvents)
	log := sub("log [FILE...]", "Make an event log of files, for replay, check --events and audit", "  nudge events log catalog.jsonl sorted.jsonl.zst -o log", c.logEvents)
	log.Flags().StringVarP(&f.out, "out", "o", "log", "empty `DIR` for the log")
	log.Flags().IntVar(&f.partitions, "partitions", 4, "partitions of the clickstream")
	for _, x := range []*cobra.Command{convert, sort} {
		x.Flags().StringVarP(&f.out, "out", "o", "", "`FILE` to write, compressed if it ends in .zst (default: standard output)")
	}
	f.memory = 256 << 20
	sort.Flags().TextVar(&f.memory, "memory", f.memory, "events that are held in memory; beyond it they wait in temporary files")
	return cmd
}

// eachEvent calls f for each line that is not empty, with what it holds or why it is refused.
func eachEvent(flags *eventsFlags, in []string, f func(at string, line []byte, d *streams.Decoder, e *streams.Event, fault *streams.Fault) error) error {
	format, err := streams.ParseFormat(flags.from)
	if err != nil {
		return err
	}
	d := streams.NewDecoder(format)
	for _, path := range in {
		each := func(n int, line []byte) error {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				return nil
			}
			var e streams.Event
			fault := d.Decode(&streams.Record{Value: line}, &e)
			if fault == nil && e.Type.Catalogue() {
				var item streams.CatalogItem
				if e.Type == streams.ItemUpserted {
					fault = e.CatalogItem(&item)
				}
			}
			return f(fmt.Sprintf("%s:%d", path, n), line, d, &e, fault)
		}
		if path == "-" {
			err = files.ScanLines("standard input", os.Stdin, each)
		} else {
			err = files.ReadLines(path, each)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lineSink writes lines to a file, or to standard output.
func (c *cli) lineSink(path string) (write func(line []byte) error, finish func(error) error, err error) {
	if path == "" {
		w := bufio.NewWriterSize(c.out, 64<<10)
		return func(line []byte) error {
			_, err := fmt.Fprintf(w, "%s\n", line)
			return err
		}, func(err error) error { return errors.Join(err, w.Flush()) }, nil
	}
	w, err := files.CreateDecisions(path)
	if err != nil {
		return nil, nil, err
	}
	return func(line []byte) error { return w.Write(streams.Message{Data: line}) }, func(err error) error {
		if err != nil {
			w.Abort()
			return err
		}
		return w.Close()
	}, nil
}

func (c *cli) convertEvents(f *eventsFlags, in []string) error {
	write, finish, err := c.lineSink(f.out)
	if err != nil {
		return err
	}
	n, refused := 0, refusals{}
	err = eachEvent(f, in, func(at string, _ []byte, d *streams.Decoder, _ *streams.Event, fault *streams.Fault) error {
		if fault != nil {
			refused.add(at, fault)
			return nil
		}
		n++
		return write(d.NativeText())
	})
	if err = finish(err); err != nil {
		return err
	}
	fmt.Fprintf(c.talk, "converted %d events\n", n)
	refused.print(c.talk)
	return refused.err()
}

func (c *cli) checkEvents(f *eventsFlags, in []string) error {
	types, refused, n := map[string]int{}, refusals{}, 0
	var first, last int64
	err := eachEvent(f, in, func(at string, _ []byte, _ *streams.Decoder, e *streams.Event, fault *streams.Fault) error {
		if fault != nil {
			refused.add(at, fault)
			return nil
		}
		if n == 0 {
			first, last = e.TimeMS, e.TimeMS
		}
		first, last = min(first, e.TimeMS), max(last, e.TimeMS)
		types[e.Name]++
		n++
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d events are good", n)
	if n > 0 {
		fmt.Fprintf(c.out, ", from %s to %s", streams.AppendTime(nil, first), streams.AppendTime(nil, last))
	}
	fmt.Fprintln(c.out)
	for _, name := range slices.Sorted(maps.Keys(types)) {
		fmt.Fprintf(c.out, "%8d %s\n", types[name], name)
	}
	refused.print(c.out)
	return refused.err()
}

// refusals are the lines that are refused, by reason.
type refusals map[string]*refusal

type refusal struct {
	count    int
	examples []string // the first few
}

func (r refusals) add(at string, f *streams.Fault) {
	x := r[f.Reason]
	if x == nil {
		x = &refusal{}
		r[f.Reason] = x
	}
	if x.count++; len(x.examples) < 3 {
		x.examples = append(x.examples, at+": "+f.Detail)
	}
}

func (r refusals) print(w io.Writer) {
	for _, reason := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(w, "%8d refused: %s\n", r[reason].count, reason)
		for _, x := range r[reason].examples {
			fmt.Fprintf(w, "         %s\n", x)
		}
	}
}

func (r refusals) err() error {
	n := 0
	for _, x := range r {
		n += x.count
	}
	if n == 0 {
		return nil
	}
	return invalidf("%d events are refused", n)
}

// logEvents makes an event log of files: each event was appended when it happened or, if an earlier line is later, with that one.
func (c *cli) logEvents(f *eventsFlags, in []string) (err error) {
	if err := checkPartitions(f.partitions); err != nil {
		return usageError{err}
	}
	for _, path := range in { // before the folder is made
		if path == "-" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return err
		}
	}
	sink, err := feed.Files(f.out, feed.Topics{simulate.Clickstream: "clickstream", simulate.Catalog: "catalog"}, f.partitions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	n, refused, lastMS := 0, refusals{}, int64(0)
	err = eachEvent(f, in, func(at string, _ []byte, d *streams.Decoder, e *streams.Event, fault *streams.Fault) error {
		if fault != nil {
			refused.add(at, fault)
			return nil
		}
		r := simulate.Record{Topic: simulate.Clickstream, Key: []byte(e.User), Value: bytes.Clone(d.NativeText())}
		switch {
		case e.Type.Catalogue():
			r.Topic, r.Key = simulate.Catalog, []byte(e.Item())
		case e.User == "":
			r.Key = []byte(e.Anon)
		}
		lastMS = max(lastMS, e.TimeMS)
		r.TimeMS = lastMS
		n++
		return sink.Send(context.Background(), &r)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.talk, "logged %d events in %s\n", n, f.out)
	refused.print(c.talk)
	return refused.err()
}
