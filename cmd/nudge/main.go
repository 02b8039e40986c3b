package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// processBegan is what a demo counts from.
var processBegan = time.Now()

func main() { os.Exit(run(os.Args[1:])) }

// cli is the process that a command runs in.
type cli struct {
	in   io.Reader
	out  io.Writer // what was asked for
	talk io.Writer // everything else
	log  *zap.Logger
}

func run(args []string) int {
	tuneRuntime()
	c := &cli{in: os.Stdin, out: os.Stdout, talk: os.Stderr, log: zap.NewNop()}
	root := c.root()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err != nil {
		fmt.Fprintln(c.talk, message(err))
	}
	return exitCode(err)
}

// root is the command that has all others.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "nudge",
		Short: "Real-time marketing decisions: events in on Kafka, decisions out on NATS",
		Long: `nudge reads what a shop's customers do from Kafka, keeps windowed features of everyone, and publishes
what to do next to NATS: recommendations, coupons, churn alerts - each exactly once, with its reasons.`,
		Example: `  nudge demo                                   everything in one process, nothing to install
  nudge check shop.yaml                        is the pipeline valid?
  nudge try -c shop.yaml < events.jsonl        what does it decide?
  nudge run -c shop.yaml                       decide, until interrupted
  nudge tail                                   watch decisions, in words
  nudge inspect customer u-42                  what is known of a customer
  nudge replay LOG -c shop.yaml --out OUT      what would it have decided?`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
			if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
				err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(like, " or "))
			}
			return err
		},
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.talk)
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpTemplate(helpTemplate)
	level := root.PersistentFlags().String("log-level", "info", "what is logged at least: debug, info, warn, error")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
			return usageError{err}
		}
		l, err := zapcore.ParseLevel(*level)
		if err != nil {
			return usagef("--log-level %s: want debug, info, warn or error", *level)
		}
		c.log = newLog(c.talk, l)
		return nil
	}
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run it:"},
		&cobra.Group{ID: "see", Title: "See what it does:"},
		&cobra.Group{ID: "steer", Title: "Steer it:"},
		&cobra.Group{ID: "test", Title: "Try and measure:"},
	)
	root.SetHelpCommandGroupID("see")
	root.SetCompletionCommandGroupID("run")
	for group, commands := range map[string][]*cobra.Command{
		"run":   {runCommand(c.logger), c.checkCommand(), c.planCommand(), c.rebuildCommand(), c.schemaCommand(), c.tryCommand(), c.testCommand(), c.versionCommand()},
		"see":   {c.tailCommand(), c.explainCommand(), c.inspectCommand(), c.recommendCommand(), c.decideCommand(), c.statusCommand(), c.deadCommand()},
		"steer": {c.pauseCommand(), c.resumeCommand(), c.backupCommand(), c.restoreCommand()},
		"test":  {c.demoCommand(), c.simulateCommand(), c.eventsCommand(), c.exportCommand(), c.replayCommand(), c.auditCommand(), c.benchCommand(), c.evalCommand()},
	} {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.RunE, help.Run = func(_ *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err == nil && about == root {
				err = root.Args(root, rest)
			}
			if err != nil {
				return usageError{err}
			}
			return about.Help()
		}, nil
	}
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args, completion.RunE = root.Args, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	usageErrors(root)
	return root
}

// logger is the log that the flags ask for.
func (c *cli) logger() *zap.Logger { return c.log }

// newLog logs for people on a terminal, as JSON elsewhere.
func newLog(w io.Writer, level zapcore.Level) *zap.Logger {
	var encoder zapcore.Encoder
	if isTerminal(w) {
		config := zap.NewDevelopmentEncoderConfig()
		config.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		config.EncodeLevel = zapcore.CapitalColorLevelEncoder
		config.CallerKey = zapcore.OmitKey
		encoder = zapcore.NewConsoleEncoder(config)
	} else {
		config := zap.NewProductionEncoderConfig()
		config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		encoder = zapcore.NewJSONEncoder(config)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level))
}

// isTerminal says whether what is written to w is read by a person as it comes.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
