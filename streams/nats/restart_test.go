package nats

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func port(t *testing.T, of string) int {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestServerRestarts stops the server with messages in flight and starts it again with its data, several times.
func TestServerRestarts(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, dir, 0)
	url := srv.URL()
	s := open(t, connect(t, Config{URL: url}))
	p := publisher(t, s, 1000)
	msgs := decisions(s, 0, 8000)
	batch := 0
	unsure := disturbed(t, s, p, msgs, 250, func() {
		if batch++; batch == 5 || batch == 15 || batch == 25 {
			srv.Close()
			srv = start(t, dir, port(t, url))
		}
	})
	exactly(t, s, msgs)
	t.Logf("unsure %d times", unsure)
}

// TestSendWhileDown: nothing is kept back to be sent when the server returns.
func TestSendWhileDown(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, dir, 0)
	url := srv.URL()
	s := open(t, connect(t, Config{URL: url}))
	p := publisher(t, s, 0)
	ctx := deadline(t)
	msgs := decisions(s, 0, 20)
	deliver(t, s, p, msgs[:10], 10)
	srv.Close()
	for s.conn.Connected() {
		s.conn.mu.Lock()
		changed := s.conn.changed
		s.conn.mu.Unlock()
		if s.conn.Connected() {
			<-changed
		}
	}
	if err := p.Send(ctx, msgs[10:]); !errors.Is(err, ErrUnsure) {
		t.Fatalf("sending without a server: %v, want ErrUnsure", err)
	}
	if err := s.Read(ctx, 0, func(uint64, string, string, []byte) error { return nil }); !errors.Is(err, ErrNotConnected) {
		t.Errorf("reading without a server: %v, want ErrNotConnected", err)
	}
	start(t, dir, port(t, url))
	if err := s.conn.WaitConnected(ctx); err != nil {
		t.Fatal(err)
	}
	exactly(t, s, msgs[:10])
	deliver(t, s, p, msgs, 10)
	exactly(t, s, msgs)
	if s.conn.Reconnects() != 1 {
		t.Errorf("%d reconnects, want 1", s.conn.Reconnects())
	}
}

func TestRefusesServerWithoutJetStream(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	_, err = Connect(deadline(t), Config{URL: srv.ClientURL(), User: "u", Password: "p"}, nil)
	if err == nil || !strings.Contains(err.Error(), "start it with -js") {
		t.Errorf("a server without JetStream: %v, want the cure", err)
	}
	_, err = Connect(deadline(t), Config{URL: srv.ClientURL(), User: "u", Password: "wrong"}, nil)
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") {
		t.Errorf("a wrong password: %v, want a refusal", err)
	}
}

// TestStreamAnew: a stream that was deleted and made again is shorter than the publisher thinks.
func TestStreamAnew(t *testing.T) {
	srv := start(t, t.TempDir(), 0)
	s := open(t, connect(t, Config{URL: srv.URL()}))
	p := publisher(t, s, 0)
	msgs := decisions(s, 0, 30)
	deliver(t, s, p, msgs[:10], 10)
	if err := s.conn.js.DeleteStream(deadline(t), s.cfg.Name); err != nil {
		t.Fatal(err)
	}
	if err := p.Send(deadline(t), msgs[10:20]); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(deadline(t), 20); !errors.Is(err, ErrUnsure) || !strings.Contains(err.Error(), "503") {
		t.Fatalf("publishing without a stream: %v, want ErrUnsure and 503", err)
	}
	openApp(t, s.conn, s.cfg.App)
	deliver(t, s, p, msgs[10:], 10)
	exactly(t, s, msgs[10:])
}
