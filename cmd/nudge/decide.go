package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nudge/streams"
)

// decideRequest is what is asked on apiDecide: a decision.requested without its type.
type decideRequest struct {
	ID    string            `json:"id"`
	User  string            `json:"user,omitempty"`
	Anon  string            `json:"anon,omitempty"`
	Item  string            `json:"item,omitempty"`
	Props map[string]string `json:"props,omitempty"`
}

// decideAnswer is what is answered on it.
type decideAnswer struct {
	Decisions []json.RawMessage `json:"decisions"`
	Why       string            `json:"why,omitempty"` // why there are none
}

func (c *cli) decideCommand() *cobra.Command {
	var at place
	q := decideRequest{}
	var name, lang string
	var anonymous, asJSON bool
	cmd := &cobra.Command{
		Use:   "decide CUSTOMER",
		Short: "Have decisions taken for a customer now",
		Long: `decide asks the running node to decide for a customer now, by the deciders whose when names decision.requested. What it decides is a decision like any
other: journalled, published once, counted, paid from its budget and learned from. The answer comes when it is durable. To ask again with the same id
gives the same decisions. Backends ask on NATS, nudge.<app>.api.decide, with the event's JSON without its type, and are answered with
{"decisions":[...]}; where there are none, "why" says so. nudge recommend only asks what would be shown.`,
		Example: `  nudge decide u-42
  nudge decide u-42 --name welcome --id R-1    of one decider; R-1 made again gives the same
  nudge decide a-7 --anon --item SKU-00007 --prop placement=hero --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLang(lang); err != nil {
				return err
			}
			config, err := at.config()
			if err != nil {
				return err
			}
			if q.User = args[0]; anonymous {
				q.User, q.Anon = "", args[0]
			}
			if name != "" {
				if q.Props == nil {
					q.Props = map[string]string{}
				}
				q.Props["name"] = name
			}
			if q.ID == "" {
				q.ID = rand.Text()
			}
			answer, err := c.ask(cmd.Context(), config, apiDecide, mustJSON(&q), answerWithin+time.Second) // the node says first that it took too long
			if err != nil {
				return err
			}
			if asJSON {
				return printAnswer(c.out, answer, true)
			}
			return c.printDecided(answer, lang)
		},
	}
	at.flags(cmd, withNATS)
	flags := cmd.Flags()
	flags.StringVar(&q.ID, "id", "", "id of the request; a new one by default")
	flags.StringVar(&name, "name", "", "only this decider")
	flags.BoolVar(&anonymous, "anon", false, "the customer is an anonymous one")
	flags.StringVar(&q.Item, "item", "", "item on the page")
	flags.StringToStringVar(&q.Props, "prop", nil, "`KEY=TEXT` that conditions look at, as event.props.KEY")
	flags.BoolVar(&asJSON, "json", false, "as answered")
	flags.StringVar(&lang, "lang", "en", "language of the words: en or zh")
	return cmd
}

// printDecided prints decisions in words, as tail does.
func (c *cli) printDecided(answer []byte, lang string) error {
	var a decideAnswer
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	if len(a.Decisions) == 0 {
		_, err := fmt.Fprintf(c.out, "nothing was decided: %s\n", a.Why)
		return err
	}
	for _, text := range a.Decisions {
		d, err := streams.ParseDecision(text)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c.out, "%s %s\n", time.UnixMilli(d.TimeMS).Local().Format(time.TimeOnly), d.Words(lang)); err != nil {
			return err
		}
	}
	return nil
}

// decide answers a request on apiDecide.
func (o *opened) decide(ctx context.Context, request []byte) ([]byte, error) {
	var named struct {
		Props struct {
			Name string `json:"name"`
		} `json:"props"`
	}
	if json.Unmarshal(request, &named) == nil { // what is wrong with it is said by those who decode it
		if err := o.look(ctx, func(v *view) error { return v.program.CheckAsked(named.Props.Name) }); err != nil {
			return nil, err
		}
	}
	answer, err := o.node.Decide(ctx, request)
	var refused *streams.Fault
	switch {
	case errors.As(err, &refused):
		return nil, fmt.Errorf(`want a document such as {"id":"R-1","user":"u-42","props":{"name":"home"}}: %w`, refused)
	case err != nil && o.node.Waiting() != "":
		return nil, fmt.Errorf("the node waits for %s: %w", o.node.Waiting(), err)
	case err != nil:
		return nil, err
	}
	// Not by encoding/json, which writes what it is given anew.
	text := append([]byte(`{"decisions":[`), bytes.Join(answer.Decisions, []byte{','})...)
	if text = append(text, ']'); len(answer.Decisions) == 0 {
		text = streams.AppendJSONString(append(text, `,"why":`...), answer.Why)
	}
	return append(text, '}'), nil
}
