package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// The mechanisms of SASL.
const (
	Plain       = "plain"
	ScramSHA256 = "scram-sha-256"
	ScramSHA512 = "scram-sha-512"
)

// SASL is how a client says who it is. The zero value stands for a broker that does not ask.
type SASL struct {
	Mechanism string // plain, scram-sha-256 or scram-sha-512
	User      string
	Password  string
}

// Config says which brokers to speak to and how. Zero fields have the defaults that their comments name.
type Config struct {
	Brokers  []string    // host:port; any of them leads to the others. Without a port 9092 is taken
	ClientID string      // seen in the broker's logs and quotas: "nudge"
	TLS      *tls.Config // nil: plaintext
	SASL     SASL

	// MaxWait is how long the broker holds a fetch that finds nothing: 200 ms. It bounds how old the knowledge
	// that a partition is at its end can be; new records are answered at once.
	MaxWait time.Duration
	// MaxBytes is how much one fetch brings at most, unless a single record batch is larger: 2 MiB.
	MaxBytes int
	// Patience is how long a broker may take for an answer, beyond MaxWait, before its connection is given up: 10 s.
	Patience time.Duration
	// Dial opens the connections to brokers, e.g. through a proxy. nil: TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Waiting is told what the client waits for when something fails that time may cure, and "" once nothing is waited for any
	// more; it is what Client.Waiting returns. It must be quick and not call the client. May be nil.
	Waiting func(what string)
}

func (cfg Config) withDefaults() Config {
	brokers := make([]string, 0, len(cfg.Brokers))
	for _, b := range cfg.Brokers {
		if b = strings.TrimSpace(b); b == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(b); err != nil {
			b = net.JoinHostPort(strings.Trim(b, "[]"), "9092")
		}
		brokers = append(brokers, b)
	}
	cfg.Brokers = brokers
	if cfg.ClientID == "" {
		cfg.ClientID = "nudge"
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 200 * time.Millisecond
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 2 << 20
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if cfg.Waiting == nil {
		cfg.Waiting = func(string) {}
	}
	return cfg
}

// mechanism returns kafka-go's form of the SASL settings, nil for none.
func (cfg Config) mechanism() (sasl.Mechanism, error) {
	s := cfg.SASL
	if s == (SASL{}) {
		return nil, nil
	}
	if s.User == "" || s.Password == "" {
		return nil, fmt.Errorf("%w: SASL needs a user and a password", ErrConfig)
	}
	switch strings.ToLower(s.Mechanism) {
	case Plain:
		return plain.Mechanism{Username: s.User, Password: s.Password}, nil
	case ScramSHA256:
		return scramMechanism(scram.SHA256, s)
	case ScramSHA512:
		return scramMechanism(scram.SHA512, s)
	}
	return nil, fmt.Errorf("%w: SASL mechanism %q; want %s, %s or %s", ErrConfig, s.Mechanism, Plain, ScramSHA256, ScramSHA512)
}

func scramMechanism(algorithm scram.Algorithm, s SASL) (sasl.Mechanism, error) {
	m, err := scram.Mechanism(algorithm, s.User, s.Password)
	if err != nil {
		return nil, fmt.Errorf("%w: SASL user or password can't be used with SCRAM: %w", ErrConfig, err)
	}
	return m, nil
}
