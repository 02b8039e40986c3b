package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nudge/engine"
	"nudge/operators"
	"nudge/streams"
)

func (c *cli) recommendCommand() *cobra.Command {
	var at place
	var q operators.Question
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "recommend [CUSTOMER]",
		Short: "Ask what a recommender would show now",
		Long: `recommend asks the running node, or with --dir the folder of a stopped one as of its last checkpoint, what a recommender would show a customer
now: by the same code as in the stream, with the same reasons. Without a customer, or for one of whom nothing is known, it is a stranger's list. The
answer is no decision: it is not journalled, counts for no limit and teaches nothing. Backends ask on NATS, nudge.<app>.api.recommend, with the JSON
document {"customer","name","items","item","cart","n","categories","exclude","candidates"}, all of it optional; another key is refused. Of a
recommender that is paused it says so, and shows nothing.`,
		Example: `  nudge recommend u-42
  nudge recommend u-42 --item SKU-00007 --item SKU-00012 --cart SKU-00003    what a page knows before the engine does
  nudge recommend u-42 --candidates                                          what was chosen from
  nudge recommend --name home -n 4 --category shoes --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			config, err := at.config()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				q.Customer = args[0]
			}
			var answer []byte
			if at.over.Dir != "" {
				v, closeAll, err := openFolder(config, c.log)
				if err != nil {
					return err
				}
				a, err := v.recommend(&q, time.Now())
				if err = errors.Join(err, closeAll()); err != nil {
					return err
				}
				answer = mustJSON(a)
			} else if answer, err = c.ask(cmd.Context(), config, apiRecommend, mustJSON(&q), answerWithin); err != nil {
				return err
			}
			if asJSON {
				return printAnswer(c.out, answer, true)
			}
			return printRecommended(c.out, answer)
		},
	}
	at.flags(cmd, withNATS|withDir)
	flags := cmd.Flags()
	flags.StringVar(&q.Name, "name", "", "recommender; the first by name by default")
	flags.StringSliceVar(&q.Items, "item", nil, "item looked at in this session, the latest last")
	flags.StringSliceVar(&q.Cart, "cart", nil, "item in the cart")
	flags.IntVarP(&q.N, "size", "n", 0, "length of the list; the recommender's by default")
	flags.StringSliceVar(&q.Categories, "category", nil, "only items of this category, or of what lies below")
	flags.StringSliceVar(&q.Exclude, "exclude", nil, "not this item")
	flags.BoolVar(&q.Candidates, "candidates", false, "also every candidate, with what each source says of it")
	flags.BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func printRecommended(w io.Writer, answer []byte) error {
	var a operators.Answer
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	if a.Empty != "" {
		fmt.Fprintf(w, "%s shows nothing: %s\n", a.Name, a.Empty)
	}
	for i, x := range a.Items {
		fmt.Fprintf(w, "%2d. %s  %.4g", i+1, x.ID, x.Score)
		for _, r := range x.Reasons {
			fmt.Fprintf(w, "  %s", r.Words("en"))
		}
		fmt.Fprintln(w)
	}
	return printCandidates(w, &a, nil)
}

// printCandidates prints what was chosen from, as a table with a column for each source; those of shown with a star.
func printCandidates(w io.Writer, a *operators.Answer, shown []streams.DecisionItem) error {
	if len(a.Candidates) == 0 {
		return nil
	}
	var sources []string
	for _, name := range operators.Sources() {
		if slices.ContainsFunc(a.Candidates, func(x operators.Candidate) bool { return x.Sources[name].Rank > 0 }) {
			sources = append(sources, name)
		}
	}
	fmt.Fprintf(w, "\n%d candidates, with their rank in each source:\n", len(a.Candidates))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  item\tscore\t%s\n", strings.Join(sources, "\t"))
	for _, x := range a.Candidates {
		star := ""
		if slices.ContainsFunc(shown, func(i streams.DecisionItem) bool { return i.ID == x.ID }) {
			star = " *"
		}
		fmt.Fprintf(t, "  %s%s\t%.4g", x.ID, star, x.Score)
		for _, name := range sources {
			if s, ok := x.Sources[name]; ok {
				fmt.Fprintf(t, "\t%d %s", s.Rank, s.Reason.With)
			} else {
				fmt.Fprint(t, "\t")
			}
		}
		if x.Buried {
			fmt.Fprint(t, "\tburied")
		}
		fmt.Fprintln(t)
	}
	for _, why := range slices.Sorted(maps.Keys(a.LeftOut)) {
		fmt.Fprintf(t, "  %d left out: %s\n", a.LeftOut[why], why)
	}
	return t.Flush()
}

// recommend answers a question on apiRecommend.
func (o *opened) recommend(ctx context.Context, data []byte) (answer *operators.Answer, err error) {
	q, err := operators.ParseQuestion(data)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	err = o.look(ctx, func(v *view) (err error) {
		answer, err = v.recommend(q, now)
		return err
	})
	return answer, err
}

// recommend answers a question by the customer's part that has seen the last event.
func (v *view) recommend(q *operators.Question, now time.Time) (*operators.Answer, error) {
	best, err := v.latest(q.Customer)
	if err != nil {
		return nil, err
	}
	answer, err := v.program.Recommend(best.State, best.Hash, q, now.UnixMilli())
	if err != nil {
		return nil, err
	}
	for _, name := range []string{answer.Name, operators.GroupRecommendations} {
		if slices.Contains(v.engine.Paused(), name) {
			answer.Pause(name)
			break
		}
	}
	return answer, nil
}

// latest finds a customer, known or anonymous, or the known one that an anonymous one is now; the view is empty where nothing is known.
func (v *view) latest(id string) (best engine.CustomerView, err error) {
	for _, anonymous := range []bool{false, true} {
		found, err := v.engine.Customers(id, anonymous)
		if err != nil {
			return best, err
		}
		for _, c := range found {
			if c.MergedInto != "" && anonymous {
				return v.latest(c.MergedInto)
			}
			if c.State != nil && (best.State == nil || c.LastMS > best.LastMS) {
				best = c
			}
		}
		if best.State != nil {
			break
		}
	}
	return best, nil
}
