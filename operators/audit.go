package operators

import (
	"encoding/json"
	"math"
	"slices"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/feature"
	"nudge/streams"
)

// Audit keeps every event that a program folds, and holds the features that are logged with decisions against what the raw events say: point in
// time, by a second, simple implementation (feature.Set.Naive). Features of a customer, their session and categories are as of the event itself, those
// of items and of all together as of the end of the epoch before. What an event counts for - whose it is, whether it was sent twice, came too late or
// is ignored - is as the engine has it.
//
// It needs all customers in memory, and their events, and is used by one goroutine.
type Audit struct {
	// Every is how many decisions one is audited of.
	Every int
	// Published, if there is any, is what was published, by the ids of decisions: it is held instead of what is logged. Those that are held are taken out.
	Published map[string]Published
	// Policy, if it is given, is the pipeline's name in decisions: what was published under another could not have all of its features, and is not held.
	Policy string
	// Younger are the features that do not see what was before the pipeline took over from another, at this epoch: of what was published they are not held.
	Younger []string
	// Differs is told of each feature that does not hold.
	Differs func(d *Difference)

	Decisions, Audited, Features int64
	Missing                      int64            // decisions that Published does not have
	Held                         map[string]int64 // features by what they are of
	Passed                       map[string]int64 // features that can't be held, by the reason

	program *Program
	past    *past
	epoch   map[sharedAsked]sharedAnswer
}

// Published is what a published decision says: of its pipeline, if anything, of its features, and which of them see less than their window yet.
type Published struct {
	Policy   string
	Features map[string]json.RawMessage
	Warming  []string
}

// Of says whether a decision may have been made by a pipeline.
func (p *Published) Of(policy string) bool {
	return p.Policy == "" || policy == "" || p.Policy == policy
}

// Difference is a logged feature that the raw events contradict.
type Difference struct {
	Customer string `json:"customer"`
	Decision string `json:"decision"` // its name
	ID       string `json:"id,omitempty"`
	Time     string `json:"time"`
	Feature  string `json:"feature"`
	Logged   string `json:"logged"`
	Expected any    `json:"expected"`
}

// Why a feature is passed over, beside what package feature says.
const (
	passedLong   = "published without features, for the length of the decision"
	passedModel  = "of a model"
	passedOther  = "no feature that is declared"
	passedBegun  = "begun when the pipeline was changed, without what was before"
	passedEvicts = "limits.items is reached, and the item had lost its place"
)

// sharedAsked is a feature of what customers share, which is the same within an epoch.
type sharedAsked struct {
	set   *feature.Set
	i     int
	of    *feature.History
	nowMS int64
}

type sharedAnswer struct {
	expected feature.Expected
	passed   string
}

const noWatermark = math.MinInt64

// Audit has the program audited. It must be called before anything is folded.
func (p *Program) Audit(a *Audit) {
	a.program, a.past = p, newPast(p)
	a.Held, a.Passed, a.epoch = map[string]int64{}, map[string]int64{}, map[sharedAsked]sharedAnswer{}
	p.audit = a
}

// Skipped is how many features were passed over.
func (a *Audit) Skipped() (n int64) {
	for _, x := range a.Passed {
		n += x
	}
	return n
}

// endEpoch is called when what customers share has taken in an epoch.
func (a *Audit) endEpoch(t *engine.Turn) {
	a.past.endEpoch(t.WatermarkMS)
	clear(a.epoch)
}

// logged audits what a decision logs: members of a JSON object, each after a comma.
func (a *Audit) logged(t *engine.Turn, c *Customer, name string, logs []logged, members []byte) {
	if len(logs) == 0 {
		return
	}
	if a.Decisions++; (a.Decisions-1)%int64(max(a.Every, 1)) != 0 && a.Published == nil {
		return
	}
	id := t.NextID(name)
	published, there := a.Published[id]
	switch {
	case there:
		delete(a.Published, id)
		switch {
		case (a.Decisions-1)%int64(max(a.Every, 1)) != 0:
			return
		case !published.Of(a.Policy):
			return
		case published.Features == nil:
			a.Passed[passedLong] += int64(len(logs))
			return
		}
	case a.Published != nil:
		a.Missing++
		return
	case len(members) > 0:
		if err := json.Unmarshal(append([]byte{'{'}, append(members[1:len(members):len(members)], '}')...), &published.Features); err != nil {
			published.Features = nil
		}
	}
	a.hold(t, c, Difference{Customer: t.Customer, Decision: name, ID: id, Time: string(streams.AppendTime(nil, t.NowMS))}, logs, &published)
}

