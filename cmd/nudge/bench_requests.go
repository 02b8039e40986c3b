package main

import (
	"context"
	"sync/atomic"
	"time"

	"nudge/cmd/nudge/internal/latency"
	"nudge/operators"
	"nudge/streams/nats"
)

// requestEvery is how often the benchmark makes each of its requests while it measures latency.
const requestEvery = 20 * time.Millisecond

// requests asks a running node about customers that it has just decided about, as a backend would.
type requests struct {
	customer               atomic.Pointer[string] // of a decision that was received lately
	wanted                 atomic.Bool            // the next decision's customer is
	profiles, recommending latency.Histogram
}

func (r *requests) run(ctx context.Context, conn *nats.Conn, app string, recommenders bool) error {
	for next := time.NewTimer(requestEvery); ; next.Reset(requestEvery) {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		r.wanted.Store(true)
		customer := r.customer.Load()
		if customer == nil {
			continue
		}
		ask := func(endpoint string, data []byte, taken *latency.Histogram) error {
			began := time.Now()
			if _, err := conn.Request(ctx, nats.APIGroup(app)+"."+endpoint, data); err != nil {
				return err
			}
			taken.Add(time.Since(began))
			return nil
		}
		err := ask(apiProfile, []byte(*customer), &r.profiles)
		if err == nil && recommenders {
			err = ask(apiRecommend, mustJSON(&operators.Question{Customer: *customer}), &r.recommending)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}
