package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Sequence is a neural model of what comes next: items have embeddings, one block of causal self-attention asks from the last item which
// of those before it matter, and the next item is the one whose embedding points the way of the answer.
//
//	x_j = E[a_j]                        the query a_0 (the latest), a_1, …, at most Window
//	c   = Σ_j softmax_j(x_0·M·x_j / √Dim + b_j) x_j
//	z   = x_0·W0 + c·W1
//	P(i) = softmax_i(Sharpness · cos(z, E[i]) + bias_i)
//
// Cosines instead of products keep rare items in play (Hou et al., "CORE", SIGIR 2022). It is trained by the gradient of -log P(next item)
// with Adam, in minibatches of Batch examples: new ones, and after each Replays more from a reservoir that is a fair sample of all that
// were learned. Against a catalogue of more than Sampled items a minibatch is scored on its own targets and on Sampled others, half
// of them drawn evenly and half as often as they come, with the correction that makes up for it (Jean et al. 2015).
//
// The matrix products are gonum's, which differ in the last digit between kinds of CPU: the same examples leave the same bytes on machines
// of one kind. Bad input (no item, an empty query) teaches nothing.
type Sequence struct {
	// Touch is called with an item's row before its weights change. nil: nobody has to know. The weights that belong to no item change with
	// every minibatch: see AppendHead.
	Touch func(row uint32)

	opt       SequenceOptions
	embed     grown
	query     linear // M
	last      linear // W0
	attended  linear // W1
	attention attention
	pending   []int32 // examples: the target, then Window items, the latest first, -1 for none
	reservoir []int32
	counts    []uint32 // how often each row is a target in the reservoir
	seen      uint64   // examples
	steps     uint64   // minibatches
	batch     *minibatch
}

// SequenceOptions are the parameters of a Sequence.
type SequenceOptions struct {
	Dim, Window, Batch int
	Rate               float64 // of Adam
	Dropout            float64
	Sharpness          float64
	Replays            int
	Reservoir          int // examples
	Sampled            int // items
}

// DefaultSequence returns the measured options.
func DefaultSequence() SequenceOptions {
	return SequenceOptions{Dim: 64, Window: 8, Batch: 128, Rate: 0.003, Dropout: 0.2, Sharpness: 8.5, Replays: 3, Reservoir: 1 << 17, Sampled: 4096}
}

// grown are the embeddings and biases of items: weights whose rows come with the items. A row holds Dim numbers and the bias.
type grown struct {
	matrix
	mean, square []float32
	known        []Item // NoItem where a row has none yet
}

// minibatch is what training works in.
type minibatch struct {
	x0, q, c, z, zunit    matrix // Batch × Dim
	dx0, dx0q, dq, dc, dz matrix
	mask, zlength         []float32
	scores                matrix // Batch × len(columns)
	table, unit, dtable   matrix // columns × Dim
	length                []float32
	columns               []int32 // rows of items that are scored
	column                map[int32]int
	often                 []float32 // correction of each column
	touched               []int32   // rows with a gradient
	at                    map[int32]int
	grads                 []float32 // of touched rows, Dim + 1 each
}

// NewSequence returns a model that has learned nothing.
func NewSequence(opt SequenceOptions) *Sequence {
	d := opt.Dim
	near := func(salt uint64, diagonal float32) weights {
		return newWeights(d, d, func(i, j int) float32 {
			x := float32((noise(uint64(i*d+j), salt) - 0.5) * 0.02)
			if i == j {
				x += diagonal
			}
			return x
		})
	}
	m := &Sequence{opt: opt, query: linear{near(1, 0)}, last: linear{near(2, 0.5)}, attended: linear{near(3, 0.5)}}
	m.attention = newAttention(opt.Batch, opt.Window, func(_, j int) float32 { return -0.3 * float32(j) })
	m.embed.cols = d + 1
	return m
}

func (m *Sequence) touch(row int32) {
	if m.Touch != nil {
		m.Touch(uint32(row))
	}
}

