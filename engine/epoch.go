package engine

import "nudge/streams"

// Chunk is a run of decoded records of one partition, in offset order. A fetcher makes it; nobody writes to it after.
type Chunk struct {
	Partition
	Records []streams.Record
	// Events[i] is Records[i] decoded; Events[i].Type is streams.Invalid where Faults says why it could not be.
	Events []streams.Event
	Faults map[int]*streams.Fault
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

// Output is what an epoch puts out, in its one order. Its bytes belong to it until Release.
type Output struct {
	Epoch    uint64
	Messages []streams.Message
	// Erased lists customers (ids as sent) whose earlier decisions are to be purged before the epoch counts as published.
	Erased []string
	// Counts holds what was counted in this epoch.
	Counts Counts

	arenas [][]byte
}

// Counts are what an epoch, or a whole run, has counted. Maps are keyed by label.
type Counts struct {
	Events     int64
	Late       int64
	Duplicates int64
	Stale      int64
	Decisions  map[string]int64 // by kind
	Withheld   map[string]int64 // by reason, of the decisions with action none
	Dead       map[string]int64 // by reason
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
	addTo(&c.Named, o.Named)
}

func addTo(to *map[string]int64, from map[string]int64) {
	if len(from) > 0 && *to == nil {
		*to = make(map[string]int64, len(from))
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
	clear(c.Named)
	*c = Counts{Decisions: c.Decisions, Withheld: c.Withheld, Dead: c.Dead, Named: c.Named}
}

func count(m *map[string]int64, key string) {
	if *m == nil {
		*m = make(map[string]int64, 8)
	}
	(*m)[key]++
}
