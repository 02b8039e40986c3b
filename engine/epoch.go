package engine

import (
	"fmt"
	"strings"

	"nudge/streams"
)

// Chunk is a run of decoded records of one partition, in offset order. A fetcher makes it; nobody writes to it after.
type Chunk struct {
	Partition
	Records []streams.Record
	// Events[i] is Records[i] decoded; Events[i].Type is streams.Invalid where Faults says why it could not be.
	Events []streams.Event
	Faults map[int]*streams.Fault
	// Next is the offset that follows the chunk: past the last record + 1 where the log skips some.
	Next int64
}

// Offset is the offset at which record i is to be cut off: its own, or Next at the end.
func (c *Chunk) Offset(i int) int64 {
	if i < len(c.Records) {
		return c.Records[i].Offset
	}
	return c.Next
}

// Run is records [I, J) of a chunk.
type Run struct {
	Chunk *Chunk
	I, J  int
}

// Epoch is a journal entry with the records it refers to.
type Epoch struct {
	Number uint64
	Entry  *Entry
	// Runs holds the records of the customers' topics, in offset order within a partition.
	Runs []Run
}

// Records is how many records of the customers' topics the epoch holds.
func (e *Epoch) Records() (n int) {
	for _, r := range e.Runs {
		n += r.J - r.I
	}
	return n
}

// Output is what an epoch puts out, in its one order. Its bytes belong to it until Release.
type Output struct {
	Epoch    uint64
	Messages []streams.Message
	// Results are the lines of result streams, in their one order.
	Results []Result
	// Erased lists customers (ids as sent) whose earlier decisions are to be purged before the epoch counts as published.
	Erased []string
	// Answered says what came of requests. The decisions of one are those of Messages whose ids hold its cause (streams.RequestOf).
	Answered []Answered
	// Flushed says that the epoch closed windows before their time, and that none is open any more.
	Flushed bool
	// Counts holds what was counted in this epoch.
	Counts Counts

	arenas [][]byte
}

// Leave leaves out the decisions and closed windows of customers, by their keys ('u' or 'a' and the id).
func (o *Output) Leave(keys map[string]bool) {
	tokens := map[string]bool{}
	for k := range keys {
		tokens[string(streams.EncodeToken(nil, k[1:]))] = true
	}
	kept := o.Messages[:0]
	for _, m := range o.Messages {
		theirs := strings.Contains(m.Subject, ".decisions.") || strings.Contains(m.Subject, ".features.") && strings.Count(m.Subject, ".") == 4
		if i := strings.LastIndexByte(m.Subject, '.'); !theirs || !tokens[m.Subject[i+1:]] {
			kept = append(kept, m)
		}
	}
	o.Messages = kept
}

// Counts are what an epoch, or a whole run, has counted. Maps are keyed by label.
type Counts struct {
	Events     int64
	Late       int64
	Duplicates int64
	Stale      int64
	Decisions  map[DecisionKey]int64
	Withheld   map[string]int64 // by reason, of the decisions with action none
	Dead       map[string]int64 // by reason
	Results    map[string]int64 `json:",omitempty"` // by output
	Named      map[string]int64 // what the program counted: "ignored/bots", ...
}

// Add adds o to c.
func (c *Counts) Add(o *Counts) {
	c.Events += o.Events
	c.Late += o.Late
	c.Duplicates += o.Duplicates
	c.Stale += o.Stale
	addTo(&c.Decisions, o.Decisions)
	addTo(&c.Withheld, o.Withheld)
	addTo(&c.Dead, o.Dead)
	addTo(&c.Results, o.Results)
	addTo(&c.Named, o.Named)
}

// DecisionKey is what decisions are counted by.
type DecisionKey struct{ Kind, Action string }

// MarshalText writes the key as kind/action.
func (k DecisionKey) MarshalText() ([]byte, error) { return []byte(k.Kind + "/" + k.Action), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *DecisionKey) UnmarshalText(b []byte) error {
	var ok bool
	if k.Kind, k.Action, ok = strings.Cut(string(b), "/"); !ok {
		return fmt.Errorf("engine: want kind/action, got %q", b)
	}
	return nil
}

// ByKind sums decisions over their actions.
func (c *Counts) ByKind() map[string]int64 {
	m := map[string]int64{}
	for k, n := range c.Decisions {
		m[k.Kind] += n
	}
	return m
}

// Since returns c less what was counted before.
func (c *Counts) Since(before *Counts) Counts {
	d := Counts{Events: c.Events - before.Events, Late: c.Late - before.Late, Duplicates: c.Duplicates - before.Duplicates, Stale: c.Stale - before.Stale}
	d.Decisions = less(c.Decisions, before.Decisions)
	d.Withheld = less(c.Withheld, before.Withheld)
	d.Dead = less(c.Dead, before.Dead)
	d.Results = less(c.Results, before.Results)
	d.Named = less(c.Named, before.Named)
	return d
}

func less[K comparable](c, before map[K]int64) map[K]int64 {
	m := map[K]int64{}
	for k, n := range c {
		if n -= before[k]; n != 0 {
			m[k] = n
		}
	}
	return m
}

func addTo[K comparable](to *map[K]int64, from map[K]int64) {
	if len(from) > 0 && *to == nil {
		*to = make(map[K]int64, len(from))
	}
	for k, v := range from {
		(*to)[k] += v
	}
}

// reset empties the counts, keeping their maps.
func (c *Counts) reset() {
	clear(c.Decisions)
	clear(c.Withheld)
	clear(c.Dead)
	clear(c.Results)
	clear(c.Named)
	*c = Counts{Decisions: c.Decisions, Withheld: c.Withheld, Dead: c.Dead, Results: c.Results, Named: c.Named}
}

func count[K comparable](m *map[K]int64, key K) {
	if *m == nil {
		*m = make(map[K]int64, 8)
	}
	(*m)[key]++
}
