package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// childDir, set in the environment, makes the test binary write to that state folder until it is killed.
const childDir = "NUDGE_STATE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const crashKeys = 1200

// crashRow says what checkpoint n does to a key: every checkpoint touches another half of them.
func crashRow(n, i int) (key, val string, touched, deleted bool) {
	r := rand.New(rand.NewPCG(uint64(n), uint64(i)))
	key = string(Key('k', uint16(i%4), fmt.Sprint("user-", i)))
	switch r.IntN(8) {
	case 0:
		return key, "", true, true
	case 1, 2, 3:
		return key, fmt.Sprint(n, " ", strings.Repeat("v", r.IntN(4000))), true, false
	}
	return key, "", false, false
}

// crashRows is what the store must hold after checkpoint n.
func crashRows(n int) map[string]string {
	rows := map[string]string{}
	for c := 1; c <= n; c++ {
		for i := range crashKeys {
			key, val, touched, deleted := crashRow(c, i)
			switch {
			case deleted:
				delete(rows, key)
			case touched:
				rows[key] = val
			}
		}
	}
	return rows
}

func crashPayload(epoch uint64) []byte {
	return bytes.Repeat(strconv.AppendUint(nil, epoch, 10), 1+int(epoch*7919%300))
}

// child writes checkpoints and journal entries for ever and tells each step on standard output.
func child(dir string) error {
	o := small
	o.BacklogBytes = 4 << 20
	s, err := Open(dir, o)
	if err != nil {
		return err
	}
	n := 0
	if !s.Empty() {
		if n, err = strconv.Atoi(string(s.Meta())); err != nil {
			return err
		}
	}
	j, err := s.OpenJournal(shopJournal, JournalOptions{SegmentBytes: 100_000})
	if err != nil {
		return err
	}
	for {
		n++
		c, err := s.Begin()
		if err != nil {
			return err
		}
		for i := range crashKeys {
			key, val, touched, deleted := crashRow(n, i)
			switch {
			case deleted:
				c.Delete([]byte(key))
			case touched:
				c.Put([]byte(key), []byte(val))
			}
			if i%50 == 0 {
				last, _ := j.Last()
				if _, _, err := j.Append(crashPayload(last + 1)); err != nil {
					return err
				}
			}
			if i%250 == 0 {
				if err := j.Sync(); err != nil {
					return err
				}
				fmt.Println("synced", j.Synced())
			}
		}
		fmt.Println("completing", n)
		if _, err := c.Complete(strconv.AppendInt(nil, int64(n), 10)); err != nil {
			return err
		}
		fmt.Println("complete", n)
		if _, err := j.Trim(j.Synced() - min(j.Synced(), 1000)); err != nil {
			return err
		}
	}
}

// runAndKill starts the child and kills it -9 once it has told of so many steps. It returns the last numbers told.
func runAndKill(t *testing.T, dir string, steps int) (complete int, synced uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	told := func() {
		what, number, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "complete":
			complete, err = strconv.Atoi(number)
		case "synced":
			synced, err = strconv.ParseUint(number, 10, 64)
		}
		if err != nil {
			t.Fatalf("the child told %q: %v", lines.Text(), err)
		}
	}
	for ; steps > 0 && lines.Scan(); steps-- {
		told()
	}
	if steps > 0 {
		t.Fatalf("the child ended by itself: %v\n%s", cmd.Wait(), talk.String())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what it told before it died
		told()
	}
	io.Copy(io.Discard, out)
	cmd.Wait()
	return complete, synced
}

