package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

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
	results   string
	flush     bool
	summary   string
	profile   string
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
by the times at which records were appended, the decisions are the same on every run, and none is withheld as too late. Erased customers are passed over.
What a pipeline sends on as closed windows (outputs.features), to wherever, goes to files with --results.`,
		Example: `  nudge replay log --out decisions.jsonl.zst          what was published
  nudge replay log -c changed.yaml --out changed.jsonl  what another pipeline would have decided
  nudge replay log -c features.yaml --results windows --flush   closed windows, windows/<output>.jsonl
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
	fs.StringVar(&f.results, "results", "", "write closed windows into this `DIR`, a file for each output")
	fs.BoolVar(&f.flush, "flush", false, "close the windows that are open at the end, after the checkpoint")
	fs.StringVar(&f.summary, "summary", "", "write what was counted to `FILE`, as JSON")
	fs.StringVar(&f.profile, "cpu-profile", "", "write a CPU profile of the replay to `FILE`, for go tool pprof")
	fs.BoolVar(&f.noJournal, "no-journal", false, "cut epochs by append time though the recording has a journal")
	fs.IntVar(&f.workers, "workers", runtime.NumCPU(), "shards folded side by side, at most; it changes no result")
	fs.Lookup("dir").Usage = "keep the state of the replay in this empty `DIR` (default: a temporary one, removed at the end)"
	return cmd
}

func (c *cli) replay(ctx context.Context, dir string, f *replayFlags) (err error) {
	started := time.Now()
	if there, err := os.ReadDir(f.over.Dir); f.over.Dir != "" && err == nil && len(there) > 0 {
		return usagef("--dir %s: the folder is not empty; name an empty one, or none", f.over.Dir)
	}
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
		Setup: replaySetup(rec, config), EpochEvents: config.Epoch.Events, Workers: f.workers, Flush: f.flush, Keep: f.over.Dir != "", Log: c.log.Named("replay"),
	}
	app := config.App
	if rec.HasJournal() && f.file != "" && !f.noJournal {
		fmt.Fprintln(c.talk, "a pipeline is given: epochs are cut anew, and the recorded journal is not used")
	}
	if cfg.Journal, err = journalOf(rec, !f.noJournal && f.file == ""); err != nil {
		return err
	}
	if cfg.Journal != nil {
		defer func() { err = errors.Join(err, cfg.Journal.Close()) }()
		app = cfg.Journal.Header().App
	}
	compiled, _, err := compile(cfg.Setup, config)
	if err != nil {
		return err
	}
	if cfg.Skip, cfg.Erasures, err = rec.Erased(ctx, compiled.Engine.Inputs); err != nil {
		return err
	}
	store, closeState, err := openReplayState(rec, f, state.Options{App: app, Build: build(), Logger: c.log.Named("state")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeState()) }()
	cfg.Store = store
	write, finish, err := c.decisionSink(f.out, app)
	if err != nil {
		return err
	}
	windows := &windowSink{folder: f.results, prefix: "nudge." + app + ".features.", to: map[string]*files.DecisionWriter{}}
	var epochs int64
	cfg.Write = func(out *engine.Output, results []string) error {
		epochs++
		return errors.Join(write(out), windows.write(out, results))
	}
	stopProfile, err := profileCPU(f.profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	cpu, skipped := cpuTime(), len(cfg.Skip)
	bar := newProgress("replay", c.talk)
	cfg.Progress = bar.update
	counts, err := node.Replay(ctx, cfg)
	bar.end()
	if err = errors.Join(err, finish(err == nil), windows.finish(err == nil)); err != nil {
		return err
	}
	fmt.Fprintf(c.talk, "replayed %s\n", countWords(&counts))
	if skipped > 0 {
		fmt.Fprintf(c.talk, "passed over %d customers who were erased\n", skipped)
	}
	if f.summary == "" {
		return nil
	}
	s := newSummary(&counts, started)
	s.CPUSecondsWork, s.Epochs = (cpuTime() - cpu).Seconds(), epochs
	if cfg.Keep {
		if err := s.state(store); err != nil {
			return err
		}
	}
	return s.write(f.summary)
}

// journalOf opens the journal of a recording that is to be followed; nil where there is none, or it is not.
func journalOf(rec *recording.Recording, follow bool) (*state.Journal, error) {
	if !follow {
		return nil, nil
	}
	if err := rec.CheckJournal(); err != nil || !rec.HasJournal() {
		return nil, err
	}
	return rec.Journal()
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

// windowSink writes closed windows to files, one for each output, made when it has something to hold.
type windowSink struct {
	folder, prefix string
	to             map[string]*files.DecisionWriter
}

func (s *windowSink) write(out *engine.Output, results []string) error {
	if s.folder == "" {
		return nil
	}
	for i := range out.Results {
		r := &out.Results[i]
		if err := s.put(results[r.Output], r.Value); err != nil {
			return err
		}
	}
	for i := range out.Messages { // those that go to the decision stream
		if rest, ok := strings.CutPrefix(out.Messages[i].Subject, s.prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			if err := s.put(name, out.Messages[i].Data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *windowSink) put(output string, line []byte) error {
	w := s.to[output]
	if w == nil {
		if err := os.MkdirAll(s.folder, 0o755); err != nil {
			return fmt.Errorf("--results: %w", err)
		}
		var err error
		if w, err = files.CreateDecisions(filepath.Join(s.folder, output+".jsonl")); err != nil {
			return fmt.Errorf("--results: %w", err)
		}
		s.to[strings.Clone(output)] = w // a subject is the epoch's, which is used again
	}
	return w.Write(streams.Message{Data: line})
}

func (s *windowSink) finish(ok bool) (err error) {
	for _, name := range slices.Sorted(maps.Keys(s.to)) {
		if ok {
			err = errors.Join(err, s.to[name].Close())
		} else {
			s.to[name].Abort()
		}
	}
	return err
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
	list("closed windows of ", n.Results)
	list("dead for ", n.Dead)
	list("counted ", n.Named)
	fmt.Fprintf(&b, ", late %d, duplicates %d", n.Late, n.Duplicates)
	return b.String()
}
