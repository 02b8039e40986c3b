package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nudge/streams"
)

// Storage is where the server keeps a stream.
type Storage string

// The kinds of storage.
const (
	File   Storage = "file"
	Memory Storage = "memory"
)

// ErrNoStream says that a stream was to be there and is not.
var ErrNoStream = errors.New("there is no stream")

// StreamConfig describes the stream of an app. Zero limits are unlimited where the stream is created and left alone
// where it exists.
type StreamConfig struct {
	App      string        // one subject token: A-Za-z0-9-_
	Name     string        // default NUDGE_<APP>_DECISIONS
	Replicas int           // default 1; 3 on separate power survive a power cut
	Dedup    time.Duration // the server's de-duplication window, a convenience for consumers; default 2 min
	Storage  Storage       // default File
	MaxAge   time.Duration // of messages without a TTL, such as dead letters; not below Outage
	MaxBytes int64         // the oldest messages are removed beyond it
	Existing bool          // do not make the streams: ErrNoStream where there is none
	Outage   time.Duration // the longest outage after which recovery can compare; no message has a shorter TTL; default 24 h
}

// withDefaults fills in what is not set.
func (c StreamConfig) withDefaults() StreamConfig {
	if c.Name == "" {
		c.Name = "NUDGE_" + strings.ToUpper(strings.ReplaceAll(c.App, "-", "_")) + "_DECISIONS"
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Dedup == 0 {
		c.Dedup = 2 * time.Minute
	}
	if c.Storage == "" {
		c.Storage = File
	}
	if c.Outage == 0 {
		c.Outage = 24 * time.Hour
	}
	return c
}

func (c StreamConfig) validate() error {
	var faults []error
	if !streams.ValidToken(c.App) {
		faults = append(faults, fmt.Errorf("app %q: want 1 to 64 of A-Za-z0-9-_", c.App))
	}
	if c.Storage != File && c.Storage != Memory {
		faults = append(faults, fmt.Errorf("storage %q: want %q or %q", c.Storage, File, Memory))
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		faults = append(faults, fmt.Errorf("replicas %d: want 1 to 5", c.Replicas))
	}
	if c.MaxAge != 0 && c.MaxAge < c.Outage {
		faults = append(faults, fmt.Errorf("max age %v is below the outage of %v that recovery must bridge: raise it or lower the outage", c.MaxAge, c.Outage))
	}
	if c.MaxAge != 0 && c.Dedup > c.MaxAge {
		faults = append(faults, fmt.Errorf("de-duplication window %v is above the max age %v", c.Dedup, c.MaxAge))
	}
	return errors.Join(faults...)
}

// markerHistory is how many markers are kept, for people who want to see what happened.
const markerHistory = 64

// Stream is the decision stream of an app, and its marker.
type Stream struct {
	conn *Conn
	cfg  StreamConfig

	prefix       string // nudge.<app>.
	markerStream string
	markerOn     string // the marker's subject

	// seen is the last sequence of the stream as far as we know it, by Read or by acknowledgements: where the
	// publisher's chain goes on. It begins at 0, so that a stream with messages can't be published to unread.
	seen atomic.Uint64
}

// OpenStream creates the stream of the app and that of its marker, or verifies the ones that are there.
func (c *Conn) OpenStream(ctx context.Context, cfg StreamConfig) (*Stream, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("streams/nats: open stream: %w", err)
	}
	prefix := "nudge." + cfg.App + "."
	s := &Stream{
		conn:         c,
		cfg:          cfg,
		prefix:       prefix,
		markerStream: strings.TrimSuffix(cfg.Name, "_DECISIONS") + "_MARKER",
		markerOn:     prefix + "marker",
	}
	decisions := jetstream.StreamConfig{
		Name:        cfg.Name,
		Description: "decisions, dead letters, advisories and features of " + cfg.App,
		Subjects:    []string{prefix + "decisions.>", prefix + "dead.>", prefix + "advisory.>", prefix + "features.>"},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		Storage:     cfg.Storage.client(),
		Replicas:    cfg.Replicas,
		Duplicates:  cfg.Dedup,
		MaxAge:      cfg.MaxAge,
		MaxBytes:    cfg.MaxBytes,
		MaxMsgs:     -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
		AllowMsgTTL: true,
		AllowDirect: true,
	}
	// Not for direct access: only the leader may say what the last marker is.
	marker := jetstream.StreamConfig{
		Name:              s.markerStream,
		Description:       "up to where " + cfg.App + " has published",
		Subjects:          []string{s.markerOn},
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		Storage:           cfg.Storage.client(),
		Replicas:          cfg.Replicas,
		MaxMsgsPerSubject: markerHistory,
		MaxMsgs:           -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}
	for _, want := range []jetstream.StreamConfig{decisions, marker} {
		if cfg.Existing {
			if _, err := c.js.Stream(ctx, want.Name); errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil, fmt.Errorf("%w %s: a node of the app %q makes it when it first starts; is it the right app, and the right server?", ErrNoStream, want.Name, cfg.App)
			}
		}
		if err := c.ensure(ctx, want); err != nil {
			return nil, fmt.Errorf("streams/nats: open stream %s: %w", want.Name, err)
		}
	}
	return s, nil
}

