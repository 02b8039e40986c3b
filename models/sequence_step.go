package models

import "gonum.org/v1/gonum/blas/gonum"

// sequenceTraining is one step of training, on a copy of the weights that it changes: whoever runs it shares nothing with the model.
type sequenceTraining struct {
	network           // rows are those of this step: columns first
	number  uint64    // of the step
	rows    []int32   // of the model, for each row here
	x       []int32   // examples: the target's row here, then the query's, -1 for none
	often   []float32 // correction of each column: of the rows that are scored

	place       map[int32]int32 // of a row of the model
	answer      answer
	zunit       matrix // Batch × Dim
	dx0, dq, dc matrix
	dz          matrix
	mask        []float32
	zlength     []float32
	scores      matrix // Batch × columns
	table, unit matrix // columns × Dim
	dtable      matrix
	length      []float32
	grads       matrix  // rows × (Dim + 1)
	moved       []bool  // rows that have a gradient
	tiny        float32 // see coarsen
}

// tinyChance is the chance below which the gradient by a score is rounded: that moved no figure on the validation parts.
const tinyChance = 1.0 / 512

func newStep(opt SequenceOptions) *sequenceTraining {
	s := &sequenceTraining{network: newNetwork(opt), place: map[int32]int32{}, answer: newAnswer(opt, opt.Batch), tiny: tinyChance / float32(opt.Batch)}
	for _, x := range []*matrix{&s.zunit, &s.dx0, &s.dq, &s.dc, &s.dz} {
		*x = newMatrix(opt.Batch, opt.Dim)
	}
	s.mask, s.zlength = make([]float32, opt.Batch*opt.Dim), make([]float32, opt.Batch)
	return s
}

// due says whether it is time for a step. While little was learned one comes with every Every examples; later with more: a shop of many
// events learns a smaller part of each.
func (m *Sequence) due() bool {
	return m.since >= m.every() && (!m.wantsNew() || len(m.pending) == m.opt.Batch*(m.opt.Window+1))
}

// every is how many examples a step stands for.
func (m *Sequence) every() uint64 {
	return uint64(min(max(m.opt.Every, int(m.seen)/m.opt.Slower), m.opt.Slowest))
}

// wantsNew says whether the next step is one of new examples.
func (m *Sequence) wantsNew() bool { return m.fresh == 0 || m.steps-m.fresh >= uint64(m.opt.Replays) }

// Train runs all steps that are due. run says how: nil runs them here and now; else it is given each step and returns what waits until that
// was run. What a step has learned is taken up when the next one is due, wherever it ran: the model is a function of what it was given.
// It belongs at the end of an epoch.
func (m *Sequence) Train(run func(step func()) (wait func())) {
	if m.flying && m.wait == nil {
		m.launch(run) // it was under way when the model was saved
	}
	for m.due() {
		m.end()
		if m.begin() {
			m.launch(run)
		}
	}
	if run == nil {
		m.end()
	}
}

func (m *Sequence) launch(run func(step func()) (wait func())) {
	if run == nil {
		m.step.run()
		m.wait = func() {}
		return
	}
	m.wait = run(m.step.run)
}

// end waits for the step under way and takes up what it has learned.
func (m *Sequence) end() {
	if !m.flying {
		return
	}
	if m.wait == nil {
		m.step.run() // it was under way when the model was saved
	} else {
		m.wait()
	}
	m.touchHead(sequenceHead)
	m.touchHead(sequenceStep)
	m.flying, m.wait = false, nil
	s, width := m.step, m.embed.cols
	for k, w := range m.shared() {
		w.set(s.shared()[k])
	}
	for at, row := range s.rows {
		if !s.moved[at] {
			continue
		}
		m.touch(uint32(row))
		to, from := int(row)*width, at*width
		copy(m.embed.v[to:to+width], s.embed.v[from:from+width])
		m.inverse[row] = 1 / length(m.vector(row))
		copy(m.mean[to:to+width], s.mean[from:from+width])
		copy(m.square[to:to+width], s.square[from:from+width])
	}
}

