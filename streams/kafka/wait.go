package kafka

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// How long to wait between attempts: doubling from the first to the second.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// Waiting says what the client, its fetchers and its producers wait for now: one of them if it is several, "" if nothing is wrong.
func (c *Client) Waiting() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first()
}

// first is the first of what is waited for, in the order of the words, so that it does not change without need.
func (c *Client) first() string {
	text := ""
	for _, t := range c.waiting {
		if text == "" || t < text {
			text = t
		}
	}
	return text
}

// tell notes what w waits for, "" for nothing any more, and passes on what has changed by it. It says whether w waited before.
func (c *Client) tell(w *waiter, text string) (before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.first()
	_, before = c.waiting[w]
	if text == "" {
		delete(c.waiting, w)
	} else {
		c.waiting[w] = text
	}
	if now := c.first(); now != old {
		c.cfg.Waiting(now)
	}
	return before
}

// waiter is one spell of waiting for something to be cured by time. It says so once per cause and pauses longer each time.
type waiter struct {
	client *Client
	what   string
	next   time.Duration // zero outside a spell
	since  time.Time
}

// pause tells why and waits. When ctx ends first it returns its error with the one that was waited out.
func (w *waiter) pause(ctx context.Context, err error) error {
	if w.next == 0 {
		w.next, w.since = firstPause, time.Now()
	} else if !w.client.tell(w, "kafka: "+w.what+": waiting: "+err.Error()) {
		// The first attempt was made again in silence: brokers close idle connections as a matter of course.
		w.client.log.Warn("waiting for Kafka", zap.String("to", w.what), zap.Error(err))
	}
	timer := time.NewTimer(w.next)
	defer timer.Stop()
	w.next = min(2*w.next, lastPause)
	select {
	case <-ctx.Done():
		w.next = 0 // nobody waits any more, though nothing is cured
		w.client.tell(w, "")
		return fmt.Errorf("%w while waiting: %w", context.Cause(ctx), err)
	case <-timer.C:
		return nil
	}
}

// over ends the spell.
func (w *waiter) over() {
	if w.next == 0 {
		return
	}
	w.next = 0
	if w.client.tell(w, "") {
		w.client.log.Info("Kafka is back", zap.String("to", w.what), zap.Duration("after", time.Since(w.since)))
	}
}

// text says what is waited for, "" for nothing. Unlike the rest it may be called by any goroutine.
func (w *waiter) text() string {
	w.client.mu.Lock()
	defer w.client.mu.Unlock()
	return w.client.waiting[w]
}
