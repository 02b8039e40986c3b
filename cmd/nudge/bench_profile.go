package main

import (
	"context"
	"sync/atomic"
	"time"

	"nudge/cmd/nudge/internal/latency"
	"nudge/streams/nats"
)

// profileEvery is how often the benchmark asks for a customer's profile while it measures latency.
const profileEvery = 20 * time.Millisecond

// profiles asks a running node for the profiles of customers that it has just decided about, as a backend would.
type profiles struct {
	customer atomic.Pointer[string] // of the last decision that was received
	taken    latency.Histogram
}

func (p *profiles) run(ctx context.Context, conn *nats.Conn, app string) error {
	subject := nats.APIGroup(app) + "." + apiProfile
	for next := time.NewTimer(profileEvery); ; next.Reset(profileEvery) {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		customer := p.customer.Load()
		if customer == nil {
			continue
		}
		began := time.Now()
		if _, err := conn.Request(ctx, subject, []byte(*customer)); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		p.taken.Add(time.Since(began))
	}
}
