package models

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// NextItem says which items come next. It gathers the candidates of several sources and ranks them by how what the sources say, the
// session's own repeats and what is popular have come true so far.
//
//	log P(c) = log Σ_s w_s share_s(c) + Σ weights of c's features + const
//
// where share_s(c) is source s's score of c as a part of the scores of all its candidates: a plain blend, which is all there is before
// anything was learned, and whose weights w_s are learned too. The features are buckets of each source's score and rank, alone and crossed
// with each other, with the place of the candidate in the session, how often it was met there, how long ago, and with what followed what.
type NextItem struct {
	Together *CoOccurrence
	Near     *Neighbours
	Trends   *Trending
	Again    *Again
	Ranker   *Ranker
	Deep     *Sequence // nil: without
	learned  uint64    // items that came after others
	blend    blend
}

// NextItemScratch is what one goroutine needs to rank.
type NextItemScratch struct {
	items   []Item // the query's different items, the latest first
	source  *Scratch
	union   *Scratch // the candidates of all
	says    []says   // what is known of each
	deep    *SequenceScratch
	slate   Slate
	popular []metItem
}

// says is what the sources say of a candidate: scores as parts of the source's best, ranks from 1, 0 where it is not among them.
type says struct {
	near, together, deep             float32
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
	VoicePopular               // met by most, of all times
	voices
)

// The bounds of what is asked and learned, tuned on the training part of rsc15_sample and the validation items of beauty.
const (
	learnWindow = 12 // different items before one that are said to be met together with it
	askWindow   = 16 // different items of a query that speak
	perSource   = 60 // candidates of a source
	trendingToo = 20
	popularToo  = 40 // of those that are trending; deeper, since customers have met many of them
	trendsKept  = 256
	// The ranker learns of every item at first, soon of one in four, later of one in eight: ranking is dear, and the ranker has few weights.
	rankFewer = 1 << 11 // items after which one in one more is enough
	rankOneIn = 4
	rankMany  = 1 << 18 // items after which it is half of that
	deepWhole = 4096    // items; of a larger catalogue the sequence model scores only what the other sources bring
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
		Near:     NewNeighbours(near),
		Trends:   NewTrending(opt.TrendHalfLifeMS, trendsKept),
		Again:    NewAgain(),
		Ranker:   NewRanker(RankerOptions{Features: nextFeatures, Rate: 0.06, Decay: 1e-2}),
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
	if !(weight > 0) || weight > MaxWeight || !m.hear(s, item, q, timeMS) {
		return
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
	m.Trends.Learn(item, timeMS, weight)
	m.Near.Learn(q.Session, item, timeMS)
}

// Hear takes in an item as Learn does, as one that counts for no sum.
func (m *NextItem) Hear(s *NextItemScratch, item Item, q *Query, timeMS int64) {
	if m.hear(s, item, q, timeMS) {
		m.Near.Learn(q.Session, item, timeMS)
	}
}

// hear takes in what an item says of the query before it, unless nothing more is learned of its session.
func (m *NextItem) hear(s *NextItemScratch, item Item, q *Query, timeMS int64) bool {
	if item == NoItem || m.Near.Full(q.Session, timeMS) {
		return false
	}
	if len(q.Items) > 0 {
		m.learned++
		oneIn := min(1+m.learned/rankFewer, rankOneIn)
		if m.learned > rankMany {
			oneIn = 2 * rankOneIn
		}
		if m.learned%oneIn == 0 {
			m.rank(s, q)
			if at, fresh := s.union.Place(item); !fresh && at >= 0 {
				m.Ranker.Learn(&s.slate, at, 1)
				m.blend.learn(&s.says[at].parts)
			}
		}
		if m.Deep != nil {
			m.Deep.Learn(item, q)
		}
		m.Again.Learn(q.Items[0], q.Items[0] == item)
	}
	return true
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
	if size > 0 && len(b) == size+8*int(voices) { // of a build that had no VoicePopular
		last := len(b) - 8
		b = append(binary.LittleEndian.AppendUint64(bytes.Clone(b[:last]), math.Float64bits(popularAtFirst)), b[last:]...)
	}
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

// Train trains the sequence model on what has come, as its Train says; it belongs at the end of an epoch.
func (m *NextItem) Train(run func(step func()) (wait func())) {
	if m.Deep != nil {
		m.Deep.Train(run)
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

// ScoreBySequence adds what the sequence model says may come next, each with its share of the best's chance: of a catalogue of more than some thousand
// items, what the other sources name. Nothing without a sequence model. It reads the model only.
func (m *NextItem) ScoreBySequence(to *Scratch, s *NextItemScratch, q *Query) {
	if m.Deep == nil {
		return
	}
	s.union.Reset()
	s.says = s.says[:0]
	s.items = q.distinct(s.items[:0], askWindow)
	m.gather(s, q)
	for c := range s.says {
		if s.says[c].deepRank > 0 {
			to.Add(s.union.found[c].Item, s.says[c].deep)
		}
	}
}

// Top returns the n best of what Rank has returned that keep lets through, the best first.
func (s *NextItemScratch) Top(n int, keep func(Item) bool) []Candidate { return s.union.Top(n, keep) }

// Why says which source spoke loudest for a candidate of Rank's, and for which item of the query, NoItem for none.
func (s *NextItemScratch) Why(i Item) (Voice, Item) {
	at, fresh := s.union.Place(i)
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
	m.Near.Forget(row)
	m.Trends.Forget(row)
	m.Again.Forget(row)
	if m.Deep != nil {
		m.Deep.Forget(row)
	}
}

// of is what is said of an item, which becomes a candidate.
func (s *NextItemScratch) of(i Item) *says {
	at, fresh := s.union.Place(i)
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
		s.slate.Features = x.features(s.slate.Features, &v, ScoreBucket(trend), again, m.Deep != nil)
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
	s.popular = s.popular[:0]
	for _, i := range m.Trends.Top() {
		s.popular = m.Near.mostMet(s.popular, i, popularToo)
	}
	met := uint64(0)
	for _, x := range s.popular {
		met += uint64(x.met)
	}
	for _, x := range s.popular {
		s.of(x.item).hear(float32(float64(x.met)/float64(met)), VoicePopular, NoItem)
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
