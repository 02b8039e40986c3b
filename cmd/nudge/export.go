package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/recording"
	"nudge/engine"
	"nudge/operators/pipeline"
	"nudge/streams/nats"
)

func (c *cli) exportCommand() *cobra.Command {
	var at place
	var from string
	var noJournal bool
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Record the pipeline's topics to files, with the journal beside them",
		Long: `export records the pipeline's topics, as far as they reach now, to event-log files, and beside them the journal of the
node and the checkpoint that it goes on from: with those a replay gives the very decisions that were published. It reads the
node's state folder, of a running or a stopped node; export into the same folder again to record what has come since.`,
		Example: `  nudge export log -c shop.yaml
  nudge export log --from /backups/monday     the journal was trimmed: begin with a backup
  nudge export log --no-journal --kafka localhost:9092`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := at.config()
			if err != nil {
				return err
			}
			ctx, _, stop := drainOnSignal(cmd.Context(), c.log)
			defer stop()
			plan := recording.Plan{Dir: args[0], Start: from, About: recording.About{App: config.App, Build: build()}}
			if !noJournal {
				plan.Journal = filepath.Join(config.Dir, "journal")
				if _, err := os.Stat(plan.Journal); errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%s holds no journal: name the node's state folder with --dir, or leave the journal out with --no-journal", config.Dir)
				}
				if plan.About.Erased, err = c.erased(cmd, config); err != nil {
					return err
				}
			}
			opening, cancel := context.WithTimeout(ctx, lookWithin)
			defer cancel()
			if plan.Client, err = openKafka(opening, &config.Kafka, quiet(c.log), nil); err != nil {
				return err
			}
			if plan.About.Setup, err = describeInputs(ctx, plan.Client, config, c.log); err != nil {
				return err
			}
			bar := newProgress("export", c.talk)
			var recorded atomic.Int64 // how many there are is known when the first is recorded
			plan.Progress = func(done, total int64) { recorded.Store(total); bar.update(done, total) }
			err = recording.Record(ctx, plan)
			bar.end()
			if err != nil {
				return err
			}
			fmt.Fprintf(c.talk, "recorded %d records into %s\n", recorded.Load(), args[0])
			return nil
		},
	}
	at.flags(cmd, withKafka|withNATS|withDir)
	cmd.Flags().StringVar(&from, "from", "", "`BACKUP` that the journal goes on from, where it does not begin with the first epoch")
	cmd.Flags().BoolVar(&noJournal, "no-journal", false, "record the topics only")
	cmd.MarkFlagsMutuallyExclusive("from", "no-journal")
	return cmd
}

// erased asks the running node, or the folder of a stopped one, who was erased.
func (c *cli) erased(cmd *cobra.Command, config *pipeline.Config) (keys []string, err error) {
	v, closeAll, err := openStore(config, c.log)
	if err == nil {
		keys, err = engine.Erased(v.store)
		return keys, errors.Join(err, closeAll())
	}
	answer, asked := c.ask(cmd.Context(), config, apiInspect, mustJSON(inspectQuestion{What: "erased"}), answerWithin)
	if errors.Is(asked, nats.ErrNobody) {
		return nil, err
	}
	if asked != nil {
		return nil, asked
	}
	return keys, json.Unmarshal(answer, &keys)
}
