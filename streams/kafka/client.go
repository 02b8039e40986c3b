package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
	"go.uber.org/zap"
)

// How long to wait between attempts: doubling from the first to the second.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// Client speaks to one Kafka cluster. It holds no connection of its own: fetchers and producers have theirs, everything else
// connects for one exchange. It is safe for concurrent use.
type Client struct {
	cfg       Config
	mechanism sasl.Mechanism
	log       *zap.Logger
	seed      atomic.Uint32 // the broker of cfg.Brokers that answered last
}

// Open checks the settings and waits until a broker answers. It fails at once for what waiting can't cure: wrong settings, refused
// credentials, an untrusted certificate, a broker that is too old.
func Open(ctx context.Context, cfg Config, log *zap.Logger) (*Client, error) {
	cfg = cfg.withDefaults()
	if len(cfg.Brokers) == 0 {
		return nil, fmt.Errorf("streams/kafka: %w: no brokers; give at least one host:port", ErrConfig)
	}
	mechanism, err := cfg.mechanism()
	if err != nil {
		return nil, fmt.Errorf("streams/kafka: %w", err)
	}
	c := &Client{cfg: cfg, mechanism: mechanism, log: log}
	err = c.insist(ctx, "connect", func(ctx context.Context) error {
		cn, err := c.anyBroker(ctx)
		if err != nil {
			return err
		}
		return cn.Close()
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Brokers returns the addresses that the client was given.
func (c *Client) Brokers() []string { return c.cfg.Brokers }

// insist runs op until it succeeds, fails for a reason that waiting can't cure, or ctx ends. What it waits for is told.
func (c *Client) insist(ctx context.Context, what string, op func(context.Context) error) error {
	w := waiter{client: c, what: what}
	for {
		err := op(ctx)
		if err == nil {
			w.over()
			return nil
		}
		if ctx.Err() != nil || !curable(err) {
			w.over()
			return fmt.Errorf("streams/kafka: %s: %w", what, err)
		}
		if err := w.pause(ctx, err); err != nil {
			w.over()
			return fmt.Errorf("streams/kafka: %s: %w", what, err)
		}
	}
}

// waiter is one spell of waiting for something to be cured by time. It says so once per cause and pauses longer each time.
type waiter struct {
	client *Client
	what   string
	told   atomic.Pointer[string]
	next   time.Duration
	since  time.Time
}

// pause tells why and waits. It returns the error with which it began when ctx ends first.
func (w *waiter) pause(ctx context.Context, err error) error {
	text := "kafka: " + w.what + ": waiting: " + err.Error()
	if w.next == 0 {
		w.next, w.since = firstPause, time.Now()
	}
	// The first attempt to reconnect is made in silence: brokers close idle connections as a matter of course.
	if old := w.told.Load(); w.next > firstPause && (old == nil || *old != text) {
		w.told.Store(&text)
		w.client.cfg.Waiting(text)
		if old == nil {
			w.client.log.Warn("waiting for Kafka", zap.String("to", w.what), zap.Error(err))
		}
	}
	timer := time.NewTimer(w.next)
	defer timer.Stop()
	w.next = min(2*w.next, lastPause)
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w while waiting: %w", context.Cause(ctx), err)
	case <-timer.C:
		return nil
	}
}

// over ends the spell.
func (w *waiter) over() {
	if w.told.Swap(nil) != nil {
		w.client.cfg.Waiting("")
		w.client.log.Info("Kafka is back", zap.String("to", w.what), zap.Duration("after", time.Since(w.since)))
	}
	w.next = 0
}

// text says what is waited for, "" for nothing.
func (w *waiter) text() string {
	if t := w.told.Load(); t != nil {
		return *t
	}
	return ""
}

// anyBroker connects to the first of the configured brokers that answers, beginning with the one that did last time.
func (c *Client) anyBroker(ctx context.Context) (*conn, error) {
	var faults []error
	first := c.seed.Load()
	for i := range c.cfg.Brokers {
		n := (first + uint32(i)) % uint32(len(c.cfg.Brokers))
		cn, err := c.dial(ctx, c.cfg.Brokers[n])
		if err == nil {
			c.seed.Store(n)
			return cn, nil
		}
		faults = append(faults, err)
		if ctx.Err() != nil {
			break
		}
	}
	// One broker that waiting may cure is reason enough to wait: then the sentinels of the others must not show.
	if slices.ContainsFunc(faults, curable) && len(faults) > 1 {
		return nil, errors.New(join(faults).Error())
	}
	return nil, join(faults)
}

// join puts several errors on one line.
func join(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	err := faults[0]
	for _, next := range faults[1:] {
		err = fmt.Errorf("%w; %w", err, next)
	}
	return err
}

// askAny sends one message to any broker.
func (c *Client) askAny(ctx context.Context, m protocol.Message) (protocol.Message, error) {
	cn, err := c.anyBroker(ctx)
	if err != nil {
		return nil, err
	}
	defer cn.Close()
	return cn.ask(ctx, c.cfg.Patience, m)
}

// askAt sends one message to the broker at addr.
func (c *Client) askAt(ctx context.Context, addr string, m protocol.Message) (protocol.Message, error) {
	cn, err := c.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer cn.Close()
	return cn.ask(ctx, c.cfg.Patience, m)
}

// each runs op for every key at once and returns the errors on one line.
func each[K comparable, V any](m map[K]V, op func(K, V) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var faults []error
	for k, v := range m {
		wg.Go(func() {
			if err := op(k, v); err != nil {
				mu.Lock()
				faults = append(faults, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return join(faults)
}
