package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	client "github.com/nats-io/nats.go"

	"nudge/streams"
)

// ErrFenced is streams.ErrFenced: someone else has written the marker since it was last read.
var ErrFenced = streams.ErrFenced

// LastMarker reads the app's last marker and the sequence that the next WriteMarker expects. ok is false, and seq 0, if
// there is none.
func (s *Stream) LastMarker(ctx context.Context) (m streams.Marker, seq uint64, ok bool, err error) {
	data, seq, err := s.lastMarker(ctx)
	if err != nil {
		return streams.Marker{}, 0, false, fmt.Errorf("streams/nats: read the marker %s: %w", s.markerOn, err)
	}
	if seq == 0 {
		return streams.Marker{}, 0, false, nil
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return streams.Marker{}, 0, false, fmt.Errorf("streams/nats: marker %s at sequence %d of %s is not ours: %w", s.markerOn, seq, s.markerStream, err)
	}
	return m, seq, true, nil
}

// lastMarker asks the leader; seq 0 means none.
func (s *Stream) lastMarker(ctx context.Context) ([]byte, uint64, error) {
	return s.getMessage(ctx, s.markerStream, getRequest{LastFor: s.markerOn})
}

// WriteMarker writes the marker if the last one has the expected sequence (0: there is none), and returns its own.
// ErrFenced: someone else has written. ErrUnsure: it is unknown whether it was written; call again with the same
// marker and sequence, which finds the marker if it was.
func (s *Stream) WriteMarker(ctx context.Context, m streams.Marker, expectedLastSeq uint64) (uint64, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("streams/nats: encode the marker: %w", err)
	}
	wrap := func(err error) error {
		return fmt.Errorf("streams/nats: write the marker %s of epoch %d: %w", s.markerOn, m.Epoch, err)
	}
	msg := &client.Msg{Subject: s.markerOn, Data: data, Header: client.Header{
		"Nats-Expected-Stream":                []string{s.markerStream},
		"Nats-Expected-Last-Subject-Sequence": []string{strconv.FormatUint(expectedLastSeq, 10)},
	}}
	asked, cancel := s.conn.within(ctx, s.conn.ackTimeout)
	defer cancel()
	answer, err := s.conn.nc.RequestMsgWithContext(asked, msg)
	switch {
	case errors.Is(err, client.ErrReconnectBufExceeded):
		return 0, wrap(ErrNotConnected) // nothing was sent
	case err != nil:
		return 0, wrap(fmt.Errorf("%w: %w", ErrUnsure, offline(asked, err)))
	}
	seq, _, err := parseAck(answer.Data, answer.Header.Get("Status"))
	var refused *apiError
	switch {
	case err == nil:
		return seq, nil
	case errors.As(err, &refused) && refused.ErrCode == codeWrongLastSequence:
		// It may be our own, written by an earlier call whose acknowledgement was lost.
		have, at, rerr := s.lastMarker(ctx)
		if rerr != nil {
			return 0, wrap(fmt.Errorf("%w: %w", ErrUnsure, rerr))
		}
		if at > expectedLastSeq && bytes.Equal(have, data) {
			return at, nil
		}
		var theirs streams.Marker
		if json.Unmarshal(have, &theirs) == nil {
			return 0, wrap(fmt.Errorf("%w: owner %q, epoch %d, at %s", ErrFenced, theirs.Owner, theirs.Epoch,
				time.UnixMilli(theirs.Written).UTC().Format(time.RFC3339Nano)))
		}
		return 0, wrap(ErrFenced)
	case refused != nil && refused.Code < 500:
		return 0, wrap(err)
	default:
		return 0, wrap(fmt.Errorf("%w: %w", ErrUnsure, err))
	}
}
