package operators

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/condition"
	"nudge/operators/feature"
)

// customerFeature is what the names of a customer's features begin with.
const customerFeature = "user."

// newFeatures compiles the features of customers, and which of their windows are put out.
func newFeatures(defs map[string]feature.Definition, results map[string]Results, zone *time.Location) (*feature.Set, error) {
	s, err := feature.New(bare(defs), outputsOf(results), zone)
	if err != nil {
		return nil, fmt.Errorf("operators: features: %w", err)
	}
	return s, nil
}

// featureFaults lists what is wrong with the definitions, one fault for each at most.
func featureFaults(defs map[string]feature.Definition) (faults []ConfigFault) {
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		key := "features." + name
		if !strings.HasPrefix(name, customerFeature) || len(name) == len(customerFeature) || strings.Contains(name[len(customerFeature):], ".") {
			faults = append(faults, ConfigFault{key, condition.Fault{Found: fmt.Sprintf("%q", name), Allowed: "want user.<name>, such as user.views_1h"}})
			continue
		}
		_, err := feature.New(map[string]feature.Definition{"": defs[name]}, nil, time.UTC)
		var f *feature.Fault
		if errors.As(err, &f) {
			if near := closest(f.Word, f.Near); f.Suggestion == "" && f.Word != "" && len(near) > 0 {
				f.Suggestion = near[0]
			}
			faults = append(faults, ConfigFault{key + f.Key, condition.Fault{Found: f.Found, Allowed: f.Allowed, Suggestion: f.Suggestion}})
		}
	}
	return faults
}

// layouts is the shared table of how rows of features are encoded: that of the pipeline first, then those that only the store knows.
type layouts struct {
	table *engine.Table
	texts []feature.Layout
}

func newLayouts(own feature.Layout) *layouts {
	l := &layouts{texts: []feature.Layout{own}}
	l.table = &engine.Table{Name: "layouts", Row: l.row, Load: l.load}
	if own != "" {
		l.table.Touch(0)
	}
	return l
}

func hashLayout(l feature.Layout) uint64 { return xxhash.Sum64String(string(l)) }

func (l *layouts) row(i uint32, key, value []byte) (k, v []byte) {
	if int(i) >= len(l.texts) || l.texts[i] == "" {
		return key, nil
	}
	return binary.BigEndian.AppendUint64(key, hashLayout(l.texts[i])), append(value, l.texts[i]...)
}

func (l *layouts) load(key, value []byte) error {
	x := feature.Layout(value)
	if len(key) != 8 || binary.BigEndian.Uint64(key) != hashLayout(x) {
		return fmt.Errorf("operators: a layout of features under the key %x: want its hash", key)
	}
	if !slices.Contains(l.texts, x) {
		l.texts = append(l.texts, x)
	}
	return nil
}

// find returns the layout of a hash.
func (l *layouts) find(hash uint64) (feature.Layout, bool) {
	for _, x := range l.texts {
		if x != "" && hashLayout(x) == hash {
			return x, true
		}
	}
	return "", false
}

// Category is the first category of an item, as the catalogue has it. It implements feature.Items.
func (p *Program) Category(item string) string {
	i := p.catalog.find(hashItem(item))
	if i == models.NoItem {
		return ""
	}
	first, _, _ := strings.Cut(p.catalog.rows[i.Row()].categories, "\n")
	return first
}

// observe takes the event into the customer's features.
func (p *Program) observe(t *engine.Turn, c *Customer, s *scratch) {
	if p.features.Len() == 0 {
		return
	}
	o := &s.observation
	o.Event, o.Line, o.TimeMS, o.WatermarkMS, o.Items = t.Event, -1, t.NowMS, t.WatermarkMS, p
	p.features.Observe(&c.features, o)
	for _, atMS := range o.Visits {
		t.VisitAt(atMS)
	}
	o.Visits = o.Visits[:0]
	for ; o.Late > 0; o.Late-- {
		t.Count("late/features")
	}
}

// kindOf is a feature's kind as conditions have it.
func kindOf(k feature.Kind) condition.Kind {
	switch k {
	case feature.Text:
		return condition.Text
	case feature.List:
		return condition.List
	}
	return condition.Number
}

// describeFeatures tells what the customer's features say as of a time; those that are not known are left out.
func (p *Program) describeFeatures(c *Customer, nowMS int64) map[string]any {
	var out map[string]any
	for i := range p.features.Len() {
		v := p.features.Value(&c.features, i, nowMS)
		var x any = v.Number
		switch {
		case v.Kind == feature.Text && v.Text != "":
			x = v.Text
		case v.Kind == feature.List && len(v.List) > 0:
			x = v.List
		case v.Kind != feature.Number || v.Number != v.Number:
			continue
		}
		if out == nil {
			out = map[string]any{}
		}
		out[customerFeature+p.features.Name(i)] = x
	}
	return out
}
