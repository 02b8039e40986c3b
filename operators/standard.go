package operators

import (
	"fmt"

	"nudge/engine"
	"nudge/models"
)

// standards are the moments that features of customers are standardised by: of the values that a feature had after every event that any
// customer sent. Shards note theirs in the scratch; Learn merges them, so conditions see them as of the end of the epoch before.
type standards struct {
	features []int
	keys     []string
	moments  []models.Moments
	table    *engine.Table
}

func (p *Program) addStandards() {
	s := &standards{}
	s.features, s.keys = p.features.Standardised()
	s.moments = make([]models.Moments, len(s.features))
	for k, i := range s.features {
		p.features.Moments(i, &s.moments[k])
	}
	s.table = &engine.Table{Name: "standards",
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			if int(i) >= len(s.moments) {
				return key, nil
			}
			key = append(key, s.keys[i]...)
			if s.moments[i].Empty() {
				return key, nil
			}
			return key, s.moments[i].AppendBinary(value)
		},
		Load: func(key, value []byte) error {
			for k := range s.keys {
				if s.keys[k] == string(key) {
					if err := s.moments[k].UnmarshalBinary(value); err != nil {
						return fmt.Errorf("operators: the moments of %q: %w", key, err)
					}
				}
			}
			return nil // of one that the pipeline no longer has: it stays, should it come back
		}}
	p.standards = s
}

// sampleStandards notes the values that features have after an event.
func (p *Program) sampleStandards(t *engine.Turn, c *Customer, s *scratch) {
	if len(p.standards.features) == 0 {
		return
	}
	if s.samples == nil {
		s.samples = make([]models.Moments, len(p.standards.features))
	}
	for k, i := range p.standards.features {
		if x, known := p.features.Sample(&c.features, i, t.NowMS); known {
			s.samples[k].Add(x)
		}
	}
}

// learnStandards merges what the shards noted.
func (p *Program) learnStandards(s *scratch) {
	for k := range s.samples {
		if !s.samples[k].Empty() {
			p.standards.table.Touch(uint32(k))
			p.standards.moments[k].Merge(&s.samples[k])
			s.samples[k] = models.Moments{}
		}
	}
}