// hold compares what is published with what the raw events say.
func (a *Audit) hold(t *engine.Turn, c *Customer, d Difference, logs []logged, published *Published) {
	a.Audited++
	for i := range logs {
		l := &logs[i]
		x, of, passed := a.expected(t, c, l)
		if slices.Contains(published.Warming, l.name) || a.Published != nil && slices.Contains(a.Younger, l.name) {
			passed = passedBegun
		}
		if passed != "" {
			a.Passed[passed]++
			continue
		}
		a.Features++
		a.Held[of]++
		v := feature.Value{Kind: x.Value.Kind, Number: math.NaN()}
		text, there := published.Features[l.name]
		if there {
			into := any(&v.Number)
			switch x.Value.Kind {
			case feature.Text:
				into = &v.Text
			case feature.List:
				into = &v.List
			}
			if json.Unmarshal(text, into) == nil && x.Holds(v) {
				continue
			}
		} else if x.Holds(v) {
			continue
		}
		found := d
		found.Feature, found.Logged, found.Expected = l.name, string(text), any(x.Value.Number)
		switch {
		case x.Value.Kind == feature.Text:
			found.Expected = x.Value.Text
		case x.Value.Kind == feature.List:
			found.Expected = x.Value.List
		case math.IsNaN(x.Value.Number):
			found.Expected = notKnown
		}
		if !there {
			found.Logged = notKnown
		}
		a.Differs(&found)
	}
}

const notKnown = "not known"

// expected is what the raw events say of a logged feature, and what it is of.
func (a *Audit) expected(t *engine.Turn, c *Customer, l *logged) (x feature.Expected, of, passed string) {
	p, r, i := a.program, a.past.customer(c), l.slot&(1<<slotBits-1)
	lines := 0
	if t.Event != nil {
		lines = len(t.Event.Lines)
	}
	switch l.slot >> slotBits {
	case slotFeature:
		x, passed = p.features.Naive(i, &r.events, t.NowMS, t.WatermarkMS)
		return x, entityUser, passed
	case slotSessionFeature:
		h := &r.session.History
		if t.Scratch.(*scratch).between && t.NowMS-r.lastMS > sessionGapMS {
			h = &feature.History{}
		}
		x, passed = p.sets.session.Naive(i, h, t.NowMS, t.WatermarkMS)
		return x, entitySession, passed
	case slotCategoryFeature:
		if lines == 0 {
			return nothing(p.sets.category.KindOf(i)), entityCategory, ""
		}
		name, h := clipped(p.Category(t.Event.Lines[0].ID)), &feature.History{}
		for k := range r.categories {
			if r.categories[k].key == name {
				h = &r.categories[k].History
			}
		}
		x, passed = p.sets.category.Naive(i, h, t.NowMS, t.WatermarkMS)
		return x, entityCategory, passed
	case slotItemFeature:
		if lines == 0 {
			return nothing(p.items.set.KindOf(i)), entityItem, ""
		}
		hash := hashItem(t.Event.Lines[0].ID)
		y := a.past.items[hash]
		switch {
		case y == nil:
			y = &pastItem{}
		case y.lost || y.place != models.NoItem && y.place != p.catalog.find(hash):
			return x, entityItem, passedEvicts
		}
		x, passed = a.shared(p.items.set, i, &y.History, t.NowMS)
		return x, entityItem, passed
	case slotGlobalFeature:
		x, passed = a.shared(p.global.set, i, &a.past.all, t.NowMS)
		return x, entityGlobal, passed
	case slotPrediction, slotNext:
		return x, "", passedModel
	}
	return x, "", passedOther
}

// shared is what the raw events say of a feature of what customers share.
func (a *Audit) shared(set *feature.Set, i int, h *feature.History, nowMS int64) (feature.Expected, string) {
	if a.program.catalog.evictions > 0 && set.Categorised(i) {
		return feature.Expected{}, passedEvicts // whether the category was known when the epoch was taken in
	}
	key := sharedAsked{set, i, h, nowMS}
	x, known := a.epoch[key]
	if !known {
		x.expected, x.passed = set.Naive(i, h, nowMS, a.past.watermark)
		a.epoch[key] = x
	}
	return x.expected, x.passed
}

// nothing is what a feature says where there is nothing that it is of.
func nothing(kind feature.Kind) feature.Expected {
	return feature.Expected{Value: feature.Value{Kind: kind, Number: math.NaN()}}
}
