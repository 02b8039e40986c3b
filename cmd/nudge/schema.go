package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"nudge/operators/pipeline"
	"nudge/streams"
)

func (c *cli) schemaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipelines, events or decisions",
		Long: `schema prints a JSON Schema (draft-07), made from what nudge itself reads and writes by. Give the one of pipelines to your editor; check events
before you send them with the one of events.`,
		Example: `  nudge schema pipeline > pipeline.schema.json   then, in the YAML's first line: # yaml-language-server: $schema=pipeline.schema.json
  nudge schema event
  nudge schema decision`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("schema of what? want pipeline, event or decision\n%s", seeHelp(cmd))
		},
	}
	for _, x := range []struct {
		name, short string
		write       func() ([]byte, error)
	}{
		{"pipeline", "The schema of pipeline files", pipeline.JSONSchema},
		{"event", "The schema of events, and of records of the catalogue", streams.EventSchema},
		{"decision", "The schema of decisions", streams.DecisionSchema},
	} {
		cmd.AddCommand(&cobra.Command{Use: x.name, Short: x.short, Args: cobra.NoArgs, Example: "  nudge schema " + x.name,
			RunE: func(*cobra.Command, []string) error {
				text, err := x.write()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.out, "%s\n", text)
				return err
			}})
	}
	return cmd
}
