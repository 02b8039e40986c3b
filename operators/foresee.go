package operators

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"nudge/engine"
	"nudge/models"
)

// Foreseen is what the models say of a customer's next steps.
type Foreseen struct {
	Predictions map[string]float64 `json:"predictions,omitempty"`     // chances by name; those that are known
	Items       []Likely           `json:"next_items,omitempty"`      // the likeliest next, the likeliest first
	Categories  []Likely           `json:"next_categories,omitempty"` // likewise, of all items that may come next
}

// Likely is an item or category with the chance that it comes next.
type Likely struct {
	Name   string  `json:"name"`
	Chance float64 `json:"chance"`
}

const (
	foreseenItems      = 5
	foreseenCategories = 3
)

// Foresee says what is foreseen of a customer as of a time, or of the last event if that is later; nil where the pipeline has nothing that foresees. hash is
// the customer's. It is called between two epochs, by one goroutine at a time.
func (p *Program) Foresee(state engine.State, hash uint64, anonymous bool) *Foreseen {
	c := *state.(*Customer)
	c.recent = slices.Clone(c.recent) // looking resolves its items
	nowMS := max(c.lastMS, p.seenMS)
	var f Foreseen
	if len(p.predictions) > 0 {
		knows := p.knows(nil, &c, anonymous, nowMS)
		for _, x := range p.predictions {
			if chance := p.predict(x, knows); chance == chance {
				if f.Predictions == nil {
					f.Predictions = map[string]float64{}
				}
				f.Predictions[x.name] = round(float32(chance))
			}
		}
	}
	if p.learnsNext && len(c.recent) > 0 {
		if p.answering == nil {
			p.answering = p.NewScratch(0).(*scratch)
		}
		s := p.answering
		s.foresee(p, &c, customerKey(hash), nowMS)
		f.Items, f.Categories = slices.Clone(s.likely.items), slices.Clone(s.likely.categories)
	}
	if f.Predictions == nil && f.Items == nil {
		return nil
	}
	return &f
}

// foreseer is what is asked for the next step of a customer, beside what lists are made of.
type foreseer struct {
	next       *models.NextItemScratch
	query      models.Query
	items      []Likely
	categories []Likely
}

// foresee fills s.likely.
func (s *scratch) foresee(p *Program, c *Customer, key uint64, nowMS int64) {
	l := &s.likely
	l.items, l.categories = l.items[:0], l.categories[:0]
	if l.next == nil {
		l.next = p.next.NewScratch()
	}
	p.nextQuery(&l.query, c, key, nowMS)
	if len(l.query.Items) == 0 {
		return
	}
	for _, x := range p.next.Rank(l.next, &l.query) {
		if !p.catalog.valid(x.Item) {
			continue
		}
		name := p.firstCategory(x.Item)
		if name == "" {
			continue
		}
		k := slices.IndexFunc(l.categories, func(y Likely) bool { return y.Name == name })
		if k < 0 {
			k = len(l.categories)
			l.categories = append(l.categories, Likely{Name: name})
		}
		l.categories[k].Chance += float64(x.Score)
	}
	for _, x := range l.next.Top(foreseenItems, p.catalog.valid) {
		l.items = append(l.items, Likely{p.catalog.id(x.Item), round(x.Score)})
	}
	slices.SortFunc(l.categories, func(a, b Likely) int {
		return cmp.Or(cmp.Compare(b.Chance, a.Chance), cmp.Compare(a.Name, b.Name))
	})
	l.categories = l.categories[:min(len(l.categories), foreseenCategories)]
	for k := range l.categories {
		l.categories[k].Chance = round(float32(l.categories[k].Chance))
	}
}

// PredictionDescription is how good a prediction is, for people: of outcomes that it had not learned when it was made.
type PredictionDescription struct {
	Name        string       `json:"name"`
	Event       []string     `json:"event"`
	Within      string       `json:"within"`
	Outcomes    int64        `json:"outcomes"`         // seen; those of long ago count less
	Happened    float64      `json:"happened"`         // share of them
	Said        bool         `json:"said"`             // whether it is worth being said
	Unsaid      string       `json:"unsaid,omitempty"` // why not
	LogLoss     float64      `json:"log_loss"`         // nats an outcome
	BaseLogLoss float64      `json:"base_log_loss"`    // of who always says the share that has happened so far
	Better      float64      `json:"better_of_late"`   // part of the base log loss that predictions have saved of late; below 0: they were worse
	AUC         *float64     `json:"auc,omitempty"`    // by the ranges
	Ranges      []Calibrated `json:"calibration,omitempty"`
}

// Calibrated is what was predicted within a range, and what then happened.
type Calibrated struct {
	Outcomes  int64   `json:"outcomes"`
	Predicted float64 `json:"predicted"` // mean
	Happened  float64 `json:"happened"`  // share
}

// DescribePredictions says how good the predictions are, by name.
func (p *Program) DescribePredictions() []PredictionDescription {
	all := []PredictionDescription{}
	for _, x := range p.predictions {
		r, c := x.model.Record(), p.config.Predictions[x.name]
		d := PredictionDescription{Name: x.name, Event: c.Event, Within: c.Within.String(), Outcomes: int64(r.Examples + .5),
			Said: r.Enough() && r.Better()}
		switch {
		case !r.Enough():
			d.Unsaid = fmt.Sprintf("fewer than %d outcomes, or fewer than %d that happened or did not: no chance is said", models.LeastOutcomes, models.LeastOfEither)
		case !d.Said:
			d.Unsaid = "no better of late than the share that happens, said of everybody: no chance is said"
		}
		part := func(a, b float64) float64 {
			if b == 0 {
				return 0
			}
			return math.Round(a/b*1e4) / 1e4
		}
		d.Happened, d.LogLoss, d.BaseLogLoss = part(r.Happened, r.Examples), part(r.LogLoss, r.Examples), part(r.BaseLoss, r.Examples)
		if r.BaseLately > 0 {
			d.Better = part(r.BaseLately-r.Lately, r.BaseLately)
		}
		if auc := r.AUC(); auc == auc {
			auc = part(auc, 1)
			d.AUC = &auc
		}
		for _, b := range r.Bins {
			if b.Examples >= .5 {
				d.Ranges = append(d.Ranges, Calibrated{int64(b.Examples + .5), part(b.Predicted, b.Examples), part(b.Happened, b.Examples)})
			}
		}
		all = append(all, d)
	}
	return all
}
