package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

// The versions that the driver writes by itself; a broker must speak them. The rest goes by kafka-go's encoding.
const (
	metadataVersion = 12 // the first with topic ids that can be asked for by name alone: Kafka 3.0
	fetchVersion    = 13 // fetches by topic id: Kafka 3.1
	produceVersion  = 8

	produceKey  = protocol.Produce
	fetchKey    = protocol.Fetch
	metadataKey = protocol.Metadata
)

// maxFrame bounds the memory that one answer of a broker may ask for.
const maxFrame = 512 << 20

// conn is one authenticated connection to one broker, used by one goroutine at a time. After an error it is only good
// for closing.
type conn struct {
	net.Conn
	addr        string
	typed       *protocol.Conn // the same connection, for messages that kafka-go encodes
	clientID    string
	correlation int32
	out         writer
	head        [8]byte
}

// dial connects to one broker and says who we are.
func (c *Client) dial(ctx context.Context, addr string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Patience)
	defer cancel()
	nc, err := c.cfg.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	if c.cfg.TLS != nil {
		cfg := c.cfg.TLS
		if cfg.ServerName == "" {
			cfg = cfg.Clone()
			cfg.ServerName, _, _ = net.SplitHostPort(addr)
		}
		secured := tls.Client(nc, cfg)
		if err := secured.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, fmt.Errorf("TLS with %s: %w", addr, tlsHint(err))
		}
		nc = secured
	}
	cn := &conn{Conn: nc, addr: addr, typed: protocol.NewConn(nc, c.cfg.ClientID), clientID: c.cfg.ClientID}
	release := cn.guard(ctx, c.cfg.Patience)
	defer release()
	if err := cn.negotiate(); err != nil {
		cn.Close()
		return nil, fmt.Errorf("greet %s: %w", addr, err)
	}
	if c.mechanism != nil {
		if err := cn.authenticate(ctx, c.mechanism); err != nil {
			cn.Close()
			return nil, fmt.Errorf("log in to %s as %s: %w", addr, c.cfg.SASL.User, err)
		}
	}
	return cn, nil
}

func tlsHint(err error) error {
	if record := (tls.RecordHeaderError{}); errors.As(err, &record) {
		return fmt.Errorf("%w; this port does not speak TLS", err)
	}
	if faultyTLS(err) {
		return fmt.Errorf("%w; give the certificate authority of the broker, and a client certificate if it asks for one", err)
	}
	return err
}

// guard sets the deadline of the exchange to come and lets ctx cut it short.
func (cn *conn) guard(ctx context.Context, patience time.Duration) (release func() bool) {
	cn.SetDeadline(time.Now().Add(patience))
	return context.AfterFunc(ctx, func() { cn.SetDeadline(time.Unix(1, 0)) })
}

func (cn *conn) negotiate() error {
	m, err := cn.typed.RoundTrip(new(apiversions.Request))
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: the broker hung up on the first request; does this port want TLS?", err)
		}
		return err
	}
	res := m.(*apiversions.Response)
	if err := refusal(res.ErrorCode, ""); err != nil {
		return err
	}
	versions := make(map[protocol.ApiKey]int16, len(res.ApiKeys))
	spoken := make(map[protocol.ApiKey]bool, len(res.ApiKeys))
	for _, k := range res.ApiKeys {
		key := protocol.ApiKey(k.ApiKey)
		versions[key] = key.SelectVersion(k.MinVersion, k.MaxVersion)
		switch key {
		case metadataKey:
			spoken[key] = k.MinVersion <= metadataVersion && metadataVersion <= k.MaxVersion
		case fetchKey:
			spoken[key] = k.MinVersion <= fetchVersion && fetchVersion <= k.MaxVersion
		case produceKey:
			spoken[key] = k.MinVersion <= produceVersion && produceVersion <= k.MaxVersion
		}
	}
	if !spoken[metadataKey] || !spoken[fetchKey] || !spoken[produceKey] {
		return fmt.Errorf("%w: it must speak Metadata v%d, Fetch v%d and Produce v%d, as Apache Kafka does from 3.1 on",
			ErrUnsupported, metadataVersion, fetchVersion, produceVersion)
	}
	cn.typed.SetVersions(versions)
	return nil
}

