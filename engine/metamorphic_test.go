package engine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"nudge/engine"
	"nudge/state"
	"nudge/streams"
)

// sideBySide runs shards on goroutines of their own.
func sideBySide(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// randomEpochs makes epochs of random events of few customers, so that they meet: merges, erasures, timers, grants, late and
// doubled events, idle partitions, ticks, pauses.
func randomEpochs(b *bench, r *rand.Rand, shards int) []func() *engine.Epoch {
	var epochs []func() *engine.Epoch
	at := 8 * 3600
	for number := range uint64(30 + r.IntN(30)) {
		entry := &engine.Entry{}
		var records []sent
		for range r.IntN(12) {
			at += r.IntN(100)
			input := []string{"clicks", "reviews"}[r.IntN(2)]
			user, anon := r.IntN(9), r.IntN(6)
			event, who, shard := at, fmt.Sprintf("u%d", user), user%shards
			if r.IntN(3) == 0 {
				who, shard = fmt.Sprintf("~a%d", anon), anon%shards
			}
			if r.IntN(8) == 0 {
				event -= r.IntN(7200)
			}
			var what string
			switch x := r.IntN(30); {
			case x < 4:
				what = fmt.Sprintf("arm name=t%d after=%ds", r.IntN(3), r.IntN(3000))
			case x < 5:
				what = fmt.Sprintf("disarm name=t%d", r.IntN(3))
			case x < 6:
				what = fmt.Sprintf("again name=x after=%ds", 60+r.IntN(1000))
			case x < 8:
				what = "ask cost=1"
			case x < 10 && who[0] == 'u':
				what = fmt.Sprintf("merged anon=a%d", anon)
			case x < 11:
				what = "erased"
			case x < 12:
				what = "garbage"
			case x < 17:
				what = fmt.Sprintf("visit after=%ds", r.IntN(3000))
			case x < 20:
				what = "tell"
			default:
				what = "say"
			}
			if r.IntN(8) == 0 {
				what += fmt.Sprintf(" id=%d", r.IntN(20))
			}
			records = append(records, b.record(fmt.Sprintf("%s/%d %s %s %s append=%s", input, shard, hms(event), who, what, hms(at))))
		}
		for input := range 2 {
			for id := range int32(shards) {
				if r.IntN(2) == 0 {
					entry.Idle = append(entry.Idle, engine.Partition{Input: input, ID: id})
				}
			}
		}
		if r.IntN(6) == 0 {
			entry.Ticks = append(entry.Ticks, engine.Tick{Shard: r.IntN(shards), AheadMS: int64(r.IntN(600_000))})
		}
		if r.IntN(10) == 0 {
			entry.Commands = append(entry.Commands, engine.Command{Kind: []string{"pause", "resume"}[r.IntN(2)], Name: "said"})
		}
		if r.IntN(25) == 0 {
			entry.Commands = append(entry.Commands, engine.Command{Kind: engine.CommandFlush})
		}
		epochs = append(epochs, func() *engine.Epoch {
			e := *entry
			return epoch(&b.cfg, number+1, &e, records)
		})
	}
	return epochs
}

func hms(seconds int) string {
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// text is all that an epoch put out.
func text(o *engine.Output) string {
	var s strings.Builder
	for _, m := range o.Messages {
		fmt.Fprintf(&s, "%s %s %s %v\n", m.Subject, m.ID, m.Data, m.TTL)
	}
	for _, x := range o.Results {
		fmt.Fprintf(&s, "%d %s %s\n", x.Output, x.Key, x.Value)
	}
	fmt.Fprintf(&s, "%q %+v %v\n", o.Erased, o.Counts, o.Flushed)
	return s.String()
}

// TestSameEpochsSameBytes folds the same epochs plainly, and with a cache for nobody, shards side by side, checkpoints that are
// drained while the fold goes on, that fail, and crashes after which the last complete one is gone on from. All must put out
// the same bytes and end in the same state. NUDGE_RUNS=n makes n runs of it, 6 by default.
func TestSameEpochsSameBytes(t *testing.T) {
	runs := 6
	if s := os.Getenv("NUDGE_RUNS"); s != "" {
		var err error
		if runs, err = strconv.Atoi(s); err != nil {
			t.Fatalf("NUDGE_RUNS: %v", err)
		}
	}
	for seed := range uint64(runs) {
		r := rand.New(rand.NewPCG(seed, 77))
		shards := 1 + r.IntN(4)
		b := &bench{t: t, next: map[engine.Partition]int64{}, who: map[string]bool{}}
		b.cfg = engine.Config{App: "t", Definition: []byte("d"), KeepLateMS: int64(r.IntN(2)) * 3600_000, LatenessMS: int64(r.IntN(2)) * 60_000, RememberedIDs: r.IntN(5),
			ForgetAfterMS: int64(r.IntN(2)) * 1800_000, CacheBytes: 1 << 20, Parallel: serial, ActOnStale: true}
		for i, name := range topics {
			n, catalog := shards, i == 2
			if catalog {
				n = 1
			}
			b.cfg.Inputs = append(b.cfg.Inputs, engine.Input{Topic: engine.Topic{Topic: name, Partitions: n, Catalog: catalog, LogAppendTime: true},
				NewDecoder: func() *streams.Decoder { return streams.NewDecoder(streams.Native) }})
		}
		epochs := randomEpochs(b, r, shards)

		var want []string
		store, e := open(t, t.TempDir(), b.cfg)
		for _, ep := range epochs {
			o := fold(t, e, ep())
			want = append(want, text(o))
			e.Release(o)
		}
		wantHash := checkpointHash(t, store, e)
		store.Close()

		cfg := b.cfg
		cfg.CacheBytes, cfg.Parallel = 1, sideBySide
		dir := t.TempDir()
		store, e = open(t, dir, cfg)
		var to *state.Checkpoint
		for i := 0; i < len(epochs); i++ {
			o := fold(t, e, epochs[i]())
			if got := text(o); got != want[i] {
				t.Fatalf("seed %d: epoch %d of %d is\n%s\nplainly folded it is\n%s", seed, i+1, len(epochs), got, want[i])
			}
			e.Release(o)
			if to == nil && r.IntN(3) == 0 {
				var err error
				if to, err = store.Begin(); err != nil {
					t.Fatal(err)
				}
				e.BeginCheckpoint(to, "j", uint64(i))
			}
			if to != nil {
				done, err := e.DrainCheckpoint(1 + r.IntN(8))
				if err != nil {
					t.Fatal(err)
				}
				if done && r.IntN(4) == 0 {
					to.Abort()
					e.EndCheckpoint(false)
					to = nil
				} else if done && r.IntN(2) == 0 {
					if _, err := to.Complete(e.CheckpointMeta()); err != nil {
						t.Fatal(err)
					}
					e.EndCheckpoint(true)
					to = nil
				}
			}
			if r.IntN(10) == 0 { // a crash: go on from the last complete checkpoint
				to = nil
				store.Close()
				store, e = open(t, dir, cfg)
				i = int(e.Number()) - 1
			}
		}
		if to != nil {
			to.Abort()
			e.EndCheckpoint(false)
		}
		if got := checkpointHash(t, store, e); got != wantHash {
			t.Fatalf("seed %d: the state differs after checkpoints and crashes", seed)
		}
		store.Close()
	}
}

// checkpointHash takes a checkpoint and returns the hash of all rows.
func checkpointHash(t *testing.T, store *state.Store, e *engine.Engine) uint64 {
	t.Helper()
	to, err := store.Begin()
	if err != nil {
		t.Fatal(err)
	}
	e.BeginCheckpoint(to, "j", 0)
	for done := false; !done; {
		if done, err = e.DrainCheckpoint(1000); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := to.Complete(e.CheckpointMeta()); err != nil {
		t.Fatal(err)
	}
	e.EndCheckpoint(true)
	hash, _, _, err := store.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return hash
}
