package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// small makes memtables rotate after few rows.
var small = Options{App: "shop", MemTableBytes: minMemTable, ReserveBytes: 1 << 20}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func begin(t testing.TB, s *Store) *Checkpoint {
	t.Helper()
	c, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func complete(t testing.TB, c *Checkpoint, meta string) CheckpointStats {
	t.Helper()
	st, err := c.Complete([]byte(meta))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// abandon writes all rows of a checkpoint and does not complete it.
func abandon(c *Checkpoint) {
	c.flush()
	c.drain()
	c.end()
}

// rowsOf reads the whole store.
func rowsOf(t testing.TB, s *Store) map[string]string {
	t.Helper()
	got := map[string]string{}
	var last []byte
	err := s.Scan(nil, func(key, val []byte) error {
		if bytes.Compare(key, last) <= 0 {
			return fmt.Errorf("key %q after %q", key, last)
		}
		last = append(last[:0], key...)
		got[string(key)] = string(val)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// wantRows compares the store with a map, by scan and by some single reads.
func wantRows(t testing.TB, s *Store, want map[string]string) {
	t.Helper()
	got := rowsOf(t, s)
	gets := 50
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Fatalf("version %d, row %q: want %d bytes %.40q, got %v with %d bytes %.40q", s.Version(), k, len(v), v, ok, len(g), g)
		}
		if gets--; gets < 0 {
			continue
		}
		g, ok, err := s.GetCopy(nil, []byte(k))
		if err != nil || !ok || string(g) != v {
			t.Fatalf("version %d, get %q: want %.40q, got %v %.40q %v", s.Version(), k, v, ok, g, err)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Fatalf("version %d: row %q should not be there", s.Version(), k)
		}
	}
}

func randomRow(r *rand.Rand) (string, string) {
	key := string(Key(byte('a'+r.IntN(3)), uint16(r.IntN(3)), fmt.Sprint("user-", r.IntN(200))))
	size := r.IntN(2000)
	switch r.IntN(40) {
	case 0:
		size = MaxValue - r.IntN(3)
	case 1:
		size = 0
	case 2, 3, 4:
		size = r.IntN(100_000)
	}
	val := make([]byte, size)
	for i := 0; i < len(val); i += 16 {
		val[i] = byte(r.Uint32())
	}
	return key, string(val)
}

// Random checkpoints against a plain map: completed, aborted, abandoned by closing the store.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			s := open(t, dir)
			have := map[string]string{}
			meta := ""
			for step := range 16 {
				c := begin(t, s)
				next := maps.Clone(have)
				for range r.IntN(150) {
					key, val := randomRow(r)
					if r.IntN(4) == 0 {
						c.Delete([]byte(key))
						delete(next, key)
					} else {
						c.Put([]byte(key), []byte(val))
						next[key] = val
					}
				}
				switch r.IntN(4) {
				default:
					meta = fmt.Sprint("meta ", step)
					complete(t, c, meta)
					have = next
				case 0:
					c.flush()
					c.Abort()
				case 1:
					if r.IntN(2) == 0 {
						abandon(c)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = open(t, dir)
				}
				if string(s.Meta()) != meta {
					t.Fatalf("step %d: want meta %q, got %q", step, meta, s.Meta())
				}
				wantRows(t, s, have)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			wantRows(t, s, have)
			if err := s.Compact(); err != nil {
				t.Fatal(err)
			}
			wantRows(t, s, have)
		})
	}
}

// Rows and deletions of a checkpoint that never completed don't show in later ones that touch other keys.
func TestOrphansAreCovered(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	want := map[string]string{}
	put := func(c *Checkpoint, key, val string) {
		c.Put([]byte(key), []byte(val))
		want[key] = val
	}
	c := begin(t, s)
	for i := range 3000 {
		put(c, fmt.Sprintf("a%04d", i), strings.Repeat("1", 5000))
	}
	complete(t, c, "one")

	c = begin(t, s)
	for i := range 3000 {
		switch {
		case i%3 == 0:
			c.Delete(fmt.Appendf(nil, "a%04d", i))
		case i%3 == 1:
			c.Put(fmt.Appendf(nil, "a%04d", i), bytes.Repeat([]byte("2"), 5000))
		default:
			c.Put(fmt.Appendf(nil, "b%04d", i), bytes.Repeat([]byte("2"), 5000))
		}
	}
	abandon(c)
	wantRows(t, s, want)
	s.Close()

	s = open(t, dir)
	wantRows(t, s, want)
	c = begin(t, s)
	put(c, "a0001", "3")
	put(c, "c", "3")
	if st := complete(t, c, "three"); st.Repaired != 2999 {
		t.Fatalf("want 2999 repaired rows (3000 orphans, one of them written anew), got %+v", st)
	}
	wantRows(t, s, want)
	s.Close()
	s = open(t, dir)
	wantRows(t, s, want)
	c = begin(t, s)
	put(c, "d", "4")
	if st := complete(t, c, "four"); st.Repaired != 0 {
		t.Fatalf("nothing is left to repair, got %+v", st)
	}
	wantRows(t, s, want)
}

// A key put twice in one checkpoint has the later value, even if a memtable lies between.
func TestLastPutCounts(t *testing.T) {
	s := open(t, t.TempDir())
	c := begin(t, s)
	key := Key('k', 0, "twice")
	c.Put(key, []byte("early"))
	for i := range 30 {
		c.Put(Key('k', 1, fmt.Sprint(i)), make([]byte, MaxValue))
	}
	c.Put(key, []byte("late"))
	complete(t, c, "")
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	got, ok, err := s.GetCopy(nil, key)
	if err != nil || !ok || string(got) != "late" {
		t.Fatalf("want late, got %q %v %v", got, ok, err)
	}
}

func TestScans(t *testing.T) {
	s := open(t, t.TempDir())
	c := begin(t, s)
	for kind := byte('a'); kind <= 'c'; kind++ {
		for shard := range uint16(3) {
			for i := range 3 {
				c.Put(Key(kind, shard, fmt.Sprint(i)), []byte{kind, byte(shard), byte(i)})
			}
		}
	}
	complete(t, c, "")
	list := func(scan func(fn func(key []byte) error) error) string {
		var out []string
		err := scan(func(key []byte) error {
			kind, shard, rest, ok := SplitKey(key)
			if !ok {
				t.Fatalf("key %q", key)
			}
			out = append(out, fmt.Sprintf("%c%d%s", kind, shard, rest))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(out, " ")
	}
	values := func(fn func(key []byte) error) func(key, val []byte) error {
		return func(key, val []byte) error {
			if string(val) != string([]byte{key[0], key[2], key[3] - '0'}) {
				t.Fatalf("row %q has value %q", key, val)
			}
			return fn(key)
		}
	}
	for _, test := range []struct {
		name string
		scan func(fn func(key []byte) error) error
		want string
	}{
		{"prefix", func(fn func(key []byte) error) error { return s.Scan(Key('b', 1, ""), values(fn)) }, "b10 b11 b12"},
		{"keys", func(fn func(key []byte) error) error { return s.ScanKeys(Key('c', 2, "")[:3], fn) }, "c20 c21 c22"},
		{"none", func(fn func(key []byte) error) error { return s.Scan([]byte("x"), values(fn)) }, ""},
		{"range", func(fn func(key []byte) error) error {
			return s.ScanRange(Key('a', 2, "1"), Key('b', 0, "1"), 0, values(fn))
		}, "a21 a22 b00"},
		{"limit", func(fn func(key []byte) error) error { return s.ScanRange(Key('c', 1, "2"), nil, 3, values(fn)) }, "c12 c20 c21"},
		{"stop", func(fn func(key []byte) error) error {
			n := 0
			return s.Scan(nil, func(key, _ []byte) error {
				if n++; n > 2 {
					return ErrStop
				}
				return fn(key)
			})
		}, "a00 a01"},
	} {
		if got := list(test.scan); got != test.want {
			t.Errorf("%s: want %q, got %q", test.name, test.want, got)
		}
	}
	broken := errors.New("broken")
	if err := s.Scan(nil, func(_, _ []byte) error { return broken }); err != broken {
		t.Errorf("want the function's error, got %v", err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if !s.Empty() || s.Version() != 0 || s.Meta() != nil {
		t.Fatalf("a fresh store: %v %d %q", s.Empty(), s.Version(), s.Meta())
	}
	if _, err := Open(dir, small); !errors.Is(err, ErrInUse) {
		t.Errorf("a second Open: want ErrInUse, got %v", err)
	}
	c := begin(t, s)
	if _, err := s.Begin(); err == nil {
		t.Error("two checkpoints at once")
	}
	c.Put(Key('a', 0, "big"), make([]byte, MaxValue+1))
	if _, err := c.Complete(nil); err == nil || !strings.Contains(err.Error(), "at most 1048575") {
		t.Errorf("too large a value: %v", err)
	}
	for _, key := range [][]byte{nil, {0, 1}, []byte("!badger!"), make([]byte, MaxKey+1)} {
		c := begin(t, s)
		c.Put(key, nil)
		if _, err := c.Complete(nil); err == nil {
			t.Errorf("key %.20q was taken", key)
		}
	}
	s.Close()
	if _, _, err := s.GetCopy(nil, []byte("a")); err == nil {
		t.Error("a closed store can be read")
	}
	other := small
	other.App = "other"
	if _, err := Open(dir, other); !errors.Is(err, ErrOtherApp) {
		t.Errorf("want ErrOtherApp, got %v", err)
	}
	path := filepath.Join(dir, folderFile)
	if err := os.WriteFile(path, []byte(`{"app":"shop","format":99,"build":"v9"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, small); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("want ErrNewerFormat, got %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, small); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without %s: want ErrCorrupt, got %v", folderFile, err)
	}
}

// A database that lost more than its last checkpoint is not taken for an older one.
func TestLostDatabase(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 3 {
		c := begin(t, s)
		c.Put([]byte("k"), fmt.Append(nil, i))
		complete(t, c, "")
	}
	s.Close()
	if err := os.RemoveAll(filepath.Join(dir, dbDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, small); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("want ErrCorrupt, got %v", err)
	}
}

// Readers beside a checkpoint being written see one version whole.
func TestReadersBesideCheckpoints(t *testing.T) {
	s := open(t, t.TempDir())
	const keys = 400
	key := func(i int) []byte { return Key('k', uint16(i%3), fmt.Sprint(i)) }
	write := func(v int) {
		c := begin(t, s)
		for i := range keys {
			c.Put(key(i), bytes.Repeat([]byte{byte(v)}, 1+v*40))
		}
		complete(t, c, fmt.Sprint(v))
	}
	write(1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(g), 3))
			last := byte(0)
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if n%20 == 0 {
					seen, rows := byte(0), 0
					err := s.Scan(nil, func(_, val []byte) error {
						if rows++; seen != 0 && val[0] != seen {
							return fmt.Errorf("versions %d and %d in one scan", seen, val[0])
						}
						seen = val[0]
						// A scan may read, too.
						_, err := s.Get(key(r.IntN(keys)), func([]byte) {})
						return err
					})
					if err != nil || rows != keys {
						t.Errorf("scan: %d rows, %v", rows, err)
						return
					}
				}
				ok, err := s.Get(key(r.IntN(keys)), func(val []byte) {
					if val[0] < last || len(val) != 1+int(val[0])*40 {
						t.Errorf("read version %d after %d, %d bytes", val[0], last, len(val))
					}
					last = val[0]
				})
				if !ok || err != nil {
					t.Errorf("get: %v %v", ok, err)
					return
				}
			}
		}()
	}
	for v := 2; v < 30; v++ {
		write(v)
	}
	close(done)
	wg.Wait()
}

func TestHash(t *testing.T) {
	rows := map[string]string{"a": "1", "ab": "", "b": "a1"}
	hash := func(order []string) uint64 {
		s := open(t, t.TempDir())
		for i, key := range order {
			c := begin(t, s)
			c.Put([]byte(key), []byte(rows[key]))
			complete(t, c, fmt.Sprint("meta ", i)) // meta and versions are no rows
		}
		h, n, size, err := s.Hash()
		if err != nil || n != 3 || size != 7 {
			t.Fatalf("want 3 rows of 7 bytes, got %d of %d: %v", n, size, err)
		}
		return h
	}
	order := slices.Sorted(maps.Keys(rows))
	one := hash(order)
	slices.Reverse(order)
	if two := hash(order); one != two {
		t.Errorf("the same rows hash to %x and %x", one, two)
	}
	rows["ab"], rows["a"] = "1", ""
	if three := hash(order); one == three {
		t.Error("other rows hash the same")
	}
}

// TestEmptyLogs opens a folder whose logs a crash left without their first byte.
func TestEmptyLogs(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{App: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00009.mem", "000009.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, dbDir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = Open(dir, Options{App: "shop"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
