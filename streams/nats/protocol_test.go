package nats

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nudge/streams"
)

func marker(t *testing.T, url string) {
	s := open(t, connect(t, Config{URL: url}))
	ctx := deadline(t)
	if _, seq, ok, err := s.LastMarker(ctx); seq != 0 || ok || err != nil {
		t.Fatalf("the marker of an empty stream: sequence %d, %v, %v", seq, ok, err)
	}
	m := streams.Marker{
		Epoch: 1, JournalID: "j", EntryHash: 1<<64 - 1, Owner: "a", LeaseMS: 10_000, Written: 1_700_000_000_000, Floor: 7,
		Offsets: map[string]map[int32]int64{"clickstream": {0: 5, 1: 9}},
	}
	seq, err := s.WriteMarker(ctx, m, 0)
	if err != nil {
		t.Fatal(err)
	}
	for m.Epoch = 2; m.Epoch < 2+2*markerHistory; m.Epoch++ {
		next, err := s.WriteMarker(ctx, m, seq)
		if err != nil {
			t.Fatal(err)
		}
		if next <= seq {
			t.Fatalf("marker of epoch %d has sequence %d after %d", m.Epoch, next, seq)
		}
		seq = next
	}
	m.Epoch--
	got, at, ok, err := s.LastMarker(ctx)
	if err != nil || !ok || at != seq || !reflect.DeepEqual(got, m) {
		t.Errorf("last marker is %+v at %d (%v, %v), want %+v at %d", got, at, ok, err, m, seq)
	}

	theirs := m
	theirs.Owner = "b"
	if _, err := s.WriteMarker(ctx, theirs, seq-1); !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("a late writer got %v, want ErrFenced with the owner", err)
	}
	if _, err := s.WriteMarker(ctx, theirs, 0); !errors.Is(err, ErrFenced) {
		t.Errorf("a writer who saw no marker got %v, want ErrFenced", err)
	}
	if again, err := s.WriteMarker(ctx, m, seq-1); again != seq || err != nil {
		t.Errorf("the same marker again: sequence %d, %v; want %d", again, err, seq)
	}
}

