package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"nudge/engine"
	"nudge/operators"
	"nudge/state"
	"nudge/streams"
	"nudge/streams/nats"
)

// The endpoints that a running node answers on, under nats.APIGroup.
const (
	apiStatus    = "status"
	apiInspect   = "inspect"
	apiProfile   = "profile"
	apiPipeline  = "pipeline"
	apiRecommend = "recommend"
	apiDecide    = "decide"
	apiExplain   = "explain"
	apiPause     = "pause"
	apiResume    = "resume"
	apiBackup    = "backup"
)

// inspectQuestion is what is asked on apiInspect.
type inspectQuestion struct {
	What string `json:"what"` // customer, item, shards, checkpoint or erased
	ID   string `json:"id,omitempty"`
}

// statusAnswer is what is answered on apiStatus.
type statusAnswer struct {
	App        string               `json:"app"`
	Build      string               `json:"build"`
	Ready      bool                 `json:"ready"`
	Waiting    string               `json:"waiting,omitempty"`
	UpSeconds  int64                `json:"up_seconds"`
	Policy     string               `json:"policy,omitempty"`
	Epoch      uint64               `json:"epoch"`
	Events     int64                `json:"events"`
	Lag        int64                `json:"lag"` // -1 if the broker did not say
	Decisions  map[string]int64     `json:"decisions,omitempty"`
	Withheld   map[string]int64     `json:"withheld,omitempty"`
	Dead       map[string]int64     `json:"dead,omitempty"`
	Late       int64                `json:"late"`
	Duplicates int64                `json:"duplicates"`
	Stale      int64                `json:"stale"`
	Counters   map[string]int64     `json:"counters,omitempty"`
	Paused     []string             `json:"paused,omitempty"`
	Budgets    []operators.Spending `json:"budgets,omitempty"`
}

// How long answers may take. Between two epochs there are milliseconds.
const (
	answerWithin = 4 * time.Second
	statusWithin = time.Second
	backupWithin = 10 * time.Minute
)

// decidedAtOnce bounds the requests for decisions that wait for their acknowledgement at once.
const decidedAtOnce = 256

// serve answers requests on NATS until it is stopped.
func (o *opened) serve(log *zap.Logger) (stop func(), err error) {
	svc, err := o.nats.Serve(o.config.App, version)
	if err != nil {
		return nil, err
	}
	status, rest := serveAPI(svc, o)
	if err := status(); err != nil {
		return nil, errors.Join(err, svc.Stop())
	}
	o.leased = func() {
		if err := rest(); err != nil {
			log.Error("requests are not answered", zap.Error(err))
		}
	}
	return func() {
		if err := svc.Stop(); err != nil {
			log.Warn("the service did not stop cleanly", zap.Error(err))
		}
	}, nil
}

// serveAPI answers the requests that other commands, and any NATS client, make of a running node. All nodes of an app share them: one that waits for the
// lease of another answers for its status alone.
func serveAPI(svc *nats.Service, o *opened) (status, rest func() error) {
	began := time.Now()
	handler := func(within time.Duration, answer func(ctx context.Context, data []byte) (any, error)) nats.Handler {
		return func(_ string, data []byte) ([]byte, error) {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			a, err := answer(ctx, data)
			if err != nil {
				return nil, err
			}
			if raw, ok := a.([]byte); ok {
				return raw, nil
			}
			return json.Marshal(a)
		}
	}
	handle := func(name string, within time.Duration, answer func(ctx context.Context, data []byte) (any, error)) error {
		return svc.Handle(name, handler(within, answer))
	}
	status = func() error {
		return handle(apiStatus, answerWithin, func(ctx context.Context, _ []byte) (any, error) { return o.status(ctx, began), nil })
	}
	rest = func() error {
		return errors.Join(
			handle(apiInspect, answerWithin, func(ctx context.Context, data []byte) (any, error) {
				var q inspectQuestion
				if err := json.Unmarshal(data, &q); err != nil {
					return nil, fmt.Errorf(`want {"what":"customer","id":"..."}: %w`, err)
				}
				return o.inspect(ctx, q)
			}),
			handle(apiProfile, answerWithin, func(ctx context.Context, customer []byte) (any, error) { return o.profile(ctx, string(customer)) }),
			handle(apiRecommend, answerWithin, func(ctx context.Context, question []byte) (any, error) { return o.recommend(ctx, question) }),
			svc.HandleMany(apiDecide, decidedAtOnce, handler(answerWithin, func(ctx context.Context, request []byte) (any, error) { return o.decide(ctx, request) })),
			handle(apiPipeline, answerWithin, func(ctx context.Context, _ []byte) (any, error) {
				var text []byte
				err := o.look(ctx, func(v *view) error {
					text = bytes.Clone(v.engine.Setup().Definition)
					return nil
				})
				return text, err
			}),
			handle(apiExplain, answerWithin, func(ctx context.Context, id []byte) (any, error) {
				m, err := findDecision(ctx, o.stream, string(id))
				return m.Data, err
			}),
			handle(apiPause, answerWithin, func(ctx context.Context, name []byte) (any, error) { return o.command(ctx, "pause", string(name)) }),
			handle(apiResume, answerWithin, func(ctx context.Context, name []byte) (any, error) { return o.command(ctx, "resume", string(name)) }),
			handle(apiBackup, backupWithin, func(_ context.Context, dir []byte) (any, error) { return backupTo(string(dir), o.store, o.journal) }),
		)
	}
	return status, rest
}

