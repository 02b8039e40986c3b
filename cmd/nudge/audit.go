package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/recording"
	"nudge/engine"
	"nudge/engine/node"
	"nudge/operators"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams/files"
)

type auditFlags struct {
	place
	every     int
	asJSON    bool
	most      int
	published string
	noJournal bool
}

func (c *cli) auditCommand() *cobra.Command {
	f := &auditFlags{}
	cmd := &cobra.Command{
		Use:   "audit LOG",
		Short: "Hold the features logged with decisions against the raw events, point in time",
		Long: `audit folds a recorded or simulated log and computes every feature that is logged with a decision (log: in the pipeline, and what audiences ask for)
a second time, from the raw events up to that moment, by a simple implementation without tiles and sketches: features of customers, of their sessions
and categories, of items and of all together. It names every difference, and exits with 1 if there is one. Sketches may differ by their stated error.
What can't be computed so is passed over, and counted by the reason (below). With --decisions it is what was published that is held: by a file of decisions, which must
be those of the log; one that the log does not lead to differs, too.
As with replay, a recording with its journal is folded as it was; without one, epochs are cut anew. With -c that pipeline alone folds all of it, in the journal's epochs if
they are of the same topics: of what was published, decisions of another pipeline (their policy says so) are then counted and not held, nor are features that a change of the
pipeline had begin without what was before. All customers and their events are held in memory.

Passed over are what came so late that a window may have been gone; what counts an order of which a part was sent back, or that may be remembered no more; values that are
standardised; a topk of more values than it lists exactly; items that had lost their place (limits.items); what was published without features, for its length; and what is no
feature: models, the catalogue, the event.`,
		Example: `  nudge audit log -c shop.yaml
  nudge audit log -c shop.yaml --every 1 --json
  nudge tail --until-now --json > decisions.jsonl && nudge export log && nudge audit log --decisions decisions.jsonl`,
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
	cmd.Flags().StringVar(&f.published, "decisions", "", "hold the decisions in `FILE`, one JSON object on a line")
	cmd.Flags().BoolVar(&f.noJournal, "no-journal", false, "cut epochs by append time though the recording has a journal")
	cmd.Flags().IntVarP(&f.most, "limit", "n", 20, "print so many differences; 0 for all")
	return cmd
}

func (c *cli) audit(ctx context.Context, dir string, f *auditFlags) (err error) {
	config, err := f.config()
	if err != nil {
		return err
	}
	rec, err := recording.Open(dir)
	if err != nil {
		return err
	}
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
		fmt.Fprintf(c.out, "%s %s: %s: %s: logged %s, the events say %v\n", d.Time, d.Customer, d.ID, d.Feature, d.Logged, d.Expected)
	}}
	if f.published != "" {
		if audit.Published, err = readPublished(f.published); err != nil {
			return err
		}
	}
	folder, err := os.MkdirTemp("", "nudge-audit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	cfg := node.ReplayConfig{
		Source: node.Source{
			Fetcher: func(topic string, partition int32, from int64) node.Fetcher {
				return rec.Fetcher(topic, partition, from)
			},
			Offsets: rec.Offsets,
		},
		Setup: replaySetup(rec, config), EpochEvents: config.Epoch.Events, Workers: 1, Log: c.log.Named("audit"),
		Write: func(out *engine.Output, _ []string) error {
			for i := range out.Messages { // those that log nothing
				delete(audit.Published, out.Messages[i].ID)
			}
			return nil
		},
	}
	app, others := config.App, map[string]int64{} // decisions of other pipelines, by their policy
	if cfg.Journal, err = journalOf(rec, !f.noJournal && (f.file == "" || !rec.HasStart())); err != nil {
		return err
	}
	changed := false // within the recording
	if cfg.Journal != nil {
		defer func(j *state.Journal) { err = errors.Join(err, j.Close()) }(cfg.Journal)
	}
	if cfg.Journal != nil && f.file != "" {
		if changed, err = foldUnder(&cfg, audit); err != nil {
			return err
		}
	}
	if cfg.Journal != nil {
		if rec.HasStart() {
			return invalidf("the recording goes on from a backup: what came before it is not in the log. Hold what follows alone with --no-journal, or export from the beginning")
		}
		app = cfg.Journal.Header().App
	}
	compiled, _, err := compile(cfg.Setup, config)
	if err != nil {
		return err
	}
	if cfg.Skip, cfg.Erasures, err = rec.Erased(ctx, compiled.Engine.Inputs); err != nil {
		return err
	}
	if cfg.Store, err = state.Open(folder, state.Options{App: app, Build: build(), Logger: c.log.Named("state")}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cfg.Store.Close()) }()
	begun := false
	cfg.Compile = func(s engine.Setup) (node.Pipeline, error) {
		if begun {
			return node.Pipeline{}, invalidf("the pipeline was changed within the recording: name one with -c, under which all of it is folded")
		}
		begun = true
		p, program, err := compile(s, config)
		if err == nil {
			program.Audit(audit)
			audit.Policy = engine.Policy(s.Definition)
			for _, d := range audit.Published {
				if !d.Of(audit.Policy) {
					others[d.Policy]++
				}
			}
			p.Engine.CacheBytes = math.MaxInt64 // customers are known by where they are
		}
		return p, err
	}
	bar := newProgress("audit", c.talk)
	cfg.Progress = bar.update
	_, err = node.Replay(ctx, cfg)
	bar.end()
	if err != nil {
		return err
	}
	return c.audited(audit, f, differences, others, changed || len(others) > 0)
}

