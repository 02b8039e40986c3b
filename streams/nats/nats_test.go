package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nudge/streams"
	"nudge/streams/embedded"
)

// scenarios hold for every server.
var scenarios = []struct {
	name string
	run  func(t *testing.T, url string)
}{
	{"publish and read", publishAndRead},
	{"messages that can't be sent", unsendable},
	{"window blocks", windowBlocks},
	{"unread stream is refused", unreadIsRefused},
	{"second publisher breaks the chain", secondPublisher},
	{"foreign message in the middle", foreignMessage},
	{"acknowledgements are lost", acksAreLost},
	{"late bytes of a dead connection", lateBytes},
	{"connection cut again and again", cutAgainAndAgain},
	{"marker", marker},
	{"marker whose acknowledgement was lost", markerUnsure},
	{"user tokens", userTokens},
	{"tail, find, count, purge", tailFindPurge},
	{"open again", openAgain},
	{"service", service},
}

func TestEmbedded(t *testing.T) {
	srv := start(t, t.TempDir(), 0)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { s.run(t, srv.URL()) })
	}
}

func TestReal(t *testing.T) {
	url := os.Getenv("NUDGE_TEST_NATS")
	if url == "" {
		t.Skip("set NUDGE_TEST_NATS=nats://host:port of a nats-server 2.11 or newer with JetStream to run the scenarios against it")
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { s.run(t, url) })
	}
}

