package operators

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/condition"
	"nudge/operators/feature"
)

// What features are of. Their names begin with it: user.views_1h, item.buyers_7d, global.visits.
const (
	entityUser     = "user"
	entityCategory = "user_category" // a customer and the first category of an item
	entitySession  = "session"       // a customer's present one, by the event's session
	entityItem     = "item"
	entityGlobal   = "global"
)

var entities = []string{entityUser, entityCategory, entitySession, entityItem, entityGlobal}

// splitFeature takes a feature's name apart. Without a known entity in front there is none.
func splitFeature(name string) (entity, own string) {
	entity, own, ok := strings.Cut(name, ".")
	if !ok || !slices.Contains(entities, entity) {
		return "", name
	}
	return entity, own
}

// newFeatures compiles the features of one entity, and which of their windows are put out.
func newFeatures(entity string, defs map[string]feature.Definition, results map[string]Results, zone *time.Location) (*feature.Set, error) {
	compile := feature.New
	if entity == entityItem || entity == entityGlobal {
		compile = feature.NewShared
	}
	s, err := compile(ownFeatures(entity, defs), ownOutputs(entity, results), zone)
	if err != nil {
		return nil, fmt.Errorf("operators: features: %s.%w", entity, err)
	}
	return s, nil
}

// ownFeatures are the definitions of one entity, by their names without it.
func ownFeatures(entity string, defs map[string]feature.Definition) map[string]feature.Definition {
	own := map[string]feature.Definition{}
	for name, d := range defs {
		if of, base := splitFeature(name); of == entity {
			own[base] = d
		}
	}
	return own
}

// ownOutputs lists the streams of closed windows in the order of their numbers; those of other entities have no features.
func ownOutputs(entity string, results map[string]Results) (out []feature.Output) {
	for _, name := range slices.Sorted(maps.Keys(results)) {
		o := feature.Output{Name: name}
		for _, of := range results[name].Of {
			if e, base := splitFeature(of); e == entity {
				o.Features = append(o.Features, base)
			}
		}
		out = append(out, o)
	}
	return out
}

// addFeatures compiles the features of all entities.
func (p *Program) addFeatures(results map[string]Results) error {
	sets := map[string]*feature.Set{}
	for _, entity := range entities {
		s, err := newFeatures(entity, p.config.Features, results, p.zone)
		if err != nil {
			return err
		}
		sets[entity] = s
	}
	p.features = sets[entityUser]
	p.sets = &ownSets{user: newOwnSet(sets[entityUser]), category: newOwnSet(sets[entityCategory]), session: newOwnSet(sets[entitySession]),
		item: newOwnSet(sets[entityItem]), global: newOwnSet(sets[entityGlobal])}
	var all []feature.Layout
	for _, entity := range entities {
		all = append(all, sets[entity].Layout())
	}
	p.layouts = newLayouts(all...)
	p.addStandards()
	p.closedMS = math.MinInt64
	p.items = newShared(entityItem, sets[entityItem], p.layouts, &p.closedMS)
	p.global = newShared(entityGlobal, sets[entityGlobal], p.layouts, &p.closedMS)
	p.addBegun()
	return nil
}

// featureName is what a feature may be called after its entity, so that conditions, outputs and subjects can name it.
var featureName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

// FeaturePattern is what the keys of the section features look like, for the JSON Schema.
var FeaturePattern = "^(" + strings.Join(entities, "|") + ")\\." + strings.TrimPrefix(featureName.String(), "^")

var unfitting = regexp.MustCompile(`[^a-z0-9_]+`)

