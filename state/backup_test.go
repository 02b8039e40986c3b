package state

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func epochOf(meta []byte) (uint64, error) { return strconv.ParseUint(string(meta), 10, 64) }

// A backup taken while a checkpoint is written and the journal grows is the last complete checkpoint with the journal
// from its epoch on, and a restored folder goes on from there.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	j, err := s.OpenJournal(shopJournal, JournalOptions{SegmentBytes: 300})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	c := begin(t, s)
	for i := range 1000 {
		key, val := string(Key('k', uint16(i%5), fmt.Sprint(i))), fmt.Sprint("value ", i)
		c.Put([]byte(key), []byte(val))
		want[key] = val
	}
	for i := range 20 {
		appendEntries(t, j, fmt.Sprint("entry ", i+1))
	}
	complete(t, c, "12")

	c = begin(t, s)
	c.Put(Key('k', 0, "0"), []byte("not yet"))
	c.flush()
	to := filepath.Join(t.TempDir(), "deep", "backup")
	info, err := s.Backup(to, j, epochOf)
	if err != nil {
		t.Fatal(err)
	}
	if info.Rows != 1000 || info.Epoch != 20 || info.Journal != j.Header().ID || info.Version != 1 {
		t.Fatalf("got %+v", info)
	}
	if _, err := s.Backup(to, j, epochOf); err == nil {
		t.Error("a backup was overwritten")
	}
	complete(t, c, "20")
	appendEntries(t, j, "later")
	closeJournal(t, j)

	restored := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(to, restored, Options{App: "other"}); !errors.Is(err, ErrOtherApp) {
		t.Errorf("want ErrOtherApp, got %v", err)
	}
	got, err := Restore(to, restored, Options{MemTableBytes: minMemTable})
	if err != nil || got != info {
		t.Fatalf("want %+v, got %+v, %v", info, got, err)
	}
	if _, err := Restore(to, restored, Options{}); err == nil {
		t.Error("a restore went over a state")
	}
	s = open(t, restored)
	if string(s.Meta()) != "12" {
		t.Errorf("meta %q", s.Meta())
	}
	wantRows(t, s, want)
	j, err = s.OpenJournal(shopJournal, JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if j.Header().ID != info.Journal || j.First() > 12 || j.First() == 1 {
		t.Errorf("journal %v starts at %d", j, j.First())
	}
	if got := payloadsOf(t, j, 12); len(got) != 9 || got[8] != "entry 20" {
		t.Errorf("journal from 12: %q", got)
	}
	appendEntries(t, j, "goes on")
	closeJournal(t, j)
}

func TestBackupRefusals(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.Backup(filepath.Join(t.TempDir(), "b"), nil, nil); err == nil {
		t.Error("a backup without a checkpoint")
	}
	c := begin(t, s)
	for i := range 100 {
		c.Put(fmt.Appendf(nil, "key %d", i), make([]byte, 100))
	}
	complete(t, c, "1")
	to := filepath.Join(t.TempDir(), "b")
	if _, err := s.Backup(to, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.TempDir(), t.TempDir(), Options{}); err == nil {
		t.Error("an empty folder was restored")
	}
	rows := filepath.Join(to, backupRows)
	b, err := os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rows, b[:len(b)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "r")
	if _, err := Restore(to, dir, small); !errors.Is(err, ErrCorrupt) {
		t.Errorf("half a backup: want ErrCorrupt, got %v", err)
	}
	if _, err := Open(dir, small); !errors.Is(err, ErrCorrupt) {
		t.Errorf("half a restore was opened: %v", err)
	}
	if err := os.WriteFile(rows, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(to, dir, small); err != nil {
		t.Errorf("the restore, run again: %v", err)
	}
	wantRows(t, open(t, dir), rowsOf(t, s))
}

func FuzzBackupRows(f *testing.F) {
	row := func(key, val string) []byte {
		b := append(binary.AppendUvarint(nil, uint64(len(key))), key...)
		return append(binary.AppendUvarint(b, uint64(len(val))), val...)
	}
	f.Add(append(row("a", "1"), row("b", "")...))
	f.Add(row("a", "1")[:2])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		if err := readRows(bufio.NewReader(bytes.NewReader(b)), func(key, val []byte) {
			again = append(again, row(string(key), string(val))...)
		}); err == nil && len(again) > len(b) {
			t.Fatalf("%x was read as %x", b, again)
		}
	})
}
