package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"nudge/operators/pipeline"
	"nudge/streams"
	"nudge/streams/kafka"
	"nudge/streams/nats"
)

// correction is a dead letter as people edit it: the record is text where it can be. `nudge dead --show` writes it and
// `nudge dead resend` reads it.
type correction struct {
	Reason    string `json:"reason,omitempty"`
	Detail    string `json:"detail,omitempty"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Time      string `json:"time,omitempty"`
	// Key and Value are text, or base64 beside them where they are none. Value may also be the event itself, as an object.
	Key         *string         `json:"key,omitempty"`
	KeyBase64   []byte          `json:"key_base64,omitempty"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBase64 []byte          `json:"value_base64,omitempty"`
	// Truncated says that Value is only the beginning of the record: it can't be sent as it is.
	Truncated bool `json:"truncated,omitempty"`
}

func (c *cli) deadCommand() *cobra.Command {
	var at place
	var topic, reason string
	var show bool
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List dead letters by reason, send corrected ones again",
		Example: `  nudge dead                                   how many, by reason
  nudge dead --show --reason price > bad.jsonl  the records, one JSON object on a line
  nudge dead resend bad.jsonl                   send them again, after you corrected their "value"
  nudge dead --show | jq -c '...' | nudge dead resend -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, stream, err := at.openStream(cmd.Context(), c.log)
			if err != nil {
				return err
			}
			defer conn.Close()
			filter := stream.DeadFilter(string(streams.EncodeToken(nil, topic)), string(streams.EncodeToken(nil, reason)))
			if show {
				return c.showDead(cmd.Context(), stream, filter)
			}
			return c.listDead(cmd.Context(), stream, filter)
		},
	}
	at.flags(cmd, withNATS|withApp)
	cmd.Flags().StringVar(&topic, "topic", "", "only of this topic")
	cmd.Flags().StringVar(&reason, "reason", "", "only with this reason")
	cmd.Flags().BoolVar(&show, "show", false, "print the records themselves, one JSON object on a line")
	cmd.AddCommand(c.resendCommand())
	return cmd
}

// deadGroup is what is said about the dead letters of one topic with one reason.
type deadGroup struct {
	topic, reason string
	count         int
	last          streams.DeadLetter
}

func (c *cli) listDead(ctx context.Context, stream *nats.Stream, filter string) error {
	groups := map[[2]string]*deadGroup{}
	err := eachDead(ctx, stream, filter, func(dl *streams.DeadLetter) error {
		key := [2]string{dl.Reason, dl.Topic}
		g := groups[key]
		if g == nil {
			g = &deadGroup{topic: dl.Topic, reason: dl.Reason}
			groups[key] = g
		}
		g.count++
		g.last = *dl
		return nil
	})
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		fmt.Fprintf(c.talk, "no dead letters in %s\n", stream.Name())
		return nil
	}
	sorted := slices.SortedFunc(maps.Values(groups), func(a, b *deadGroup) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.reason, b.reason), cmp.Compare(a.topic, b.topic))
	})
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REASON\tTOPIC\tCOUNT\tLAST\tFOR EXAMPLE")
	for _, g := range sorted {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s: %s\n", g.reason, g.topic, g.count, streams.AppendTime(nil, g.last.TimeMS), g.last.Position(), g.last.Detail)
	}
	return w.Flush()
}

func (c *cli) showDead(ctx context.Context, stream *nats.Stream, filter string) error {
	out := json.NewEncoder(c.out)
	out.SetEscapeHTML(false)
	return eachDead(ctx, stream, filter, func(dl *streams.DeadLetter) error { return out.Encode(newCorrection(dl)) })
}

func eachDead(ctx context.Context, stream *nats.Stream, filter string, f func(*streams.DeadLetter) error) error {
	return stream.Scan(ctx, filter, nats.From{}, func(m nats.Stored) error {
		dl, err := streams.ParseDeadLetter(m.Data)
		if err != nil {
			return fmt.Errorf("message %d on %s: %w", m.Seq, m.Subject, err)
		}
		return f(dl)
	})
}

func newCorrection(dl *streams.DeadLetter) *correction {
	x := &correction{Reason: dl.Reason, Detail: dl.Detail, Topic: dl.Topic, Partition: dl.Partition, Offset: dl.Offset,
		Time: string(streams.AppendTime(nil, dl.TimeMS)), Truncated: dl.Truncated}
	switch {
	case dl.Key == nil:
	case utf8.Valid(dl.Key):
		key := string(dl.Key)
		x.Key = &key
	default:
		x.KeyBase64 = dl.Key
	}
	if utf8.Valid(dl.Raw) {
		var text bytes.Buffer
		out := json.NewEncoder(&text)
		out.SetEscapeHTML(false)
		if err := out.Encode(string(dl.Raw)); err != nil {
			panic(err) // a string: it cannot be
		}
		x.Value = text.Bytes()
	} else {
		x.ValueBase64 = dl.Raw
	}
	return x
}

// record is what is to be sent.
func (x *correction) record() (*kafka.Record, error) {
	r := &kafka.Record{Key: x.KeyBase64, Value: x.ValueBase64}
	if x.Key != nil {
		r.Key = []byte(*x.Key)
	}
	switch value := bytes.TrimSpace(x.Value); {
	case len(value) == 0:
	case value[0] == '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return nil, err
		}
		r.Value = []byte(text)
	default:
		var text bytes.Buffer
		if err := json.Compact(&text, value); err != nil {
			return nil, err
		}
		r.Value = text.Bytes()
	}
	if r.Value == nil {
		return nil, errors.New(`field "value": want the corrected record, as text or as an object`)
	}
	return r, nil
}

func (c *cli) resendCommand() *cobra.Command {
	var at place
	var dry bool
	cmd := &cobra.Command{
		Use:   "resend FILE|-",
		Short: "Send corrected dead letters to the topics they came from",
		Long: `resend reads what "nudge dead --show" printed, after you corrected each "value", and sends the records to the
topics they came from with the keys they had. All are checked first: if one is still wrong, none is sent.`,
		Example: "  nudge dead resend bad.jsonl\n  nudge dead resend --check bad.jsonl   only say what is still wrong",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := at.config()
			if err != nil {
				return err
			}
			in, name := c.in, "standard input"
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in, name = f, args[0]
			}
			byTopic, n, err := readCorrections(in, name, config)
			if err != nil {
				return err
			}
			if dry {
				fmt.Fprintf(c.talk, "%d records are right\n", n)
				return nil
			}
			if err := sendCorrections(cmd.Context(), c, config, byTopic); err != nil {
				return err
			}
			fmt.Fprintf(c.talk, "sent %d records\n", n)
			return nil
		},
	}
	at.flags(cmd, withKafka)
	cmd.Flags().BoolVar(&dry, "check", false, "check only, send nothing")
	return cmd
}

// readCorrections reads and checks corrected records, by topic. Its error lists every fault.
func readCorrections(in io.Reader, name string, config *pipeline.Config) (byTopic map[string][]*kafka.Record, n int, err error) {
	byTopic = map[string][]*kafka.Record{}
	decoders := map[string]*streams.Decoder{}
	var faults []error
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	var event streams.Event
	for line := 1; lines.Scan(); line++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		n++
		fault := func(err error) { faults = append(faults, fmt.Errorf("%s:%d: %w", name, line, err)) }
		var x correction
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			fault(err)
			continue
		}
		r, err := x.record()
		if err != nil {
			fault(err)
			continue
		}
		if decoders[x.Topic] == nil {
			if decoders[x.Topic], err = newDecoder(config, x.Topic); err != nil {
				fault(err)
				continue
			}
		}
		rec := &streams.Record{Key: r.Key, Value: r.Value, AppendMS: time.Now().UnixMilli()}
		f := decoders[x.Topic].Decode(rec, &event)
		if f == nil {
			_, f = streams.CheckTime(&event, rec.AppendMS)
		}
		if f != nil {
			fault(fmt.Errorf("%s/%d@%d is still no event: %w", x.Topic, x.Partition, x.Offset, f))
			continue
		}
		byTopic[x.Topic] = append(byTopic[x.Topic], r)
	}
	if err := lines.Err(); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	if len(faults) > 0 {
		return nil, 0, invalidf("%d of %d records are still wrong, none was sent:\n%w", len(faults), n, errors.Join(faults...))
	}
	return byTopic, n, nil
}

func newDecoder(config *pipeline.Config, topic string) (*streams.Decoder, error) {
	in, err := topicOf(config, topic)
	if err != nil {
		return nil, err
	}
	format, err := streams.ParseFormat(in.Format)
	if err != nil {
		return nil, err
	}
	d := streams.NewDecoder(format)
	d.Strict, d.Currencies = in.Strict, config.Currencies()
	return d, nil
}

func sendCorrections(ctx context.Context, c *cli, config *pipeline.Config, byTopic map[string][]*kafka.Record) error {
	client, err := openKafka(ctx, &config.Kafka, quiet(c.log), nil)
	if err != nil {
		return err
	}
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		p, err := client.Producer(ctx, topic, kafka.ProducerConfig{})
		if err != nil {
			return err
		}
		for _, r := range byTopic[topic] {
			if err := p.Send(ctx, r); err != nil {
				p.Close()
				return err
			}
		}
		err = p.Flush(ctx)
		p.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
