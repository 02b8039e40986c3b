package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Delete removes the decision stream and that of its marker from the server, with all they hold: for benchmarks and
// tests that made an app of their own.
func (s *Stream) Delete(ctx context.Context) error {
	ctx, cancel := s.conn.within(ctx, 2*requestTimeout)
	defer cancel()
	for _, name := range []string{s.cfg.Name, s.markerStream} {
		if err := s.conn.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("streams/nats: delete stream %s: %w", name, offline(ctx, err))
		}
	}
	return nil
}
