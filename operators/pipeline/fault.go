package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a pipeline file.
type Fault struct {
	File         string
	Line, Column int    // count from 1
	Key          string // dotted path: offers.cart_rescue.budget
	Found        string // what the file says
	Allowed      string // what it may say
	Suggestion   string // the word that was probably meant, or ""
}

// Error writes the fault as file:line:column: key: found; allowed; suggestion.
func (f Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Found)
	if f.Allowed != "" {
		b.WriteString("; " + f.Allowed)
	}
	if f.Suggestion != "" {
		b.WriteString("; did you mean " + f.Suggestion + "?")
	}
	return b.String()
}

// Faults is everything that is wrong with a pipeline file, in the order of the file.
type Faults []Fault

// Error writes one fault per line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the faults as an error, nil if there are none.
func (fs Faults) Err() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}

func (fs Faults) sort() {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
}

// nearest returns the word of the list that was most likely meant by a misspelt one, or "".
func nearest(word string, list []string) string {
	fold := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(s)) }
	best, at := "", max(2, len(word)/3)+1
	for _, candidate := range list {
		if d := distance(fold(word), fold(candidate)); d < at && d < len(candidate) {
			best, at = candidate, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that lead from a to b (Damerau's
// optimal string alignment). Only the first 64 bytes of each are compared.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	var rows [3][65]int
	older, old, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(b)]
}
