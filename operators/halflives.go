package operators

import (
	"encoding/binary"
	"fmt"
)

// halfLives are those that the decayed models were learned under. Their times are written in half-lives, so what was learned under another one would
// be misread: it is forgotten.
type halfLives struct {
	together, trends               int64 // ms
	togetherChanged, trendsChanged bool
}

func (h *halfLives) append(b []byte) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, h.together), h.trends)
}

// compare holds what the state was written under against what is in force.
func (h *halfLives) compare(b []byte) error {
	together, n := binary.Varint(b)
	if n <= 0 {
		return fmt.Errorf("operators: half-lives: %x is no number", b)
	}
	trends, m := binary.Varint(b[n:])
	if m <= 0 || n+m != len(b) {
		return fmt.Errorf("operators: half-lives: %x are no two numbers", b)
	}
	h.togetherChanged, h.trendsChanged = together != h.together, trends != h.trends
	return nil
}

// loadDecayed loads a row of a decayed model, or has it deleted.
func (p *Program) loadDecayed(key, value []byte, changed bool, touch func(row uint32), load func(row uint32, b []byte) error) error {
	return loadRow(key, value, func(row uint32, b []byte) error {
		if changed {
			touch(row)
			return nil
		}
		return load(row, b)
	})
}