// begin makes the next step out of the examples that it takes, and says whether there are any: those of items that are gone teach nothing.
func (m *Sequence) begin() bool {
	if m.step == nil {
		m.step = newStep(m.opt)
	}
	m.touchHead(sequenceHead)
	m.touchHead(sequenceStep)
	m.since -= m.every()
	width := m.opt.Window + 1
	examples, at := m.reservoir, func(k int) int { return int(noise(m.steps<<12|uint64(k), 6) * float64(len(m.reservoir)/width)) }
	if m.wantsNew() {
		examples, at = m.pending, func(k int) int { return k }
		m.fresh = m.steps + 1
	}
	s := m.step
	s.number = m.steps
	m.steps++
	var chosen []Item
	for k := range m.opt.Batch {
		if x := examples[at(k)*width:]; m.knows(x[0]) && m.knows(x[1]) {
			chosen = append(chosen, x[:width]...)
		}
	}
	if len(chosen) == 0 {
		return false
	}
	for n := len(chosen); len(chosen) < m.opt.Batch*width; {
		chosen = append(chosen, chosen[:n]...)
	}
	chosen = chosen[:m.opt.Batch*width]
	s.choose(m, chosen)
	if m.fresh == m.steps {
		m.pending = m.pending[:0]
	}
	m.flying, m.wait = true, nil
	return true
}

// choose sets the rows: those that are scored - all items of a small catalogue, else the targets and a sample - and those of the queries.
func (s *sequenceTraining) choose(m *Sequence, examples []Item) {
	width, known := s.opt.Window+1, len(m.known)
	clear(s.place)
	s.rows, s.often, s.x = s.rows[:0], s.often[:0], s.x[:0]
	place := func(row int32) int32 {
		at, ok := s.place[row]
		if !ok {
			at = int32(len(s.rows))
			s.place[row] = at
			s.rows = append(s.rows, row)
		}
		return at
	}
	add := func(i Item) {
		if m.knows(i) {
			place(int32(i.Row()))
		}
	}
	if known <= s.opt.Whole {
		for _, i := range m.known {
			add(i)
		}
		for range s.rows {
			s.often = append(s.often, 0)
		}
	} else {
		for k := range s.opt.Batch {
			add(examples[k*width])
		}
		kept := len(m.reservoir) / width
		for k := range uint64(s.opt.Sampled / 2) {
			add(m.known[int(noise(s.number<<16|k, 9)*float64(known))])
			add(m.reservoir[int(noise(s.number<<16|k, 10)*float64(kept))*width])
		}
		for _, row := range s.rows {
			n := uint32(0)
			if int(row) < len(m.counts) {
				n = m.counts[row]
			}
			drawn := float64(s.opt.Sampled/2)/float64(known) + float64(s.opt.Sampled/2+s.opt.Batch)*float64(n)/float64(kept)
			s.often = append(s.often, float32(Log(1-Exp(-drawn))))
		}
	}
	for _, i := range examples {
		at := int32(-1)
		if m.knows(i) {
			at = place(int32(i.Row()))
		}
		s.x = append(s.x, at)
	}
	s.copyFrom(m)
}

// copyFrom copies the weights that the step works on.
func (s *sequenceTraining) copyFrom(m *Sequence) {
	for k, w := range s.shared() {
		w.set(m.shared()[k])
	}
	width, columns, d := s.embed.cols, len(s.often), s.opt.Dim
	s.grow(len(s.rows))
	for at, row := range s.rows {
		to, from := at*width, int(row)*width
		copy(s.embed.v[to:to+width], m.embed.v[from:from+width])
		copy(s.mean[to:to+width], m.mean[from:from+width])
		copy(s.square[to:to+width], m.square[from:from+width])
	}
	if len(s.table.v) != columns*d {
		s.table, s.unit, s.dtable = newMatrix(columns, d), newMatrix(columns, d), newMatrix(columns, d)
		s.scores, s.length = newMatrix(s.opt.Batch, columns), make([]float32, columns)
	}
	if len(s.moved) < len(s.rows) {
		s.grads, s.moved = matrix{v: make([]float32, len(s.rows)*width), cols: width}, make([]bool, len(s.rows))
	}
}