// row makes an item known and returns its row.
func (m *Sequence) row(i Item) int32 {
	row, d := i.Row(), m.opt.Dim
	for int(row) >= len(m.embed.known) {
		m.embed.v = append(m.embed.v, make([]float32, d+1)...)
		m.embed.mean = append(m.embed.mean, make([]float32, d+1)...)
		m.embed.square = append(m.embed.square, make([]float32, d+1)...)
		m.embed.known = append(m.embed.known, NoItem)
		m.counts = append(m.counts, 0)
	}
	if m.embed.known[row] != i {
		m.touch(int32(row))
		m.embed.known[row] = i
		x := m.embed.row(int(row))
		for j := range d {
			x[j] = float32((noise(uint64(int(row)*d+j), 4) - 0.5) * 2 / math.Sqrt(float64(d)))
		}
		x[d] = 0
		clear(m.embed.mean[int(row)*(d+1) : int(row+1)*(d+1)])
		clear(m.embed.square[int(row)*(d+1) : int(row+1)*(d+1)])
	}
	return int32(row)
}

// vector is an item's embedding.
func (m *Sequence) vector(row int32) []float32 { return m.embed.row(int(row))[:m.opt.Dim] }

// Forget drops an item: it is gone, and a later one in its row begins anew.
func (m *Sequence) Forget(row uint32) {
	if int(row) < len(m.embed.known) && m.embed.known[row] != NoItem {
		m.touch(int32(row))
		m.embed.known[row] = NoItem
	}
}

// Learn takes in what came after a query; Train trains.
func (m *Sequence) Learn(item Item, q *Query) {
	if item == NoItem || len(q.Items) == 0 || q.Items[0] == NoItem {
		return
	}
	from := len(m.pending)
	m.pending = append(m.pending, m.row(item))
	for _, i := range q.Items[:min(len(q.Items), m.opt.Window)] {
		if i != NoItem {
			m.pending = append(m.pending, m.row(i))
		}
	}
	width := m.opt.Window + 1
	for len(m.pending)-from < width {
		m.pending = append(m.pending, -1)
	}
	x := m.pending[from:]
	if len(m.reservoir) < m.opt.Reservoir*width {
		m.reservoir = append(m.reservoir, x...)
		m.counts[x[0]]++
	} else if at := int(noise(m.seen, 5) * float64(m.seen+1)); at < m.opt.Reservoir {
		m.counts[m.reservoir[at*width]]--
		copy(m.reservoir[at*width:], x)
		m.counts[x[0]]++
	}
	m.seen++
}

// Train trains on the whole minibatches that have come, and on as many from the reservoir as Replays says. It belongs at the end of an epoch.
func (m *Sequence) Train() {
	n := m.opt.Batch * (m.opt.Window + 1)
	done := 0
	for ; len(m.pending)-done >= n; done += n {
		m.train(m.pending[done : done+n])
		for range m.opt.Replays {
			m.train(m.sample())
		}
	}
	m.pending = append(m.pending[:0], m.pending[done:]...)
}

// sample draws a minibatch from the reservoir.
func (m *Sequence) sample() (x []int32) {
	width := m.opt.Window + 1
	kept := len(m.reservoir) / width
	for k := range m.opt.Batch {
		at := int(noise(m.steps<<12|uint64(k), 6) * float64(kept))
		x = append(x, m.reservoir[at*width:(at+1)*width]...)
	}
	return x
}

func (m *Sequence) newMinibatch() *minibatch {
	b := &minibatch{column: map[int32]int{}, at: map[int32]int{}, zlength: make([]float32, m.opt.Batch), mask: make([]float32, m.opt.Batch*m.opt.Dim)}
	for _, x := range []*matrix{&b.x0, &b.q, &b.c, &b.z, &b.zunit, &b.dx0, &b.dx0q, &b.dq, &b.dc, &b.dz} {
		*x = newMatrix(m.opt.Batch, m.opt.Dim)
	}
	return b
}

