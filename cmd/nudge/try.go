package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/sandbox"
	"nudge/operators/feature"
	"nudge/streams"
)

type tryFlags struct {
	place
	advance feature.Duration
	flush   bool
	asJSON  bool
	lang    string
}

func (c *cli) tryCommand() *cobra.Command {
	f := &tryFlags{}
	cmd := &cobra.Command{
		Use:   "try [FILE...]",
		Short: "Feed events from files or standard input to a pipeline and see what it decides",
		Long: `try runs a pipeline without brokers. It reads events, one JSON object on a line, and records of the catalogue among them, and prints after
each what the pipeline decides, in words with the reasons. Time passes by the events alone, and at the end by --advance: what waits for a
silence fires then. A line that is refused is named with the reason; the others go on.`,
		Example: `  nudge try events.jsonl -c shop.yaml
  nudge try -c shop.yaml --advance 3d < cart.jsonl    what a cart leads to that is left for three days
  nudge try catalog.jsonl - -c shop.yaml              the catalogue, then lines as you type them
  nudge try -c shop.yaml --json < events.jsonl | jq .reasons`,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkLang(f.lang); err != nil {
				return err
			}
			return c.try(f, args)
		},
	}
	f.flags(cmd, 0)
	fs := cmd.Flags()
	fs.TextVar(&f.advance, "advance", feature.Duration(0), "let so much time pass after the last event, such as 30m or 3d")
	fs.BoolVar(&f.flush, "flush", false, "close the windows that are open at the end (outputs.features)")
	fs.BoolVar(&f.asJSON, "json", false, "decisions and closed windows as published, one JSON object on a line")
	fs.StringVar(&f.lang, "lang", "en", "language of the words: en or zh")
	return cmd
}

func (c *cli) try(f *tryFlags, files []string) (err error) {
	config, err := f.config()
	if err != nil {
		return err
	}
	s, err := sandbox.New(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if len(files) == 0 {
		files = []string{"-"}
	}
	refused := 0
	for _, name := range files {
		n, err := c.tryFile(s, name, f)
		if err != nil {
			return err
		}
		refused += n
	}
	if now, ok := s.NowMS(); ok && f.advance > 0 {
		step, err := s.Advance(now + f.advance.MS())
		if err != nil {
			return err
		}
		c.printStep(step, f)
	}
	if f.flush {
		step, err := s.Flush()
		if err != nil {
			return err
		}
		c.printStep(step, f)
	}
	if refused > 0 {
		return invalidf("%d lines were refused", refused)
	}
	return nil
}

// tryFile feeds the lines of a file and returns how many were refused.
func (c *cli) tryFile(s *sandbox.Sandbox, name string, f *tryFlags) (refused int, err error) {
	in := io.Reader(os.Stdin)
	if name == "-" {
		name = "standard input"
	} else {
		file, err := os.Open(name)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		in = file
	}
	lines := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			step, err := s.Feed(bytes.Clone(line))
			var fault *streams.Fault
			switch {
			case errors.As(err, &fault):
				refused++
				fmt.Fprintf(c.talk, "%s:%d: refused: %v\n", name, number, fault)
			case err != nil:
				return refused, fmt.Errorf("%s:%d: %w", name, number, err)
			}
			if step.Passed != nil {
				fmt.Fprintf(c.talk, "%s:%d: passed over: %s\n", name, number, step.Passed.Words)
			}
			c.printStep(step, f)
		}
		if err == io.EOF {
			return refused, nil
		} else if err != nil {
			return refused, fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
}

func (c *cli) printStep(step sandbox.Step, f *tryFlags) {
	for _, d := range step.Decisions {
		if f.asJSON {
			fmt.Fprintf(c.out, "%s\n", d.JSON)
		} else {
			fmt.Fprintf(c.out, "%s %s\n", time.UnixMilli(d.TimeMS).UTC().Format(time.DateTime), d.Words(f.lang))
		}
	}
	for _, w := range step.Windows {
		fmt.Fprintf(c.out, "%s\n", w.JSON)
	}
}
