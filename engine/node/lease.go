package node

import (
	"context"
	"sync/atomic"
	"time"
)

// lease is what the node knows of its own lease: when the last marker was written that was acknowledged. The outbox renews it; whoever
// writes where no one would refuse a replaced node asks it first.
type lease struct {
	term  time.Duration
	now   func() time.Time
	state atomic.Pointer[leaseState]
}

type leaseState struct {
	at      time.Time
	renewed chan struct{} // closed by the next renewal
}

func newLease(term time.Duration, now func() time.Time) *lease {
	l := &lease{term: term, now: now}
	l.state.Store(&leaseState{renewed: make(chan struct{})})
	return l
}

// renew notes that a marker was acknowledged that was written at a time.
func (l *lease) renew(at time.Time) {
	close(l.state.Swap(&leaseState{at, make(chan struct{})}).renewed)
}

// age is for how long the lease was not renewed.
func (l *lease) age(now time.Time) time.Duration { return now.Sub(l.state.Load().at) }

// spent says that half the lease is over: then nothing is sent before it is renewed, which fails if somebody took over.
func (l *lease) spent() bool { return l.age(l.now()) > l.term/2 }

// await returns when the lease is not spent, or with the reason why it will not be renewed. It asks again after every renewal, since a
// process may be stopped anywhere in between.
func (l *lease) await(ctx context.Context) error {
	for {
		s := l.state.Load()
		if l.now().Sub(s.at) <= l.term/2 {
			return nil
		}
		select {
		case <-s.renewed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