// choose sets the columns that a minibatch is scored on: all items of a small catalogue, else targets and a sample.
func (m *Sequence) choose(b *minibatch, x []int32) {
	width, known := m.opt.Window+1, len(m.embed.known)
	clear(b.column)
	b.columns, b.often = b.columns[:0], b.often[:0]
	add := func(row int32) {
		if _, ok := b.column[row]; !ok && m.embed.known[row] != NoItem {
			b.column[row] = len(b.columns)
			b.columns = append(b.columns, row)
		}
	}
	if known <= m.opt.Sampled {
		for row := range int32(known) {
			add(row)
		}
		for range b.columns {
			b.often = append(b.often, 0)
		}
	} else {
		for k := range m.opt.Batch {
			add(x[k*width])
		}
		kept := len(m.reservoir) / width
		for k := range uint64(m.opt.Sampled / 2) {
			add(int32(noise(m.steps<<16|k, 9) * float64(known)))
			add(m.reservoir[int(noise(m.steps<<16|k, 10)*float64(kept))*width])
		}
		for _, row := range b.columns {
			drawn := float64(m.opt.Sampled/2)/float64(known) + float64(m.opt.Sampled/2+m.opt.Batch)*float64(m.counts[row])/float64(kept)
			b.often = append(b.often, float32(Log(1-Exp(-drawn))))
		}
	}
	d := m.opt.Dim
	if len(b.table.v) != len(b.columns)*d {
		b.table, b.unit, b.dtable = newMatrix(len(b.columns), d), newMatrix(len(b.columns), d), newMatrix(len(b.columns), d)
		b.scores = newMatrix(m.opt.Batch, len(b.columns))
		b.length = make([]float32, len(b.columns))
	}
	for c, row := range b.columns {
		copy(b.table.row(c), m.vector(row))
	}
}

// gradient is where the gradient of an item's row gathers.
func (b *minibatch) gradient(row int32, width int) []float32 {
	at, ok := b.at[row]
	if !ok {
		at = len(b.touched)
		b.at[row] = at
		b.touched = append(b.touched, row)
		b.grads = append(b.grads, make([]float32, width)...)
	}
	return b.grads[at*width : (at+1)*width]
}

// forward answers the queries of a minibatch in z.
func (m *Sequence) forward(b *minibatch, a *attention, items func(k int) []int32, drop func(k, j int) bool) {
	for k := range len(b.z.v) / b.z.cols {
		copy(b.x0.row(k), m.vector(items(k)[0]))
	}
	embed := matrix{v: m.embed.v, cols: m.embed.cols}
	m.query.forward(&b.q, &b.x0)
	a.forward(&b.c, &b.q, &embed, items, drop)
	m.last.forward(&b.z, &b.x0)
	m.attended.forward(&b.dz, &b.c)
	addScaled(b.z.v, 1, b.dz.v)
}

// gradients runs a minibatch forwards and backwards, and returns its loss.
func (m *Sequence) gradients(x []int32) float64 {
	if m.batch == nil {
		m.batch = m.newMinibatch()
	}
	b, d, width := m.batch, m.opt.Dim, m.opt.Window+1
	items := func(k int) []int32 { return x[k*width+1 : (k+1)*width] }
	clear(b.at)
	b.touched, b.grads = b.touched[:0], b.grads[:0]
	m.choose(b, x)
	m.forward(b, &m.attention, items, func(k, j int) bool {
		return noise(m.steps<<16|uint64(k*width+j), 7) < m.opt.Dropout
	})
	kept := float32(1 / (1 - m.opt.Dropout))
	for i := range b.mask {
		b.mask[i] = 0
		if noise(m.steps<<20|uint64(i), 8) >= m.opt.Dropout {
			b.mask[i] = kept
		}
		b.z.v[i] *= b.mask[i]
	}
	sharp := float32(m.opt.Sharpness)
	normalise(&b.unit, &b.table, b.length, 1)
	normalise(&b.zunit, &b.z, b.zlength, sharp)
	multiply(&b.scores, &b.zunit, &b.unit, false, true)
	for k := range m.opt.Batch {
		for c, row := range b.columns {
			b.scores.v[k*b.scores.cols+c] += m.embed.row(int(row))[d] - b.often[c]
		}
	}
	loss := softmaxLoss(&b.scores, func(k int) int { return b.column[x[k*width]] })

	multiply(&b.dz, &b.scores, &b.unit, false, false)
	multiply(&b.dtable, &b.scores, &b.zunit, true, false)
	unnormalise(&b.dz, &b.zunit, b.zlength, sharp)
	unnormalise(&b.dtable, &b.unit, b.length, 1)
	for c, row := range b.columns {
		copy(b.gradient(row, d+1), b.dtable.row(c))
	}
	for k := range m.opt.Batch {
		for c, row := range b.columns {
			b.gradient(row, d+1)[d] += b.scores.v[k*b.scores.cols+c]
		}
	}
	for i := range b.dz.v {
		b.dz.v[i] *= b.mask[i]
	}
	m.last.backward(&b.dx0, &b.dz, &b.x0)
	m.attended.backward(&b.dc, &b.dz, &b.c)
	embed := matrix{v: m.embed.v, cols: m.embed.cols}
	m.attention.backward(&b.dq, &b.dc, &b.q, &embed, items, func(i int32) []float32 { return b.gradient(i, d+1)[:d] })
	m.query.backward(&b.dx0q, &b.dq, &b.x0)
	for k := range m.opt.Batch {
		to := b.gradient(items(k)[0], d+1)[:d]
		addScaled(to, 1, b.dx0.row(k))
		addScaled(to, 1, b.dx0q.row(k))
	}
	return loss
}

