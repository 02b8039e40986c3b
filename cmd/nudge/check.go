package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"nudge/engine"
	"nudge/operators/pipeline"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Validate pipeline files: all faults at once",
		Long: `check reads pipeline files and names every fault with its file, line, column and key, what was found,
what is allowed, and the word that was probably meant. It exits with 3 if there is one.`,
		Example: "  nudge check shop.yaml\n  nudge check pipelines/*.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			var all pipeline.Faults
			var failed []error
			for _, file := range files {
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
			}
			if len(all) > 0 {
				failed = append([]error{all}, failed...)
			}
			return errors.Join(failed...)
		},
	}
}
