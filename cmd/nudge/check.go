package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nudge/engine"
	"nudge/operators"
	"nudge/operators/pipeline"
)

func (c *cli) checkCommand() *cobra.Command {
	var events string
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Validate pipeline files: all faults at once",
		Long: `check reads pipeline files and names every fault with its file, line, column and key, what was found,
what is allowed, and the word that was probably meant. It exits with 3 if there is one. Of a valid one it warns of features that nobody asks for and of two pins for one place,
estimates what its features take - memory of a customer after one visit and at most, and time of an event - and names those that a cancelled order stays in. With --events it runs the
pipeline over a recorded or simulated log and says what each of its rules matched, with a warning where that is nothing.`,
		Example: `  nudge check shop.yaml
  nudge check pipelines/*.yaml
  nudge check shop.yaml --events log      over what nudge export recorded or nudge simulate wrote`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var all pipeline.Faults
			var failed []error
			for _, file := range files {
				if strings.HasSuffix(file, testSuffix) && len(files) > 1 {
					fmt.Fprintf(c.talk, "%s: tests, which nudge test runs\n", file)
					continue
				}
				text, err := os.ReadFile(file)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				config, faults := pipeline.Parse(file, text)
				if len(faults) > 0 {
					all = append(all, faults...)
					continue
				}
				d := &config.Deciders
				fmt.Fprintf(c.out, "%s: valid: app %s, policy %s, recommenders %d, offers %d, churn %d, budgets %d\n", file, config.App,
					engine.Policy(config.Text()), len(d.Recommenders), len(d.Offers), len(d.Churn), len(d.Budgets))
				if err := c.checkMore(cmd.Context(), file, config, events); err != nil {
					failed = append(failed, err)
				}
			}
			if len(all) > 0 {
				failed = append([]error{all}, failed...)
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().StringVar(&events, "events", "", "run the pipeline over the log in `DIR` and count what each rule matches")
	return cmd
}

// checkMore estimates and warns.
func (c *cli) checkMore(ctx context.Context, file string, config *pipeline.Config, events string) error {
	program, err := operators.New(config.Deciders, config.Text())
	if err != nil {
		return err
	}
	estimates := program.Estimates()
	for _, entity := range slices.Sorted(keysOf(estimates)) {
		x := estimates[entity]
		fmt.Fprintf(c.out, "  %d features of %s: one takes %s after a visit, at most %s; an event (%s) some %.0f ns\n", x.Features, entity, kib(x.FewBytes), kib(x.MostBytes), x.Type, x.Nanoseconds)
	}
	if names := program.KeepOrders(); len(names) > 0 {
		fmt.Fprintf(c.out, "  a cancelled order stays in %s: of items and of all together only counts and sums forget it\n", strings.Join(names, ", "))
	}
	for _, name := range program.Unused() {
		fmt.Fprintf(c.talk, "%s: warning: features.%s: nothing asks for it: no condition, log, audience or output\n", file, name)
	}
	for _, x := range program.SecondPins() {
		fmt.Fprintf(c.talk, "%s: warning: %s: pins another item at the place of %s on the same days: it stands in where that may not be shown\n", file, x[0], x[1])
	}
	if events == "" {
		return nil
	}
	none, err := c.checkOn(ctx, config, events)
	for _, name := range none {
		fmt.Fprintf(c.talk, "%s: warning: %s: matched nothing in %s\n", file, name, events)
	}
	return err
}

func kib(bytes int) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%.1f KB", float64(bytes)/1000)
}

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