// train takes one step against the gradients of a minibatch.
func (m *Sequence) train(x []int32) {
	m.gradients(x)
	pace, width := newAdam(m.opt.Rate, m.steps), m.opt.Dim+1
	for _, w := range []*weights{&m.query.w, &m.last.w, &m.attended.w, &m.attention.bias} {
		pace.update(w)
	}
	for k, row := range m.batch.touched {
		m.touch(row)
		from, to := int(row)*width, int(row+1)*width
		pace.step(m.embed.v[from:to], m.embed.mean[from:to], m.embed.square[from:to], m.batch.grads[k*width:(k+1)*width])
	}
	m.steps++
}

// SequenceScratch is what one goroutine asks with.
type SequenceScratch struct {
	b         *minibatch
	attention attention
	x         []int32
	z         []float32 // the answer, of length Sharpness
	top       []Candidate
}

// NewScratch returns a scratch of the model.
func (m *Sequence) NewScratch() *SequenceScratch {
	one := *m
	one.opt.Batch = 1
	return &SequenceScratch{b: one.newMinibatch(), attention: newAttention(1, m.opt.Window, func(_, _ int) float32 { return 0 }), x: make([]int32, m.opt.Window), z: make([]float32, m.opt.Dim)}
}

// Ask answers a query, and says whether anything is known of its items.
func (m *Sequence) Ask(s *SequenceScratch, q *Query) bool {
	n := 0
	for _, i := range q.Items {
		if n < len(s.x) && m.knows(i) {
			s.x[n] = int32(i.Row())
			n++
		}
	}
	if n == 0 {
		return false
	}
	for k := n; k < len(s.x); k++ {
		s.x[k] = -1
	}
	s.attention.bias = m.attention.bias
	m.forward(s.b, &s.attention, func(int) []int32 { return s.x }, func(int, int) bool { return false })
	f := float32(m.opt.Sharpness) / length(s.b.z.v)
	for j, v := range s.b.z.v {
		s.z[j] = v * f
	}
	return true
}

func (m *Sequence) knows(i Item) bool {
	return i != NoItem && int(i.Row()) < len(m.embed.known) && m.embed.known[i.Row()] == i
}

// Score is the logarithm, but for a constant, of the chance that an item comes next; false where it is not known.
func (m *Sequence) Score(s *SequenceScratch, i Item) (float32, bool) {
	if !m.knows(i) {
		return 0, false
	}
	return m.score(s, int32(i.Row())), true
}

func (m *Sequence) score(s *SequenceScratch, row int32) float32 {
	x := m.vector(row)
	return dot(s.z, x)/length(x) + m.embed.v[int(row)*m.embed.cols+m.opt.Dim]
}

