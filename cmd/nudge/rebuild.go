package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/recording"
	"nudge/engine"
	"nudge/engine/node"
	"nudge/operators"
	"nudge/operators/pipeline"
	"nudge/state"
)

func (c *cli) rebuildCommand() *cobra.Command {
	r := &rebuild{cli: c}
	cmd := &cobra.Command{
		Use:   "rebuild [LOG]",
		Short: "Fill what a changed pipeline starts empty, from the log",
		Long: `rebuild folds the pipeline's events again under a changed pipeline, from LOG, which export recorded, and then from the topics, and completes
the state of the node with it: features, members of new audiences, timers and forecasts of new deciders, models that were not learned before.
What was known stays, and what was given: budgets, cool-downs, what was shown. nudge plan says what a change would start empty.

With the pipeline that the node runs under already it fills the features that began empty when that was taken up; audiences, deciders,
predictions and models that came with it go on from then. In both cases it fills what the log has of earlier than the state.

Run it beside the running node, which it only asks for a backup, until it says that it has caught up; then stop the node and run it
again: it folds what has come since and switches, at one epoch of the journal. Start the node with the changed pipeline. What it has folded
is kept in --work meanwhile; a replay of the journal begins with a backup taken after the switch.`,
		Example: `  nudge plan shop.yaml changed.yaml                what starts empty
  nudge rebuild -c changed.yaml --dir nudge-data      from the topics, beside the node
  nudge rebuild log -c changed.yaml --dir nudge-data  from what nudge export recorded, then from the topics
  nudge rebuild -c shop.yaml --dir nudge-data         what began empty under the pipeline in force`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, _, stop := drainOnSignal(cmd.Context(), c.log)
			defer stop()
			if len(args) > 0 {
				r.log = args[0]
			}
			return r.run(ctx)
		},
	}
	r.flags(cmd, withKafka|withNATS|withDir)
	fs := cmd.Flags()
	fs.StringVar(&r.work, "work", "", "keep what was folded in `DIR` (default: the state folder's name with .rebuild)")
	fs.IntVar(&r.workers, "workers", runtime.NumCPU(), "shards folded side by side, at most; it changes no result")
	return cmd
}

// rebuild is one run of the command.
type rebuild struct {
	*cli
	place
	log     string
	work    string
	workers int

	config *pipeline.Config
	old    *view // what is in force: the folder of the stopped node, or a backup of the running one
	same   bool  // the pipeline is in force
	folded int64
}

func (r *rebuild) run(ctx context.Context) (err error) {
	if r.config, err = r.place.config(); err != nil {
		return err
	}
	if r.work == "" {
		r.work = filepath.Clean(r.config.Dir) + ".rebuild"
	}
	running, closeOld, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeOld()) }()
	if err := r.check(); err != nil {
		return err
	}
	store, err := state.Open(filepath.Join(r.work, "state"), state.Options{App: r.config.App, Build: build(), Logger: r.cli.log.Named("state")})
	if err != nil {
		return err
	}
	err = r.fold(ctx, store)
	if err == nil && !running {
		err = r.takeOver(store)
	}
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	if running {
		fmt.Fprintf(r.talk, "folded %d records, up to where the node's last checkpoint stands: stop the node, and run this again to fold what comes until then and to switch\n", r.folded)
		return nil
	}
	return os.RemoveAll(r.work)
}