func (s Storage) client() jetstream.StorageType {
	if s == Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// create creates a stream. A server that is busy removing another's files, or short of them, may fail to make the store and succeed a
// moment later.
func (c *Conn) create(ctx context.Context, want jetstream.StreamConfig) error {
	for attempt := 1; ; attempt++ {
		_, err := c.js.CreateStream(ctx, want)
		var refused *jetstream.APIError
		if attempt == 5 || !errors.As(err, &refused) || refused.ErrorCode != codeNoStore {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * 100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// ensure creates the stream, or verifies it and makes the changes that can't lose anything.
func (c *Conn) ensure(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := c.within(ctx, 4*requestTimeout)
	defer cancel()
	stream, err := c.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = c.create(ctx, want)
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			if err != nil {
				return fmt.Errorf("create: %w%s", offline(ctx, err), createCure(err))
			}
			return nil
		}
		stream, err = c.js.Stream(ctx, want.Name) // another node was faster, with another configuration
	}
	if err != nil {
		return offline(ctx, err)
	}
	better, changed, err := reconcile(want, stream.CachedInfo().Config)
	if err != nil || !changed {
		return err
	}
	if _, err := c.js.UpdateStream(ctx, better); err != nil {
		return fmt.Errorf("update: %w", offline(ctx, err))
	}
	return nil
}

func createCure(err error) string {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return ""
	}
	switch api.ErrorCode {
	case 10065: // subjects overlap with an existing stream
		return ": another stream takes these subjects; delete it or narrow its subjects (nats stream ls --subject 'nudge.>')"
	case 10074, 10005: // replicas > 1 not supported in non-clustered mode, no suitable peers
		return ": fewer servers than replicas; lower replicas or start more servers"
	case 10023, 10047: // insufficient resources, storage limit
		return ": raise the account's or the server's JetStream limits"
	}
	return ""
}

// reconcile compares the stream that is there with the one we want. It returns what is there with the safe changes made,
// and an error that lists every difference that is not ours to change.
func reconcile(want, have jetstream.StreamConfig) (better jetstream.StreamConfig, changed bool, err error) {
	var faults []error
	differ := func(cure, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", fmt.Sprintf(format, args...), cure))
	}
	edit := "nats stream edit " + have.Name
	anew := "back up what you need and delete the stream (nats stream rm " + have.Name + "), or configure the stream's present value"

	if have.Mirror != nil || len(have.Sources) > 0 {
		differ("point nudge at the original", "it is a mirror or has sources")
	}
	if have.Retention != want.Retention {
		differ(anew, "retention is %v, want %v", have.Retention, want.Retention)
	}
	if have.Storage != want.Storage {
		differ(anew, "storage is %v, want %v", have.Storage, want.Storage)
	}
	if have.Discard != want.Discard {
		differ(edit+" --discard=old", "discard is %v, want %v", have.Discard, want.Discard)
	}
	if have.Replicas != want.Replicas {
		differ(edit+fmt.Sprintf(" --replicas=%d", want.Replicas)+", or configure the present number", "replicas are %d, want %d", have.Replicas, want.Replicas)
	}
	if have.MaxMsgs > 0 {
		differ(edit+" --max-msgs=-1", "max messages is %d, want none (it would remove what recovery compares)", have.MaxMsgs)
	}
	if have.MaxMsgsPerSubject > 0 && have.MaxMsgsPerSubject < want.MaxMsgsPerSubject || have.MaxMsgsPerSubject > 0 && want.MaxMsgsPerSubject <= 0 {
		differ(edit+fmt.Sprintf(" --max-msgs-per-subject=%d", want.MaxMsgsPerSubject), "max messages per subject is %d, want %d", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	}
	if have.Sealed {
		differ(anew, "it is sealed")
	}
	if have.NoAck {
		differ(edit+" --ack", "acknowledgements are switched off")
	}
	if have.DenyPurge {
		differ(anew, "purging is denied, erasure of a customer needs it")
	}
	if have.SubjectTransform != nil {
		differ("remove the transform", "its subjects are transformed")
	}
	if have.MaxMsgSize > 0 && have.MaxMsgSize < 64<<10 {
		differ(edit+" --max-msg-size=-1", "max message size is %d, want 65536 or more", have.MaxMsgSize)
	}
	if want.MaxAge > 0 && have.MaxAge > want.MaxAge || want.MaxAge > 0 && have.MaxAge == 0 {
		differ(edit+" --max-age="+want.MaxAge.String()+", or configure the present age", "max age is %v, want %v (lowering it removes messages)", have.MaxAge, want.MaxAge)
	}
	if want.MaxBytes > 0 && (have.MaxBytes > want.MaxBytes || have.MaxBytes <= 0) {
		differ(edit+fmt.Sprintf(" --max-bytes=%d", want.MaxBytes)+", or configure the present size", "max bytes is %d, want %d (lowering it removes messages)", have.MaxBytes, want.MaxBytes)
	}
	for _, subject := range have.Subjects {
		if !slices.Contains(want.Subjects, subject) {
			differ("give the subject to a stream of its own", "it also takes %s (foreign messages break the publisher's chain)", subject)
		}
	}
	if len(faults) > 0 {
		return have, false, fmt.Errorf("the stream differs from the configuration: %w", errors.Join(faults...))
	}

	better = have
	raise := func(differs bool, change func()) {
		if differs {
			change()
			changed = true
		}
	}
	raise(want.AllowMsgTTL && !have.AllowMsgTTL, func() { better.AllowMsgTTL = true })
	raise(want.AllowDirect && !have.AllowDirect, func() { better.AllowDirect = true })
	raise(want.Duplicates > have.Duplicates, func() { better.Duplicates = want.Duplicates })
	raise(want.MaxAge > 0 && have.MaxAge < want.MaxAge, func() { better.MaxAge = want.MaxAge })
	raise(want.MaxBytes > 0 && have.MaxBytes < want.MaxBytes, func() { better.MaxBytes = want.MaxBytes })
	for _, subject := range want.Subjects {
		raise(!slices.Contains(have.Subjects, subject), func() { better.Subjects = append(slices.Clone(better.Subjects), subject) })
	}
	return better, changed, nil
}

// chained reports whether a message can name the one before it by id. The check is made where the message is stored; a
// replica that has caught up with others does not know the last id and would leave out what they keep
// (processCatchupMsg of nats-server 2.15), so that replicated streams do without.
func (s *Stream) chained() bool { return s.cfg.Replicas == 1 }

// Config is the configuration with its defaults.
func (s *Stream) Config() StreamConfig { return s.cfg }

// Name is the decision stream's name, for people.
func (s *Stream) Name() string { return s.cfg.Name }

// Usage says what the decision stream holds.
type Usage struct {
	Messages, Bytes   uint64
	FirstSeq, LastSeq uint64
	FirstTime         time.Time
}

// Usage asks the leader what the decision stream holds.
func (s *Stream) Usage(ctx context.Context) (Usage, error) {
	ctx, cancel := s.conn.within(ctx, requestTimeout)
	defer cancel()
	stream, err := s.conn.js.Stream(ctx, s.cfg.Name)
	if err != nil {
		return Usage{}, fmt.Errorf("streams/nats: state of %s: %w", s.cfg.Name, offline(ctx, err))
	}
	info := stream.CachedInfo()
	if n := info.Config.Replicas; n != s.cfg.Replicas {
		return Usage{}, fmt.Errorf("streams/nats: state of %s: its replicas became %d while a node runs with %d: stop the node, set replicas to %d in the configuration, start",
			s.cfg.Name, n, s.cfg.Replicas, n)
	}
	st := info.State
	return Usage{Messages: st.Msgs, Bytes: st.Bytes, FirstSeq: st.FirstSeq, LastSeq: st.LastSeq, FirstTime: st.FirstTime}, nil
}
