package models_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"nudge/models"
)

// notASum is a model whose learning depends on what it knows: it belongs to one node, and is not added to another.
type notASum interface{ notASum() }

type ordered struct{ notes }

func (ordered) notASum()  {}
func (ordered) add(model) { panic("not a sum") }

func init() {
	subjects["Again"] = func() model {
		m := &again{Again: models.NewAgain()}
		m.Touch = m.note
		return m
	}
	subjects["Clicks"] = func() model {
		m := &clicks{Clicks: models.NewClicks(itemsInTests)}
		m.Touch = m.note
		m.TouchItem = func(row uint32) { m.note(uint32(m.Rows()) + row) }
		return m
	}
	subjects["Repurchase"] = func() model {
		m := &repurchase{Repurchase: models.NewRepurchase()}
		m.Touch = func(row uint32) {
			if row >= models.MaxItems {
				row = row - models.MaxItems + itemsInTests
			}
			m.note(row)
		}
		return m
	}
	subjects["Rates"] = func() model {
		m := &rates{Rates: models.NewRates(.1)}
		m.Touch = func(row uint32) {
			if row >= models.MaxItems {
				row = row - models.MaxItems + itemsInTests
			}
			m.note(row)
		}
		return m
	}
	subjects["Ranker"] = func() model {
		m := &ranker{Ranker: models.NewRanker(models.RankerOptions{Features: 3 * itemsInTests, Rate: 0.1, Decay: 1e-4})}
		m.Touch = m.note
		return m
	}
	subjects["Neighbours"] = func() model {
		m := &near{Neighbours: models.NewNeighbours(models.NeighboursOptions{Sessions: sessionsInTests, PerItem: 3, Nearest: 4, HalfLifeMS: 3600_000})}
		m.TouchItem = func(row uint32) { m.note(1 + row) }
		m.TouchSession = func(row uint32) { m.note(1 + itemsInTests + row) }
		return m
	}
	subjects["Sequence"] = func() model {
		m := &sequence{Sequence: models.NewSequence(smallSequence)}
		m.Touch = func(row uint32) { m.note(headsInTests + row) }
		m.TouchHead = m.note
		return m
	}
	subjects["Logistic"] = func() model {
		m := &logistic{Logistic: models.NewLogistic(2 * itemsInTests)}
		m.Touch = func(row uint32) { m.note(1 + row) }
		m.TouchRecord = func() { m.note(0) }
		return m
	}
	subjects["NextItem"] = func() model {
		m := &next{NextItem: models.NewNextItem(models.DefaultNextItem())}
		m.Near = models.NewNeighbours(models.NeighboursOptions{Sessions: sessionsInTests, PerItem: 3, Nearest: 4, HalfLifeMS: 3600_000})
		m.s = m.NewScratch()
		m.announce()
		return m
	}
}

var smallSequence = models.SequenceOptions{Dim: 4, Window: 3, Batch: 4, Rate: 0.01, Dropout: 0.2, Sharpness: 4, Replays: 1, Reservoir: 40, Whole: 4, Sampled: 4, Every: 2, Slower: 64, Slowest: 3}

func good(x example) bool { return x.weight > 0 && x.weight <= models.MaxWeight }

func query(x example) *models.Query {
	return &models.Query{Session: uint64(x.a) + 1, Items: []models.Item{x.a, x.b, x.a}, TimesMS: []int64{x.atMS, x.atMS - 1000, x.atMS - 5000}, NowMS: x.atMS}
}

type again struct {
	*models.Again
	notes
}

func (m *again) learn(x example) {
	if good(x) {
		m.Learn(x.item, x.a == x.item)
	}
}
func (m *again) predict() string {
	var out strings.Builder
	for i := range models.Item(itemsInTests) {
		fmt.Fprintln(&out, i, m.Chance(i))
	}
	return out.String()
}
func (m *again) rows() (out [][]byte) {
	for n := range uint32(itemsInTests) {
		out = append(out, m.AppendRow(nil, n))
	}
	return out
}
func (m *again) load(rows [][]byte) error       { return loadAll(rows, m.LoadRow) }
func (m *again) add(o model)                    { m.Add(o.(*again).Again) }
func (m *again) limit() int                     { return 8 }
func (m *again) same(row uint32, b []byte) bool { return bytes.Equal(m.AppendRow(nil, row), b) }