// open opens the folder of the stopped node, or a backup that the running one writes.
func (r *rebuild) open(ctx context.Context) (running bool, closeOld func() error, err error) {
	config := r.config
	v, closeAll, err := openStore(config, r.cli.log)
	if errors.Is(err, state.ErrInUse) {
		running = true
		backup, err := filepath.Abs(filepath.Join(r.work, "backup"))
		if err != nil {
			return running, nil, err
		}
		folder := filepath.Join(r.work, "old")
		if err := errors.Join(os.RemoveAll(backup), os.RemoveAll(folder), os.MkdirAll(r.work, 0o755)); err != nil {
			return running, nil, err
		}
		if _, err := r.ask(ctx, config, apiBackup, []byte(backup), backupWithin); err != nil {
			return running, nil, err
		}
		if _, err := state.Restore(backup, folder, state.Options{App: config.App, Build: build(), Logger: r.cli.log.Named("state")}); err != nil {
			return running, nil, err
		}
		config = config.With(pipeline.Overrides{Dir: folder})
		v, closeAll, err = openStore(config, r.cli.log)
		if err != nil {
			return running, nil, err
		}
		closeStore := closeAll
		closeAll = func() error { return errors.Join(closeStore(), os.RemoveAll(backup), os.RemoveAll(folder)) }
	} else if err != nil {
		return false, nil, err
	}
	if v.journal == nil {
		return running, nil, errors.Join(fmt.Errorf("%s is the state of a replay, without a journal: name that of a node", config.Dir), closeAll())
	}
	if err := v.build(config, quiet(r.cli.log)); err != nil {
		return running, nil, errors.Join(err, closeAll())
	}
	r.old = v
	return running, closeAll, nil
}

// check refuses a pipeline that the state can't go on under, or one in force under which nothing has begun empty.
func (r *rebuild) check() error {
	setup := r.old.engine.Setup()
	if r.same = bytes.Equal(setup.Definition, r.config.Text()); r.same {
		if len(r.old.program.BegunEmpty(r.old.engine.ClockMS())) == 0 {
			return usagef("the node runs under this pipeline already, and no feature of it lacks what came before it was there: name a changed pipeline (-c) to fill what that would start empty")
		}
		return nil
	}
	old, faults := pipeline.Parse("the pipeline in force", setup.Definition)
	if err := faults.Err(); err != nil {
		return err
	}
	changes, err := pipeline.Plan(old.With(pipeline.Overrides{Dir: r.config.Dir}), r.config) // whose state is in the folder that is rebuilt
	if err != nil {
		return err
	}
	for _, x := range changes {
		if x.What == operators.PlanRefused {
			return invalidError{fmt.Errorf("%s: %s", x.Key, x.Why)}
		}
	}
	return nil
}

