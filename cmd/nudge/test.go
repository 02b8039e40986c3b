package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nudge/cmd/nudge/internal/suite"
)

const testSuffix = "_test.yaml"

func (c *cli) testCommand() *cobra.Command {
	var only string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "test [FILE|DIR...]",
		Short: "Run the tests of a pipeline: events in, expected features, audiences and decisions out",
		Long: `test runs *_test.yaml files: those named, or those in the folders named, or in the present one. Each names its pipeline and has cases: events
with spelled times, and what must follow. Nothing else runs: no broker, no clock. The format is described in deploy/TESTING.md.`,
		Example: `  nudge test                         all *_test.yaml here
  nudge test deploy/shop_test.yaml -v
  nudge test pipelines -r 'cart'     cases whose names match`,
		RunE: func(_ *cobra.Command, args []string) error {
			match, err := regexp.Compile(only)
			if err != nil {
				return usagef("--run: %v", err)
			}
			files, err := testFiles(args)
			if err != nil {
				return err
			}
			return c.test(files, match, verbose)
		},
	}
	cmd.Flags().StringVarP(&only, "run", "r", "", "only cases whose names match `REGEXP`")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "name the cases that pass, too")
	return cmd
}

// testFiles lists the test files that are named, and those in folders.
func testFiles(args []string) (files []string, err error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		if strings.HasSuffix(arg, ".yaml") {
			files = append(files, arg)
			continue
		}
		if _, err := os.Stat(arg); err != nil {
			return nil, err
		}
		in, err := filepath.Glob(filepath.Join(arg, "*"+testSuffix))
		if err == nil && len(in) == 0 {
			err = fmt.Errorf("no *%s in %s: write one beside the pipeline, as deploy/TESTING.md says", testSuffix, arg)
		}
		if err != nil {
			return nil, err
		}
		slices.Sort(in)
		files = append(files, in...)
	}
	return files, nil
}

func (c *cli) test(files []string, match *regexp.Regexp, verbose bool) error {
	cases, failed := 0, 0
	for _, name := range files {
		f, err := suite.Load(name)
		if errors.Is(err, fs.ErrNotExist) {
			return err
		} else if err != nil {
			return invalidError{err}
		}
		for i := range f.Cases {
			if !match.MatchString(f.Cases[i].Name) {
				continue
			}
			failures, err := f.Run(i)
			if err != nil {
				return invalidError{err}
			}
			cases++
			if len(failures) > 0 {
				failed++
			} else if verbose {
				fmt.Fprintf(c.out, "pass  %s: %s\n", name, f.Cases[i].Name)
			}
			for _, x := range failures {
				fmt.Fprintf(c.out, "FAIL  %s: %s: %s\n      wanted  %s\n      got     %s\n", x.Place, x.Case, x.What, x.Wanted, x.Got)
			}
		}
	}
	if cases == 0 {
		return fmt.Errorf("no case matches %q", match)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases failed", failed, cases)
	}
	fmt.Fprintf(c.out, "%d cases passed\n", cases)
	return nil
}
