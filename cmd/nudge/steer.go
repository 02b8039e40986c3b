package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (c *cli) pauseCommand() *cobra.Command {
	return c.switchCommand(apiPause, "Withhold what a decider, or a group of them, decides",
		`What is paused is still published, as action none with the reason paused, and teaches as before. The command is journalled
and holds within an epoch, for replays too, until it is resumed.`)
}

func (c *cli) resumeCommand() *cobra.Command {
	return c.switchCommand(apiResume, "Take a pause back", "")
}

func (c *cli) switchCommand(kind, short, long string) *cobra.Command {
	var at place
	cmd := &cobra.Command{
		Use: kind + " NAME", Short: short, Long: long, Args: cobra.ExactArgs(1),
		Example: "  nudge " + kind + " coupons       all offers\n  nudge " + kind + " cart_rescue   one of them",
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := at.config()
			if err != nil {
				return err
			}
			answer, err := c.ask(cmd.Context(), config, kind, []byte(args[0]), answerWithin)
			if err != nil {
				return err
			}
			var paused []string
			if err := json.Unmarshal(answer, &paused); err != nil {
				return err
			}
			if len(paused) == 0 {
				_, err = fmt.Fprintln(c.out, "nothing is paused")
			} else {
				_, err = fmt.Fprintln(c.out, "paused: "+strings.Join(paused, ", "))
			}
			return err
		},
	}
	at.flags(cmd, withNATS)
	return cmd
}

func (c *cli) statusCommand() *cobra.Command {
	var at place
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say how the running node does: lag, counts, budgets, what is paused",
		Example: "  nudge status\n  nudge status --json | jq .lag",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := at.config()
			if err != nil {
				return err
			}
			answer, err := c.ask(cmd.Context(), config, apiStatus, nil, answerWithin)
			if err != nil {
				return err
			}
			return printAnswer(c.out, answer, asJSON)
		},
	}
	at.flags(cmd, withNATS)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
