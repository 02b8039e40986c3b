package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nudge/operators"
	"nudge/operators/pipeline"
	"nudge/streams"
	"nudge/streams/nats"
)

func (c *cli) explainCommand() *cobra.Command {
	var at place
	var lang string
	var asJSON, event bool
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "Say all there is to a decision",
		Long: `explain finds a decision in the stream and says everything about it: its cause, features, reasons and
propensity, what was withheld and why. Of a list it also says what it would be chosen from now and what each source says of each candidate, if the node
runs: a decision does not hold its candidates. The rest needs no running node.`,
		Example: `  nudge explain shop.clickstream-3-81273.home.0
  nudge explain --event shop.clickstream-3-81273.home.0    with the event that caused it, from Kafka`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := deciderOf(args[0]); err != nil {
				return err
			}
			if err := checkLang(lang); err != nil {
				return err
			}
			config, err := at.config()
			if err != nil {
				return err
			}
			conn, stream, err := at.openStream(cmd.Context(), c.log)
			if err != nil {
				return err
			}
			defer conn.Close()
			m, err := findDecision(cmd.Context(), stream, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				_, err := fmt.Fprintf(c.out, "%s\n", m.Data)
				return err
			}
			d, err := streams.ParseDecision(m.Data)
			if err != nil {
				return err
			}
			line := "%s  subject     %s\n  published   no. %d in %s, %s\n"
			if lang == "zh" {
				line = "%s  主题          %s\n  发布          %[4]s 第 %[3]d 条，%[5]s\n"
			}
			fmt.Fprintf(c.out, line, d.Explain(lang), m.Subject, m.Seq, stream.Name(), m.Time.UTC().Format(time.RFC3339Nano))
			if event && d.Cause.Topic == "" {
				fmt.Fprintln(c.talk, "nudge: --event: no event caused it, but "+causeWords(&d.Cause))
			} else if event {
				if err := c.printCause(cmd.Context(), config, d.Cause); err != nil {
					return err
				}
			}
			if d.Kind == streams.KindRecommendation {
				return c.printChoice(cmd.Context(), config, d, lang)
			}
			return nil
		},
	}
	at.flags(cmd, withKafka|withNATS|withApp)
	cmd.Flags().BoolVar(&event, "event", false, "also read the event that caused it from Kafka")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the decision as published")
	cmd.Flags().StringVar(&lang, "lang", "en", "language of the words: en or zh")
	return cmd
}

// printChoice prints what a list of a decision's customer would be chosen from now; nothing but a word where nobody answers.
func (c *cli) printChoice(ctx context.Context, config *pipeline.Config, d *streams.Decision, lang string) error {
	words := [...]string{"candidates", "as of now, those of the decision with a star; what the event had on its page is not known", "none to be had: "}
	if lang == "zh" {
		words = [...]string{"候选", "为当前状态，本决策中的以星号标出；当时页面上的商品未知", "无法取得："}
	}
	answer, err := c.ask(ctx, config, apiRecommend, mustJSON(&operators.Question{Customer: d.User, Name: d.Name, Candidates: true}), answerWithin)
	if err != nil {
		fmt.Fprintf(c.talk, "  %-12s%s%v\n", words[0], words[2], err)
		return nil
	}
	var a operators.Answer
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "  %-12s%s\n", words[0], words[1])
	return printCandidates(c.out, &a, d.Items)
}

// deciderOf is the name of the decider in the id of a decision.
func deciderOf(id string) (string, error) {
	parts := strings.Split(id, ".")
	if len(parts) < 4 || !streams.ValidToken(parts[len(parts)-2]) {
		return "", usagef("%q is no id of a decision: want one such as shop.clickstream-3-81273.home.0", id)
	}
	return parts[len(parts)-2], nil
}

// findDecision looks a decision up by its id.
func findDecision(ctx context.Context, stream *nats.Stream, id string) (nats.Stored, error) {
	name, err := deciderOf(id)
	if err != nil {
		return nats.Stored{}, err
	}
	m, ok, err := stream.Find(ctx, stream.DecisionFilter("", name, ""), id)
	if err == nil && !ok {
		err = fmt.Errorf("no decision %s in the stream %s: it was never published, has outlived its time there, or its customer was erased", id, stream.Name())
	}
	return m, err
}

// printCause prints the record that caused a decision as the log still holds it.
func (c *cli) printCause(ctx context.Context, config *pipeline.Config, cause streams.Cause) error {
	client, err := openKafka(ctx, &config.Kafka, quiet(c.log), nil)
	if err != nil {
		return err
	}
	f := client.Fetcher(cause.Topic, cause.Partition, cause.Offset)
	defer f.Close()
	batch, err := f.Fetch(ctx)
	if err != nil {
		return err
	}
	if len(batch.Records) == 0 || batch.Records[0].Offset != cause.Offset {
		return fmt.Errorf("%s/%d no longer holds offset %d", cause.Topic, cause.Partition, cause.Offset)
	}
	var text bytes.Buffer
	if json.Indent(&text, batch.Records[0].Value, "  ", "  ") != nil {
		text.Write(batch.Records[0].Value)
	}
	_, err = fmt.Fprintf(c.out, "  %-12s%s\n", "event", text.String())
	return err
}

// causeWords says what caused a decision that no event caused.
func causeWords(cause *streams.Cause) string {
	switch {
	case cause.Request != "":
		return fmt.Sprintf("the request %s, made on NATS: the journal has it", cause.Request)
	case cause.ArmedBy != "":
		return fmt.Sprintf("the timer %s, which the event with the id %s set", cause.Timer, cause.ArmedBy)
	}
	return "the timer " + cause.Timer
}
