package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap/zaptest"

	"nudge/streams/embedded"
	"nudge/streams/kafka"
)

// secured is a broker with one listener per kind of security.
type secured struct {
	tls, sasl, saslTLS string
	roots              *x509.CertPool
	user, password     string
	hangsUp            bool // on a wrong password, without a word
}

func TestSecurity(t *testing.T) {
	cert, roots := certificate(t)
	server := &tls.Config{Certificates: []tls.Certificate{cert}}
	login := func(opts ...kfake.Opt) string {
		opts = append(opts, kfake.NumBrokers(1))
		cluster, err := kfake.NewCluster(opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		return cluster.ListenAddrs()[0]
	}
	users := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "secret"), kfake.Superuser("SCRAM-SHA-256", "u", "secret"),
		kfake.Superuser("SCRAM-SHA-512", "u", "secret")}
	testSecurity(t, secured{tls: login(kfake.TLS(server)), sasl: login(users...), saslTLS: login(append(users, kfake.TLS(server))...), roots: roots,
		user: "u", password: "secret", hangsUp: true})
}

func TestRealSecurity(t *testing.T) {
	s := secured{tls: os.Getenv("NUDGE_TEST_KAFKA_TLS"), sasl: os.Getenv("NUDGE_TEST_KAFKA_SASL"), saslTLS: os.Getenv("NUDGE_TEST_KAFKA_SASL_TLS"),
		user: os.Getenv("NUDGE_TEST_KAFKA_USER"), password: os.Getenv("NUDGE_TEST_KAFKA_PASSWORD"), roots: x509.NewCertPool()}
	if s.tls == "" || s.sasl == "" || s.saslTLS == "" {
		t.Skip(`needs a real broker with TLS and SASL listeners; run: eval "$(.ci/kafka.sh start)" && go test -run Real ./streams/kafka; .ci/kafka.sh stop`)
	}
	pem, err := os.ReadFile(os.Getenv("NUDGE_TEST_KAFKA_CA"))
	if err != nil || !s.roots.AppendCertsFromPEM(pem) {
		t.Fatalf("NUDGE_TEST_KAFKA_CA: %v", err)
	}
	testSecurity(t, s)
}

func testSecurity(t *testing.T, s secured) {
	try := func(t *testing.T, cfg kafka.Config) error {
		client, err := kafka.Open(within(t, patience), cfg, zaptest.NewLogger(t))
		if err != nil {
			return err
		}
		// One use of a leader's connection as well.
		r := &rig{t: t, client: client}
		topic := r.topic(1, nil)
		p := r.producer(topic, kafka.ProducerConfig{})
		r.send(p, kafka.Record{Value: []byte("x")})
		r.flush(p)
		r.read(r.fetcher(topic, 0), 1)
		return nil
	}
	trust := &tls.Config{RootCAs: s.roots}
	for _, mechanism := range []string{kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512} {
		login := kafka.SASL{Mechanism: mechanism, User: s.user, Password: s.password}
		wrong := kafka.SASL{Mechanism: mechanism, User: s.user, Password: "wrong"}
		t.Run(mechanism, func(t *testing.T) {
			if err := try(t, kafka.Config{Brokers: []string{s.sasl}, SASL: login}); err != nil {
				t.Error(err)
			}
			if err := try(t, kafka.Config{Brokers: []string{s.saslTLS}, SASL: login, TLS: trust}); err != nil {
				t.Errorf("with TLS: %v", err)
			}
			if !s.hangsUp {
				if err := try(t, kafka.Config{Brokers: []string{s.sasl}, SASL: wrong}); !errors.Is(err, kafka.ErrDenied) {
					t.Errorf("wrong password: got %v", err)
				}
				return
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, err := kafka.Open(ctx, kafka.Config{Brokers: []string{s.sasl}, SASL: wrong, Waiting: func(string) { cancel() }}, zaptest.NewLogger(t))
			if err == nil || !strings.Contains(err.Error(), "wrong user or password?") {
				t.Errorf("wrong password: got %v", err)
			}
		})
	}
	t.Run("tls", func(t *testing.T) {
		if err := try(t, kafka.Config{Brokers: []string{s.tls}, TLS: trust}); err != nil {
			t.Error(err)
		}
		err := try(t, kafka.Config{Brokers: []string{s.tls}, TLS: &tls.Config{}})
		if err == nil || !strings.Contains(err.Error(), "certificate authority") {
			t.Errorf("untrusted certificate: got %v", err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	for name, cfg := range map[string]kafka.Config{
		"no brokers":  {},
		"broker":      {Brokers: []string{"http://localhost:9092"}},
		"no password": {Brokers: []string{"localhost"}, SASL: kafka.SASL{Mechanism: kafka.Plain, User: "u"}},
		"mechanism":   {Brokers: []string{"localhost"}, SASL: kafka.SASL{Mechanism: "gssapi", User: "u", Password: "p"}},
	} {
		if _, err := kafka.Open(t.Context(), cfg, zaptest.NewLogger(t)); !errors.Is(err, kafka.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A broker that is not there yet is waited for, with words.
func TestOpenWaits(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	addr := l.Addr().String()
	l.Close()
	said := make(chan string, 100)
	opened := make(chan error, 1)
	ctx := within(t, patience)
	go func() {
		_, err := kafka.Open(ctx, kafka.Config{Brokers: []string{addr}, Waiting: func(what string) { said <- what }}, zaptest.NewLogger(t))
		opened <- err
	}()
	if text := <-said; !strings.HasPrefix(text, "kafka: connect: waiting: connect to "+addr) {
		t.Errorf("said %q", text)
	}
	k, err := embedded.StartKafka(t.TempDir(), port, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	last := ""
	for len(said) > 0 {
		last = <-said
	}
	if last != "" {
		t.Errorf("the last word is %q, want nothing", last)
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := kafka.Open(gone, kafka.Config{Brokers: []string{addr}}, zaptest.NewLogger(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// A broker that takes connections and never answers is given up after Patience, and said.
func TestSilentBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() {
		_, err := kafka.Open(ctx, kafka.Config{Brokers: []string{l.Addr().String()}, Patience: 50 * time.Millisecond,
			Waiting: func(what string) { said <- what }}, zaptest.NewLogger(t))
		opened <- err
	}()
	if text := <-said; !strings.Contains(text, l.Addr().String()) {
		t.Errorf("said %q", text)
	}
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
