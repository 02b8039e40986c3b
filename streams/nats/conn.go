package nats

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// The oldest server that has what we use: per-message TTL came with 2.11.
const oldestMajor, oldestMinor = 2, 11

const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 5 * time.Second
	firstDelay     = 50 * time.Millisecond
	longestDelay   = 2 * time.Second
)

// ErrNotConnected is returned while the server can't be reached. The connection is being restored; WaitConnected waits for it.
var ErrNotConnected = errors.New("not connected to NATS")

// Config says where the server is and who we are. The zero value of every field but URL is usable.
type Config struct {
	URL         string // nats://host:port, several separated by commas
	Credentials string // path of a .creds file
	User        string
	Password    string
	Token       string
	TLS         *tls.Config // nil: as the URL says (tls:// uses the system's roots)
	Name        string      // shown in the server's connection list; default "nudge"
	InboxPrefix string      // for accounts that may only subscribe under a prefix; default "_INBOX"
	// AckTimeout is how long an acknowledgement may stay away before the publisher says ErrUnsure; default 10 s.
	AckTimeout time.Duration
	// Waiting, if set, is told what is being waited for, and "" when the wait is over. It is called from
	// goroutines of the connection and must not block.
	Waiting func(what string)
}

// Conn is a connection to NATS that restores itself for ever.
type Conn struct {
	nc         *client.Conn
	js         jetstream.JetStream
	log        *zap.Logger
	ackTimeout time.Duration

	reconnects atomic.Uint64

	mu         sync.Mutex
	changed    chan struct{}   // closed and renewed when the connection comes or goes
	session    context.Context // ends with ErrNotConnected when the connection goes; renewed then
	end        context.CancelCauseFunc
	publishers map[*Publisher]struct{}
}

// Connect connects to the server, waiting for one that is down until ctx ends. It refuses a server that is older than
// 2.11 or has no JetStream. log may be nil.
func Connect(ctx context.Context, cfg Config, log *zap.Logger) (*Conn, error) {
	if log == nil {
		log = zap.NewNop()
	}
	if cfg.URL == "" {
		return nil, errors.New("streams/nats: connect: no URL; want nats://host:4222")
	}
	for _, url := range strings.Split(cfg.URL, ",") {
		if scheme, _, ok := strings.Cut(strings.TrimSpace(url), "://"); ok && !slices.Contains([]string{"nats", "tls", "ws", "wss"}, scheme) {
			return nil, fmt.Errorf("streams/nats: connect %s: unknown scheme %q; want nats, tls, ws or wss", redact(url), scheme)
		}
	}
	if cfg.Name == "" {
		cfg.Name = "nudge"
	}
	if cfg.AckTimeout <= 0 {
		cfg.AckTimeout = 10 * time.Second
	}
	waiting := cfg.Waiting
	if waiting == nil {
		waiting = func(string) {}
	}
	c := &Conn{log: log, ackTimeout: cfg.AckTimeout, changed: make(chan struct{}), publishers: map[*Publisher]struct{}{}}
	c.session, c.end = context.WithCancelCause(context.Background())
	opts := c.options(cfg, waiting)

	waited := false
	for attempt := 0; ; attempt++ {
		err := c.dial(ctx, cfg.URL, opts)
		if err == nil {
			break
		}
		var refused *refusal
		if errors.As(err, &refused) || permanent(err) {
			return nil, fmt.Errorf("streams/nats: connect %s: %w", redact(cfg.URL), err)
		}
		what := fmt.Sprintf("NATS at %s: %v", redact(cfg.URL), err)
		if !waited {
			log.Warn("waiting for NATS", zap.String("url", redact(cfg.URL)), zap.Error(err))
		}
		waited = true
		waiting(what)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("streams/nats: connect %s: gave up waiting: %w (%w)", redact(cfg.URL), err, ctx.Err())
		case <-time.After(delay(attempt)):
		}
	}
	if waited {
		waiting("")
	}
	log.Info("connected to NATS", zap.String("server", c.nc.ConnectedServerName()), zap.String("version", c.nc.ConnectedServerVersion()))
	return c, nil
}

