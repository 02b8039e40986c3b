package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"nudge/cmd/nudge/internal/recording"
	"nudge/engine"
	"nudge/engine/node"
	"nudge/operators"
	"nudge/operators/pipeline"
	"nudge/state"
)

// checkOn runs a pipeline over a recorded log and says what each of its rules matched. It returns the rules that matched nothing.
func (c *cli) checkOn(ctx context.Context, config *pipeline.Config, dir string) (none []string, err error) {
	rec, err := recording.Open(dir)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "nudge-check-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	store, err := state.Open(folder, state.Options{App: config.App, Build: build(), Logger: c.log.Named("state")})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	var counted *operators.Program
	decided := map[string]int64{} // by kind.name.action
	prefix := "nudge." + config.App + ".decisions."
	bar := newProgress("check", c.talk)
	counts, err := node.Replay(ctx, node.ReplayConfig{
		Compile: func(s engine.Setup) (node.Pipeline, error) {
			p, program, err := compile(s, config)
			if err == nil {
				program.Count()
				counted = program
			}
			return p, err
		},
		Source: node.Source{
			Fetcher: func(topic string, partition int32, from int64) node.Fetcher {
				return rec.Fetcher(topic, partition, from)
			},
			Offsets: rec.Offsets,
		},
		Setup: replaySetup(rec, config), EpochEvents: config.Epoch.Events, Workers: 1, Store: store, Log: c.log.Named("check"), Progress: bar.update,
		Write: func(out *engine.Output, _ []string) error {
			for i := range out.Messages {
				m := &out.Messages[i]
				if rest, ok := strings.CutPrefix(m.Subject, prefix); ok {
					_, action, _ := bytes.Cut(m.Data, []byte(`"action":"`))
					decided[rest[:strings.LastIndexByte(rest, '.')]+"."+string(action[:max(0, bytes.IndexByte(action, '"'))])]++
				}
			}
			return nil
		},
	})
	bar.end()
	if err != nil {
		return nil, err
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	row := func(section, name string, matched int64, words string) {
		if matched == 0 {
			none = append(none, section+"."+name)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", section, name, words)
	}
	for _, d := range counted.DescribePredictions() {
		words := fmt.Sprintf("%d outcomes", d.Outcomes)
		if d.AUC != nil {
			words += fmt.Sprintf(", %.1f %% happened; log loss %.4f, %.4f of who knows that share alone (of late %+.1f %%), AUC %.3f", 100*d.Happened, d.LogLoss, d.BaseLogLoss, -100*d.Better, *d.AUC)
		}
		if !d.Said {
			words += "; " + d.Unsaid
		}
		row("predictions", d.Name, d.Outcomes, words)
	}
	for _, name := range counted.Ignored() {
		n := counts.Named["ignored/"+name]
		row("ignore", name, n, fmt.Sprintf("%d events", n))
	}
	features := counted.FeatureCounts()
	for _, name := range slices.Sorted(keysOf(features)) {
		row("features", name, features[name], fmt.Sprintf("%d events", features[name]))
	}
	for _, x := range counted.RuleCounts() {
		row("recommenders", x.Name, x.Matched, x.Words)
	}
	for _, name := range counted.Audiences() {
		in, out := decided["audience."+name+".enter"], decided["audience."+name+".leave"]
		row("audiences", name, in, fmt.Sprintf("%d entered, %d left", in, out))
	}
	for _, name := range counted.Deciders() {
		var shown, withheld int64
		for key, n := range decided {
			if kind, rest, _ := strings.Cut(key, "."); kind != "audience" && rest == name+".show" {
				shown += n
			} else if kind != "audience" && rest == name+".none" {
				withheld += n
			}
		}
		row("deciders", name, shown+withheld, fmt.Sprintf("%d shown, %d withheld", shown, withheld))
	}
	fmt.Fprintf(c.talk, "%s\n", countWords(&counts))
	return none, t.Flush()
}
