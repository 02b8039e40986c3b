package main

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"nudge/state"
)

func (c *cli) backupCommand() *cobra.Command {
	var at place
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the last checkpoint and its journal, while the node runs",
		Long: `backup copies one complete checkpoint with its journal, journal id and offsets into an empty folder. The running node
writes it, on its own machine; with --dir the folder of a stopped node is read.`,
		Example: "  nudge backup /backups/monday\n  nudge backup /backups/monday --dir nudge-data   of a stopped node",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := at.config()
			if err != nil {
				return err
			}
			to, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if at.over.Dir == "" {
				answer, err := c.ask(cmd.Context(), config, apiBackup, []byte(to), backupWithin)
				if err != nil {
					return err
				}
				return printAnswer(c.out, answer, false)
			}
			v, closeAll, err := openFolder(config, c.log)
			if err != nil {
				return err
			}
			info, err := backupTo(to, v.store, v.journal)
			if err = errors.Join(err, closeAll()); err != nil {
				return err
			}
			return printAnswer(c.out, mustJSON(info), false)
		},
	}
	at.flags(cmd, withNATS|withDir)
	return cmd
}

func (c *cli) restoreCommand() *cobra.Command {
	var at place
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a state folder of a backup",
		Long: `restore makes a fresh state folder of what backup wrote. A node that starts on it reads the events after the backup
again. Decisions that the stream holds beyond the backup's journal are then known by their ids only: start it with --adopt.
Windows that closed since the backup are put out a second time in Kafka topics and files (outputs.features).`,
		Example: "  nudge restore /backups/monday --dir nudge-data",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			config, err := at.config()
			if err != nil {
				return err
			}
			info, err := state.Restore(args[0], config.Dir, state.Options{App: config.App, Build: build(), Logger: c.log.Named("state")})
			if err != nil {
				return err
			}
			return printAnswer(c.out, mustJSON(info), false)
		},
	}
	at.flags(cmd, withDir)
	return cmd
}