func start(t testing.TB, dir string, port int) *embedded.NATS {
	t.Helper()
	srv, err := embedded.StartNATS(dir, port, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, cfg Config) *Conn {
	t.Helper()
	c, err := Connect(deadline(t), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// open opens a stream of an app that no other test has, and removes it at the end.
func open(t testing.TB, c *Conn) *Stream {
	t.Helper()
	return openApp(t, c, fmt.Sprintf("test-%x", rand.Uint64()))
}

func openApp(t testing.TB, c *Conn, app string) *Stream {
	t.Helper()
	s, err := c.OpenStream(deadline(t), StreamConfig{App: app, Dedup: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if os.Getenv("NUDGE_TEST_NATS") == "" {
			return // an embedded server goes with its folder
		}
		for _, name := range []string{s.cfg.Name, s.markerStream} {
			c.js.DeleteStream(context.Background(), name) // a left-over disturbs nobody
		}
	})
	return s
}

func publisher(t testing.TB, s *Stream, window int) *Publisher {
	t.Helper()
	p, err := s.Publisher(window)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// decisions makes n messages with ids from first.
func decisions(s *Stream, first, n int) []streams.Message {
	msgs := make([]streams.Message, n)
	for i := range msgs {
		id := fmt.Sprintf("%s.clickstream-0-%d.home.0", s.cfg.App, first+i)
		msgs[i] = streams.Message{
			Subject: fmt.Sprintf("%sdecisions.recommendation.home.u-%d", s.prefix, (first+i)%100),
			ID:      id,
			Data:    []byte(`{"v":1,"id":"` + id + `"}`),
			TTL:     time.Hour,
		}
	}
	return msgs
}

// ids reads the whole stream.
func ids(t testing.TB, s *Stream) (ids []string) {
	t.Helper()
	err := s.Read(deadline(t), 0, func(_ uint64, _, id string, _ []byte) error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// exactly fails unless the stream holds the messages, each once, in order.
func exactly(t testing.TB, s *Stream, msgs []streams.Message) {
	t.Helper()
	have := ids(t, s)
	want := make([]string, len(msgs))
	for i, m := range msgs {
		want[i] = m.ID
	}
	if !slices.Equal(have, want) {
		t.Fatalf("the stream holds %d messages, want %d; first difference at %d", len(have), len(want), difference(have, want))
	}
}

func difference(a, b []string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// deliver does what a node does: it sends, and when it is unsure it reads the stream and sends what is missing.
func deliver(t testing.TB, s *Stream, p *Publisher, msgs []streams.Message, batch int) (unsure int) {
	t.Helper()
	return disturbed(t, s, p, msgs, batch, func() {})
}

// disturbed delivers while disturb is called after every batch.
func disturbed(t testing.TB, s *Stream, p *Publisher, msgs []streams.Message, batch int, disturb func()) (unsure int) {
	t.Helper()
	ctx := deadline(t)
	stored := map[string]bool{}
	rest := msgs
	for {
		err := func() error {
			if err := p.Err(); err != nil {
				return err
			}
			for some := range slices.Chunk(rest, batch) {
				if err := p.Send(ctx, some); err != nil {
					return err
				}
				disturb()
			}
			return p.Wait(ctx, p.Sent())
		}()
		if err == nil {
			return unsure
		}
		if !errors.Is(err, ErrUnsure) {
			t.Fatal(err)
		}
		unsure++
		for {
			if err := s.conn.WaitConnected(ctx); err != nil {
				t.Fatal(err)
			}
			clear(stored)
			err := s.Read(ctx, 0, func(_ uint64, _, id string, _ []byte) error {
				stored[id] = true
				return nil
			})
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
		p.Reset()
		rest = nil
		for _, m := range msgs {
			if !stored[m.ID] {
				rest = append(rest, m)
			}
		}
	}
}

func publishAndRead(t *testing.T, url string) {
	c := connect(t, Config{URL: url})
	s := open(t, c)
	p := publisher(t, s, 0)
	ctx := deadline(t)
	msgs := decisions(s, 0, 2500)
	msgs[0].TTL = 0
	msgs[1].TTL = 48*time.Hour + time.Millisecond
	msgs[1].Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if err := p.Send(ctx, msgs[:1000]); err != nil {
		t.Fatal(err)
	}
	if err := p.Send(ctx, msgs[1000:]); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(ctx, 2500); err != nil {
		t.Fatal(err)
	}
	<-p.Notify()
	if n, seq := p.Acked(); n != 2500 || seq != 2500 {
		t.Errorf("acked %d up to sequence %d, want 2500 and 2500", n, seq)
	}
	exactly(t, s, msgs)

	seqs := []uint64{}
	if err := s.Read(ctx, 2499, func(seq uint64, subject, id string, data []byte) error {
		m := msgs[seq-1]
		if subject != m.Subject || id != m.ID || string(data) != string(m.Data) {
			t.Errorf("sequence %d is %s %s %s, want %+v", seq, subject, id, data, m)
		}
		seqs = append(seqs, seq)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seqs, []uint64{2499, 2500}) {
		t.Errorf("read %v from 2499, want 2499 and 2500", seqs)
	}

	for i, want := range []string{"", "172801", "86400"} {
		stream, err := c.js.Stream(ctx, s.cfg.Name)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := stream.GetMsg(ctx, uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if got := raw.Header.Get("Nats-TTL"); got != want {
			t.Errorf("message %d has Nats-TTL %q, want %q", i, got, want)
		}
		if got := raw.Header.Get("traceparent"); got != msgs[i].Trace {
			t.Errorf("message %d has traceparent %q, want %q", i, got, msgs[i].Trace)
		}
	}
}

func unsendable(t *testing.T, url string) {
	s := open(t, connect(t, Config{URL: url}))
	p := publisher(t, s, 0)
	msgs := decisions(s, 0, 10)
	for _, bad := range []struct {
		name string
		m    streams.Message
		want string
	}{
		{"space", streams.Message{Subject: s.prefix + "decisions.a b", ID: "x"}, "want no space"},
		{"line", streams.Message{Subject: s.prefix + "decisions.a\r\nPING", ID: "x"}, "want no space"},
		{"no subject", streams.Message{ID: "x"}, "subject is empty"},
		{"no id", streams.Message{Subject: msgs[0].Subject}, "has no id"},
		{"too large", streams.Message{Subject: msgs[0].Subject, ID: "x", Data: make([]byte, s.conn.nc.MaxPayload())}, "max_payload"},
	} {
		err := p.Send(deadline(t), append(msgs[:3:3], bad.m))
		if err == nil || errors.Is(err, ErrUnsure) || !strings.Contains(err.Error(), bad.want) || p.Sent() != 0 {
			t.Errorf("%s: %v and %d sent, want %q and none", bad.name, err, p.Sent(), bad.want)
		}
	}
	deliver(t, s, p, msgs, 10)
	exactly(t, s, msgs)
}

func windowBlocks(t *testing.T, url string) {
	through := newProxy(t, host(t, url))
	c := connect(t, Config{URL: through.url()})
	s := open(t, c)
	p := publisher(t, s, 10)
	msgs := decisions(s, 0, 11)
	through.set(true, false)
	ctx, cancel := context.WithTimeout(deadline(t), 100*time.Millisecond)
	defer cancel()
	if err := p.Send(ctx, msgs); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("sending 11 messages with a window of 10 and no acknowledgements: %v, want the deadline", err)
	}
	if n := p.Sent(); n != 10 {
		t.Errorf("%d sent, want 10", n)
	}
	through.set(false, false)
	through.cut()
	fails(t, p)
	deliver(t, s, p, msgs, 11)
	exactly(t, s, msgs)
}

func unreadIsRefused(t *testing.T, url string) {
	c := connect(t, Config{URL: url})
	s := open(t, c)
	msgs := decisions(s, 0, 20)
	deliver(t, s, publisher(t, s, 0), msgs[:10], 10)

	again := openApp(t, c, s.cfg.App)
	p := publisher(t, again, 0)
	if err := p.Send(deadline(t), msgs[10:]); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(deadline(t), 1); !errors.Is(err, ErrUnsure) {
		t.Fatalf("publishing to a stream that was not read: %v, want ErrUnsure", err)
	}
	deliver(t, again, p, msgs, 10)
	exactly(t, s, msgs)
}

// foreignMessage puts a message of someone else between two of one chunk: the one it displaces is refused, and as many
// are stored as expected.
func foreignMessage(t *testing.T, url string) {
	through := newProxy(t, host(t, url))
	s := open(t, connect(t, Config{URL: through.url()}))
	p := publisher(t, s, 0)
	ctx := deadline(t)
	msgs := decisions(s, 0, 100)
	deliver(t, s, p, msgs[:10], 10)
	beside := connect(t, Config{URL: url})
	through.holdAfter(4000) // some 15 messages
	if err := p.Send(ctx, msgs[10:10+chunkMessages]); err != nil {
		t.Fatal(err)
	}
	<-through.held
	if _, err := beside.js.Publish(ctx, s.DecisionFilter("coupon", "x", "y"), nil); err != nil {
		t.Fatal(err)
	}
	through.set(false, false)
	fails(t, p)
	deliver(t, s, p, msgs, 10)
	ours := slices.DeleteFunc(ids(t, s), func(id string) bool { return id == "" })
	slices.Sort(ours)
	if unique := slices.Compact(slices.Clone(ours)); len(unique) != len(msgs) || len(ours) != len(msgs) {
		t.Errorf("%d messages with %d ids are stored, want %d", len(ours), len(unique), len(msgs))
	}
}

func secondPublisher(t *testing.T, url string) {
	s := open(t, connect(t, Config{URL: url}))
	first := publisher(t, s, 0)
	msgs := decisions(s, 0, 300)
	deliver(t, s, first, msgs[:100], 100)

	other := openApp(t, connect(t, Config{URL: url}), s.cfg.App)
	deliver(t, other, publisher(t, other, 0), msgs[:200], 100)

	if unsure := deliver(t, s, first, msgs, 300); unsure == 0 {
		t.Error("the first publisher did not notice the second")
	}
	exactly(t, s, msgs)
}

func acksAreLost(t *testing.T, url string) {
	through := newProxy(t, host(t, url))
	s := open(t, connect(t, Config{URL: through.url(), AckTimeout: 200 * time.Millisecond}))
	p := publisher(t, s, 0)
	ctx := deadline(t)
	msgs := decisions(s, 0, 1000)
	deliver(t, s, p, msgs[:300], 100)
	through.set(true, false)
	if err := p.Send(ctx, msgs[300:600]); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(ctx, 600); !errors.Is(err, ErrUnsure) || !strings.Contains(err.Error(), "no acknowledgement") {
		t.Fatalf("waiting for acknowledgements that don't come: %v, want ErrUnsure", err)
	}
	if err := p.Send(ctx, msgs[600:]); !errors.Is(err, ErrUnsure) {
		t.Fatalf("sending while unsure: %v, want ErrUnsure", err)
	}
	if n, seq := p.Acked(); n != 300 || seq != 300 {
		t.Errorf("acked %d up to %d, want 300", n, seq)
	}
	through.set(false, false)
	through.cut()
	deliver(t, s, p, msgs, 100)
	exactly(t, s, msgs)
}

// lateBytes is the case that a de-duplication window alone would have to catch: messages reach the server after the
// node has read the stream and sent them again.
func lateBytes(t *testing.T, url string) {
	through := newProxy(t, host(t, url))
	s := open(t, connect(t, Config{URL: through.url(), AckTimeout: 200 * time.Millisecond}))
	p := publisher(t, s, 0)
	ctx := deadline(t)
	msgs := decisions(s, 0, 400)
	deliver(t, s, p, msgs[:100], 100)

	through.set(false, true)
	if err := p.Send(ctx, msgs[100:300]); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(ctx, 300); !errors.Is(err, ErrUnsure) {
		t.Fatalf("waiting for what was held back: %v, want ErrUnsure", err)
	}
	// Another node finishes the job beside the proxy.
	other := openApp(t, connect(t, Config{URL: url}), s.cfg.App)
	q := publisher(t, other, 0)
	deliver(t, other, q, msgs[:300], 100)
	forgotten(t, other)
	// Now the bytes arrive. Flush returns when the server has read them; the next message queues up behind.
	through.set(false, false)
	if err := s.conn.nc.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	if err := q.Send(ctx, msgs[300:]); err != nil {
		t.Fatal(err)
	}
	if err := q.Wait(ctx, q.Sent()); err != nil {
		t.Fatal(err)
	}
	exactly(t, other, msgs)
	deliver(t, s, p, msgs, 100)
	exactly(t, s, msgs)
}

// forgotten returns when the de-duplication window of the stream has passed: when another stream with the same window
// takes an id for the second time.
func forgotten(t *testing.T, s *Stream) {
	t.Helper()
	ctx := deadline(t)
	name := s.cfg.Name + "_PROBE"
	probe := "probe." + s.cfg.App
	if _, err := s.conn.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{probe}, Duplicates: s.cfg.Dedup, Storage: jetstream.MemoryStorage,
	}); err != nil {
		t.Fatal(err)
	}
	defer s.conn.js.DeleteStream(ctx, name)
	for range 2 {
		for {
			ack, err := s.conn.js.Publish(ctx, probe, nil, jetstream.WithMsgID("probe"))
			if err != nil {
				t.Fatal(err)
			}
			if !ack.Duplicate {
				break
			}
		}
	}
}

// fails waits until the publisher is unsure.
func fails(t *testing.T, p *Publisher) {
	t.Helper()
	if err := p.Wait(deadline(t), p.Sent()); !errors.Is(err, ErrUnsure) {
		t.Fatalf("the publisher says %v, want ErrUnsure", err)
	}
}

func cutAgainAndAgain(t *testing.T, url string) {
	through := newProxy(t, host(t, url))
	s := open(t, connect(t, Config{URL: through.url(), AckTimeout: 300 * time.Millisecond}))
	p := publisher(t, s, 1000)
	msgs := decisions(s, 0, 10_000)
	batch := 0
	unsure := disturbed(t, s, p, msgs, 250, func() {
		if batch++; batch%7 == 0 && batch < 70 {
			through.set(batch%2 == 0, false)
			through.cut()
			through.set(false, false)
		}
	})
	exactly(t, s, msgs)
	t.Logf("unsure %d times", unsure)
}

func host(t *testing.T, of string) string {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
