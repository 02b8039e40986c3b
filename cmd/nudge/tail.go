package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nudge/operators"
	"nudge/streams"
	"nudge/streams/nats"
)

func (c *cli) tailCommand() *cobra.Command {
	var at place
	var kind, name, user, lang string
	var since operators.Duration
	var all, untilNow, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print decisions in words as they are published",
		Example: `  nudge tail                            every decision, from now on
  nudge tail --since 1h --kind coupon   coupons of the last hour, then from now on
  nudge tail --user u-42 --until-now --json   everything that was decided for a customer, as published
  nudge tail --nats nats://127.0.0.1:4333 -n 10`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch kind {
			case "", streams.KindRecommendation, streams.KindCoupon, streams.KindChurn, streams.KindAudience:
			default:
				return usagef("--kind %q: want recommendation, coupon, churn or audience", kind)
			}
			if err := checkLang(lang); err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit %d: want a number, or 0 for no end", limit)
			}
			ctx, _, stop := drainOnSignal(cmd.Context(), c.log)
			defer stop()
			conn, stream, err := at.openStream(ctx, c.log)
			if err != nil {
				return err
			}
			defer conn.Close()
			var from nats.From
			switch {
			case all:
				from = nats.First
			case since > 0:
				from = nats.From{Time: time.Now().Add(-time.Duration(since))}
			}
			filter := stream.DecisionFilter(kind, name, string(streams.EncodeToken(nil, user)))
			read := stream.Tail
			if untilNow {
				read = stream.Scan
			}
			err = read(ctx, filter, from, func(m nats.Stored) error {
				if err := c.printDecision(m, lang, asJSON); err != nil {
					return err
				}
				if limit--; limit == 0 {
					return nats.ErrStop
				}
				return nil
			})
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // being interrupted is how it ends
			}
			return err
		},
	}
	at.flags(cmd, withNATS|withApp)
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "", "only this kind: recommendation, coupon, churn")
	f.StringVar(&name, "name", "", "only this decider")
	f.StringVar(&user, "user", "", "only this customer, known or anonymous")
	f.TextVar(&since, "since", since, "begin with those published so long ago")
	f.BoolVar(&all, "all", false, "begin with the oldest that is kept")
	f.BoolVar(&untilNow, "until-now", false, "end with the newest; without --since it begins with the oldest")
	f.IntVarP(&limit, "limit", "n", 0, "end after so many; 0 is never")
	f.BoolVar(&asJSON, "json", false, "as published, one JSON object on a line")
	f.StringVar(&lang, "lang", "en", "language of the words: en or zh")
	cmd.MarkFlagsMutuallyExclusive("since", "all")
	return cmd
}

// checkLang says whether decisions have words in a language.
func checkLang(lang string) error {
	if lang != "en" && lang != "zh" {
		return usagef("--lang %q: want en or zh", lang)
	}
	return nil
}

func (c *cli) printDecision(m nats.Stored, lang string, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(c.out, "%s\n", m.Data)
		return err
	}
	d, err := streams.ParseDecision(m.Data)
	if err != nil {
		return fmt.Errorf("message %d on %s: %w", m.Seq, m.Subject, err)
	}
	_, err = fmt.Fprintf(c.out, "%s %s\n", m.Time.Local().Format(time.TimeOnly), d.Words(lang))
	return err
}
