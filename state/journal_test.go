package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

var shopJournal = JournalHeader{App: "shop", Build: "b1", CPU: "amd64"}

func openJournal(t testing.TB, dir string, o JournalOptions) *Journal {
	t.Helper()
	j, err := OpenJournal(dir, shopJournal, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func appendEntries(t testing.TB, j *Journal, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if _, _, err := j.Append([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
}

func payloadsOf(t testing.TB, j *Journal, from uint64) []string {
	t.Helper()
	var got []string
	err := j.Read(from, func(epoch, _ uint64, p []byte) error {
		if want := from + uint64(len(got)); epoch != want {
			return fmt.Errorf("want epoch %d, got %d", want, epoch)
		}
		got = append(got, string(p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func closeJournal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// Random appends, syncs, trims, reopenings and reads against a plain slice, over segments of a few entries.
func TestJournalRandomOperations(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 7))
		dir := t.TempDir()
		o := JournalOptions{SegmentBytes: 2000, First: 1 + r.Uint64N(1000)}
		j := openJournal(t, dir, o)
		first, trimmed := o.First, o.First
		var payloads []string
		var hashes []uint64
		id := j.Header().ID
		for range 400 {
			last := first + uint64(len(payloads)) - 1
			switch r.IntN(12) {
			default:
				p := make([]byte, r.IntN(500))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				epoch, hash, err := j.Append(p)
				if err != nil || epoch != last+1 {
					t.Fatalf("append: want epoch %d, got %d, %v", last+1, epoch, err)
				}
				payloads, hashes = append(payloads, string(p)), append(hashes, hash)
			case 0:
				if err := j.Sync(); err != nil || j.Synced() != last {
					t.Fatalf("sync: want %d, got %d, %v", last, j.Synced(), err)
				}
			case 1:
				closeJournal(t, j)
				j = openJournal(t, dir, o)
				if j.Torn() != nil || j.Header().ID != id || j.Synced() != last {
					t.Fatalf("reopened: torn %v, %v", j.Torn(), j)
				}
			case 2:
				before := trimmed + r.Uint64N(last+2-trimmed)
				if _, err := j.Trim(before); err != nil {
					t.Fatal(err)
				}
				if j.First() < trimmed || j.First() > max(before, trimmed) {
					t.Fatalf("trim before %d: the journal starts at %d", before, j.First())
				}
				trimmed = j.First()
			case 3:
				from := trimmed + r.Uint64N(last+2-trimmed)
				got := payloadsOf(t, j, from)
				if !slices.Equal(got, payloads[from-first:]) {
					t.Fatalf("read from %d: want %d entries, got %d", from, len(payloads[from-first:]), len(got))
				}
			}
			last = first + uint64(len(payloads)) - 1
			if epoch, hash := j.Last(); epoch != last || len(hashes) > 0 && hash != hashes[len(hashes)-1] {
				t.Fatalf("last: want %d, got %d with %x", last, epoch, hash)
			}
			if last >= trimmed {
				epoch := trimmed + r.Uint64N(last+1-trimmed)
				p, h, err := j.Entry(epoch)
				if err != nil || string(p) != payloads[epoch-first] || h != hashes[epoch-first] {
					t.Fatalf("entry %d: %d bytes with %x, %v", epoch, len(p), h, err)
				}
			}
			for _, epoch := range []uint64{trimmed - 1, last + 1} {
				if _, _, err := j.Entry(epoch); epoch != last+1 && !errors.Is(err, ErrNoEntry) {
					t.Fatalf("entry %d of %d to %d: %v", epoch, trimmed, last, err)
				}
			}
		}
		closeJournal(t, j)
	}
}

// Whole segments go while the journal is larger than it may be, but none that is still needed.
func TestJournalTrimTo(t *testing.T) {
	j := openJournal(t, t.TempDir(), JournalOptions{SegmentBytes: 1000})
	for range 50 {
		appendEntries(t, j, string(make([]byte, 500)))
	}
	for _, test := range []struct {
		before uint64
		keep   int64
		first  uint64
	}{
		{50, 1 << 20, 1}, // small enough
		{4, 0, 3},        // two entries to a segment: 3 and 4 share one
		{50, 10_000, 35},
		{50, 0, 49},
	} {
		if _, err := j.TrimTo(test.before, test.keep); err != nil {
			t.Fatal(err)
		}
		if got := j.First(); got != test.first {
			t.Errorf("trim before %d, keep %d bytes: want first epoch %d, got %d", test.before, test.keep, test.first, got)
		}
	}
}

// lastEntry returns the path of a closed journal's last segment, its bytes and the offset of its last entry.
func lastEntry(t *testing.T, dir string) (string, []byte, int64) {
	t.Helper()
	j := openJournal(t, dir, JournalOptions{})
	path, offset := j.segments[len(j.segments)-1].path, j.offsets[len(j.offsets)-1]
	closeJournal(t, j)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, b, offset
}

// tornJournal makes a journal of five entries in two segments, each synced.
func tornJournal(t *testing.T) string {
	dir := t.TempDir()
	j := openJournal(t, dir, JournalOptions{SegmentBytes: 300})
	for i := range 5 {
		appendEntries(t, j, fmt.Sprint(i, string(make([]byte, 30*i))))
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	closeJournal(t, j)
	return dir
}

// The last entry cut at every position, or with every byte flipped, is cut off; the journal goes on from the one before.
func TestJournalTornEnd(t *testing.T) {
	dir := tornJournal(t)
	path, whole, offset := lastEntry(t, dir)
	check := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		j := openJournal(t, dir, JournalOptions{})
		defer closeJournal(t, j)
		if torn := j.Torn(); torn == nil && int64(len(content)) != offset || torn != nil && torn.Offset != offset {
			t.Fatalf("%s: told %+v", name, torn)
		}
		if epoch, _ := j.Last(); epoch != 4 {
			t.Fatalf("%s: last epoch %d", name, epoch)
		}
		appendEntries(t, j, "again")
		if got := payloadsOf(t, j, 1); len(got) != 5 || got[4] != "again" {
			t.Fatalf("%s: read %d entries", name, len(got))
		}
	}
	for n := offset; n < int64(len(whole)); n++ {
		check(fmt.Sprintf("cut at %d of %d", n, len(whole)), whole[:n])
	}
	for i := offset; i < int64(len(whole)); i++ {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		check(fmt.Sprintf("flipped byte %d of %d", i, len(whole)), b)
	}
	check("zeros", append(bytes.Clone(whole[:offset]), make([]byte, 300)...))
	check("noise", append(bytes.Clone(whole[:offset]), bytes.Repeat([]byte{0xa5, 3, 0, 0}, 100)...))
}

// A flipped byte anywhere before the last entry is damage, named with its file.
func TestJournalDamage(t *testing.T) {
	dir := tornJournal(t)
	last, _, offset := lastEntry(t, dir)
	segments, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(segments) != 2 {
		t.Fatalf("want 2 segments, got %v, %v", segments, err)
	}
	for _, path := range segments {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		end := int64(len(whole))
		if path == last {
			end = offset
		}
		for i := range end {
			b := bytes.Clone(whole)
			b[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			j, err := OpenJournal(dir, shopJournal, JournalOptions{ReadOnly: true})
			if err == nil {
				err = j.Read(1, func(uint64, uint64, []byte) error { return nil })
				j.Close()
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) || !bytes.Contains([]byte(err.Error()), []byte(filepath.Base(path))) {
				t.Fatalf("flipped byte %d of %s: want ErrCorrupt that names it, got %v", i, path, err)
			}
		}
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// At a power cut the pages of entries that were never synced arrive in any order: a hole before a good entry is the end
// all the same, if the good one was written before the hole was known to be durable.
func TestJournalUnsyncedHole(t *testing.T) {
	for _, synced := range []bool{false, true} {
		dir := t.TempDir()
		j := openJournal(t, dir, JournalOptions{})
		appendEntries(t, j, "one", "two", "three")
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
		appendEntries(t, j, "four")
		if synced {
			if err := j.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		appendEntries(t, j, "five", "six")
		path, at := j.segments[0].path, j.offsets[3]
		closeJournal(t, j)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copy(b[at:], make([]byte, entryHeader+4))
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		j, err = OpenJournal(dir, shopJournal, JournalOptions{})
		if synced {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("a synced entry is gone: want ErrCorrupt, got %v", err)
			}
			continue
		}
		if err != nil || j.Torn() == nil {
			t.Fatalf("want a torn end, got %v", err)
		}
		if got := payloadsOf(t, j, 1); !slices.Equal(got, []string{"one", "two", "three"}) {
			t.Fatalf("got %q", got)
		}
		closeJournal(t, j)
	}
}

func TestJournalHeaders(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir, JournalOptions{})
	id := j.Header().ID
	if len(id) != 32 {
		t.Fatalf("id %q", id)
	}
	appendEntries(t, j, "one", "two")
	closeJournal(t, j)
	if err := os.WriteFile(filepath.Join(dir, "00000000000000000009.journal.tmp"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}

	newer := shopJournal
	newer.Build = "b2"
	j, err := OpenJournal(dir, newer, JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	appendEntries(t, j, "three")
	for epoch, build := range []string{1: "b1", 2: "b1", 3: "b2"} {
		if epoch == 0 {
			continue
		}
		if h, err := j.HeaderAt(uint64(epoch)); err != nil || h.Build != build || h.ID != id {
			t.Errorf("epoch %d: want build %s of %s, got %+v, %v", epoch, build, id, h, err)
		}
	}
	if got := payloadsOf(t, j, 1); len(got) != 3 {
		t.Errorf("read %q", got)
	}
	closeJournal(t, j)
	if _, _, err := j.Append(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("append to a closed journal: %v", err)
	}

	other := shopJournal
	other.App = "other"
	if _, err := OpenJournal(dir, other, JournalOptions{}); !errors.Is(err, ErrOtherApp) {
		t.Errorf("want ErrOtherApp, got %v", err)
	}
	other = shopJournal
	other.ID = "0123"
	if _, err := OpenJournal(dir, other, JournalOptions{}); err == nil {
		t.Error("a journal of another id was opened")
	}
	j, err = OpenJournal(dir, JournalHeader{}, JournalOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, _, err := j.Append(nil); err == nil {
		t.Error("a journal open for reading took an entry")
	}
	if _, err := OpenJournal(t.TempDir(), JournalHeader{}, JournalOptions{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
}

// A full disk keeps entries out and nothing else.
func TestJournalNoSpace(t *testing.T) {
	full := false
	j := openJournal(t, t.TempDir(), JournalOptions{Space: func() error {
		if full {
			return ErrNoSpace
		}
		return nil
	}})
	appendEntries(t, j, "one")
	full = true
	if _, _, err := j.Append([]byte("two")); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("want ErrNoSpace, got %v", err)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	full = false
	appendEntries(t, j, "two")
	if got := payloadsOf(t, j, 1); !slices.Equal(got, []string{"one", "two"}) {
		t.Fatalf("got %q", got)
	}
}

// One goroutine appends, others sync and read.
func TestJournalConcurrently(t *testing.T) {
	j := openJournal(t, t.TempDir(), JournalOptions{SegmentBytes: 20_000})
	const entries = 2000
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for {
				want, _ := j.Last()
				if err := j.Sync(); err != nil {
					t.Error(err)
					return
				}
				if j.Synced() < want {
					t.Errorf("synced %d, appended before the call: %d", j.Synced(), want)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		}()
		go func() {
			defer wg.Done()
			for from := uint64(1); from < entries; {
				err := j.Read(from, func(epoch, _ uint64, p []byte) error {
					if want := fmt.Sprintf("%100d", epoch); string(p) != want {
						return fmt.Errorf("epoch %d holds %q", epoch, p)
					}
					from = epoch + 1
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for i := range entries {
		appendEntries(t, j, fmt.Sprintf("%100d", i+1))
	}
	close(done)
	wg.Wait()
}

func FuzzEntry(f *testing.F) {
	e := entry{epoch: 7, hash: 9, behind: 1, payload: []byte("payload")}
	f.Add(e.appendTo(nil))
	f.Add(e.appendTo(e.appendTo(nil)))
	f.Add([]byte{})
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			return
		}
		if again := e.appendTo(nil); !bytes.HasPrefix(b, again) || int64(len(again)) != e.size() {
			t.Fatalf("%x decodes to %+v, which encodes to %x", b, e, again)
		}
	})
}

func FuzzJournalFile(f *testing.F) {
	dir := f.TempDir()
	j, err := OpenJournal(dir, shopJournal, JournalOptions{})
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range []string{"one", "two", "three"} {
		if _, _, err := j.Append([]byte(p)); err != nil {
			f.Fatal(err)
		}
	}
	path := j.segments[0].path
	if err := j.Close(); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(good[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o644); err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(dir, JournalHeader{}, JournalOptions{})
		if err != nil {
			return
		}
		defer j.Close()
		if _, _, err := j.Append([]byte("next")); err != nil {
			t.Fatal(err)
		}
		if err := j.Read(j.First(), func(uint64, uint64, []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
}
