package kafka

import (
	"context"
	"testing"
	"time"
)

// A sender that waits for room in the queue holds the lane's lock. When the lingering is over at that moment, the queue is what goes on: waiting for
// the lock would wait for ever.
func TestLingeringEndsWhileTheQueueIsFull(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	l := &lane{producer: &Producer{ctx: ctx}, lock: make(chan struct{}, 1), queue: make(chan *batch, 1), begun: make(chan struct{}, 1)}
	queued := new(batch)
	l.queue <- queued
	l.lock <- struct{}{} // the sender's
	if got := l.take(); got != queued {
		t.Fatalf("took %p while the lock was held, want the queued batch %p", got, queued)
	}
}
