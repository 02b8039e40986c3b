package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// More runs than may be open are merged on the way; of equal times the earlier line comes first.
func TestSortEventsInManyRuns(t *testing.T) {
	var lines []string
	for i := range 300 {
		lines = append(lines, fmt.Sprintf(`{"id":"%d","type":"page.viewed","time":%d,"user":"u"}`, i, 1000+i*37%11))
	}
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	var out, talk bytes.Buffer
	c := &cli{out: &out, talk: &talk}
	if err := c.sortEvents(&eventsFlags{from: "native", memory: 1}, []string{path}); err != nil {
		t.Fatal(err)
	}
	at := func(line string) string { return line[strings.Index(line, `"time":`):] }
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(at(a), at(b)) })
	if got, want := out.String(), strings.Join(lines, "\n")+"\n"; got != want {
		t.Fatalf("sorted:\n%s\nwant:\n%s", got, want)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}
