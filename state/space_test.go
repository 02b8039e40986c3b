package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that runs full in the middle of a checkpoint: it ends with ErrNoSpace, reads go on at the last complete
// version, and the same rows can be written when there is room.
func TestNoSpace(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	o := small
	o.free = func(string) (int64, error) { return free.Load(), nil }
	dir := t.TempDir()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	rows := func(n int) map[string]string {
		m := map[string]string{}
		for i := range 2000 {
			m[string(Key('k', uint16(n), fmt.Sprint(i)))] = fmt.Sprintf("%01000d", n)
		}
		return m
	}
	put := func(c *Checkpoint, m map[string]string) {
		for k, v := range m {
			c.Put([]byte(k), []byte(v))
		}
	}
	want := rows(1)
	c := begin(t, s)
	put(c, want)
	complete(t, c, "one")

	c = begin(t, s)
	put(c, rows(2))
	free.Store(0)
	put(c, rows(3))
	if _, err := c.Complete([]byte("two")); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("want ErrNoSpace, got %v", err)
	}
	if _, err := s.Begin(); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("begin: want ErrNoSpace, got %v", err)
	}
	j, err := s.OpenJournal(shopJournal, JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.Append([]byte("one")); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("append: want ErrNoSpace, got %v", err)
	}
	wantRows(t, s, want)

	free.Store(1 << 40)
	appendEntries(t, j, "one")
	closeJournal(t, j)
	c = begin(t, s)
	for k, v := range rows(3) {
		c.Put([]byte(k), []byte(v))
		want[k] = v
	}
	if st := complete(t, c, "three"); st.Repaired > 2000 {
		t.Fatalf("at most the 2000 rows of version 2 were orphans, repaired %d", st.Repaired)
	}
	wantRows(t, s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	free.Store(0)
	if _, err := Open(dir, o); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("open: want ErrNoSpace, got %v", err)
	}
}

// After a write that Badger failed it is opened anew, and reads and checkpoints go on.
func TestBrokenWrite(t *testing.T) {
	s := open(t, t.TempDir())
	want := map[string]string{"a": "1"}
	c := begin(t, s)
	c.Put([]byte("a"), []byte("1"))
	complete(t, c, "one")
	// A memtable's log can't be created: its name is taken.
	for n := range 20 {
		path := filepath.Join(s.dir, dbDir, fmt.Sprintf("%05d.mem", n))
		if _, err := os.Stat(path); err != nil {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(path)
		}
	}
	c = begin(t, s)
	for i := range 20 {
		c.Put(fmt.Appendf(nil, "b%d", i), make([]byte, MaxValue))
	}
	if _, err := c.Complete([]byte("two")); err == nil {
		t.Fatal("a write without a log has succeeded")
	}
	blocked, err := filepath.Glob(filepath.Join(s.dir, dbDir, "*.mem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range blocked {
		if fi, err := os.Stat(path); err == nil && fi.IsDir() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantRows(t, s, want)
	c = begin(t, s)
	c.Put([]byte("c"), []byte("3"))
	want["c"] = "3"
	complete(t, c, "three")
	wantRows(t, s, want)
}

// A real file system of 160 MiB, filled by checkpoints and journal until there is no room, then given room.
func TestFullFileSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("mounts a tmpfs: run it on Linux as root")
	}
	dir := t.TempDir()
	if err := mountTmpfs(dir, "size=160m"); err != nil {
		t.Skipf("mounts a tmpfs, run it as root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	s := open(t, filepath.Join(dir, "state"))
	j, err := s.OpenJournal(shopJournal, JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 60<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	write := func(n int) error {
		c, err := s.Begin()
		if err != nil {
			return err
		}
		for i := range 20 {
			c.Put(Key('k', 0, fmt.Sprint(n, " ", i)), fmt.Appendf(nil, "%050000d", n))
		}
		if _, err = c.Complete(fmt.Append(nil, n)); err != nil {
			return err
		}
		for i := range 20 {
			want[string(Key('k', 0, fmt.Sprint(n, " ", i)))] = fmt.Sprintf("%050000d", n)
		}
		return nil
	}
	n := 0
	for ; err == nil; n++ {
		if n > 1000 {
			t.Fatal("1000 checkpoints fit into a full disk")
		}
		if _, _, err = j.Append(make([]byte, 1_000_000)); err == nil {
			err = write(n)
		}
	}
	if !errors.Is(err, ErrNoSpace) {
		t.Fatalf("want ErrNoSpace, got %v", err)
	}
	t.Logf("full after %d checkpoints: %v", n, err)
	wantRows(t, s, want)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	appendEntries(t, j, "after")
	if err := write(n); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, want)
	closeJournal(t, j)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, filepath.Join(dir, "state"))
	wantRows(t, s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// The journal alone fills the file system to the last byte: the entry that did not fit is cut back.
func TestJournalFullFileSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("mounts a tmpfs: run it on Linux as root")
	}
	dir := t.TempDir()
	if err := mountTmpfs(dir, "size=4m"); err != nil {
		t.Skipf("mounts a tmpfs, run it as root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	j := openJournal(t, filepath.Join(dir, "journal"), JournalOptions{SegmentBytes: 1 << 20})
	var n uint64
	var err error
	for ; err == nil; n++ {
		_, _, err = j.Append(make([]byte, 70_000))
	}
	n--
	if !errors.Is(err, ErrNoSpace) {
		t.Fatalf("want ErrNoSpace, got %v", err)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	epoch, _, err := j.Append([]byte("after"))
	if err != nil || epoch != n+1 {
		t.Fatalf("want epoch %d, got %d, %v", n+1, epoch, err)
	}
	closeJournal(t, j)
	j = openJournal(t, filepath.Join(dir, "journal"), JournalOptions{})
	if got := payloadsOf(t, j, 1); uint64(len(got)) != n+1 || got[n] != "after" || j.Torn() != nil {
		t.Fatalf("want %d entries, got %d, torn %v", n+1, len(got), j.Torn())
	}
	closeJournal(t, j)
}