// audited says what an audit came to; others are the decisions of other pipelines, by their policy.
func (c *cli) audited(audit *operators.Audit, f *auditFlags, differences int, others map[string]int64, changed bool) error {
	maps.DeleteFunc(audit.Published, func(_ string, d operators.Published) bool { return !d.Of(audit.Policy) })
	strangers := len(audit.Published)
	fmt.Fprintf(c.talk, "%d decisions, %d audited: %d features hold, %d differ, %d were passed over\n", audit.Decisions, audit.Audited, audit.Features-int64(differences), differences, audit.Skipped())
	c.list("of", audit.Held)
	c.list("passed over:", audit.Passed)
	if audit.Missing > 0 {
		fmt.Fprintf(c.talk, "  %d decisions of the log are not in %s\n", audit.Missing, f.published)
	}
	for _, policy := range slices.Sorted(maps.Keys(others)) {
		fmt.Fprintf(c.talk, "  %d decisions of %s are of another pipeline (policy %s, this one is %s), and were not held\n", others[policy], f.published, policy, audit.Policy)
	}
	if changed && strangers > 0 {
		fmt.Fprintf(c.talk, "  %d decisions of %s the log does not lead to under this pipeline alone: another decided before it\n", strangers, f.published)
		strangers = 0
	}
	for n, id := range slices.Sorted(maps.Keys(audit.Published))[:strangers] {
		if f.most > 0 && n == f.most {
			break
		}
		fmt.Fprintf(c.out, "%s: the log does not lead to it\n", id)
	}
	switch {
	case strangers > 0:
		return fmt.Errorf("%d features differ from what the events say, and %d decisions are not what the log leads to", differences, strangers)
	case differences > 0:
		return fmt.Errorf("%d features differ from what the events say", differences)
	case audit.Features == 0 && len(others) > 0:
		return invalidf("nothing was audited: all decisions of %s are of other pipelines: name theirs with -c", f.published)
	case audit.Features == 0:
		return invalidf("nothing was audited: log features with a decider (log: [user.views_1h]), and use a log in which it decides")
	}
	return nil
}

// change is where a recording goes on under another pipeline, or with a rebuilt state.
type change struct {
	epoch   uint64
	policy  string
	rebuilt bool
	younger []string // features that do not see what was before the pipeline took over, from there on
}

// foldUnder has a journal's epochs folded under the setup of the replay, and says whether the pipeline was changed within them; if that reads other topics
// than they are of, the journal is left.
func foldUnder(cfg *node.ReplayConfig, audit *operators.Audit) (changed bool, err error) {
	changes, same, err := changesOf(cfg.Journal, cfg.Setup.Inputs)
	if err != nil {
		return false, err
	}
	changed = slices.ContainsFunc(changes, func(x change) bool { return x.rebuilt || x.policy != changes[0].policy })
	if !same {
		cfg.Journal = nil
		return changed, nil
	}
	cfg.Under, cfg.Setup.ActOnStale = true, false
	write := cfg.Write
	cfg.Write = func(out *engine.Output, results []string) error {
		for len(changes) > 0 && changes[0].epoch <= out.Epoch+1 {
			audit.Younger = changes[0].younger
			changes = changes[1:]
		}
		return write(out, results)
	}
	return changed, nil
}

// changesOf finds the setups of a journal, the first one, too, and says whether all of them read the same topics as inputs, and
// can be read by this build.
func changesOf(j *state.Journal, inputs []engine.Topic) (changes []change, same bool, err error) {
	same = j.First() == 1
	var before *pipeline.Config
	err = j.Read(j.First(), func(number, _ uint64, payload []byte) error {
		entry, err := engine.DecodeEntry(payload)
		if err != nil || entry.Setup == nil {
			return err
		}
		same = same && slices.EqualFunc(entry.Setup.Inputs, inputs, func(a, b engine.Topic) bool { return a.Topic == b.Topic && a.Partitions == b.Partitions })
		now, faults := pipeline.Parse("the recording's pipeline", entry.Setup.Definition)
		same = same && faults.Err() == nil
		x := change{epoch: number, policy: engine.Policy(entry.Setup.Definition)}
		x.rebuilt = slices.ContainsFunc(entry.Commands, func(c engine.Command) bool { return c.Kind == engine.CommandRebuilt })
		if same && before != nil && !x.rebuilt {
			if x.younger, err = operators.Younger(&before.Deciders, &now.Deciders); err != nil {
				return err
			}
			x.younger = append(x.younger, changes[len(changes)-1].younger...)
		}
		changes, before = append(changes, x), now
		return nil
	})
	return changes, same, err
}

// list writes counts, a line each.
func (c *cli) list(what string, counts map[string]int64) {
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(c.talk, "  %s %s %d\n", what, key, counts[key])
	}
}

// readPublished reads the features of decisions; those that log none are left out.
func readPublished(path string) (map[string]operators.Published, error) {
	all := map[string]operators.Published{}
	err := files.ReadLines(path, func(n int, line []byte) error {
		var d struct {
			ID string
			operators.Published
		}
		if err := json.Unmarshal(line, &d); err != nil || d.ID == "" {
			return invalidf("%s:%d: want a decision as it was published: %v", path, n, err)
		}
		all[d.ID] = d.Published
		return nil
	})
	return all, err
}