// Items is the number of rows.
func (m *Sequence) Items() int { return len(m.embed.known) }

// Top scores all items and returns the n best, the best first. The slice is the scratch's own.
func (m *Sequence) Top(s *SequenceScratch, n int) []Candidate {
	s.top = s.top[:0]
	for row, i := range m.embed.known {
		if i == NoItem {
			continue
		}
		c := Candidate{Item: i, Score: m.score(s, int32(row))}
		if len(s.top) == n && !before(&c, &s.top[n-1]) {
			continue
		}
		if len(s.top) < n {
			s.top = append(s.top, c)
		}
		at := len(s.top) - 1
		for at > 0 && before(&c, &s.top[at-1]) {
			s.top[at] = s.top[at-1]
			at--
		}
		s.top[at] = c
	}
	return s.top
}

// AppendRow appends the canonical encoding of an item's row; nothing where it has none.
func (m *Sequence) AppendRow(b []byte, row uint32) []byte {
	if int(row) >= len(m.embed.known) || m.embed.known[row] == NoItem {
		return b
	}
	from, to := int(row)*m.embed.cols, int(row+1)*m.embed.cols
	b = binary.LittleEndian.AppendUint32(b, uint32(m.embed.known[row]))
	for _, x := range [][]float32{m.embed.v, m.embed.mean, m.embed.square} {
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
	m.row(i)
	from := int(row) * n
	for k, x := range [][]float32{m.embed.v, m.embed.mean, m.embed.square} {
		if err := loadFloats(x[from:from+n], b[4+4*k*n:]); err != nil {
			return fmt.Errorf("sequence row %d: %w", row, err)
		}
	}
	return nil
}

// AppendHead appends the encoding of all that belongs to no item: counts, shared weights, pending examples and the reservoir.
func (m *Sequence) AppendHead(b []byte) []byte {
	b = binary.AppendUvarint(b, m.seen)
	b = binary.AppendUvarint(b, m.steps)
	for _, w := range []*weights{&m.query.w, &m.last.w, &m.attended.w, &m.attention.bias} {
		b = w.append(b)
	}
	for _, x := range [][]int32{m.pending, m.reservoir} {
		b = binary.AppendUvarint(b, uint64(len(x)))
		for _, v := range x {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	return b
}

// LoadHead is the inverse of AppendHead; the items' rows are loaded before.
func (m *Sequence) LoadHead(b []byte) error {
	short := fmt.Errorf("models: the head of a sequence model is cut short or of other dimensions")
	var n int
	for _, x := range []*uint64{&m.seen, &m.steps} {
		if *x, n = binary.Uvarint(b); n <= 0 {
			return short
		}
		b = b[n:]
	}
	var err error
	for _, w := range []*weights{&m.query.w, &m.last.w, &m.attended.w, &m.attention.bias} {
		if b, err = w.load(b); err != nil {
			return err
		}
	}
	for _, x := range []*[]int32{&m.pending, &m.reservoir} {
		count, n := binary.Uvarint(b)
		if n <= 0 || count > uint64(len(b)-n)/4 || count%uint64(m.opt.Window+1) != 0 {
			return short
		}
		*x = make([]int32, 0, count)
		for b = b[n:]; uint64(len(*x)) < count; b = b[4:] {
			*x = append(*x, int32(binary.LittleEndian.Uint32(b)))
		}
	}
	if len(b) != 0 {
		return short
	}
	return m.count()
}

// count counts the targets of the reservoir; the items' rows are loaded before.
func (m *Sequence) count() error {
	for _, x := range [][]int32{m.pending, m.reservoir} {
		for k, row := range x {
			if int(row) >= len(m.counts) || row < 0 && (row != -1 || k%(m.opt.Window+1) < 2) {
				return fmt.Errorf("models: the head of a sequence model speaks of row %d, there are %d", row, len(m.counts))
			}
		}
	}
	clear(m.counts)
	for k := 0; k < len(m.reservoir); k += m.opt.Window + 1 {
		m.counts[m.reservoir[k]]++
	}
	return nil
}
