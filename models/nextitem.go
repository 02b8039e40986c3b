package models

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// NextItem says which items come next. It gathers the candidates of several sources and ranks them by how what the sources say, the
// session's own repeats and what is popular have come true so far.
//
//	log P(c) = log Σ_s w_s share_s(c) + Σ weights of c's features + const
//
// where share_s(c) is source s's score of c as a part of the scores of all its candidates: a plain blend, which is all there is before
// anything was learned, and whose weights w_s are learned too. The features are buckets of each source's score and rank, alone and crossed with each other, with the place of the
// candidate in the session, how often it was met there, how long ago, and with what followed what.
type NextItem struct {
	Together *CoOccurrence
	Follow   *CoOccurrence // one item after another
	Near     *Neighbours
	Trends   *Trending
	Again    *Again
	Ranker   *Ranker
	Deep     *Sequence // nil: without
	learned  uint64    // items that came after others
	blend    blend
}

// blend are the weights of the sources in the plain blend: a mixture of what each says, learned by online expectation maximisation
// (Cappé, Moulines 2009). It starts as set, and settles as examples come.
type blend struct {
	weight [voices]float64
	seen   float64 // examples, up to blendMost
}

const (
	blendPrior = 100  // examples' worth of the weights at the start
	blendMost  = 5000 // examples after which older ones fade
)

func newBlend() blend {
	return blend{weight: [voices]float64{VoiceTrending: 0.02, VoiceTogether: 0.38, VoiceNear: 0.38, VoiceSession: 0.12, VoiceSequence: 0.1}, seen: blendPrior}
}

// learn takes in what the sources said of the item that came.
func (b *blend) learn(parts *[voices]float32) {
	sum := 0.0
	for v, w := range b.weight {
		sum += float64(w * float64(parts[v]))
	}
	if sum <= 0 {
		return
	}
	b.seen = min(b.seen+1, blendMost)
	rate, all := 1/b.seen, 0.0
	for v := range b.weight {
		b.weight[v] = float64((1-rate)*b.weight[v]) + float64(rate*float64(b.weight[v]*float64(parts[v])))/sum
		b.weight[v] = max(b.weight[v], 1e-3) // nobody falls silent for good
		all += b.weight[v]
	}
	for v := range b.weight {
		b.weight[v] /= all
	}
}

// NextItemScratch is what one goroutine needs to rank.
type NextItemScratch struct {
	items  []Item // the query's different items, the latest first
	source *Scratch
	union  *Scratch // the candidates of all
	says   []says   // what is known of each
	deep   *SequenceScratch
	slate  Slate
}

// says is what the sources say of a candidate: scores as parts of the source's best, ranks from 1, 0 where it is not among them.
type says struct {
	near, together, follow, deep     float32
	nearRank, togetherRank, deepRank int
	parts                            [voices]float32 // of each source: the score as a part of all its candidates'
	with                             [voices]Item    // the item of the query that it speaks for
	voice                            Voice           // the source that counts most in the blend
	place                            int             // among the query's different items, the latest 1; 0: not there
	times                            int             // in the query
	sinceMS                          int64           // it was met there last
	followed                         int             // times it came right after the query's last item before
}

// hear takes in a source's part.
func (x *says) hear(part float32, voice Voice, with Item) { x.parts[voice], x.with[voice] = part, with }

// share is a candidate's chance in the blend.
func (b *blend) share(x *says) float32 {
	sum, loudest := 0.0, 0.0
	for v, w := range b.weight {
		part := float64(w * float64(x.parts[v]))
		sum += part
		if part > loudest {
			loudest, x.voice = part, Voice(v)
		}
	}
	return float32(sum)
}

// Voice is a source of candidates.
type Voice uint8

// The sources.
const (
	VoiceTrending Voice = iota // in demand
	VoiceTogether              // met together with an item of the query
	VoiceNear                  // met in sessions like this one
	VoiceSession               // met in the session before
	VoiceSequence              // the sequence model
	voices
)

