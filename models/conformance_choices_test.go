package models_test

import (
	"bytes"
	"fmt"

	"nudge/models"
)

func init() {
	subjects["Choices"] = func() model {
		m := &choices{Choices: models.NewChoices()}
		for i := range models.Item(itemsInTests) {
			m.Describe(i, uint32(1+i%3), uint32(i%2), int64(1+i%4)*1000) // the catalogue says that, whatever was learned
		}
		m.Touch = m.note
		m.TouchItem = func(row uint32) { m.note(uint32(m.Rows()) + row) }
		return m
	}
}

// choices has the rows of the groups, then the items'.
type choices struct {
	*models.Choices
	ordered
}

func (m *choices) learn(x example) {
	c := models.Choice{Kind: models.Kind(x.b % 3), Options: []models.Item{x.item, x.a}, Chosen: int(x.b%3) - 1}
	by := models.Leaning{int32(x.b%5) << 14, 1 << 15, -1 << 15} // it is the customer's, not the model's
	if x.item == models.NoItem || x.a == models.NoItem || !good(x) || !m.Read(&c, &by) {
		return // an option that is none is left out before
	}
	m.Learn(&c)
}
func (m *choices) predict() string {
	s := models.NewScratch()
	m.Score(s, &models.Leaning{1 << 16, -1 << 15, 3, 0, 0, 0, 0, 0, 1 << 14}, func(each func(models.Item)) {
		for i := range models.Item(itemsInTests) {
			each(i)
		}
	})
	return fmt.Sprint(s.Top(itemsInTests, func(models.Item) bool { return true }))
}
func (m *choices) rows() (out [][]byte) {
	for n := range uint32(m.Rows()) {
		out = append(out, m.AppendRow(nil, n))
	}
	for n := range uint32(itemsInTests) {
		out = append(out, m.AppendItem(nil, n))
	}
	return out
}
func (m *choices) load(rows [][]byte) error {
	n := min(len(rows), m.Rows())
	err := loadAll(rows[:n], m.LoadRow)
	if err == nil {
		err = loadAll(rows[n:], m.LoadItem)
	}
	return err
}
func (m *choices) limit() int { return 8 * models.PacedRow }
func (m *choices) same(row uint32, b []byte) bool {
	if n := uint32(m.Rows()); row >= n {
		return bytes.Equal(m.AppendItem(nil, row-n), b)
	}
	return bytes.Equal(m.AppendRow(nil, row), b)
}
