package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nudge/deploy"
	"nudge/engine"
	"nudge/state"
	"nudge/streams/embedded"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"nudge": main}) }

// TestScripts runs testdata/*.txtar. Run one with go test ./cmd/nudge -run TestScripts/NAME. Beside testscript's own there are
// the commands
//
//	exits CODE COMMAND...   run it and expect that exit code
//	fetch STATUS URL        get it until it has that status, for 10 s; its body is what stdout looks at
//	brokers                 start an embedded Kafka and NATS, whose addresses are then $KAFKA and $NATS
//	awaits FILE REGEXP      wait until a line of the file matches, for 2 minutes: for what a command in the background writes
//	interrupt DIR PIPELINE  leave a state folder as a rebuild for the pipeline does that ends between journal and checkpoint
//	edit FILE OLD NEW       replace the first OLD in the file
//	insert FILE LINE OTHER  put what OTHER holds behind the first such line of the file; at its end where there is none
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("HTTP", free.Addr().String()) // free a moment ago: good enough for one script
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv("NOW", time.Now().UTC().Format(time.RFC3339))
			return errors.Join(free.Close(), os.WriteFile(filepath.Join(env.WorkDir, "shop.yaml"), deploy.Shop, 0o644), os.CopyFS(env.WorkDir, deploy.Examples),
				os.CopyFS(env.WorkDir, deploy.Bench))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "fetch": fetch, "awaits": awaits, "brokers": brokers, "edit": edit, "insert": insert, "sums": sums, "interrupt": interrupt,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("%q exited with %d, want %d\n[stdout]\n%s[stderr]\n%s", args[1:], code, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// sums wants the sums of a feature over two files of windows to be the same, and no window twice in either.
func sums(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sums FILE FILE FEATURE")
	}
	var totals [2]float64
	for i, name := range args[:2] {
		seen := map[string]bool{}
		for line := range strings.Lines(ts.ReadFile(name)) {
			var w struct {
				User, Anon, Start, Window string
				Features                  map[string]float64
			}
			ts.Check(json.Unmarshal([]byte(line), &w))
			if key := w.User + "|" + w.Anon + "|" + w.Window + "|" + w.Start; seen[key] {
				ts.Fatalf("%s: %s is there twice", name, key)
			} else {
				seen[key] = true
			}
			totals[i] += w.Features[args[2]]
		}
	}
	if totals[0] != totals[1] || totals[0] == 0 {
		ts.Fatalf("%s: %v, %s: %v", args[0], totals[0], args[1], totals[1])
	}
}

func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fetch STATUS URL")
	}
	var body []byte
	got := ""
	for tries := 0; got != args[0] && tries < 200; tries++ { // a node takes its time to be ready
		if tries > 0 {
			<-time.After(50 * time.Millisecond)
		}
		r, err := http.Get(args[1])
		if err != nil {
			got = err.Error()
			continue
		}
		body, err = io.ReadAll(r.Body)
		ts.Check(errors.Join(err, r.Body.Close()))
		got = strconv.Itoa(r.StatusCode)
	}
	fmt.Fprintf(ts.Stdout(), "%s", body)
	if got != args[0] {
		ts.Fatalf("%s answered %s, want %s:\n%s", args[1], got, args[0], body)
	}
}

func awaits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: awaits FILE REGEXP")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	var text []byte
	for range 2400 {
		if text, err = os.ReadFile(ts.MkAbs(args[0])); err == nil && want.Match(text) {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	ts.Fatalf("no match for %q in %s (%v):\n%s", args[1], args[0], err, text)
}

func brokers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: brokers")
	}
	kafka, err := embedded.StartKafka(ts.MkAbs("brokers/kafka"), 0, nil)
	ts.Check(err)
	ts.Defer(kafka.Close)
	nats, err := embedded.StartNATS(ts.MkAbs("brokers/nats"), 0, nil)
	ts.Check(err)
	ts.Defer(nats.Close)
	ts.Setenv("KAFKA", kafka.Addr())
	ts.Setenv("NATS", nats.URL())
}

func edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	before, after, ok := strings.Cut(text, args[1])
	if !ok {
		ts.Fatalf("%s does not hold %q:\n%s", args[0], args[1], text)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(before+args[2]+after), 0o644))
}

func insert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: insert FILE LINE OTHER")
	}
	text, other := ts.ReadFile(args[0]), ts.ReadFile(args[2])
	before, after, ok := strings.Cut("\n"+text, "\n"+args[1]+"\n")
	if ok {
		text = before[min(1, len(before)):] + "\n" + args[1] + "\n" + other + after
	} else {
		text += args[1] + "\n" + other
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: interrupt DIR PIPELINE")
	}
	store, err := state.Open(ts.MkAbs(args[0]), state.Options{App: "rebuilt"})
	ts.Check(err)
	meta, err := engine.ReadMeta(store.Meta())
	ts.Check(err)
	journal, err := store.OpenJournal(state.JournalHeader{App: "rebuilt", Build: build(), CPU: runtime.GOARCH}, state.JournalOptions{})
	ts.Check(err)
	setup := meta.Setup
	setup.Definition = []byte(ts.ReadFile(args[1]))
	entry := engine.Entry{ArrivalMS: meta.ArrivalMS, Setup: &setup, Commands: []engine.Command{{Kind: engine.CommandRebuilt}}}
	_, _, err = journal.Append(entry.AppendBinary(nil))
	ts.Check(errors.Join(err, journal.Close(), store.Close()))
}