// The bounds of what is asked and learned, tuned on the training part of rsc15_sample and the validation items of beauty.
const (
	learnWindow = 12 // different items before one that are said to be met together with it
	askWindow   = 16 // different items of a query that speak
	perSource   = 60 // candidates of a source
	trendingToo = 20
	trendsKept  = 256
	// The ranker learns of every item while a shop is small, then of one in so many: ranking is dear, and the ranker has few weights.
	rankAlways = 1 << 18
	rankEvery  = 8
	deepWhole  = 4096 // items; of a larger catalogue the sequence model scores only what the other sources bring
)

// NextItemOptions are the parameters of a NextItem.
type NextItemOptions struct {
	HalfLifeMS      int64 // of what is met together; sessions fade twice as fast
	TrendHalfLifeMS int64
	Sequence        bool // with a sequence model: better, and dear
}

// DefaultNextItem returns the measured options.
func DefaultNextItem() NextItemOptions {
	const day = 24 * 3600_000
	return NextItemOptions{HalfLifeMS: 14 * day, TrendHalfLifeMS: 3 * day}
}

// NewNextItem returns a recommender that has learned nothing.
func NewNextItem(opt NextItemOptions) *NextItem {
	near := DefaultNeighbours()
	near.HalfLifeMS = opt.HalfLifeMS / 2
	m := &NextItem{
		blend:    newBlend(),
		Together: NewCoOccurrence(CoOccurrenceOptions{HalfLifeMS: opt.HalfLifeMS, Neighbours: 200, Gap: 0.8, Backward: 0.25, History: 0.7}),
		Follow:   NewCoOccurrence(CoOccurrenceOptions{HalfLifeMS: opt.HalfLifeMS, Neighbours: 48, Gap: 1, Backward: 0, History: 0.2}),
		Near:     NewNeighbours(near),
		Trends:   NewTrending(opt.TrendHalfLifeMS, trendsKept),
		Again:    NewAgain(),
		Ranker:   NewRanker(RankerOptions{Features: nextFeatures, Rate: 0.03, Decay: 1e-2}),
	}
	if opt.Sequence {
		m.Deep = NewSequence(DefaultSequence())
	}
	return m
}

// NewScratch returns a scratch of the model.
func (m *NextItem) NewScratch() *NextItemScratch {
	s := &NextItemScratch{source: NewScratch(), union: NewScratch()}
	if m.Deep != nil {
		s.deep = m.Deep.NewScratch()
	}
	return s
}

// Learn takes in that an item came after a query, in the query's session, of which a day teaches DailyItems items. Bad input (no item, a weight that is not positive) teaches nothing.
func (m *NextItem) Learn(s *NextItemScratch, item Item, q *Query, timeMS int64, weight float32) {
	if item == NoItem || !(weight > 0) || weight > MaxWeight || m.Near.Full(q.Session, timeMS) {
		return
	}
	if len(q.Items) > 0 {
		if m.learned++; m.learned <= rankAlways || m.learned%rankEvery == 0 {
			m.rank(s, q)
			if at, fresh := s.union.place(item); !fresh {
				m.Ranker.Learn(&s.slate, at, 1)
				m.blend.learn(&s.says[at].parts)
			}
		}
		if m.Deep != nil {
			m.Deep.Learn(item, q)
		}
		m.Again.Learn(q.Items[0], q.Items[0] == item)
	}
	s.items = q.distinct(s.items[:0], learnWindow+1)
	k := 0
	for _, i := range s.items {
		if i != item && k < learnWindow {
			s.items[k] = i
			k++
		}
	}
	m.Together.Learn(item, s.items[:k], timeMS, weight)
	m.Follow.Learn(item, s.items[:min(k, 1)], timeMS, weight)
	m.Trends.Learn(item, timeMS, weight)
	m.Near.Learn(q.Session, item, timeMS)
}

