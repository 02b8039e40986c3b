package models

import "math"

// Sequence is a neural model of what comes next: items have embeddings, one block of causal self-attention asks from the last item which
// of those before it matter, and the next item is the one whose embedding points the way of the answer.
//
//	x_j = E[a_j]                        the query a_0 (the latest), a_1, …, at most Window
//	c   = Σ_j softmax_j(x_0·M·x_j / √Dim + b_j) x_j
//	z   = x_0·W0 + c·W1
//	P(i) = softmax_i(Sharpness · cos(z, E[i]) + bias_i)
//
// Cosines instead of products keep rare items in play (Hou et al., "CORE", SIGIR 2022). It is trained by the gradient of -log P(next item)
// with Adam, step by step, each on a minibatch of Batch examples: one of new ones, then Replays from a reservoir that is a fair sample of the last
// that were learned. A step comes with every Every examples, and with more of them the more were learned: see due. Against a catalogue of
// more than Whole items a minibatch is scored on its own targets and on Sampled others, half of them drawn evenly and half as often as they
// come, with the correction that makes up for it (Jean et al. 2015).
//
// A step takes milliseconds, too long for an epoch's end: it works on a copy of what it needs, and can be run beside the learning (see Train).
//
// The matrix products are gonum's, which differ in the last digit between kinds of CPU: the same examples leave the same bytes on machines
// of one kind. Bad input (no item, an empty query) teaches nothing.
type Sequence struct {
	// Touch is called with an item's row before its weights change, TouchHead with a row of what belongs to no item. nil: nobody has to know.
	Touch, TouchHead func(row uint32)

	network
	known   []Item    // by row; NoItem where a row has none
	inverse []float32 // by row: 1 over the embedding's length
	counts  []uint32  // how often each row is a target in the reservoir

	pending   []Item // examples: the target, then Window items, the latest first, NoItem for none; at most Batch, then an old one makes room
	reservoir []Item
	seen      uint64 // examples
	since     uint64 // examples that no step was begun for yet
	steps     uint64 // begun
	fresh     uint64 // the step that took new examples last, plus 1

	step   *sequenceTraining // that was begun last
	flying bool              // and did not end yet
	wait   func()            // until it was run; nil: nobody runs it yet
}

// SequenceOptions are the parameters of a Sequence.
type SequenceOptions struct {
	Dim, Window, Batch int
	Rate               float64 // of Adam
	Dropout            float64
	Sharpness          float64
	Replays            int
	Reservoir          int // examples
	Whole              int // items: of a catalogue of no more all are scored
	Sampled            int // items of a larger one that are
	Every              int // examples for a step, at least
	Slower             int // one more of them for so many that were learned
	Slowest            int // examples for a step, at most
}

// DefaultSequence returns the measured options.
func DefaultSequence() SequenceOptions {
	return SequenceOptions{Dim: 64, Window: 8, Batch: 128, Rate: 0.003, Dropout: 0.2, Sharpness: 8.5, Replays: 3, Reservoir: 1 << 17, Whole: 4096, Sampled: 2048,
		Every: 32, Slower: 4096, Slowest: 1024}
}

// network is the function: the embeddings of items with their biases, Dim numbers and the bias in a row, and the weights that belong to no item.
type network struct {
	opt                   SequenceOptions
	embed                 matrix
	mean, square          []float32 // of embed, what Adam keeps
	query, last, attended linear    // M, W0, W1
	bias                  weights   // of attention
}

func (n *network) shared() [4]*weights {
	return [...]*weights{&n.query.w, &n.last.w, &n.attended.w, &n.bias}
}

// vector is an item's embedding.
func (n *network) vector(row int32) []float32 { return n.embed.row(int(row))[:n.opt.Dim] }

// grow makes room for rows of items.
func (n *network) grow(rows int) {
	if more := rows*n.embed.cols - len(n.embed.v); more > 0 {
		for _, x := range []*[]float32{&n.embed.v, &n.mean, &n.square} {
			*x = append(*x, make([]float32, more)...)
		}
	}
}

