package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nudge/engine/node"
	"nudge/streams"
)

// asks are requests of a run of the crash tests, each made twice: of customers whom the log does not erase, since an id would be given again then, and
// of strangers.
func asks(run string) (all []string) {
	customers := lasting()
	for i := range 60 {
		who := fmt.Sprintf("stranger-%d", i%7)
		if i%3 > 0 {
			who = customers[i*7%len(customers)]
		}
		q := fmt.Sprintf(`{"id":"%s-%d","user":%q}`, run, i/2, who)
		all = append(all, q, q)
	}
	return all
}

// lasting are the known customers of the shop's records who are never erased.
var lasting = sync.OnceValue(func() (ids []string) {
	d := streams.NewDecoder(streams.Native)
	known := map[string]bool{}
	for _, r := range shopRecords() {
		var e streams.Event
		if f := d.Decode(&streams.Record{Key: r.Key, Value: r.Value}, &e); f != nil || e.User == "" {
			continue
		}
		if _, there := known[e.User]; !there {
			ids = append(ids, strings.Clone(e.User))
		}
		known[strings.Clone(e.User)] = known[e.User] || e.Type == streams.UserErased
	}
	kept := ids[:0]
	for _, id := range ids {
		if !known[id] {
			kept = append(kept, id)
		}
	}
	return kept
})

// asking runs a live node while f asks it, and ends it.
func asking(t *testing.T, spec nodeSpec, f func(n *node.Node)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	drain, stop := context.WithCancel(ctx)
	n, err := openNode(ctx, spec, nil, testLog())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(drain, ctx) }()
	f(n.Node)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// decide asks a node, and wants an answer.
func decide(t *testing.T, n *node.Node, request string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, err := n.Decide(ctx, []byte(request))
	if err != nil {
		t.Errorf("%s: %v", request, err)
	}
	return string(bytes.Join(append(a.Decisions, []byte(a.Why)), []byte("\n")))
}

// TestRequestKilled kills a node at each step between journalling a request and the acknowledgement of what it decided. The next run knows it: it
// answers what the stream holds, once.
func TestRequestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	b := startBrokers(t)
	for i, at := range []struct {
		step  string
		times int // the setup has an entry before it, and no message
	}{{"journal append", 2}, {"journal appended", 2}, {"publish", 1}, {"published", 1}} {
		app := fmt.Sprintf("asked%d", i)
		b.fill(t, app, nil)
		request := `{"id":"R-1","user":"u-42"}`
		spec := nodeSpec{Brokers: b, App: app, Dir: filepath.Join(t.TempDir(), "state"), Live: true, Stop: at.step, StopAt: at.times, Asks: []string{request}}
		if err := start(t, spec).Wait(); !killed(err) {
			t.Fatalf("%s: it was not reached: %v", at.step, err)
		}
		spec.Stop, spec.Asks = "", nil
		var answers []string
		asking(t, spec, func(n *node.Node) {
			for range 2 {
				answers = append(answers, decide(t, n, request))
			}
		})
		if answers[0] != answers[1] || !strings.Contains(answers[0], `"name":"welcome"`) {
			t.Errorf("%s: answered\n%s\nand then\n%s", at.step, answers[0], answers[1])
		}
		stored, _ := b.published(t, app)
		if all := slices.Collect(maps.Values(stored)); len(all) != 1 || answers[0] != all[0]+"\n" {
			t.Errorf("%s: the stream holds %v, answered was\n%s", at.step, stored, answers[0])
		}
		if r := replayJournal(t, b, app, spec.Dir, 1, 0); !maps.Equal(r.byID, stored) {
			t.Errorf("%s: the replay gives %v, the stream holds %v", at.step, r.byID, stored)
		}
	}
}

// TestRequestsAtOnce makes the same requests from several sides at once, before the node has begun to live and after.
func TestRequestsAtOnce(t *testing.T) {
	b := startBrokers(t)
	b.fill(t, "atonce", shopRecords()[:2000])
	spec := nodeSpec{Brokers: b, App: "atonce", Dir: filepath.Join(t.TempDir(), "state"), Live: true, EpochEvents: 100}
	const sides, each = 4, 20
	var answers [sides][each]string
	asking(t, spec, func(n *node.Node) {
		var all sync.WaitGroup
		for side := range sides {
			all.Go(func() {
				for i := range each {
					answers[side][i] = decide(t, n, fmt.Sprintf(`{"id":"R-%d","anon":"a-%d"}`, i, i%3))
				}
			})
		}
		all.Wait()
		var f *streams.Fault
		if _, err := n.Decide(t.Context(), []byte(`{"user":"u"}`)); !errors.As(err, &f) || f.Reason != streams.FaultField {
			t.Errorf("a request without an id: %v", err)
		}
		if _, err := n.Decide(t.Context(), []byte(`{"id":"R","user":"u","name":"home"}`)); !errors.As(err, &f) || !strings.Contains(f.Detail, `"props":{"name":"home"}`) {
			t.Errorf("a name beside the props: %v", err)
		}
	})
	for i := range each {
		for side := range sides {
			if a := answers[side][i]; a != answers[0][i] || !strings.Contains(a, fmt.Sprintf(`"cause":{"request":"R-%d"}`, i)) {
				t.Errorf("R-%d, side %d: answered\n%s\nside 0 was\n%s", i, side, a, answers[0][i])
			}
		}
	}
	stored, _ := b.published(t, "atonce") // fails for an id that is there twice
	r := replayJournal(t, b, "atonce", spec.Dir, 2, 0)
	if !maps.Equal(r.byID, stored) {
		t.Errorf("the replay gives %d messages, the stream holds %d", len(r.byID), len(stored))
	}
	if n := r.counts.Named["requests"]; n != each {
		t.Errorf("%d requests were journalled, want %d", n, each)
	}
	if _, err := node.New(node.Config{}).Decide(canceled(), []byte(`{}`)); err == nil {
		t.Error("a node that does not run has answered")
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