// AppendHead appends the encoding of what belongs to no part.
func (m *NextItem) AppendHead(b []byte) []byte {
	b = binary.AppendUvarint(b, m.learned)
	for _, x := range append(m.blend.weight[:], m.blend.seen) {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// LoadHead is the inverse of AppendHead.
func (m *NextItem) LoadHead(b []byte) error {
	n, size := binary.Uvarint(b)
	if size <= 0 || len(b) != size+8*(int(voices)+1) {
		return fmt.Errorf("models: next item: %d bytes are no head", len(b))
	}
	var x [voices + 1]float64
	for k := range x {
		x[k] = math.Float64frombits(binary.LittleEndian.Uint64(b[size+8*k:]))
		if !(x[k] >= 0) || math.IsInf(x[k], 0) {
			return fmt.Errorf("models: next item: a weight of the blend is %v", x[k])
		}
	}
	m.learned, m.blend.seen = n, x[voices]
	copy(m.blend.weight[:], x[:])
	return nil
}

// Train trains the sequence model on what has come; it belongs at the end of an epoch.
func (m *NextItem) Train() {
	if m.Deep != nil {
		m.Deep.Train()
	}
}

// Rank returns what may come next with its chance, in no order. The slice is the scratch's own. It reads the model only.
func (m *NextItem) Rank(s *NextItemScratch, q *Query) []Candidate {
	m.rank(s, q)
	for c, p := range s.slate.Chances() {
		s.union.found[c].Score = p
	}
	return s.union.found
}

// Top returns the n best of what Rank has returned that keep lets through, the best first.
func (s *NextItemScratch) Top(n int, keep func(Item) bool) []Candidate { return s.union.Top(n, keep) }

// Why says which source spoke loudest for a candidate of Rank's, and for which item of the query, NoItem for none.
func (s *NextItemScratch) Why(i Item) (Voice, Item) {
	at, fresh := s.union.place(i)
	if fresh || at < 0 {
		return VoiceTrending, NoItem
	}
	x := &s.says[at]
	if x.parts[x.voice] == 0 {
		return VoiceTrending, NoItem
	}
	return x.voice, x.with[x.voice]
}

// Forget empties an item's rows: it is gone.
func (m *NextItem) Forget(row uint32) {
	m.Together.Forget(row)
	m.Follow.Forget(row)
	m.Near.Forget(row)
	m.Trends.Forget(row)
	m.Again.Forget(row)
	if m.Deep != nil {
		m.Deep.Forget(row)
	}
}

// of is what is said of an item, which becomes a candidate.
func (s *NextItemScratch) of(i Item) *says {
	at, fresh := s.union.place(i)
	if at < 0 {
		return &says{} // more than any catalogue of sources brings together
	}
	if fresh {
		s.says = append(s.says, says{})
	}
	return &s.says[at]
}

func everything(Item) bool { return true }

// rank fills the slate.
func (m *NextItem) rank(s *NextItemScratch, q *Query) {
	s.union.Reset()
	s.says = s.says[:0]
	s.items = q.distinct(s.items[:0], askWindow)
	support := m.gather(s, q)
	v := readVisit(s, q)
	v.strength = support
	s.slate.Reset(nextWidth(m.Deep != nil))
	for c := range s.says {
		x, i := &s.says[c], s.union.found[c].Item
		trend := float32(m.Trends.Share(i))
		share := m.blend.share(x) + 1e-3
		s.slate.Base = append(s.slate.Base, float32(Log(float64(share))))
		again := 0
		if x.place > 0 {
			again = 1 + m.Again.percent25(i)
		}
		s.slate.Features = x.features(s.slate.Features, &v, scoreBucket(trend), again, m.Deep != nil)
	}
	m.Ranker.Rank(&s.slate)
}

// gather asks the sources. It returns the best score of the neighbours: how well the query is known.
func (m *NextItem) gather(s *NextItemScratch, q *Query) (support float32) {
	share := func(top []Candidate) (best, part float32) {
		sum := float32(0)
		for k := range top {
			sum += top[k].Score
		}
		if sum <= 0 {
			return 1, 0
		}
		return top[0].Score, 1 / sum
	}
	s.source.Reset()
	m.Together.Score(s.source, s.items, q.NowMS)
	top := s.source.Top(perSource, everything)
	best, part := share(top)
	for k, c := range top {
		x := s.of(c.Item)
		x.together, x.togetherRank = c.Score/best, k+1
		x.hear(c.Score*part, VoiceTogether, c.Source)
	}
	s.source.Reset()
	m.Follow.Score(s.source, s.items[:min(len(s.items), 2)], q.NowMS)
	top = s.source.Top(perSource, everything)
	best, _ = share(top)
	for _, c := range top {
		s.of(c.Item).follow = c.Score / best
	}
	s.source.Reset()
	m.Near.Score(s.source, s.items, q.Session, q.NowMS)
	top = s.source.Top(perSource, everything)
	best, part = share(top)
	if len(top) > 0 {
		support = best
	}
	for k, c := range top {
		x := s.of(c.Item)
		x.near, x.nearRank = c.Score/best, k+1
		x.hear(c.Score*part, VoiceNear, c.Source)
	}
	for k := len(q.Items) - 1; k >= 0; k-- {
		if q.Items[k] != NoItem {
			x := s.of(q.Items[k])
			x.times++
			x.sinceMS = q.NowMS - q.TimesMS[k]
		}
	}
	places := float32(0)
	for k := range s.items {
		places += 1 / float32(k+1)
	}
	for k, i := range s.items {
		x := s.of(i)
		x.place = k + 1
		x.hear(1/(float32(k+1)*places), VoiceSession, i)
	}
	trending := m.Trends.Top()
	trending = trending[:min(len(trending), trendingToo)]
	demand := float32(0)
	for _, i := range trending {
		demand += float32(m.Trends.Share(i))
	}
	for _, i := range trending {
		s.of(i).hear(float32(m.Trends.Share(i))/demand, VoiceTrending, NoItem)
	}
	if m.Deep != nil && m.Deep.Ask(s.deep, q) {
		m.gatherDeep(s)
	}
	return support
}

// gatherDeep asks the sequence model: of all items of a small catalogue, else of those that the other sources brought.
func (m *NextItem) gatherDeep(s *NextItemScratch) {
	top := s.deep.top[:0]
	if m.Deep.Items() <= deepWhole {
		top = m.Deep.Top(s.deep, perSource)
	} else {
		s.source.Reset()
		for _, c := range s.union.found {
			if x, ok := m.Deep.Score(s.deep, c.Item); ok {
				s.source.add(c.Item, x, NoItem)
			}
		}
		top = s.source.Top(perSource, everything)
	}
	sum := float32(0)
	for k, c := range top {
		x := s.of(c.Item)
		x.deep, x.deepRank = quickExp(c.Score-top[0].Score), k+1
		sum += x.deep
	}
	for _, c := range top {
		x := s.of(c.Item)
		x.hear(x.deep/sum, VoiceSequence, NoItem)
	}
}

// visit is what a query's features have in common.
type visit struct {
	length   int // bucket of the different items
	dwell    int // bucket of the time before the last, from 1; 0: it is the first
	run      int // times the last item was met in a row at the end
	same     int // items met again at once
	back     int // items met again after others
	strength float32
}

func readVisit(s *NextItemScratch, q *Query) visit {
	x := visit{run: 1, length: lengthBucket(len(s.items))}
	for k := 0; k+1 < len(q.Items); k++ {
		if q.Items[k] == q.Items[k+1] {
			x.same++
			if x.run == k+1 {
				x.run++
			}
			continue
		}
		for _, i := range q.Items[k+2:] {
			if i == q.Items[k] {
				x.back++
				break
			}
		}
	}
	for k := len(q.Items) - 1; k > 0; k-- {
		if q.Items[k] == q.Items[0] && q.Items[k-1] != NoItem {
			s.of(q.Items[k-1]).followed++
		}
	}
	if len(q.TimesMS) > 1 {
		x.dwell = timeBucket(q.TimesMS[0]-q.TimesMS[1]) + 1
	}
	x.run, x.same, x.back = min(x.run, 3), min(x.same, 3), min(x.back, 3)
	return x
}

// features appends the numbers of a candidate's features: one of each kind.
func (x *says) features(to []uint32, s *visit, trend, again int, deep bool) []uint32 {
	f := features{to: to}
	place := min(x.place, 9)
	near, together, follow := scoreBucket(x.near), scoreBucket(x.together), scoreBucket(x.follow)
	nearRank, togetherRank := rankBucket(x.nearRank), rankBucket(x.togetherRank)
	f.add(20, near)
	f.add(12, nearRank)
	f.add(20, together)
	f.add(12, togetherRank)
	f.cross(10, near/2, 10, together/2)
	f.cross(10, place, 8, s.length)
	f.cross(10, place, 4, min(x.times, 3))
	f.cross(10, place, 20, near)
	f.cross(10, place, 20, together)
	f.cross(10, place, 16, timeBucket(x.sinceMS))
	f.cross(10, place, 16, s.dwell)
	f.cross(20, trend, 4, min(s.length, 3))
	f.cross(20, near, 8, s.length)
	f.cross(12, nearRank, 16, strengthBucket(s.strength))
	f.cross(12, nearRank, 12, togetherRank)
	f.cross(20, follow, 8, s.length)
	f.cross(10, follow/2, 10, near/2)
	f.cross(40, place*4+s.run, 4, s.same)
	f.cross(40, place*4+s.back, 8, s.length)
	f.cross(40, place*4+s.run, 4, s.back)
	f.cross(40, place*4+min(x.followed, 3), 4, s.run)
	f.cross(10, place, 16, again)
	f.cross(16, again, 8, s.length)
	if deep {
		score, rank := scoreBucket(x.deep), rankBucket(x.deepRank)
		f.cross(20, score, 8, s.length)
		f.cross(12, rank, 12, nearRank)
		f.cross(10, score/2, 10, near/2)
		f.cross(10, place, 20, score)
	}
	return f.to
}

// nextWidth is how many kinds there are.
func nextWidth(deep bool) int {
	if deep {
		return 27
	}
	return 23
}

const nextFeatures = 4096 // more than all kinds together have

// features numbers what holds of a candidate, each kind in a range of its own.
type features struct {
	to   []uint32
	from uint32
}

func (f *features) add(of, n int) {
	f.to = append(f.to, f.from+uint32(n))
	f.from += uint32(of)
}

func (f *features) cross(of1, n1, of2, n2 int) { f.add(of1*of2, n1*of2+n2) }

// scoreBucket buckets a part of the best by halves of powers of two: 0 for nothing, 19 for the best.
func scoreBucket(x float32) int { return min(max(19+halvings(x), 0), 19) }

// strengthBucket buckets any score by powers of two into 0 to 15, with 1 in 12.
func strengthBucket(x float32) int { return min(max(12+halvings(x)>>1, 0), 15) }

// halvings is the floor of 2·log2(x), a large negative number for nothing.
func halvings(x float32) int {
	if !(x > 0) {
		return -1000
	}
	fraction, exponent := math.Frexp(float64(x))
	n := 2 * (exponent - 1)
	if fraction >= math.Sqrt2/2 {
		n++
	}
	return n
}

func rankBucket(n int) int {
	switch {
	case n <= 5:
		return n
	case n <= 7:
		return 6
	case n <= 10:
		return 7
	case n <= 15:
		return 8
	case n <= 20:
		return 9
	case n <= 40:
		return 10
	}
	return 11
}

func lengthBucket(n int) int {
	switch {
	case n <= 4:
		return n
	case n <= 6:
		return 5
	case n <= 9:
		return 6
	}
	return 7
}

// timeBucket buckets a duration by powers of two from a second on, into 0 to 14.
func timeBucket(ms int64) int { return min(bits.Len64(uint64(max(ms, 0)/1000)), 14) }