// answer is what queries are answered in.
type answer struct {
	x0, q, c, z matrix // queries × Dim; z is the answer
	part        matrix
	attention   attention
}

func newAnswer(opt SequenceOptions, queries int) answer {
	a := answer{attention: newAttention(queries, opt.Window)}
	for _, x := range []*matrix{&a.x0, &a.q, &a.c, &a.z, &a.part} {
		*x = newMatrix(queries, opt.Dim)
	}
	return a
}

// forward answers queries in a.z. items are rows, -1 for none.
func (n *network) forward(a *answer, items func(k int) []int32, drop func(k, j int) bool) {
	for k := range len(a.z.v) / a.z.cols {
		copy(a.x0.row(k), n.vector(items(k)[0]))
	}
	n.query.forward(&a.q, &a.x0)
	a.attention.forward(&a.c, &a.q, &n.embed, &n.bias, items, drop)
	n.last.forward(&a.z, &a.x0)
	n.attended.forward(&a.part, &a.c)
	addScaled(a.z.v, 1, a.part.v)
}

// NewSequence returns a model that has learned nothing.
func NewSequence(opt SequenceOptions) *Sequence { return &Sequence{network: newNetwork(opt)} }

func newNetwork(opt SequenceOptions) network {
	d := opt.Dim
	near := func(salt uint64, diagonal float32) linear {
		return linear{newWeights(d, d, func(i, j int) float32 {
			x := float32((noise(uint64(i*d+j), salt) - 0.5) * 0.02)
			if i == j {
				x += diagonal
			}
			return x
		})}
	}
	return network{opt: opt, embed: matrix{cols: d + 1}, query: near(1, 0), last: near(2, 0.5), attended: near(3, 0.5),
		bias: newWeights(1, opt.Window, func(_, j int) float32 { return -0.3 * float32(j) })}
}

func (m *Sequence) touch(row uint32) {
	if m.Touch != nil {
		m.Touch(row)
	}
}

func (m *Sequence) touchHead(row uint32) {
	if m.TouchHead != nil {
		m.TouchHead(row)
	}
}

// add makes an item known. In a catalogue of more than Whole items it begins near those it was first met with, the nearest first, as far as they
// are known: most come too seldom to find their place from anywhere. In a smaller one, chance is as good.
func (m *Sequence) add(i Item, with []Item) {
	row, d := i.Row(), m.opt.Dim
	if int(row) >= len(m.known) {
		m.reach(int(row) + 1)
	}
	if m.known[row] == i {
		return
	}
	if m.known[row] != NoItem {
		m.end() // the step under way has the row as it was
	}
	m.touch(row)
	x := m.embed.row(int(row))
	clear(x)
	if len(m.known) > m.opt.Whole {
		m.lean(x[:d], with)
	}
	for j := range d {
		x[j] += float32((noise(uint64(int(row)*d+j), 4) - 0.5) * 2 / math.Sqrt(float64(d)))
	}
	m.known[row], m.inverse[row] = i, 1/length(x[:d])
	clear(m.mean[int(row)*(d+1) : int(row+1)*(d+1)])
	clear(m.square[int(row)*(d+1) : int(row+1)*(d+1)])
}

// lean sets x, which is 0, to where items point, the first of which counts most, with the length company.
func (m *Sequence) lean(x []float32, with []Item) {
	const company, further = 0.5, 0.7 // what chance adds has a length of 1/√3
	weight := float32(1)
	for _, i := range with {
		if m.knows(i) {
			addScaled(x, float32(weight*m.inverse[i.Row()]), m.vector(int32(i.Row())))
			weight *= further
		}
	}
	if l := length(x); l > 1e-3 {
		for j := range x {
			x[j] *= company / l
		}
	}
}

// reach makes so many rows.
func (m *Sequence) reach(rows int) {
	m.grow(rows)
	for len(m.known) < rows {
		m.known, m.inverse = append(m.known, NoItem), append(m.inverse, 0)
	}
}