func (cn *conn) authenticate(ctx context.Context, mechanism sasl.Mechanism) error {
	m, err := cn.typed.RoundTrip(&saslhandshake.Request{Mechanism: mechanism.Name()})
	if err != nil {
		return err
	}
	handshake := m.(*saslhandshake.Response)
	if err := refusal(handshake.ErrorCode, fmt.Sprintf("it offers %v", handshake.Mechanisms)); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(cn.addr)
	number, _ := strconv.Atoi(port)
	session, state, err := mechanism.Start(sasl.WithMetadata(ctx, &sasl.Metadata{Host: host, Port: number}))
	if err != nil {
		return err
	}
	for done := false; !done; {
		m, err := cn.typed.RoundTrip(&saslauthenticate.Request{AuthBytes: state})
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			// Apache Kafka says so when it refuses; this may as well be a broker that is going down.
			return fmt.Errorf("%w: the broker hung up during the login; wrong user or password?", err)
		}
		if err != nil {
			return err
		}
		res := m.(*saslauthenticate.Response)
		if err := refusal(res.ErrorCode, res.ErrorMessage); err != nil {
			return err
		}
		if done, state, err = session.Next(ctx, res.AuthBytes); err != nil {
			return fmt.Errorf("%w: %w", ErrDenied, err)
		}
	}
	return nil
}

// ask sends a message that kafka-go encodes and waits for its answer.
func (cn *conn) ask(ctx context.Context, patience time.Duration, m protocol.Message) (protocol.Message, error) {
	release := cn.guard(ctx, patience)
	defer release()
	res, err := cn.typed.RoundTrip(m)
	if err != nil {
		return nil, cn.explain(ctx, patience, err)
	}
	return res, nil
}

// exchange sends one request of our own encoding and returns the body of the answer in a buffer of its own. fill writes
// what follows the header.
func (cn *conn) exchange(ctx context.Context, patience time.Duration, key protocol.ApiKey, version int16, flexible bool,
	fill func(*writer)) (reader, error) {
	release := cn.guard(ctx, patience)
	defer release()
	body, err := []byte(nil), cn.send(key, version, flexible, fill)
	if err == nil {
		body, err = cn.receive()
	}
	if err != nil {
		return reader{}, cn.explain(ctx, patience, err)
	}
	r := reader{b: body}
	if flexible {
		r.tags()
	}
	return r, nil
}

// post sends one request that has no answer.
func (cn *conn) post(ctx context.Context, patience time.Duration, key protocol.ApiKey, version int16, flexible bool, fill func(*writer)) error {
	release := cn.guard(ctx, patience)
	defer release()
	if err := cn.send(key, version, flexible, fill); err != nil {
		return cn.explain(ctx, patience, err)
	}
	return nil
}

func (cn *conn) send(key protocol.ApiKey, version int16, flexible bool, fill func(*writer)) error {
	cn.correlation++
	cn.out.request(key, version, cn.correlation, cn.clientID, flexible)
	fill(&cn.out)
	_, err := cn.Write(cn.out.finish())
	return err
}

// receive reads one answer and returns what follows its correlation id.
func (cn *conn) receive() ([]byte, error) {
	if _, err := io.ReadFull(cn, cn.head[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(cn.head[:4])) - 4
	if size < 0 || size > maxFrame {
		return nil, fmt.Errorf("an answer of %d bytes; is this a Kafka broker?", size)
	}
	if got := int32(binary.BigEndian.Uint32(cn.head[4:])); got != cn.correlation {
		return nil, fmt.Errorf("answer %d to request %d", got, cn.correlation)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(cn, body); err != nil {
		return nil, err
	}
	return body, nil
}

// explain puts the broker's address and the reason into the error of an exchange.
func (cn *conn) explain(ctx context.Context, patience time.Duration, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s: no answer within %s: %w", cn.addr, patience, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: the broker closed the connection: %w", cn.addr, err)
	}
	return fmt.Errorf("%s: %w", cn.addr, err)
}