func loadAll(rows [][]byte, load func(uint32, []byte) error) error {
	for n, b := range rows {
		if len(b) > 0 {
			if err := load(uint32(n), b); err != nil {
				return err
			}
		}
	}
	return nil
}

// clicks has the rows of the features and positions, then the items'.
type clicks struct {
	*models.Clicks
	ordered
}

func offered(x example) *models.Offered {
	return &models.Offered{Item: x.item, Base: float32(x.b%3) - 1, Features: []uint16{uint16(x.a % itemsInTests)}}
}
func (m *clicks) learn(x example) {
	if x.item == models.NoItem {
		return // of which one learns what its features teach
	}
	m.Learn(offered(x), 1+int(x.b%7), x.item%2 == 0, x.weight)
}
func (m *clicks) predict() string {
	var out strings.Builder
	for i := range models.Item(itemsInTests) {
		fmt.Fprintln(&out, m.Logit(offered(example{item: i, a: i, b: i})), m.Look(int(i)))
	}
	return out.String()
}
func (m *clicks) rows() (out [][]byte) {
	for n := range uint32(m.Rows()) {
		out = append(out, m.AppendRow(nil, n))
	}
	for n := range uint32(itemsInTests) {
		out = append(out, m.AppendItem(nil, n))
	}
	return out
}
func (m *clicks) load(rows [][]byte) error {
	n := min(len(rows), m.Rows())
	err := loadAll(rows[:n], m.LoadRow)
	if err == nil {
		err = loadAll(rows[n:], m.LoadItem)
	}
	return err
}
func (m *clicks) limit() int { return 8 * models.PacedRow }
func (m *clicks) same(row uint32, b []byte) bool {
	if n := uint32(m.Rows()); row >= n {
		return bytes.Equal(m.AppendItem(nil, row-n), b)
	}
	return bytes.Equal(m.AppendRow(nil, row), b)
}

// repurchase has the rows of the items, then those of the first groups.
type repurchase struct {
	*models.Repurchase
	notes
}

func (m *repurchase) learn(x example) {
	if good(x) { // a purchase has no weight
		m.Learn(x.item, uint32(x.a)%3, x.atMS)
	}
}
func (m *repurchase) predict() string {
	var out strings.Builder
	for i := range models.Item(itemsInTests) {
		fmt.Fprintln(&out, m.Rate(i, uint32(i)%3), m.Due(i, uint32(i)%3, 3e8), m.Never(i, uint32(i)%3))
	}
	return out.String()
}
func (m *repurchase) rows() (out [][]byte) {
	for n := range uint32(itemsInTests) {
		out = append(out, m.AppendRow(nil, n))
	}
	for n := range uint32(3) {
		out = append(out, m.AppendRow(nil, models.MaxItems+n))
	}
	return out
}
func (m *repurchase) load(rows [][]byte) error {
	n := min(len(rows), itemsInTests)
	err := loadAll(rows[:n], m.LoadRow)
	if err == nil {
		err = loadAll(rows[n:], func(row uint32, b []byte) error { return m.LoadRow(models.MaxItems+row, b) })
	}
	return err
}
func (m *repurchase) add(o model) { m.Add(o.(*repurchase).Repurchase) }
func (m *repurchase) limit() int  { return 40 }
func (m *repurchase) same(row uint32, b []byte) bool {
	if row >= itemsInTests {
		row = row - itemsInTests + models.MaxItems
	}
	return bytes.Equal(m.AppendRow(nil, row), b)
}

type rates struct {
	*models.Rates
	notes
}