// Forget drops an item: it is gone, and a later one in its row begins anew.
func (m *Sequence) Forget(row uint32) {
	if int(row) < len(m.known) && m.known[row] != NoItem {
		m.end()
		m.touch(row)
		m.known[row] = NoItem
	}
}

// Learn takes in what came after a query; steps train on it.
func (m *Sequence) Learn(item Item, q *Query) {
	if item == NoItem || len(q.Items) == 0 || q.Items[0] == NoItem {
		return
	}
	m.touchHead(sequenceHead)
	width := m.opt.Window + 1
	if from := int(m.seen) % m.opt.Batch * width; len(m.pending) == m.opt.Batch*width {
		m.example(m.pending[from:from:from+width], item, q)
	} else {
		m.pending = m.example(m.pending, item, q)
	}
	// A fair sample of all at first, then of the last few reservoirs full.
	if len(m.reservoir) < m.opt.Reservoir*width {
		m.touchHead(sequenceChunks + uint32(len(m.reservoir)/width/chunkExamples))
		m.reservoir = m.example(m.reservoir, item, q)
		m.count(item, 1)
	} else if at := int(noise(m.seen, 5) * min(float64(m.seen+1), remembered*float64(m.opt.Reservoir))); at < m.opt.Reservoir {
		m.touchHead(sequenceChunks + uint32(at/chunkExamples))
		m.count(m.reservoir[at*width], -1)
		m.example(m.reservoir[at*width:at*width:(at+1)*width], item, q)
		m.count(item, 1)
	}
	m.seen++
	m.since++
}

// remembered is how many times over a reservoir's examples the last that were learned are: one of so many of them is in it.
const remembered = 4

// example appends an example.
func (m *Sequence) example(to []Item, item Item, q *Query) []Item {
	before := q.Items[:min(len(q.Items), m.opt.Window)]
	m.add(item, before)
	to = append(to, item)
	n := 0
	for _, i := range before {
		if i != NoItem {
			m.add(i, to[len(to)-1-n:])
			to = append(to, i)
			n++
		}
	}
	for ; n < m.opt.Window; n++ {
		to = append(to, NoItem)
	}
	return to
}

// count counts the targets of the reservoir.
func (m *Sequence) count(i Item, by int) {
	row := int(i.Row())
	for row >= len(m.counts) {
		m.counts = append(m.counts, 0)
	}
	m.counts[row] = uint32(int(m.counts[row]) + by)
}

// SequenceScratch is what one goroutine asks with.
type SequenceScratch struct {
	answer
	x    []int32
	want []float32 // the answer, of length Sharpness
	top  []Candidate
}

// NewScratch returns a scratch of the model.
func (m *Sequence) NewScratch() *SequenceScratch {
	return &SequenceScratch{answer: newAnswer(m.opt, 1), x: make([]int32, m.opt.Window), want: make([]float32, m.opt.Dim)}
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
	m.forward(&s.answer, func(int) []int32 { return s.x }, func(int, int) bool { return false })
	f := float32(m.opt.Sharpness) / length(s.z.v)
	for j, v := range s.z.v {
		s.want[j] = v * f
	}
	return true
}

func (m *Sequence) knows(i Item) bool {
	return i != NoItem && int(i.Row()) < len(m.known) && m.known[i.Row()] == i
}

// Score is the logarithm, but for a constant, of the chance that an item comes next; false where it is not known.
func (m *Sequence) Score(s *SequenceScratch, i Item) (float32, bool) {
	if !m.knows(i) {
		return 0, false
	}
	return m.score(s, int32(i.Row())), true
}

func (m *Sequence) score(s *SequenceScratch, row int32) float32 {
	return float32(dot(s.want, m.vector(row))*m.inverse[row]) + m.embed.v[int(row)*m.embed.cols+m.opt.Dim]
}

// Items is the number of rows.
func (m *Sequence) Items() int { return len(m.known) }

// Top scores all items and returns the n best, the best first. The slice is the scratch's own.
func (m *Sequence) Top(s *SequenceScratch, n int) []Candidate {
	s.top = s.top[:0]
	for row, i := range m.known {
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