// look calls f with the node's state between two epochs.
func (o *opened) look(ctx context.Context, f func(v *view) error) error {
	var err error
	if asked := o.node.Do(ctx, func(e *engine.Engine) { err = f(&view{e, o.program(), o.store, o.journal}) }); asked != nil {
		if w := o.node.Waiting(); w != "" {
			return fmt.Errorf("the node waits for %s: %w", w, asked)
		}
		return asked
	}
	return err
}

func (o *opened) status(ctx context.Context, began time.Time) *statusAnswer {
	s := &statusAnswer{App: o.config.App, Build: build(), Ready: o.node.Ready(), Waiting: o.node.Waiting(), UpSeconds: int64(time.Since(began).Seconds()), Lag: -1}
	var shards []shardAnswer
	looking, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	err := o.look(looking, func(v *view) error {
		c := v.engine.Totals()
		s.Epoch, s.Events, s.Late, s.Duplicates, s.Stale = v.engine.Number(), c.Events, c.Late, c.Duplicates, c.Stale
		s.Decisions, s.Withheld, s.Dead, s.Counters = map[string]int64{}, c.Withheld, c.Dead, c.Named
		for k, n := range c.Decisions {
			s.Decisions[k.Kind+"/"+k.Action] = n
		}
		s.Policy, s.Paused, s.Budgets = engine.Policy(v.engine.Setup().Definition), v.engine.Paused(), v.program.Spent()
		shards = v.shards()
		return nil
	})
	if err != nil {
		return s // a node that waits still says what for
	}
	if o.addLag(looking, shards) == nil {
		s.Lag = 0
		for _, x := range shards {
			s.Lag += x.Lag
		}
	}
	return s
}

// addLag asks the brokers where the logs end.
func (o *opened) addLag(ctx context.Context, shards []shardAnswer) error {
	ends := map[string][]int64{}
	for i := range shards {
		x := &shards[i]
		if ends[x.Topic] == nil {
			ranges, err := o.kafka.AllOffsets(ctx, x.Topic)
			if err != nil {
				return err
			}
			for _, r := range ranges {
				ends[x.Topic] = append(ends[x.Topic], r.End)
			}
		}
		if x.Shard < len(ends[x.Topic]) {
			x.End = ends[x.Topic][x.Shard]
			x.Lag = max(x.End-max(x.Offset, 0), 0)
		}
	}
	return nil
}

// profile is everything known of a customer: the state, and the last decision of each decider.
func (o *opened) profile(ctx context.Context, customer string) (any, error) {
	var a profileAnswer
	err := o.look(ctx, func(v *view) (err error) {
		a.Parts, err = v.customers(customer)
		return err
	})
	if err != nil {
		return nil, err
	}
	token := string(streams.EncodeToken(nil, customer))
	err = o.stream.Latest(ctx, o.stream.DecisionFilter("", "", token), func(m nats.Stored) error {
		a.Decisions = append(a.Decisions, json.RawMessage(bytes.Clone(m.Data)))
		return nil
	})
	slices.Reverse(a.Decisions)
	return &a, err
}

func (o *opened) inspect(ctx context.Context, q inspectQuestion) (answer any, err error) {
	err = o.look(ctx, func(v *view) error {
		answer, err = v.answer(q)
		return err
	})
	if shards, ok := answer.([]shardAnswer); ok && err == nil {
		err = o.addLag(ctx, shards)
	}
	return answer, err
}

// answer answers a question.
func (v *view) answer(q inspectQuestion) (any, error) {
	switch q.What {
	case "customer":
		return v.customers(q.ID)
	case "item":
		return v.item(q.ID)
	case "predictions":
		return v.predictions()
	case "shards":
		return v.shards(), nil
	case "checkpoint":
		return v.checkpoint()
	case "erased":
		return engine.Erased(v.store)
	}
	return nil, fmt.Errorf("inspect %q: want customer, item, predictions, shards, checkpoint or erased", q.What)
}

// command journals that something is paused or resumed and says what is paused after it.
func (o *opened) command(ctx context.Context, kind, name string) (any, error) {
	var known bool
	var names []string
	err := o.look(ctx, func(v *view) error {
		names = v.program.Names()
		known = slices.Contains(names, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, fmt.Errorf("%s %q: want one of %q", kind, name, names)
	}
	if err := o.node.Command(ctx, engine.Command{Kind: kind, Name: name}); err != nil {
		return nil, err
	}
	paused := []string{}
	err = o.look(ctx, func(v *view) error {
		paused = append(paused, v.engine.Paused()...)
		return nil
	})
	return paused, err
}

// backupTo copies the last checkpoint and the journal that belongs to it.
func backupTo(dir string, store *state.Store, journal *state.Journal) (any, error) {
	if dir == "" {
		return nil, errors.New("want the folder to back up to")
	}
	if journal == nil {
		return nil, fmt.Errorf("%s is the state of a replay, without a journal: back up that of a node", store.Dir())
	}
	return store.Backup(dir, journal, func(meta []byte) (uint64, error) {
		m, err := engine.ReadMeta(meta)
		if err != nil {
			return 0, err
		}
		return m.Epoch, nil // its entry too: the marker may name it
	})
}