// options translates the configuration for the client.
func (c *Conn) options(cfg Config, waiting func(string)) []client.Option {
	opts := []client.Option{
		client.Name(cfg.Name),
		client.Timeout(dialTimeout),
		client.MaxReconnects(-1),
		client.ReconnectBufSize(-1), // what can't be sent now must fail, not be sent later
		client.IgnoreAuthErrorAbort(),
		client.SkipSubjectValidation(), // it takes a fifth of the time of a publish; see clean
		client.CustomReconnectDelay(delay),
		client.PingInterval(5 * time.Second),
		client.MaxPingsOutstanding(2),
		client.DisconnectErrHandler(func(nc *client.Conn, err error) {
			if nc.IsClosed() {
				return // by ourselves: ClosedHandler does the rest
			}
			c.connectionChanged()
			c.sessionEnds()
			c.unsure(fmt.Errorf("connection lost: %w", cause(err)))
			waiting("NATS at " + redact(cfg.URL) + ": " + cause(err).Error())
			c.log.Warn("lost NATS", zap.Error(err))
		}),
		client.ReconnectHandler(func(nc *client.Conn) {
			c.reconnects.Add(1)
			c.connectionChanged()
			waiting("")
			c.log.Info("reconnected to NATS", zap.String("server", nc.ConnectedServerName()))
		}),
		client.ClosedHandler(func(*client.Conn) {
			c.connectionChanged()
			c.sessionEnds()
			c.unsure(client.ErrConnectionClosed)
		}),
		client.ErrorHandler(func(_ *client.Conn, sub *client.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			c.log.Warn("NATS reports an error", zap.String("subject", subject), zap.Error(err))
		}),
	}
	if cfg.Credentials != "" {
		opts = append(opts, client.UserCredentials(cfg.Credentials))
	}
	if cfg.User != "" {
		opts = append(opts, client.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.Token != "" {
		opts = append(opts, client.Token(cfg.Token))
	}
	if cfg.TLS != nil {
		opts = append(opts, client.Secure(cfg.TLS))
	}
	if cfg.InboxPrefix != "" {
		opts = append(opts, client.CustomInboxPrefix(cfg.InboxPrefix))
	}
	return opts
}

// dial makes one attempt.
func (c *Conn) dial(ctx context.Context, url string, opts []client.Option) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	nc, err := client.Connect(url, opts...)
	if err != nil {
		return err
	}
	js, err := examine(ctx, nc)
	if err != nil {
		nc.Close()
		return err
	}
	c.nc, c.js = nc, js
	return nil
}

// refusal is a server that waiting would not make usable.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// examine refuses a server that lacks what we need.
func examine(ctx context.Context, nc *client.Conn) (jetstream.JetStream, error) {
	version := nc.ConnectedServerVersion()
	if !recent(version) {
		return nil, &refusal{fmt.Sprintf("server %s is version %s; want %d.%d or newer (message TTLs): upgrade the server",
			nc.ConnectedServerName(), version, oldestMajor, oldestMinor)}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err = js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return nil, &refusal{"the server has no JetStream: start it with -js, or with a jetstream block in its configuration"}
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return nil, &refusal{"JetStream is not enabled for our account: add jetstream limits to the account, or use credentials of one that has them"}
	case err != nil:
		return nil, fmt.Errorf("JetStream does not answer: %w", err)
	}
	return js, nil
}

// recent reports whether the version, such as 2.12.0-beta.1, is one that we can use.
func recent(version string) bool {
	major, rest, ok := strings.Cut(version, ".")
	if !ok {
		return false
	}
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil {
		return false
	}
	return a > oldestMajor || a == oldestMajor && b >= oldestMinor
}

// permanent reports whether an attempt failed for a reason that waiting does not remove. The client says some of
// them only in words.
func permanent(err error) bool {
	for _, e := range []error{client.ErrAuthorization, client.ErrAuthExpired, client.ErrSecureConnRequired, client.ErrSecureConnWanted, client.ErrNkeysNotSupported} {
		if errors.Is(err, e) {
			return true
		}
	}
	for _, words := range []string{"x509: ", "tls: ", "parse ", "no such file"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// clean refuses a subject that the protocol would read as something else.
func clean(subject string) error {
	for i := 0; i < len(subject); i++ {
		if subject[i] <= ' ' {
			return fmt.Errorf("subject %q: want no space or control character; encode tokens", subject)
		}
	}
	if subject == "" {
		return errors.New("subject is empty")
	}
	return nil
}

// delay is the wait before the attempt of that number, doubling and jittered so that nodes don't come back in step.
func delay(attempt int) time.Duration {
	d := longestDelay
	if attempt < 6 {
		d = min(firstDelay<<attempt, longestDelay)
	}
	return d/2 + rand.N(d/2)
}

// cause gives an orderly end of the connection, which the client reports as nil, a name.
func cause(err error) error {
	if err == nil {
		return client.ErrConnectionClosed
	}
	return err
}

// redact hides what stands before the @ of every URL.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, u := range parts {
		if at := strings.LastIndexByte(u, '@'); at >= 0 {
			scheme := ""
			if s, _, ok := strings.Cut(u, "://"); ok {
				scheme = s + "://"
			}
			parts[i] = scheme + "***" + u[at:]
		}
	}
	return strings.Join(parts, ",")
}

func (c *Conn) connectionChanged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// sessionEnds gives up whatever waits for an answer that can't come any more.
func (c *Conn) sessionEnds() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(ErrNotConnected)
	c.session, c.end = context.WithCancelCause(context.Background())
}

// within is ctx for one request: it ends after the timeout and when the connection is lost.
func (c *Conn) within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	session := c.session
	c.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(session, func() { cancel(ErrNotConnected) })
	ctx, end := context.WithTimeout(ctx, timeout)
	return ctx, func() { stop(); end(); cancel(nil) }
}

// offline names the ways in which a request says that there is no connection.
func offline(ctx context.Context, err error) error {
	if errors.Is(err, client.ErrReconnectBufExceeded) || err != nil && errors.Is(context.Cause(ctx), ErrNotConnected) {
		return ErrNotConnected
	}
	return err
}

// unsure fails every publisher that waits for acknowledgements.
func (c *Conn) unsure(err error) {
	c.mu.Lock()
	publishers := make([]*Publisher, 0, len(c.publishers))
	for p := range c.publishers {
		publishers = append(publishers, p)
	}
	c.mu.Unlock()
	for _, p := range publishers {
		p.lost(err)
	}
}

// WaitConnected returns when the connection stands.
func (c *Conn) WaitConnected(ctx context.Context) error {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		switch {
		case c.nc.IsConnected():
			return nil
		case c.nc.IsClosed():
			return fmt.Errorf("streams/nats: %w: connection closed", ErrNotConnected)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("streams/nats: %w: %w", ErrNotConnected, ctx.Err())
		case <-changed:
		}
	}
}

// Connected reports whether the connection stands.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Reconnects says how often the connection was lost and restored.
func (c *Conn) Reconnects() uint64 { return c.reconnects.Load() }

// ServerVersion is the version of the server we are connected to.
func (c *Conn) ServerVersion() string { return c.nc.ConnectedServerVersion() }

// Close closes the connection at once; what was not acknowledged stays unsure.
func (c *Conn) Close() { c.nc.Close() }
