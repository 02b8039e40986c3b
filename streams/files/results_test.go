package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestResultsOnce writes lines, cuts the file at every place, opens it again and writes all lines again: each must be there once.
func TestResultsOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "totals.jsonl")
	write := func() *ResultWriter {
		t.Helper()
		w, err := NewResultWriter(dir, "totals", "j1")
		if err != nil {
			t.Fatal(err)
		}
		for epoch := range uint64(3) {
			for ordinal := range 2 {
				if err := w.Write(t.Context(), epoch+1, ordinal, []byte("k"), fmt.Appendf(nil, `{"n":%d}`, 10*(epoch+1)+uint64(ordinal))); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.EndEpoch(epoch + 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Sync(); err != nil || w.Stored() != 3 {
			t.Fatalf("stored up to epoch %d: %v", w.Stored(), err)
		}
		return w
	}
	if err := write().Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil || strings.Count(string(whole), "\n") != 6 || !strings.HasPrefix(string(whole), `{"at":"j1/1/0","n":10}`) {
		t.Fatalf("%v:\n%s", err, whole)
	}
	for cut := range whole {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if err := write().Close(); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != string(whole) {
			t.Fatalf("cut at %d:\n%s", cut, got)
		}
	}
	w, err := NewResultWriter(dir, "totals", "j1")
	if err != nil {
		t.Fatal(err)
	}
	if epoch, at := w.Held(); epoch != 3 || at != path {
		t.Errorf("the writer says that %s holds lines up to epoch %d; want 3, and %s", at, epoch, path)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewResultWriter(dir, "totals", "j2"); !errors.Is(err, ErrOtherJournal) {
		t.Errorf("another journal: %v", err)
	}
	if err := os.WriteFile(path, []byte("notes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewResultWriter(dir, "totals", "j1"); err == nil {
		t.Error("a file of notes was taken for results")
	}
}
