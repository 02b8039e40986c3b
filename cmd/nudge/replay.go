package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/recording"
	"nudge/engine"
	"nudge/engine/node"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams"
	"nudge/streams/files"
)

type replayFlags struct {
	place
	out       string
	noJournal bool
	workers   int
}

func (c *cli) replayCommand() *cobra.Command {
	f := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay LOG",
		Short: "Run the engine over a recorded log, with decisions to a file",
		Long: `replay runs the engine over what export recorded or simulate wrote. With the journal of a recording, and its own
pipeline, the decisions are byte for byte those that were published. With -c another pipeline decides: epochs are then cut
by the times at which records were appended, the decisions are the same on every run, and none is withheld as too late. Erased customers are passed over.`,
		Example: `  nudge replay log --out decisions.jsonl.zst          what was published
  nudge replay log -c changed.yaml --out changed.jsonl  what another pipeline would have decided
  nudge replay log | jq -r .kind | sort | uniq -c`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, _, stop := drainOnSignal(cmd.Context(), c.log)
			defer stop()
			return c.replay(ctx, args[0], f)
		},
	}
	f.flags(cmd, withDir)
	fs := cmd.Flags()
	fs.StringVarP(&f.out, "out", "o", "", "`FILE` for the decisions, one JSON object on a line, compressed if it ends in .zst (default: standard output)")
	fs.BoolVar(&f.noJournal, "no-journal", false, "cut epochs by append time though the recording has a journal")
	fs.IntVar(&f.workers, "workers", runtime.NumCPU(), "shards folded side by side, at most; it changes no result")
	fs.Lookup("dir").Usage = "keep the state of the replay in this empty `DIR` (default: a temporary one, removed at the end)"
	return cmd
}

func (c *cli) replay(ctx context.Context, dir string, f *replayFlags) (err error) {
	config, err := f.config()
	if err != nil {
		return err
	}
	rec, err := recording.Open(dir)
	if err != nil {
		return err
	}
	cfg := node.ReplayConfig{
		Compile: func(s engine.Setup) (node.Pipeline, error) {
			p, _, err := compile(s, config)
			return p, err
		},
		Source: node.Source{
			Fetcher: func(topic string, partition int32, from int64) node.Fetcher {
				return rec.Fetcher(topic, partition, from)
			},
			Offsets: rec.Offsets,
		},
		Setup: replaySetup(rec, config), EpochEvents: config.Epoch.Events, Workers: f.workers, Log: c.log.Named("replay"),
	}
	app := config.App
	if rec.HasJournal() && !f.noJournal && f.file == "" {
		if cfg.Journal, err = rec.Journal(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cfg.Journal.Close()) }()
		app = cfg.Journal.Header().App
	}
	compiled, _, err := compile(cfg.Setup, config)
	if err != nil {
		return err
	}
	if cfg.Skip, err = rec.Erased(ctx, compiled.Engine.Inputs); err != nil {
		return err
	}
	state, closeState, err := openReplayState(rec, f, state.Options{App: app, Build: build(), Logger: c.log.Named("state")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeState()) }()
	cfg.Store = state
	write, finish, err := c.decisionSink(f.out, app)
	if err != nil {
		return err
	}
	cfg.Write = write
	bar := newProgress("replay", c.talk)
	cfg.Progress = bar.update
	counts, err := node.Replay(ctx, cfg)
	bar.end()
	if err = errors.Join(err, finish(err == nil)); err != nil {
		return err
	}
	fmt.Fprintf(c.talk, "replayed %s\n", countWords(&counts))
	if n := len(cfg.Skip); n > 0 {
		fmt.Fprintf(c.talk, "passed over %d customers who were erased\n", n)
	}
	return nil
}

// replaySetup is the pipeline over the recorded topics.
func replaySetup(rec *recording.Recording, config *pipeline.Config) engine.Setup {
	s := engine.Setup{Definition: config.Text(), ActOnStale: true} // epochs are cut anew, so none says when a decision would have been too late
	for i, in := range []pipeline.Input{config.Inputs.Clickstream, config.Inputs.Reviews, config.Inputs.Catalog} {
		s.Inputs = append(s.Inputs, rec.Topic(in.Topic, i == 2))
	}
	return s
}

// openReplayState opens the state that a replay begins with, in a temporary folder unless one is named.
func openReplayState(rec *recording.Recording, f *replayFlags, o state.Options) (*state.Store, func() error, error) {
	dir, remove := f.over.Dir, func() error { return nil }
	if dir == "" {
		tmp, err := os.MkdirTemp("", "nudge-replay-")
		if err != nil {
			return nil, nil, err
		}
		dir, remove = tmp, func() error { return os.RemoveAll(tmp) }
	}
	store, err := rec.Start(dir, o)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return store, func() error { return errors.Join(store.Close(), remove()) }, nil
}

// decisionSink writes the decisions of an output to a file, or to standard output.
func (c *cli) decisionSink(path, app string) (write func(*engine.Output) error, finish func(ok bool) error, err error) {
	prefix := "nudge." + app + ".decisions."
	each := func(f func(m *streams.Message) error) func(*engine.Output) error {
		return func(out *engine.Output) error {
			for i := range out.Messages {
				if strings.HasPrefix(out.Messages[i].Subject, prefix) {
					if err := f(&out.Messages[i]); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	if path == "" {
		w := bufio.NewWriterSize(c.out, 64<<10)
		return each(func(m *streams.Message) error {
			_, err := fmt.Fprintf(w, "%s\n", m.Data)
			return err
		}), func(bool) error { return w.Flush() }, nil
	}
	w, err := files.CreateDecisions(path)
	if err != nil {
		return nil, nil, err
	}
	return each(func(m *streams.Message) error { return w.Write(*m) }), func(ok bool) error {
		if !ok {
			w.Abort()
			return nil
		}
		return w.Close()
	}, nil
}

// countWords says what was counted.
func countWords(n *engine.Counts) string {
	var b strings.Builder
	list := func(what string, m map[string]int64) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, ", %s%s %d", what, k, m[k])
		}
	}
	fmt.Fprintf(&b, "%d records", n.Events)
	list("", n.ByKind())
	list("withheld for ", n.Withheld)
	list("dead for ", n.Dead)
	fmt.Fprintf(&b, ", late %d, duplicates %d", n.Late, n.Duplicates)
	return b.String()
}
