package operators

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/feature"
	"nudge/streams"
)

// Question asks for a list beside the stream: what a recommender would show now. The answer is no decision: it is not journalled, counts for
// no limit and teaches nothing.
type Question struct {
	Customer   string   `json:"customer,omitempty"`   // known or anonymous; without one, or of whom nothing is known, a stranger
	Name       string   `json:"name,omitempty"`       // of the recommender; the first by name where it is empty
	Items      []string `json:"items,omitempty"`      // looked at in this session beyond what the engine has seen, the latest last; that one is on the page
	Item       string   `json:"item,omitempty"`       // the one on the page: as the last of Items
	Cart       []string `json:"cart,omitempty"`       // likewise
	N          int      `json:"n,omitempty"`          // length of the list; 0: the recommender's size
	Categories []string `json:"categories,omitempty"` // only items of one of them, or of what lies below: Toys, Toys > Plush
	Exclude    []string `json:"exclude,omitempty"`    // items
	Candidates bool     `json:"candidates,omitempty"` // tell of every candidate what each source says
}

// Answer is what would be shown.
type Answer struct {
	Customer string                 `json:"customer,omitempty"`
	Name     string                 `json:"name"`
	Items    []streams.DecisionItem `json:"items"`
	Empty    string                 `json:"empty,omitempty"`  // what emptied the list
	Paused   string                 `json:"paused,omitempty"` // the recommender or its group, if an operator has paused it: then nothing is shown
	Model    string                 `json:"model"`

	Candidates []Candidate    `json:"candidates,omitempty"` // in the order in which they would be shown
	LeftOut    map[string]int `json:"left_out,omitempty"`   // candidates, by why
}

// Candidate is an item that could be shown.
type Candidate struct {
	ID      string                `json:"id"`
	Score   float64               `json:"score"`
	Buried  bool                  `json:"buried,omitempty"`
	Sources map[string]SourceSays `json:"sources"`
}

// SourceSays is what a source says of a candidate: its rank among those of the source that may be shown, from 1, and its reason.
type SourceSays struct {
	Rank   int            `json:"rank"`
	Reason streams.Reason `json:"reason"`
}

const (
	maxAsked      = 32 // items, cart lines, categories or excluded items of a question
	maxAskedSize  = 50
	maxAskedBytes = 512 // of an id
)

// ParseQuestion reads a question, and refuses what it does not know.
func ParseQuestion(data []byte) (q *Question, err error) {
	q = &Question{}
	if len(data) == 0 {
		return q, nil
	}
	var keys map[string]json.RawMessage
	err = json.Unmarshal(data, &keys)
	if err == nil {
		err = json.Unmarshal(data, q)
	}
	if err != nil {
		return nil, fmt.Errorf(`want a document such as {"customer":"u-42","n":8}: %w`, err)
	}
	known := []string{"customer", "name", "item", "items", "cart", "n", "categories", "exclude", "candidates"}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if slices.Contains(known, key) {
			continue
		}
		cure := "want " + strings.Join(known, ", ")
		if near := closest(key, known); len(near) > 0 {
			cure = "did you mean " + near[0] + "? " + cure
		}
		if key == "session" {
			cure = "a session is its customer's: name the customer, by the anonymous id if nothing else is known, and under items what was looked at in the session"
		}
		return nil, fmt.Errorf("%s: unknown key; %s", key, cure)
	}
	return q, nil
}

// looked are the items that were looked at, that on the page last.
func (q *Question) looked() []string {
	if q.Item == "" {
		return q.Items
	}
	return append(slices.Clone(q.Items), q.Item)
}

// Pause says that the recommender, or its group, is paused: as in the stream nothing is shown.
func (a *Answer) Pause(paused string) {
	a.Paused, a.Items = paused, []streams.DecisionItem{}
	a.Empty = fmt.Sprintf("paused by an operator: %s; nudge resume %s lets it go on", paused, paused)
}