// fold folds the log and then the topics up to where the old state stands.
func (r *rebuild) fold(ctx context.Context, store *state.Store) error {
	if !store.Empty() {
		meta, err := engine.ReadMeta(store.Meta())
		if err != nil {
			return err
		}
		if !bytes.Equal(meta.Setup.Definition, r.config.Text()) {
			return fmt.Errorf("%s holds a rebuild for another pipeline: remove it, or name another folder with --work", r.work)
		}
	}
	erased, err := engine.Erased(r.old.store)
	if err != nil {
		return err
	}
	skip := map[string]bool{}
	for _, key := range erased {
		skip[key] = true
	}
	if r.log != "" {
		rec, err := recording.Open(r.log)
		if err != nil {
			return err
		}
		source := node.Source{Offsets: rec.Offsets, Fetcher: func(topic string, partition int32, from int64) node.Fetcher {
			return rec.Fetcher(topic, partition, from)
		}}
		if err := r.foldFrom(ctx, source, store, skip); err != nil {
			return err
		}
	}
	short, err := r.short(store)
	if err != nil || !short {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	client, err := openKafka(opening, &r.config.Kafka, quiet(r.cli.log), nil)
	if err != nil {
		return err
	}
	source := node.Source{Offsets: client.Offsets, Fetcher: func(topic string, partition int32, from int64) node.Fetcher {
		return client.Fetcher(topic, partition, from)
	}}
	if err := r.foldFrom(ctx, source, store, skip); err != nil {
		return err
	}
	if short, err = r.short(store); err == nil && short {
		err = errors.New("the topics end before the offsets that the state has read: they were created anew or truncated")
	}
	return err
}

// foldFrom folds what a source has, up to where the old state stands.
func (r *rebuild) foldFrom(ctx context.Context, source node.Source, store *state.Store, skip map[string]bool) error {
	upTo, at := r.old.engine.Offsets(), map[string]map[int32]int64{}
	fresh := store.Empty()
	if !fresh {
		meta, err := engine.ReadMeta(store.Meta())
		if err != nil {
			return err
		}
		at = meta.Offsets
	}
	ends := source.Offsets
	source.Offsets = func(ctx context.Context, topic string, partition int32) (start, end int64, err error) {
		if start, end, err = ends(ctx, topic, partition); err != nil {
			return start, end, err
		}
		next, begun := at[topic][partition]
		switch {
		case begun && start > next:
			return 0, 0, fmt.Errorf("%s/%d begins at %d, the rebuild stands at %d: the records between are gone; record the topics with nudge export in time, and begin anew", topic, partition, start, next)
		case !begun && start > 0:
			fmt.Fprintf(r.talk, "%s/%d begins at offset %d: what happened before is not folded\n", topic, partition, start)
		}
		return start, max(start, min(end, upTo[topic][partition])), nil
	}
	setup := engine.Setup{Definition: r.config.Text(), Inputs: r.old.engine.Setup().Inputs, ActOnStale: true}
	bar := newProgress("rebuild", r.talk)
	defer bar.end()
	var before int64
	if !fresh {
		meta, err := engine.ReadMeta(store.Meta())
		if err != nil {
			return err
		}
		before = meta.Counts.Events
	}
	counts, err := node.Replay(ctx, node.ReplayConfig{
		Compile: func(s engine.Setup) (node.Pipeline, error) {
			p, program, err := compile(s, r.config)
			if err == nil && fresh { // models are to name items by the rows that the state has them in
				err = program.TakeCatalog(r.old.program)
			}
			return p, err
		},
		Source: source, Setup: setup, EpochEvents: r.config.Epoch.Events, Store: store, Keep: true, Workers: r.workers, Skip: skip,
		Write: func(*engine.Output, []string) error { return nil }, Progress: bar.update, Log: r.cli.log.Named("rebuild"),
	})
	r.folded += counts.Events - before
	return err
}

// short says whether what was folded ends before the old state does.
func (r *rebuild) short(store *state.Store) (bool, error) {
	if store.Empty() {
		return true, nil
	}
	meta, err := engine.ReadMeta(store.Meta())
	if err != nil {
		return false, err
	}
	for topic, want := range r.old.engine.Offsets() {
		for _, partition := range slices.Sorted(maps.Keys(want)) {
			at := meta.Offsets[topic][partition]
			if at > want[partition] {
				return false, fmt.Errorf("%s stands at offset %d of %s/%d, the state at %d: the state was restored from a backup meanwhile; remove the folder and begin anew", r.work, at, topic, partition, want[partition])
			}
			if at < want[partition] {
				return true, nil
			}
		}
	}
	return false, nil
}

// takeOver has the stopped node's state go on under the new pipeline.
func (r *rebuild) takeOver(folded *state.Store) (err error) {
	journal, err := r.old.store.OpenJournal(state.JournalHeader{App: r.config.App, Build: build(), CPU: runtime.GOARCH}, state.JournalOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	var graft *operators.Graft
	epoch, customers, err := node.TakeOver(node.TakeOverConfig{Store: r.old.store, From: folded, Journal: journal, Definition: r.config.Text(),
		Compile: func(s engine.Setup) (node.Pipeline, error) {
			p, _, err := compile(s, r.config)
			return p, err
		},
		Grafter: func(now, from engine.Program) (engine.Grafter, error) {
			graft = operators.NewGraft(r.old.program, now.(*operators.Program), from.(*operators.Program), r.old.engine.ClockMS())
			if last, _ := journal.Last(); r.same && len(graft.Filled()) == 0 && last == r.old.engine.Number() { // none that was interrupted
				return nil, errors.New("the log begins after the features that began empty, and has nothing to fill them with: name what nudge export recorded before")
			}
			return graft, nil
		}})
	if err != nil {
		return err
	}
	for _, name := range graft.Unlearned() {
		fmt.Fprintf(r.talk, "%s learns afresh: the log brought other items into the catalogue than the state has\n", name)
	}
	if filled := graft.Filled(); len(filled) > 0 {
		fmt.Fprintf(r.talk, "filled %s\n", strings.Join(filled, ", "))
	}
	fmt.Fprintf(r.talk, "folded %d records, completed %d customers: from epoch %d on the state has it; start the node with this pipeline\n", r.folded, customers, epoch)
	return nil
}
