package operators

import (
	"encoding/binary"
	"fmt"

	"nudge/engine"
	"nudge/models"
	"nudge/streams"
)

// nextHistory is how many of a customer's last items the next one is ranked by.
const nextHistory = 16

// nextTables are the shared state of the model of the next item, but for what is trending.
func (p *Program) nextTables() []*engine.Table {
	rows := func(name string, appendRow func([]byte, uint32) []byte, load func(key, value []byte) error) *engine.Table {
		return &engine.Table{Name: name, Load: load, Row: func(i uint32, key, value []byte) (k, v []byte) {
			return binary.BigEndian.AppendUint32(key, i), orNil(appendRow(value, i))
		}}
	}
	plain := func(load func(row uint32, b []byte) error) func(key, value []byte) error {
		return func(key, value []byte) error { return loadRow(key, value, load) }
	}
	decayed := func(m *models.CoOccurrence) func(key, value []byte) error {
		return func(key, value []byte) error {
			return p.loadDecayed(key, value, p.halfLives.togetherChanged, m.Touch, m.LoadRow)
		}
	}
	n := p.next
	together := rows("next_together", n.Together.AppendRow, decayed(n.Together))
	again := rows("next_again", n.Again.AppendRow, plain(n.Again.LoadRow))
	items := rows("next_items", n.Near.AppendItem, plain(n.Near.LoadItem))
	sessions := rows("next_sessions", n.Near.AppendSession, plain(n.Near.LoadSession))
	ranker := rows("next_ranker", n.Ranker.AppendRow, plain(n.Ranker.LoadRow))
	heads := rows("next_heads", p.appendNextHead, plain(p.loadNextHead))
	n.Together.Touch, n.Again.Touch, n.Near.TouchItem, n.Near.TouchSession, n.Ranker.Touch = together.Touch, again.Touch, items.Touch, sessions.Touch, ranker.Touch
	p.touchNext = func() {
		heads.Touch(headNext)
		heads.Touch(headNear)
	}
	tables := []*engine.Table{together, again, items, sessions, ranker, heads}
	if n.Deep == nil {
		return tables
	}
	deep := rows("sequence", n.Deep.AppendRow, plain(n.Deep.LoadRow))
	deepHeads := rows("sequence_heads", n.Deep.AppendHead, plain(n.Deep.LoadHead)) // after the items' rows
	n.Deep.Touch, n.Deep.TouchHead = deep.Touch, deepHeads.Touch
	return append(tables, deep, deepHeads)
}

// The rows of the table "next_heads".
const (
	headNext = iota
	headNear
)

func (p *Program) appendNextHead(b []byte, row uint32) []byte {
	if row == headNear {
		return p.next.Near.AppendHead(b)
	}
	return p.next.AppendHead(b)
}

func (p *Program) loadNextHead(row uint32, b []byte) error {
	switch row {
	case headNext:
		return p.next.LoadHead(b)
	case headNear:
		return p.next.Near.LoadHead(b)
	}
	return fmt.Errorf("operators: head %d of the next item: there are %d", row, headNear+1)
}

// askNext ranks what may come next for a customer.
func (p *Program) askNext(c *Customer, s *scratch, key uint64, nowMS int64) {
	if s.next == nil {
		s.next = p.next.NewScratch()
	}
	p.next.Rank(s.next, p.nextQuery(&s.query, c, key, nowMS))
}

// askSequence gathers what the sequence model says comes next.
func (p *Program) askSequence(c *Customer, s *scratch, key uint64, nowMS int64) {
	if s.next == nil {
		s.next = p.next.NewScratch()
	}
	p.next.ScoreBySequence(s.candidates, s.next, p.nextQuery(&s.query, c, key, nowMS))
}

// askSimilar gathers what customers like this one met.
func (p *Program) askSimilar(c *Customer, s *scratch, key uint64, nowMS int64) {
	q := p.nextQuery(&s.query, c, key, nowMS)
	s.candidates.Reset()
	p.next.Near.Score(s.candidates, q.Items, key, nowMS)
}

// nextQuery is what the customer's last items ask.
func (p *Program) nextQuery(q *models.Query, c *Customer, key uint64, nowMS int64) *models.Query {
	q.Items, q.TimesMS, q.NowMS, q.Session = q.Items[:0], q.TimesMS[:0], nowMS, key
	for k := len(c.recent) - 1; k >= 0 && len(q.Items) < nextHistory; k-- {
		e := &c.recent[k]
		if e.item = p.catalog.resolve(e.hash, e.item); e.item != models.NoItem {
			q.Items, q.TimesMS = append(q.Items, e.item), append(q.TimesMS, e.atMS)
		}
	}
	return q
}

// whyNext says what spoke for an item.
func (p *Program) whyNext(s *scratch, i models.Item, chance float64) said {
	voice, with := s.next.Why(i)
	why := said{code: streams.ReasonTrending, with: with, weight: chance}
	switch voice {
	case models.VoiceTogether:
		why.code = streams.ReasonViewedTogether
	case models.VoiceNear:
		why.code = streams.ReasonSimilarShoppers
	case models.VoiceSession:
		why.code = streams.ReasonRecentView
	case models.VoiceSequence:
		why.code = streams.ReasonModelScore
	}
	return why
}

// learnNext takes a lesson into the model of the next item.
func (p *Program) learnNext(s *scratch, l *lesson, item models.Item, before []models.Item) {
	q := &s.query
	q.Items, q.TimesMS, q.NowMS, q.Session = q.Items[:0], q.TimesMS[:0], l.atMS, l.key
	for k, i := range before {
		if i != models.NoItem {
			q.Items, q.TimesMS = append(q.Items, i), append(q.TimesMS, s.beforeMS[int(l.from)+k])
		}
	}
	if len(q.TimesMS) > 0 {
		q.NowMS = q.TimesMS[0]
	}
	p.touchNext()
	if l.counts {
		p.next.Learn(p.learning, item, q, l.atMS, l.weight)
	} else {
		p.next.Hear(p.learning, item, q, l.atMS)
	}
}

// Erase notes that a customer was erased, for Learn.
func (p *Program) Erase(x any, hash uint64) {
	s := x.(*scratch)
	s.erased = append(s.erased, customerKey(hash))
}
