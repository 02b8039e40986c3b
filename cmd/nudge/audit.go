package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/recording"
	"nudge/engine"
	"nudge/engine/node"
	"nudge/operators"
	"nudge/state"
)

type auditFlags struct {
	place
	every  int
	asJSON bool
	most   int
}

func (c *cli) auditCommand() *cobra.Command {
	f := &auditFlags{}
	cmd := &cobra.Command{
		Use:   "audit LOG",
		Short: "Hold the features logged with decisions against the raw events, point in time",
		Long: `audit folds a recorded or simulated log and computes every user.* feature that is logged with a decision (log: in the pipeline) a second time,
from the raw events up to that moment, by a simple implementation without tiles and sketches. It names every difference, and exits with 1 if there is
one. Sketches may differ by their stated error. What came so late that its tile may have been gone, and features of orders that were taken back, are
passed over and counted. All customers and their events are held in memory.`,
		Example: `  nudge audit log -c shop.yaml
  nudge audit log -c shop.yaml --every 1 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, _, stop := drainOnSignal(cmd.Context(), c.log)
			defer stop()
			return c.audit(ctx, args[0], f)
		},
	}
	f.flags(cmd, 0)
	cmd.Flags().IntVar(&f.every, "every", 1, "audit one decision of so many")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "differences as JSON, one on a line")
	cmd.Flags().IntVarP(&f.most, "limit", "n", 20, "print so many differences; 0 for all")
	return cmd
}

func (c *cli) audit(ctx context.Context, dir string, f *auditFlags) error {
	config, err := f.config()
	if err != nil {
		return err
	}
	rec, err := recording.Open(dir)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "nudge-audit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	store, err := state.Open(folder, state.Options{App: config.App, Build: build(), Logger: c.log.Named("state")})
	if err != nil {
		return err
	}
	defer store.Close()
	differences := 0
	audit := &operators.Audit{Every: f.every, Differs: func(d *operators.Difference) {
		if differences++; f.most > 0 && differences > f.most {
			return
		}
		if f.asJSON {
			if line, err := json.Marshal(d); err == nil {
				fmt.Fprintf(c.out, "%s\n", line)
			}
			return
		}
		fmt.Fprintf(c.out, "%s %s: %s: %s: logged %s, the events say %v\n", d.Time, d.Customer, d.Decision, d.Feature, d.Logged, d.Expected)
	}}
	bar := newProgress("audit", c.talk)
	_, err = node.Replay(ctx, node.ReplayConfig{
		Compile: func(s engine.Setup) (node.Pipeline, error) {
			p, program, err := compile(s, config)
			if err == nil {
				program.Audit(audit)
				p.Engine.CacheBytes = math.MaxInt64 // customers are known by where they are
			}
			return p, err
		},
		Source: node.Source{
			Fetcher: func(topic string, partition int32, from int64) node.Fetcher {
				return rec.Fetcher(topic, partition, from)
			},
			Offsets: rec.Offsets,
		},
		Setup: replaySetup(rec, config), EpochEvents: config.Epoch.Events, Workers: 1, Store: store, Log: c.log.Named("audit"), Progress: bar.update,
		Write: func(*engine.Output, []string) error { return nil },
	})
	bar.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.talk, "%d decisions, %d audited: %d features hold, %d differ, %d were passed over\n", audit.Decisions, audit.Audited, audit.Features-int64(differences), differences, audit.Skipped)
	if differences > 0 {
		return fmt.Errorf("%d features differ from what the events say", differences)
	}
	if audit.Features == 0 {
		return invalidf("nothing was audited: log user.* features with a decider (log: [user.views_1h]), and use a log in which it decides")
	}
	return nil
}