func (m *rates) learn(x example) {
	if good(x) { // a case has no weight
		m.Learn(x.item, uint32(x.a)%3, uint32(x.a)%5, uint32(x.b)%3)
	}
}
func (m *rates) predict() string {
	var out strings.Builder
	for i := range models.Item(itemsInTests) {
		fmt.Fprintln(&out, m.Rate(i, uint32(i)%3))
	}
	return out.String()
}
func (m *rates) rows() (out [][]byte) {
	for n := range uint32(itemsInTests) {
		out = append(out, m.AppendRow(nil, n))
	}
	for n := range uint32(3) {
		out = append(out, m.AppendRow(nil, models.MaxItems+n))
	}
	return out
}
func (m *rates) load(rows [][]byte) error {
	n := min(len(rows), itemsInTests)
	err := loadAll(rows[:n], m.LoadRow)
	if err == nil {
		err = loadAll(rows[n:], func(row uint32, b []byte) error { return m.LoadRow(models.MaxItems+row, b) })
	}
	return err
}
func (m *rates) add(o model) { m.Add(o.(*rates).Rates) }
func (m *rates) limit() int  { return 40 }
func (m *rates) same(row uint32, b []byte) bool {
	if row >= itemsInTests {
		row = row - itemsInTests + models.MaxItems
	}
	return bytes.Equal(m.AppendRow(nil, row), b)
}

type ranker struct {
	*models.Ranker
	ordered
}

func (m *ranker) slate(x example) *models.Slate {
	s := &models.Slate{}
	s.Reset(2)
	for k, i := range []models.Item{x.item, x.a, x.b} {
		s.Base = append(s.Base, float32(k))
		s.Features = append(s.Features, uint32(i)%itemsInTests, itemsInTests+uint32(i)%5)
	}
	m.Rank(s)
	return s
}
func (m *ranker) learn(x example) {
	if x.item != models.NoItem {
		m.Learn(m.slate(x), 0, x.weight)
	}
}
func (m *ranker) predict() string {
	var out strings.Builder
	for i := range models.Item(itemsInTests) {
		fmt.Fprintln(&out, m.slate(example{item: i, a: i + 1, b: i + 2}).Score)
	}
	return out.String()
}
func (m *ranker) rows() (out [][]byte) {
	for n := range uint32(m.Rows()) {
		out = append(out, m.AppendRow(nil, n))
	}
	return out
}
func (m *ranker) load(rows [][]byte) error       { return loadAll(rows, m.LoadRow) }
func (m *ranker) limit() int                     { return 8 * models.PacedRow }
func (m *ranker) same(row uint32, b []byte) bool { return bytes.Equal(m.AppendRow(nil, row), b) }

// near has a session for each item of the examples' second place. Its rows are the head, the items and the sessions.
type near struct {
	*models.Neighbours
	ordered
}

func (m *near) learn(x example) {
	if good(x) {
		if x.weight == 7 {
			m.Erase(uint64(x.b) + 1)
		}
		m.Learn(uint64(x.a)+1, x.item, x.atMS)
		m.note(0)
	}
}
func (m *near) predict() string {
	var out strings.Builder
	s := models.NewScratch()
	for i := range models.Item(itemsInTests) {
		s.Reset()
		m.Score(s, []models.Item{i, (i + 1) % itemsInTests}, 0, 1e7)
		fmt.Fprintln(&out, i, s.Top(5, func(models.Item) bool { return true }))
	}
	return out.String()
}
func (m *near) rows() [][]byte {
	out := [][]byte{m.head()}
	for n := range uint32(itemsInTests) {
		out = append(out, m.AppendItem(nil, n))
	}
	for n := range uint32(sessionsInTests) {
		out = append(out, m.AppendSession(nil, n))
	}
	return out
}

func (m *near) head() []byte {
	b := m.AppendHead(nil)
	if bytes.Equal(b, models.NewNeighbours(models.DefaultNeighbours()).AppendHead(nil)) {
		return nil
	}
	return b
}
func (m *near) load(rows [][]byte) error {
	if len(rows[0]) > 0 {
		if err := m.LoadHead(rows[0]); err != nil {
			return err
		}
	}
	for n, b := range rows[1:] {
		load := m.LoadItem
		if n >= itemsInTests {
			n, load = n-itemsInTests, m.LoadSession
		}
		if len(b) > 0 {
			if err := load(uint32(n), b); err != nil {
				return err
			}
		}
	}
	return nil
}
func (m *near) limit() int { return 12 + 10 + 6 + 4*16 + 64 }
func (m *near) same(row uint32, b []byte) bool {
	rows := m.rows()
	return int(row) < len(rows) && bytes.Equal(rows[row], b)
}