// gradients runs the minibatch forwards and backwards, and returns its loss.
func (s *sequenceTraining) gradients() float64 {
	a, d, width := &s.answer, s.opt.Dim, s.opt.Window+1
	items := func(k int) []int32 { return s.x[k*width+1 : (k+1)*width] }
	clear(s.grads.v)
	clear(s.moved)
	columns := len(s.often)
	for c := range columns {
		copy(s.table.row(c), s.vector(int32(c)))
	}
	s.forward(a, items, func(k, j int) bool {
		return noise(s.number<<16|uint64(k*width+j), 7) < s.opt.Dropout
	})
	kept := float32(1 / (1 - s.opt.Dropout))
	for i := range s.mask {
		s.mask[i] = 0
		if noise(s.number<<20|uint64(i), 8) >= s.opt.Dropout {
			s.mask[i] = kept
		}
		a.z.v[i] *= s.mask[i]
	}
	sharp := float32(s.opt.Sharpness)
	normalise(&s.unit, &s.table, s.length, 1)
	normalise(&s.zunit, &a.z, s.zlength, sharp)
	multiply(&s.scores, &s.zunit, &s.unit, false, true)
	for k := range s.opt.Batch {
		for c := range columns {
			s.scores.v[k*columns+c] += s.embed.v[c*s.embed.cols+d] - s.often[c]
		}
	}
	loss := softmaxLoss(&s.scores, func(k int) int { return int(s.x[k*width]) })

	clear(s.dz.v)
	clear(s.dtable.v)
	for k := range s.opt.Batch {
		row, dz, z := s.scores.row(k), s.dz.row(k), s.zunit.row(k)
		for c, g := range row {
			s.grads.v[c*s.grads.cols+d] += g
		}
		coarsen(row, int(s.x[k*width]), s.tiny, float32(noise(s.number<<16|uint64(k), 11)), func(c int, g float32) {
			assembly.Saxpy(d, g, s.unit.row(c), 1, dz, 1)
			assembly.Saxpy(d, g, z, 1, s.dtable.row(c), 1)
		})
	}
	unnormalise(&s.dz, &s.zunit, s.zlength, sharp)
	unnormalise(&s.dtable, &s.unit, s.length, 1)
	for c := range columns {
		s.moved[c] = true
		copy(s.grads.row(c), s.dtable.row(c))
	}
	for i := range s.dz.v {
		s.dz.v[i] *= s.mask[i]
	}
	gradient := func(row int32) []float32 {
		s.moved[row] = true
		return s.grads.row(int(row))[:d]
	}
	s.last.backward(&s.dx0, &s.dz, &a.x0)
	s.attended.backward(&s.dc, &s.dz, &a.c)
	a.attention.backward(&s.dq, &s.dc, &a.q, &s.embed, &s.bias, items, gradient)
	s.query.backward(&a.part, &s.dq, &a.x0)
	for k := range s.opt.Batch {
		to := gradient(items(k)[0])
		addScaled(to, 1, s.dx0.row(k))
		addScaled(to, 1, a.part.row(k))
	}
	return loss
}

var assembly gonum.Implementation

// coarsen calls f with the gradients by an example's scores, but for most of those below tiny, which are thousands and come to little: of
// them every one at which their sum has grown by another tiny stands for all since, from a place on that is drawn (systematic sampling; Madow 1949).
// In the mean over the draws the gradient by each score is what it was. chance is in [0,1).
func coarsen(grads []float32, target int, tiny, chance float32, f func(c int, g float32)) {
	sum := chance * tiny
	for c, g := range grads {
		if g < tiny && c != target {
			if sum += g; sum < tiny {
				continue
			}
			sum -= tiny
			g = tiny
		}
		f(c, g)
	}
}

// run takes one step against the gradients.
func (s *sequenceTraining) run() {
	s.gradients()
	pace, width := newAdam(s.opt.Rate, s.number), s.embed.cols
	for _, w := range s.shared() {
		pace.update(w)
	}
	for at := range s.rows {
		if s.moved[at] {
			from, to := at*width, (at+1)*width
			pace.step(s.embed.v[from:to], s.mean[from:to], s.square[from:to], s.grads.v[from:to])
		}
	}
}