// A process killed -9 anywhere loses nothing that it was told is complete or synced.
func TestKill(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 11))
	lastComplete := 0
	for round := range rounds {
		told, synced := runAndKill(t, dir, 1+r.IntN(25))
		s := open(t, dir)
		n := 0
		if !s.Empty() {
			var err error
			if n, err = strconv.Atoi(string(s.Meta())); err != nil {
				t.Fatal(err)
			}
		}
		if told = max(told, lastComplete); n < told || n > told+1 {
			t.Fatalf("round %d: checkpoint %d was told complete, the store is at %d", round, told, n)
		}
		lastComplete = n
		wantRows(t, s, crashRows(n))
		j, err := s.OpenJournal(shopJournal, JournalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if last, _ := j.Last(); last < synced {
			t.Fatalf("round %d: epoch %d was told synced, the journal ends at %d", round, synced, last)
		}
		err = j.Read(j.First(), func(epoch, _ uint64, p []byte) error {
			if !bytes.Equal(p, crashPayload(epoch)) {
				return fmt.Errorf("epoch %d holds %.40q", epoch, p)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		closeJournal(t, j)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d checkpoints", rounds, lastComplete)
}

// used returns b without its trailing zeros, of which Badger's logs have many.
func used(b []byte) []byte {
	zeros := make([]byte, 4096)
	for len(b) >= len(zeros) && bytes.Equal(b[len(b)-len(zeros):], zeros) {
		b = b[:len(b)-len(zeros)]
	}
	return bytes.TrimRight(b, "\x00")
}

// writeSparse writes a file with a hole for its trailing zeros.
func writeSparse(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, used(b), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

// copyFolder copies a state folder as a kill would leave it.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		writeSparse(t, target, b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tearLog damages the end of a file as a power cut may: cut short, or the end never written.
func tearLog(t *testing.T, r *rand.Rand, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(used(b))
	// Often a little, sometimes much.
	at := max(0, end-1-r.IntN(1+end>>r.IntN(8)))
	switch r.IntN(3) {
	case 0:
		b = b[:at]
	case 1:
		clear(b[at:])
	default:
		for i := at; i < min(end, at+512); i++ {
			b[i] = byte(r.Uint32())
		}
	}
	writeSparse(t, path, b)
	return fmt.Sprintf("%s: torn at %d of %d used bytes", filepath.Base(path), at, end)
}

// The store's last log torn at a random place: the store opens at the last checkpoint or the one before, whole, or says
// that it can't; and a checkpoint upon it is whole as well.
func TestTornStore(t *testing.T) {
	runs := 50
	if testing.Short() {
		runs = 10
	}
	base := t.TempDir()
	runAndKill(t, base, 34)
	r := rand.New(rand.NewPCG(5, 5))
	outcomes := map[string]int{}
	rows := map[int]map[string]string{}
	for run := range runs {
		// Each run starts from the folder as a kill left it, a few checkpoints further every time.
		dir := filepath.Join(t.TempDir(), "torn")
		if run%10 == 9 {
			runAndKill(t, base, 12+run/10)
		}
		copyFolder(t, base, dir)
		p, err := readProgress(dir)
		if err != nil {
			t.Fatal(err)
		}
		pattern := "*.mem"
		if run%5 == 4 {
			pattern = "*.vlog"
		}
		logs, err := filepath.Glob(filepath.Join(dir, dbDir, pattern))
		if err != nil || len(logs) == 0 {
			t.Fatalf("no log to tear: %v", err)
		}
		what := tearLog(t, r, logs[len(logs)-1])

		s, err := Open(dir, small)
		if errors.Is(err, ErrCorrupt) {
			outcomes["refused"]++
			continue
		}
		if err != nil {
			t.Fatalf("run %d: %s: %v", run, what, err)
		}
		n := 0
		if !s.Empty() {
			if n, err = strconv.Atoi(string(s.Meta())); err != nil {
				t.Fatal(err)
			}
		}
		if s.Version() < p.Kept {
			t.Fatalf("run %d: %s: version %d, only %d and later are whole", run, what, s.Version(), p.Kept)
		}
		if s.FellBack() {
			outcomes["fell back"]++
		} else {
			outcomes["last"]++
		}
		if rows[n] == nil {
			rows[n] = crashRows(n)
		}
		want := maps.Clone(rows[n])
		wantRows(t, s, want)
		c := begin(t, s)
		c.Put([]byte("one more"), []byte("row"))
		complete(t, c, "")
		want["one more"] = "row"
		wantRows(t, s, want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d runs: %v", runs, outcomes)
}

// One log that holds the markers of several checkpoints, cut at many places: the last one stands, or the one before it,
// or the store says that it lost more than it can.
func TestTornMarkers(t *testing.T) {
	base := t.TempDir()
	s := open(t, base)
	const last = 4
	for n := 1; n <= last; n++ {
		c := begin(t, s)
		for i := range 20 {
			c.Put(Key('k', 0, fmt.Sprint(i)), bytes.Repeat([]byte{byte(n)}, 50))
		}
		complete(t, c, fmt.Sprint(n))
	}
	image := filepath.Join(t.TempDir(), "image") // as a kill would leave it
	copyFolder(t, base, image)
	logs, err := filepath.Glob(filepath.Join(image, dbDir, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("want one log, got %v, %v", logs, err)
	}
	whole, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	end := len(used(whole))
	outcomes := map[string]int{}
	for at := end; at > 0; at -= 1 + end/30 {
		if err := os.WriteFile(logs[0], whole[:at], 0o644); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "torn")
		copyFolder(t, image, dir)
		s, err := Open(dir, small)
		if errors.Is(err, ErrCorrupt) {
			outcomes["refused"]++
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", at, end, err)
		}
		n := int(s.Version())
		if n < last-1 || s.FellBack() != (n < last) || string(s.Meta()) != fmt.Sprint(n) {
			t.Fatalf("cut at %d of %d: version %d, meta %q, fell back: %v", at, end, n, s.Meta(), s.FellBack())
		}
		outcomes[fmt.Sprint("version ", n)]++
		for i := range 20 {
			got, ok, err := s.GetCopy(nil, Key('k', 0, fmt.Sprint(i)))
			if err != nil || !ok || !bytes.Equal(got, bytes.Repeat([]byte{byte(n)}, 50)) {
				t.Fatalf("cut at %d of %d: version %d, row %d: %x %v %v", at, end, n, i, got, ok, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(outcomes) != 3 {
		t.Fatalf("want all three outcomes, got %v", outcomes)
	}
}