// logistic has the record, then the rows of the weights.
type logistic struct {
	*models.Logistic
	ordered
}

func (m *logistic) learn(x example) {
	f := []uint16{uint16(x.a % itemsInTests), itemsInTests + uint16(x.b%itemsInTests)}
	logit := m.Logit(f)
	if x.item == models.NoItem {
		f[0] = 2 * itemsInTests
	}
	if !good(x) {
		logit = float32(math.NaN())
	}
	m.Learn(f, logit, x.item%2 == 0)
}
func (m *logistic) predict() string {
	var out strings.Builder
	for k := range uint16(2 * itemsInTests) {
		fmt.Fprintln(&out, k, m.Chance(m.Logit([]uint16{k})))
	}
	r := m.Record()
	fmt.Fprintln(&out, r, r.AUC())
	return out.String()
}
func (m *logistic) rows() (out [][]byte) {
	out = append(out, m.AppendRecord(nil))
	for n := range uint32(m.Rows()) {
		out = append(out, m.AppendRow(nil, n))
	}
	return out
}
func (m *logistic) load(rows [][]byte) error {
	if len(rows) > 0 && len(rows[0]) > 0 {
		if err := m.LoadRecord(rows[0]); err != nil {
			return err
		}
	}
	return loadAll(rows[min(1, len(rows)):], m.LoadRow)
}
func (m *logistic) limit() int { return max(8*models.PacedRow, 8*(6+3*17)) }
func (m *logistic) same(row uint32, b []byte) bool {
	rows := m.rows()
	return int(row) < len(rows) && bytes.Equal(rows[row], b)
}

type sequence struct {
	*models.Sequence
	ordered
}

func (m *sequence) learn(x example) {
	if good(x) {
		m.Learn(x.item, query(x))
		// A step runs when it is waited for: as late as it may.
		m.Train(func(step func()) func() { return step })
	}
}
func (m *sequence) predict() string {
	var out strings.Builder
	s := m.NewScratch()
	for i := range models.Item(itemsInTests) {
		if m.Ask(s, &models.Query{Items: []models.Item{i, (i + 1) % itemsInTests}}) {
			fmt.Fprintln(&out, i, m.Top(s, 5))
		}
	}
	return out.String()
}

const headsInTests = 4 // rows of the sequence model that belong to no item

func (m *sequence) rows() (out [][]byte) {
	for n := range uint32(headsInTests) {
		out = append(out, m.AppendHead(nil, n))
	}
	for n := range uint32(m.Items()) {
		out = append(out, m.AppendRow(nil, n))
	}
	return out
}
func (m *sequence) load(rows [][]byte) error {
	heads := min(headsInTests, len(rows))
	if err := loadAll(rows[heads:], m.LoadRow); err != nil {
		return err
	}
	return loadAll(rows[:heads], m.LoadHead)
}
func (m *sequence) limit() int { return 60 + 4*4*4*8 + 4*(3*4*4+3)*3 + 32*4*4 + 12*(5*3+2) }
func (m *sequence) same(row uint32, b []byte) bool {
	rows := m.rows()
	return int(row) < len(rows) && bytes.Equal(rows[row], b)
}

// next is a recommender of all parts; its rows are those of the parts, in one list with the part in front.
type next struct {
	*models.NextItem
	ordered
	s     *models.NextItemScratch
	parts map[string]uint32 // a part's row: its number in the list
	names []string
}

func (m *next) number(part string, row uint32) uint32 {
	key := fmt.Sprint(part, " ", row)
	n, ok := m.parts[key]
	if !ok {
		n = uint32(len(m.names))
		m.parts[key] = n
		m.names = append(m.names, key)
	}
	return n
}

const (
	ranksInTests    = 64 // rows of the ranker
	sessionsInTests = 8
)