func markerUnsure(t *testing.T, url string) {
	through := newProxy(t, host(t, url))
	s := open(t, connect(t, Config{URL: through.url(), AckTimeout: 200 * time.Millisecond}))
	ctx := deadline(t)
	m := streams.Marker{Epoch: 1, Owner: "a"}
	through.set(true, false)
	if _, err := s.WriteMarker(ctx, m, 0); !errors.Is(err, ErrUnsure) {
		t.Fatalf("writing a marker without an answer: %v, want ErrUnsure", err)
	}
	through.set(false, false)
	through.cut()
	for {
		seq, err := s.WriteMarker(ctx, m, 0)
		if err == nil {
			if seq != 1 {
				t.Errorf("the marker has sequence %d, want 1", seq)
			}
			return
		}
		if !errors.Is(err, ErrUnsure) && !errors.Is(err, ErrNotConnected) {
			t.Fatal(err)
		}
		if err := s.conn.WaitConnected(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// awkward users, each of whom must be one subject token and come back as it was.
var awkward = []string{
	"u-42", "a.b.c", "*", ">", "a b", "用户一", "$JS.API", "=2E", "a=b", "\x00\xff\r\n", "_INBOX.x", strings.Repeat("界", 42),
}

func userTokens(t *testing.T, url string) {
	s := open(t, connect(t, Config{URL: url}))
	p := publisher(t, s, 0)
	ctx := deadline(t)
	var msgs []streams.Message
	for i, user := range awkward {
		msgs = append(msgs, streams.Message{
			Subject: s.DecisionFilter("coupon", "cart", string(streams.EncodeToken(nil, user))), ID: fmt.Sprint(i), Data: []byte(user),
		})
	}
	deliver(t, s, p, msgs, 5)
	for i, user := range awkward {
		filter := s.DecisionFilter("", "", string(streams.EncodeToken(nil, user)))
		if n, err := s.Count(ctx, filter); n != 1 || err != nil {
			t.Errorf("%d messages for user %q (%v), want 1", n, user, err)
		}
		m, ok, err := s.Find(ctx, filter, fmt.Sprint(i))
		if err != nil || !ok {
			t.Fatalf("user %q is not found: %v", user, err)
		}
		token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		if back, err := streams.DecodeToken(token); back != user || err != nil {
			t.Errorf("user %q came back as %q (%v)", user, back, err)
		}
	}
}

func tailFindPurge(t *testing.T, url string) {
	s := open(t, connect(t, Config{URL: url}))
	p := publisher(t, s, 0)
	ctx := deadline(t)
	msgs := decisions(s, 0, 2050) // 100 users
	dead := streams.Message{Subject: s.prefix + "dead.clickstream.json", ID: "dead", Data: []byte("{}")}
	msgs = slices.Insert(msgs, 1000, dead)
	deliver(t, s, p, msgs[:2040], 100)

	tailed := make(chan uint64, len(msgs))
	tail := make(chan error, 1)
	go func() {
		tail <- s.Tail(ctx, s.DecisionFilter("recommendation", "", "u-47"), First, func(m Stored) error {
			tailed <- m.Seq
			if m.ID == msgs[2048].ID {
				return ErrStop
			}
			return nil
		})
	}()
	if err := p.Send(ctx, msgs[2040:]); err != nil {
		t.Fatal(err)
	}
	if err := <-tail; err != nil {
		t.Fatal(err)
	}
	if len(tailed) != 21 {
		t.Errorf("tailed %d decisions of the user, want 21", len(tailed))
	}

	seen := 0
	if err := s.Scan(ctx, s.DeadFilter("", ""), From{}, func(m Stored) error {
		seen++
		if m.Seq != 1001 || m.Time.IsZero() {
			t.Errorf("the dead letter is %+v, want sequence 1001 and a time", m)
		}
		return nil
	}); err != nil || seen != 1 {
		t.Errorf("scanned %d dead letters (%v), want 1", seen, err)
	}
	if m, ok, err := s.Find(ctx, s.DecisionFilter("", "", ""), msgs[2000].ID); !ok || m.Seq != 2001 || err != nil {
		t.Errorf("found %v %+v (%v), want sequence 2001", ok, m, err)
	}
	if _, ok, err := s.Find(ctx, s.DecisionFilter("", "", ""), "absent"); ok || err != nil {
		t.Errorf("found what is not there: %v", err)
	}

	one := s.DecisionFilter("", "", "u-47")
	if removed, err := s.Purge(ctx, one, s.DecisionFilter("", "", "u-49")); removed != 42 || err != nil {
		t.Errorf("purged %d (%v), want 42", removed, err)
	}
	if n, err := s.Count(ctx, one); n != 0 || err != nil {
		t.Errorf("%d left after the purge (%v), want 0", n, err)
	}
	// The chain goes on, also when the last message is gone, and for a reader who begins anew.
	if removed, err := s.Purge(ctx, s.DecisionFilter("", "", "")); removed != 2050-42 || err != nil {
		t.Errorf("purged %d (%v), want %d", removed, err, 2050-42)
	}
	if err := p.Send(ctx, decisions(s, 5000, 1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(ctx, p.Sent()); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, s); len(got) != 2 || got[0] != "dead" {
		t.Errorf("left are %v, want the dead letter and the last decision", got)
	}
}

func openAgain(t *testing.T, url string) {
	c := connect(t, Config{URL: url})
	s := open(t, c)
	ctx := deadline(t)
	reopen := func(change func(*StreamConfig)) error {
		cfg := s.cfg
		change(&cfg)
		_, err := c.OpenStream(ctx, cfg)
		return err
	}
	for _, good := range []struct {
		name   string
		change func(*StreamConfig)
	}{
		{"as it is", func(*StreamConfig) {}},
		{"longer window", func(c *StreamConfig) { c.Dedup = time.Minute }},
		{"shorter window", func(c *StreamConfig) { c.Dedup = time.Second }},
	} {
		if err := reopen(good.change); err != nil {
			t.Errorf("%s: %v", good.name, err)
		}
	}
	for _, bad := range []struct {
		name   string
		change func(*StreamConfig)
		want   string
	}{
		{"storage", func(c *StreamConfig) { c.Storage = Memory }, "storage is File, want Memory: back up"},
		{"replicas", func(c *StreamConfig) { c.Replicas = 3 }, "replicas are 1, want 3: nats stream edit"},
		{"less age", func(c *StreamConfig) { c.MaxAge = 48 * time.Hour }, "max age is 0s, want 48h0m0s"},
		{"less bytes", func(c *StreamConfig) { c.MaxBytes = 1 << 20 }, "max bytes is -1, want 1048576"},
		{"age below outage", func(c *StreamConfig) { c.MaxAge = time.Hour }, "below the outage of 24h0m0s"},
		{"app", func(c *StreamConfig) { c.App = "a.b" }, `app "a.b"`},
		{"unknown storage", func(c *StreamConfig) { c.Storage = "tape" }, `storage "tape": want "file" or "memory"`},
	} {
		if err := reopen(bad.change); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %q", bad.name, err, bad.want)
		}
	}

	stream, err := c.js.Stream(ctx, s.cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	foreign := stream.CachedInfo().Config
	foreign.Subjects = append(slices.Clone(foreign.Subjects), "foreign."+s.cfg.App)
	foreign.MaxMsgs = 5
	foreign.AllowDirect = false
	if _, err := c.js.UpdateStream(ctx, foreign); err != nil {
		t.Fatal(err)
	}
	err = reopen(func(*StreamConfig) {})
	for _, want := range []string{"foreign.", "max messages is 5"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a stream that was tampered with: %v, want %q", err, want)
		}
	}
	foreign.Subjects = foreign.Subjects[:len(foreign.Subjects)-2] // and one of ours is missing
	foreign.MaxMsgs = -1
	if _, err := c.js.UpdateStream(ctx, foreign); err != nil {
		t.Fatal(err)
	}
	if err := reopen(func(*StreamConfig) {}); err != nil {
		t.Fatal(err)
	}
	if info, err := stream.Info(ctx); err != nil || len(info.Config.Subjects) != 4 || !info.Config.AllowDirect {
		t.Errorf("after opening again: %+v (%v), want four subjects and direct access", info, err)
	}
}

func service(t *testing.T, url string) {
	node, asker := connect(t, Config{URL: url}), connect(t, Config{URL: url})
	app := open(t, node).cfg.App
	ctx := deadline(t)
	subject := APIGroup(app) + ".status"
	if _, err := asker.Request(ctx, subject, nil); !errors.Is(err, ErrNobody) {
		t.Errorf("asking nobody: %v, want ErrNobody", err)
	}
	svc, err := node.Serve(app, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.Handle("status", func(subject string, data []byte) ([]byte, error) {
		return append([]byte("hello "), data...), nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := svc.Handle("explain", func(string, []byte) ([]byte, error) {
		return nil, errors.New("no such decision")
	}); err != nil {
		t.Fatal(err)
	}
	const sides = 3
	var met sync.WaitGroup
	met.Add(sides)
	if err := svc.HandleMany("decide", sides, func(_ string, data []byte) ([]byte, error) {
		met.Done()
		met.Wait() // until all are being answered
		return data, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := svc.HandleMany("refuse", sides, func(_ string, data []byte) ([]byte, error) {
		return nil, fmt.Errorf("not %s", data)
	}); err != nil {
		t.Fatal(err)
	}
	if err := node.nc.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	var asked sync.WaitGroup
	for side := range sides {
		asked.Go(func() {
			want := strconv.Itoa(side)
			if got, err := asker.Request(ctx, APIGroup(app)+".decide", []byte(want)); string(got) != want || err != nil {
				t.Errorf("answered %q (%v), want %s", got, err, want)
			}
			for range 50 { // the race detector looks on
				if _, err := asker.Request(ctx, APIGroup(app)+".refuse", []byte(want)); err == nil || !strings.Contains(err.Error(), "not "+want) {
					t.Errorf("the error of a handler of many came as %v", err)
				}
			}
		})
	}
	asked.Wait()
	if got, err := asker.Request(ctx, subject, []byte("you")); string(got) != "hello you" || err != nil {
		t.Errorf("answered %q (%v), want hello you", got, err)
	}
	if _, err := asker.Request(ctx, APIGroup(app)+".explain", nil); err == nil || !strings.Contains(err.Error(), "no such decision") {
		t.Errorf("a handler's error came as %v", err)
	}
	if err := svc.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := asker.Request(ctx, subject, nil); !errors.Is(err, ErrNobody) {
		t.Errorf("asking a stopped service: %v, want ErrNobody", err)
	}
}

func TestRecent(t *testing.T) {
	for version, want := range map[string]bool{
		"2.11.0": true, "2.15.2": true, "3.0.0": true, "2.12.0-beta.1": true, "2.10.29": false, "1.99.0": false, "": false, "dev": false,
	} {
		if got := recent(version); got != want {
			t.Errorf("recent(%q) = %v, want %v", version, got, want)
		}
	}
}

func TestReconcileMarkerHistory(t *testing.T) {
	want := jetstream.StreamConfig{Name: "M", Subjects: []string{"m"}, Replicas: 1, MaxMsgsPerSubject: markerHistory}
	have := want
	have.MaxMsgsPerSubject = 1
	if _, _, err := reconcile(want, have); err == nil || !strings.Contains(err.Error(), "max messages per subject is 1, want 64") {
		t.Errorf("a marker stream that keeps one: %v", err)
	}
}

func TestParseAck(t *testing.T) {
	for _, c := range []struct {
		data, status string
		seq          uint64
		duplicate    bool
		fault        string
	}{
		{data: `{"stream":"NUDGE","seq":7}`, seq: 7},
		{data: `{"stream":"NUDGE", "seq":18446744073709551615}`, seq: 1<<64 - 1},
		{data: `{"stream":"NUDGE","seq":7,"duplicate": true}`, seq: 7, duplicate: true},
		{data: `{"stream":"NUDGE","seq":7,"duplicate":false}`, seq: 7},
		{data: `{"stream":"NUDGE","seq":7,"domain":"hub"}`, seq: 7},
		{data: `{"stream":"NUDGE","seq":0}`, fault: "no sequence"},
		{data: `{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"S","seq":0}`, fault: "maximum bytes exceeded"},
		{data: `{"stream":"S","seq":7,"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 9"}}`, fault: "wrong last sequence: 9"},
		{data: `nonsense`, fault: "invalid character"},
		{data: ``, fault: "unexpected end"},
		{status: "503", fault: "no stream"},
	} {
		seq, duplicate, err := parseAck([]byte(c.data), c.status)
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("parseAck(%s %s): %v, want %q", c.data, c.status, err, c.fault)
			}
		} else if seq != c.seq || duplicate != c.duplicate || err != nil {
			t.Errorf("parseAck(%s): %d %v %v, want %d %v", c.data, seq, duplicate, err, c.seq, c.duplicate)
		}
	}
}

func TestConnectWaits(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, dir, 0)
	url := srv.URL()
	srv.Close()

	told := make(chan string, 100)
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	ready := make(chan *Conn)
	go func() {
		c, err := Connect(ctx, Config{URL: url, Waiting: func(what string) { told <- what }}, nil)
		if err != nil {
			t.Error(err)
		}
		ready <- c
	}()
	if what := <-told; !strings.Contains(what, url) {
		t.Errorf("waits for %q, want the URL in it", what)
	}
	start(t, dir, port(t, url))
	c := <-ready
	if c == nil {
		return
	}
	defer c.Close()
	last := ""
	for len(told) > 0 {
		last = <-told
	}
	if last != "" {
		t.Errorf("still waits for %q", last)
	}

	expired, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := Connect(expired, Config{URL: "nats://secret:word@127.0.0.1:1"}, nil); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "word") {
		t.Errorf("connecting to nothing: %v, want the deadline and no password", err)
	}
}
