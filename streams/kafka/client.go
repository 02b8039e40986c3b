package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
	"go.uber.org/zap"
)

// Client speaks to one Kafka cluster. It holds no connection of its own: fetchers and producers have theirs, everything else
// connects for one exchange. It is safe for concurrent use.
type Client struct {
	cfg       Config
	mechanism sasl.Mechanism
	log       *zap.Logger
	seed      atomic.Uint32 // the broker of cfg.Brokers that answered last

	mu      sync.Mutex
	waiting map[*waiter]string // what is waited for now, by whom
}

// Open checks the settings and waits until a broker answers. It fails at once for what waiting can't cure: wrong settings, refused
// credentials, an untrusted certificate, a broker that is too old.
func Open(ctx context.Context, cfg Config, log *zap.Logger) (*Client, error) {
	cfg = cfg.withDefaults()
	if len(cfg.Brokers) == 0 {
		return nil, fmt.Errorf("streams/kafka: %w: no brokers; give at least one host:port", ErrConfig)
	}
	for _, broker := range cfg.Brokers {
		if broker == "" || strings.ContainsAny(broker, " \t/,") {
			return nil, fmt.Errorf("streams/kafka: %w: broker %q; want host:port", ErrConfig, broker)
		}
	}
	mechanism, err := cfg.mechanism()
	if err != nil {
		return nil, fmt.Errorf("streams/kafka: %w", err)
	}
	c := &Client{cfg: cfg, mechanism: mechanism, log: log, waiting: make(map[*waiter]string)}
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
