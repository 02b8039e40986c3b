package engine

// Table is one kind of shared state: rows numbered densely from 0, kept in memory by their owner, each encoded by
// itself. The owner calls Touch with a row's number before it changes the row: a row that a checkpoint in progress
// still has to write is then encoded as it was (copy on write).
type Table struct {
	// Name is the table's name in the store: lower-case letters and '_'.
	Name string
	// Row appends key and encoding of row i. A nil value (with a key) deletes the row's key.
	Row func(i uint32, key, value []byte) (k, v []byte)
	// Load takes one stored row back, in key order, at start.
	Load func(key, value []byte) error
	// Loaded is called when all rows are there, also if there are none; nil for nothing to do. What is derived from the rows
	// must stand as it stood when they were written.
	Loaded func()

	dirty, pending bitset
	dirtyRows      []uint32
	pendingRows    []uint32 // of the checkpoint in progress, still to be looked at
	inFlight       []uint32 // of the checkpoint in progress, all
	write          func(k, v []byte)
	key, value     []byte
}

// Touch says that row i is about to change.
func (t *Table) Touch(i uint32) {
	if t.pending.has(i) {
		t.pending.clear(i)
		t.writeRow(i)
	}
	if !t.dirty.has(i) {
		t.dirty.set(i)
		t.dirtyRows = append(t.dirtyRows, i)
	}
}

// begin starts a checkpoint: the dirty rows become pending, to be written through write.
func (t *Table) begin(write func(k, v []byte)) {
	t.dirty, t.pending = t.pending, t.dirty
	t.dirtyRows, t.pendingRows = t.pendingRows[:0], t.dirtyRows
	t.inFlight = append(t.inFlight[:0], t.pendingRows...)
	t.write = write
}

// drain writes up to n pending rows and says how many it looked at; 0 means that none is left.
func (t *Table) drain(n int) int {
	done := 0
	for done < n && len(t.pendingRows) > 0 {
		last := len(t.pendingRows) - 1
		i := t.pendingRows[last]
		t.pendingRows = t.pendingRows[:last]
		if t.pending.has(i) {
			t.pending.clear(i)
			t.writeRow(i)
		}
		done++
	}
	return done
}

// end says how the checkpoint ended; rows of one that failed are to be written by the next.
func (t *Table) end(ok bool) {
	for _, i := range t.pendingRows {
		if t.pending.has(i) {
			t.pending.clear(i)
		}
	}
	t.pendingRows = t.pendingRows[:0]
	if !ok {
		for _, i := range t.inFlight {
			t.Touch(i)
		}
	}
	t.inFlight = t.inFlight[:0]
}

func (t *Table) writeRow(i uint32) {
	t.key, t.value = t.Row(i, t.key[:0], t.value[:0])
	t.write(t.key, t.value)
}

// bitset is a growing set of small numbers.
type bitset []uint64

func (b bitset) has(i uint32) bool {
	w := int(i >> 6)
	return w < len(b) && b[w]&(1<<(i&63)) != 0
}

func (b *bitset) set(i uint32) {
	w := int(i >> 6)
	for w >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[w] |= 1 << (i & 63)
}

func (b bitset) clear(i uint32) { b[i>>6] &^= 1 << (i & 63) }