// featureFaults lists what is wrong with the definitions, one fault for each at most.
func featureFaults(defs map[string]feature.Definition) (faults []ConfigFault) {
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		add := func(key string, f condition.Fault) {
			faults = append(faults, ConfigFault{Key: "features." + name + key, Fault: f, feature: name})
		}
		entity, own := splitFeature(name)
		switch {
		case entity == "" || own == "" || strings.Contains(own, "."):
			add("", condition.Fault{Found: fmt.Sprintf("%q", name), Allowed: "want user.<name>, user_category.<name>, session.<name>, item.<name> or global.<name>, such as user.views_1h"})
			continue
		case !featureName.MatchString(own):
			f := condition.Fault{Found: fmt.Sprintf("%q", name), Allowed: "a name is a small letter and up to 47 more small letters, digits and _: conditions could not name this one"}
			if fit := strings.Trim(unfitting.ReplaceAllString(strings.ToLower(own), "_"), "_"); featureName.MatchString(fit) {
				f.Suggestion = entity + "." + fit
			}
			add("", f)
			continue
		case entity == entityItem && slices.ContainsFunc(itemFields, func(f field) bool { return f.name == own }):
			add("", condition.Fault{Found: fmt.Sprintf("%q", name), Allowed: "the catalogue has that name; rename the feature"})
			continue
		}
		for i, x := range defs[name].Transform {
			if x.Standardise && entity != entityUser {
				add(fmt.Sprintf(".transform[%d]", i), condition.Fault{Found: "standardise of a feature of " + entity, Allowed: "it goes with features of user"})
			}
		}
		_, err := feature.New(map[string]feature.Definition{"": defs[name]}, nil, time.UTC)
		var f *feature.Fault
		if errors.As(err, &f) {
			if near := closest(f.Word, f.Near); f.Suggestion == "" && f.Word != "" && len(near) > 0 {
				f.Suggestion = near[0]
			}
			add(f.Key, condition.Fault{Found: f.Found, Allowed: f.Allowed, Suggestion: f.Suggestion})
		}
	}
	return faults
}

// layouts is the shared table of how rows of features are encoded: those of the pipeline first, then those that only the store knows.
type layouts struct {
	table *engine.Table
	texts []feature.Layout
}

func newLayouts(own ...feature.Layout) *layouts {
	l := &layouts{}
	l.table = &engine.Table{Name: "layouts", Row: l.row, Load: l.load}
	for _, x := range own {
		if x != "" && !slices.Contains(l.texts, x) {
			l.table.Touch(uint32(len(l.texts)))
			l.texts = append(l.texts, x)
		}
	}
	return l
}

func hashLayout(l feature.Layout) uint64 { return xxhash.Sum64String(string(l)) }

func (l *layouts) row(i uint32, key, value []byte) (k, v []byte) {
	if int(i) >= len(l.texts) {
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
		if hashLayout(x) == hash {
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
	return p.firstCategory(i)
}

// firstCategory is that of an item that has its row; "" for none.
func (p *Program) firstCategory(i models.Item) string {
	first, _, _ := strings.Cut(p.catalog.rows[i.Row()].categories, "\n")
	return first
}

// observe takes the event into the customer's features.
func (p *Program) observe(t *engine.Turn, c *Customer, s *scratch) {
	o := &s.observation
	o.Event, o.Line, o.TimeMS, o.WatermarkMS, o.Items = t.Event, -1, t.NowMS, t.WatermarkMS, p
	if p.audit != nil {
		p.audit.past.take(t, c, o)
	}
	if p.features.Len() == 0 || s.noOrder {
		return
	}
	p.features.Observe(&c.features, o)
	for _, atMS := range o.Visits {
		t.VisitAt(atMS)
	}
	o.Visits = o.Visits[:0]
	p.countLate(t, o)
}

func (p *Program) countLate(t *engine.Turn, o *feature.Observation) {
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

// describeFeatures tells what the features of a row say as of a time; those that are not known are left out.
func describeFeatures(entity string, set *feature.Set, r *feature.Row, nowMS int64) map[string]any {
	var out map[string]any
	for i := range set.Len() {
		v := set.Value(r, i, nowMS)
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
		out[entity+"."+set.Name(i)] = x
	}
	return out
}
