package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nudge/streams/files"
)

// A line in a file is the line that EVENTS.md shows elsewhere, with its place before it.
func TestEventsShowLinesOfFiles(t *testing.T) {
	text := read(t, "EVENTS.md")
	example := func(kind string) string {
		found := regexp.MustCompile("(?s)```json " + kind + "\n(.*?)\n```").FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("EVENTS.md has no example of a %s", kind)
		}
		return found[1]
	}
	line := example("file")
	journal, _, ok := strings.Cut(strings.TrimPrefix(line, `{"at":"`), "/81270/4")
	if !ok {
		t.Fatalf("the example has no place: %s", line)
	}
	dir := t.TempDir()
	w, err := files.NewResultWriter(dir, "totals", journal)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), 81270, 4, []byte("u-42"), []byte(example("window"))); err != nil {
		t.Fatal(err)
	}
	if err := w.EndEpoch(81270); err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "totals.jsonl"))
	if err != nil || string(got) != line+"\n" {
		t.Errorf("%v: the file holds\n%sEVENTS.md has\n%s", err, got, line)
	}
}
