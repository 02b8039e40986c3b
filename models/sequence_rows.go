package models

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// AppendRow appends the canonical encoding of an item's row; nothing where it has none.
func (m *Sequence) AppendRow(b []byte, row uint32) []byte {
	if int(row) >= len(m.known) || m.known[row] == NoItem {
		return b
	}
	from, to := int(row)*m.embed.cols, int(row+1)*m.embed.cols
	b = binary.LittleEndian.AppendUint32(b, uint32(m.known[row]))
	for _, x := range [][]float32{m.embed.v, m.mean, m.square} {
		b = appendFloats(b, x[from:to])
	}
	return b
}

// LoadRow is the inverse of AppendRow.
func (m *Sequence) LoadRow(row uint32, b []byte) error {
	n := m.embed.cols
	if len(b) != 4+12*n || row >= MaxItems {
		return fmt.Errorf("models: sequence row %d: %d bytes are no row of %d dimensions", row, len(b), m.opt.Dim)
	}
	i := Item(binary.LittleEndian.Uint32(b))
	if i == NoItem || i.Row() != row {
		return fmt.Errorf("models: sequence row %d: of item %d", row, i)
	}
	m.add(i, nil)
	from := int(row) * n
	for k, x := range [][]float32{m.embed.v, m.mean, m.square} {
		if err := loadFloats(x[from:from+n], b[4+4*k*n:]); err != nil {
			return fmt.Errorf("sequence row %d: %w", row, err)
		}
	}
	m.inverse[row] = 1 / length(m.vector(int32(row)))
	return nil
}

// The rows of what belongs to no item: counts, shared weights and new examples; the step under way; the reservoir, chunk by chunk.
const (
	sequenceHead = iota
	sequenceStep
	sequenceChunks
)

const chunkExamples = 32

// AppendHead appends the encoding of a row that belongs to no item; nothing where there is none.
func (m *Sequence) AppendHead(b []byte, row uint32) []byte {
	switch row {
	case sequenceHead:
		if m.seen == 0 {
			return b
		}
		for _, x := range []uint64{m.seen, m.since, m.steps, m.fresh, uint64(len(m.known))} {
			b = binary.AppendUvarint(b, x)
		}
		for _, w := range m.shared() {
			b = w.append(b)
		}
		return appendItems(b, m.pending)
	case sequenceStep:
		if !m.flying {
			return b
		}
		return m.step.append(b)
	}
	width := (m.opt.Window + 1) * chunkExamples
	from := int(row-sequenceChunks) * width
	if from >= len(m.reservoir) {
		return b
	}
	return appendItems(b, m.reservoir[from:min(from+width, len(m.reservoir))])
}

var errHead = errors.New("models: a row of a sequence model is cut short or of other dimensions")

// LoadHead is the inverse of AppendHead, to be called in the order of the rows, after LoadRow of all items.
func (m *Sequence) LoadHead(row uint32, b []byte) error {
	switch row {
	case sequenceHead:
		return m.loadHead(b)
	case sequenceStep:
		if m.step == nil {
			m.step = newStep(m.opt)
		}
		if err := m.step.load(m, b); err != nil {
			return err
		}
		m.flying = true
		return nil
	}
	width := m.opt.Window + 1
	x, err := loadItems(b, width)
	if err != nil || len(m.reservoir) != int(row-sequenceChunks)*chunkExamples*width || len(m.reservoir)+len(x) > m.opt.Reservoir*width {
		return errHead
	}
	m.reservoir = append(m.reservoir, x...)
	for k := 0; k < len(x); k += width {
		m.count(x[k], 1)
	}
	return nil
}

func (m *Sequence) loadHead(b []byte) (err error) {
	var rows uint64
	for _, x := range []*uint64{&m.seen, &m.since, &m.steps, &m.fresh, &rows} {
		if b, err = loadUvarint(x, b); err != nil {
			return err
		}
	}
	if rows > MaxItems {
		return errHead
	}
	m.reach(int(rows))
	for _, w := range m.shared() {
		if b, err = w.load(b); err != nil {
			return err
		}
	}
	if m.pending, err = loadItems(b, m.opt.Window+1); len(m.pending) > m.opt.Batch*(m.opt.Window+1) {
		return errHead
	}
	return err
}

// append appends the encoding of a step: which rows it has, and what it does with them. What is in the rows is the model's until it ends.
func (s *sequenceTraining) append(b []byte) []byte {
	for _, x := range []int{int(s.number), len(s.rows), len(s.often)} {
		b = binary.AppendUvarint(b, uint64(x))
	}
	for _, x := range [][]int32{s.rows, s.x} {
		for _, v := range x {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	return appendFloats(b, s.often)
}

// load is the inverse of append.
func (s *sequenceTraining) load(m *Sequence, b []byte) (err error) {
	var rows, columns uint64
	for _, x := range []*uint64{&s.number, &rows, &columns} {
		if b, err = loadUvarint(x, b); err != nil {
			return err
		}
	}
	width := m.opt.Window + 1
	if rows > uint64(len(m.known)) || columns > rows || len(b) != 4*(int(rows)+m.opt.Batch*width+int(columns)) {
		return errHead
	}
	word := func() int32 {
		v := int32(binary.LittleEndian.Uint32(b))
		b = b[4:]
		return v
	}
	s.rows, s.x, s.often = s.rows[:0], s.x[:0], make([]float32, columns)
	for range rows {
		row := word()
		if row < 0 || int(row) >= len(m.known) {
			return errHead
		}
		s.rows = append(s.rows, row)
	}
	for k := range m.opt.Batch * width {
		at := word()
		if at < -1 || at >= int32(rows) || at < 0 && k%width < 2 || k%width == 0 && at >= int32(columns) {
			return errHead
		}
		s.x = append(s.x, at)
	}
	if err := loadFloats(s.often, b); err != nil {
		return err
	}
	s.copyFrom(m)
	return nil
}

func appendItems(b []byte, items []Item) []byte {
	for _, i := range items {
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	return b
}

func loadItems(b []byte, width int) (items []Item, err error) {
	if len(b)%(4*width) != 0 {
		return nil, errHead
	}
	for ; len(b) > 0; b = b[4:] {
		i := Item(binary.LittleEndian.Uint32(b))
		if i == NoItem && len(items)%width < 2 || i != NoItem && i.Row() >= MaxItems {
			return nil, errHead
		}
		items = append(items, i)
	}
	return items, nil
}

func loadUvarint(x *uint64, b []byte) ([]byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, errHead
	}
	*x = v
	return b[n:], nil
}