// Recommend answers a question as of a time. state is the customer's, nil for a stranger; hash is the customer's. It is called between two
// epochs, by one goroutine at a time.
func (p *Program) Recommend(state engine.State, hash uint64, q *Question, nowMS int64) (*Answer, error) {
	r, err := p.asked(q)
	if err != nil {
		return nil, err
	}
	c := &Customer{sets: p.sets}
	if state != nil {
		*c = *state.(*Customer)
		c.recent, c.cart = slices.Clone(c.recent), slices.Clone(c.cart)
	}
	if p.answering == nil {
		p.answering = p.NewScratch(0).(*scratch)
	}
	var left [leftCauses]int
	s, a := p.answering, asked{key: customerKey(hash), nowMS: nowMS, size: r.Size, left: &left, id: q.Customer}
	if q.N > 0 {
		a.size = q.N
	}
	items := q.looked()
	for k, id := range items {
		a.lookAt(p, c, id, len(items)-1-k)
	}
	for _, id := range q.Cart {
		c.put(cartLine{hash: hashItem(id), atMS: nowMS, quantity: 1}, p.config.Limits.Cart)
	}
	if len(q.Categories)+len(q.Exclude) > 0 {
		a.keep = func(i models.Item) bool {
			row := &p.catalog.rows[i.Row()]
			if slices.Contains(q.Exclude, row.id) {
				return false
			}
			return len(q.Categories) == 0 || slices.ContainsFunc(strings.Split(row.categories, "\n"), func(c string) bool {
				return slices.ContainsFunc(q.Categories, func(asked string) bool { return feature.LiesWithin(c, asked) })
			})
		}
	}
	s.decision.Items = s.decision.Items[:0]
	r.recall(p, c, s)
	r.fill(p, c, s, &a)
	answer := &Answer{Customer: q.Customer, Name: r.name, Items: []streams.DecisionItem{}, Model: p.version}
	for _, x := range s.decision.Items {
		x.Reasons = slices.Clone(x.Reasons)
		answer.Items = append(answer.Items, x)
	}
	if len(answer.Items) == 0 {
		answer.Empty = emptied(&left)
	}
	if q.Candidates {
		p.consider(answer, r, s, &left)
	}
	return answer, nil
}

// consider puts the candidates into an answer.
func (p *Program) consider(answer *Answer, r *recommender, s *scratch, left *[leftCauses]int) {
	for _, k := range s.order {
		l := &s.list[k]
		x := Candidate{ID: p.catalog.id(l.item), Score: round(float32(l.score)), Buried: l.buried, Sources: map[string]SourceSays{}}
		for _, source := range r.sources {
			if said := &l.says[source]; said.rank > 0 {
				x.Sources[sourceNames[source]] = SourceSays{said.rank, p.reason(said, l.item)}
			}
		}
		answer.Candidates = append(answer.Candidates, x)
	}
	for cause, n := range left {
		if n > 0 {
			if answer.LeftOut == nil {
				answer.LeftOut = map[string]int{}
			}
			answer.LeftOut[leftWords[cause]] = n
		}
	}
}

// asked finds the recommender of a question, or says what is wrong with it.
func (p *Program) asked(q *Question) (*recommender, error) {
	if len(p.recommenders) == 0 {
		return nil, fmt.Errorf("the pipeline has no recommender: add one under recommenders")
	}
	if q.N < 0 || q.N > maxAskedSize {
		return nil, fmt.Errorf("n %d: want 1 to %d, or none for the recommender's size", q.N, maxAskedSize)
	}
	for _, list := range []struct {
		name string
		ids  []string
	}{{"items", q.looked()}, {"cart", q.Cart}, {"categories", q.Categories}, {"exclude", q.Exclude}} {
		if len(list.ids) > maxAsked {
			return nil, fmt.Errorf("%s: %d of them, want at most %d", list.name, len(list.ids), maxAsked)
		}
		for _, id := range list.ids {
			if id == "" || len(id) > maxAskedBytes {
				return nil, fmt.Errorf("%s: an id of %d bytes, want 1 to %d", list.name, len(id), maxAskedBytes)
			}
		}
	}
	if q.Name == "" {
		return p.recommenders[0], nil
	}
	var names []string
	for _, r := range p.recommenders {
		if r.name == q.Name {
			return r, nil
		}
		names = append(names, r.name)
	}
	return nil, fmt.Errorf("there is no recommender %q, but %s", q.Name, strings.Join(names, ", "))
}

// emptied says what has emptied a list.
func emptied(left *[leftCauses]int) string {
	var parts []string
	for cause, n := range left {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, leftWords[cause]))
		}
	}
	if len(parts) == 0 {
		return "nothing is known yet that could be shown"
	}
	return "all candidates are left out: " + strings.Join(parts, ", ")
}

// leftWords say why candidates are left out.
var leftWords = [leftCauses]string{leftUnavailable: "not to be had", leftPage: "on the page", leftCart: "in the cart", leftBought: "bought lately", leftViewed: "looked at lately",
	leftTired: "seen too often", leftFiltered: "not what the pipeline's filter lets through", leftAsked: "not of the categories asked for, or excluded"}
