package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nudge/operators"
	"nudge/operators/pipeline"
)

func (c *cli) planCommand() *cobra.Command {
	var at place
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "plan [OLD.yaml] NEW.yaml",
		Short: "Say what a changed pipeline keeps, drops and starts empty",
		Long: `plan compares a pipeline with the one before it: with a file, or else with what the running node, or the stopped node whose folder is named
with --dir, has in force. It goes by what the state holds: a feature that is renamed keeps it, one over what others keep is as warm as they are, one that asks for more
starts empty and is warm when its window has passed, or at once after nudge rebuild. It exits with 3 if the state can't go on under the new pipeline.`,
		Example: `  nudge plan shop.yaml changed.yaml
  nudge plan changed.yaml --dir nudge-data
  nudge plan changed.yaml --nats nats://localhost:4222 --json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			now, err := pipeline.Load(args[len(args)-1])
			var old *pipeline.Config
			if len(args) == 2 {
				var wrong error
				old, wrong = pipeline.Load(args[0])
				err = errors.Join(wrong, err)
			} else if err == nil {
				old, err = c.inForce(cmd, now.With(at.over), &at)
			}
			if err != nil {
				return err
			}
			changes, err := pipeline.Plan(old.With(at.over), now.With(at.over))
			if err != nil {
				return err
			}
			return c.printPlan(changes, asJSON, all)
		},
	}
	at.flags(cmd, withNATS|withDir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&all, "all", false, "also what is kept as it is")
	return cmd
}

// inForce is the pipeline that a node has in force.
func (c *cli) inForce(cmd *cobra.Command, config *pipeline.Config, at *place) (_ *pipeline.Config, err error) {
	var text []byte
	if at.over.Dir != "" {
		v, closeAll, err := openFolder(config, c.log)
		if err != nil {
			return nil, err
		}
		text = append(text, v.engine.Setup().Definition...)
		if err := closeAll(); err != nil {
			return nil, err
		}
	} else if text, err = c.ask(cmd.Context(), config, apiPipeline, nil, answerWithin); err != nil {
		return nil, err
	}
	old, faults := pipeline.Parse("the pipeline in force", text)
	return old, faults.Err()
}

func (c *cli) printPlan(changes []operators.Change, asJSON, all bool) error {
	refused, kept := 0, 0
	shown := []operators.Change{}
	for _, x := range changes {
		if x.What == operators.PlanRefused {
			refused++
		}
		if x.What == operators.PlanKept {
			kept++
		}
		if all || x.What != operators.PlanKept {
			shown = append(shown, x)
		}
	}
	if asJSON {
		out := json.NewEncoder(c.out)
		out.SetIndent("", "  ")
		if err := out.Encode(shown); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		for _, x := range shown {
			fmt.Fprintf(t, "%s\t%s\t%s\n", x.What, x.Key, x.Why)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(c.talk, "%d parts stay as they are\n", kept)
	}
	if refused > 0 {
		return invalidError{errors.New("the state can't go on under this pipeline")}
	}
	return nil
}