func (m *next) announce() {
	m.parts = map[string]uint32{}
	touch := func(part string) func(uint32) {
		return func(row uint32) { m.note(m.number(part, row)) }
	}
	m.number("head", 0)
	m.number("near", 0)
	for _, part := range []string{"together", "trends", "again", "items", "sessions"} {
		for row := range uint32(itemsInTests) {
			m.number(part, row)
		}
	}
	for row := range uint32(ranksInTests) {
		m.number("ranker", row)
	}
	m.Together.Touch, m.Trends.Touch, m.Again.Touch, m.Ranker.Touch = touch("together"), touch("trends"), touch("again"), touch("ranker")
	m.Near.TouchItem, m.Near.TouchSession = touch("items"), touch("sessions")
}
func (m *next) learn(x example) {
	m.Learn(m.s, x.item, query(x), x.atMS, x.weight)
	m.note(0)
	m.note(1)
}
func (m *next) predict() string {
	var out strings.Builder
	for i := range models.Item(itemsInTests) {
		fmt.Fprintln(&out, i, m.Rank(m.s, query(example{a: i, b: (i + 1) % itemsInTests, atMS: 1e7})))
	}
	return out.String()
}
func (m *next) row(n uint32) []byte {
	var part string
	var row uint32
	fmt.Sscan(m.names[n], &part, &row)
	switch part {
	case "head":
		b := m.AppendHead(nil)
		if bytes.Equal(b, models.NewNextItem(models.DefaultNextItem()).AppendHead(nil)) {
			return nil
		}
		return b
	case "near":
		b := m.Near.AppendHead(nil)
		if bytes.Equal(b, models.NewNeighbours(models.DefaultNeighbours()).AppendHead(nil)) {
			return nil
		}
		return b
	case "together":
		return m.Together.AppendRow(nil, row)
	case "trends":
		return m.Trends.AppendRow(nil, row)
	case "again":
		return m.Again.AppendRow(nil, row)
	case "items":
		return m.Near.AppendItem(nil, row)
	case "sessions":
		return m.Near.AppendSession(nil, row)
	}
	return m.Ranker.AppendRow(nil, row)
}
func (m *next) rows() (out [][]byte) {
	for n := range m.names {
		out = append(out, m.row(uint32(n)))
	}
	return out
}
func (m *next) load(rows [][]byte) error {
	for n, b := range rows {
		if len(b) == 0 {
			continue
		}
		var part string
		var row uint32
		fmt.Sscan(m.names[n], &part, &row)
		load := map[string]func(uint32, []byte) error{"together": m.Together.LoadRow, "trends": m.Trends.LoadRow, "again": m.Again.LoadRow,
			"items": m.Near.LoadItem, "sessions": m.Near.LoadSession, "ranker": m.Ranker.LoadRow, "head": func(_ uint32, b []byte) error { return m.LoadHead(b) }, "near": func(_ uint32, b []byte) error { return m.Near.LoadHead(b) }}[part]
		if err := load(row, b); err != nil {
			return err
		}
	}
	m.Trends.Settle()
	return nil
}
func (m *next) limit() int                     { return 14 + 8*200 }
func (m *next) same(row uint32, b []byte) bool { return bytes.Equal(m.row(row), b) }

func init() {
	subjects["Bandit"] = func() model {
		m := &bandit{Bandit: models.NewBandit(models.DefaultBandit(4, 2, 3))}
		m.Touch = m.note
		return m
	}
}

type bandit struct {
	*models.Bandit
	ordered
}

func moment(x example) (features, own []float64) {
	for a := range 4 {
		features = append(features, 1, float64((int(x.a)+a)%3)/3)
	}
	return features, []float64{1, float64(x.b%5) / 5, float64(x.a%2) - .5}
}
func (m *bandit) learn(x example) {
	if x.item != models.NoItem && good(x) {
		features, own := moment(x)
		m.Learn(int(x.item)%4, features, own, float64(x.weight)/8)
	}
}
func (m *bandit) predict() string {
	var out strings.Builder
	for i := range models.Item(itemsInTests) {
		features, own := moment(example{a: i, b: i + 1})
		fmt.Fprintln(&out, m.Chances(features, own))
	}
	return out.String()
}
func (m *bandit) rows() (out [][]byte) {
	for n := range uint32(m.Rows()) {
		out = append(out, m.AppendRow(nil, n))
	}
	return out
}
func (m *bandit) load(rows [][]byte) error       { return loadAll(rows, m.LoadRow) }
func (m *bandit) limit() int                     { return 8 * (3 + 9) }
func (m *bandit) same(row uint32, b []byte) bool { return bytes.Equal(m.AppendRow(nil, row), b) }
