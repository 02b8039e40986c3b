package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (c *cli) inspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show a customer, an item, the predictions, the shards or the last checkpoint",
		Long:  `inspect asks the running node, or with --dir looks into the folder of a stopped one as of its last checkpoint.`,
		Example: `  nudge inspect customer u-42
  nudge inspect item SKU-00007 --json
  nudge inspect predictions                  how good they are
  nudge inspect shards                       offsets, lag, clocks and watermarks
  nudge inspect checkpoint --dir nudge-data  of a stopped node`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("inspect what?\n%s", seeHelp(cmd))
		},
	}
	cmd.AddCommand(
		c.inspectWhat("customer", "customer ID", "Everything known of a customer, known or anonymous, and from a running node the last decisions"),
		c.inspectWhat("item", "item ID", "What is known of an item"),
		c.inspectWhat("predictions", "predictions", "How good the predictions are: what was predicted, and what then happened"),
		c.inspectWhat("shards", "shards", "Where each shard stands: offsets, lag, clocks and watermarks"),
		c.inspectWhat("checkpoint", "checkpoint", "The last complete checkpoint"),
	)
	return cmd
}

func (c *cli) inspectWhat(what, use, short string) *cobra.Command {
	var at place
	var asJSON bool
	args := cobra.NoArgs
	example := "  nudge inspect " + what
	if use != what {
		args = cobra.ExactArgs(1)
		example += map[string]string{"customer": " u-42", "item": " SKU-00007"}[what]
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		Example: example + "\n" + example + " --dir nudge-data   of a stopped node",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			config, err := at.config()
			if err != nil {
				return err
			}
			q := inspectQuestion{What: what}
			if len(args) > 0 {
				q.ID = args[0]
			}
			var answer []byte
			if at.over.Dir != "" {
				v, closeAll, err := openFolder(config, c.log)
				if err != nil {
					return err
				}
				a, err := v.answer(q)
				if parts, ok := a.([]customerAnswer); ok {
					a = profileAnswer{Parts: parts}
				}
				if err = errors.Join(err, closeAll()); err != nil {
					return err
				}
				answer = mustJSON(a)
			} else if what == "customer" {
				if answer, err = c.ask(cmd.Context(), config, apiProfile, []byte(q.ID), answerWithin); err != nil {
					return err
				}
			} else if answer, err = c.ask(cmd.Context(), config, apiInspect, mustJSON(q), answerWithin); err != nil {
				return err
			}
			if what == "shards" && !asJSON {
				return printShards(c.out, answer)
			}
			return printAnswer(c.out, answer, asJSON)
		},
	}
	at.flags(cmd, withNATS|withDir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func printShards(w io.Writer, answer []byte) error {
	var shards []shardAnswer
	if err := json.Unmarshal(answer, &shards); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SHARD\tTOPIC\tOFFSET\tLAG\tCLOCK\tWATERMARK\tIN MEMORY\tMESSAGES")
	for _, s := range shards {
		lag := "unknown"
		if s.Lag >= 0 {
			lag = fmt.Sprint(s.Lag)
		}
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%s\t%s\t%d\t%d\n", s.Shard, s.Topic, s.Offset, lag, s.Clock, s.Watermark, s.InMemory, s.Messages)
	}
	return t.Flush()
}
