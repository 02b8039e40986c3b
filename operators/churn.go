package operators

import (
	"math"

	"nudge/engine"
	"nudge/streams"
)

// churn raises an alert when a customer's silence is unlikely for their own rhythm of purchases. A timer asks once per
// Check; after the alert it rests until the customer buys again. The alert is raised a second time only after the
// probability has fallen to Clear in between.
type churn struct {
	Churn
	*decider
	checkMS int64
}

func (p *Program) newChurn(name string, c Churn) (*churn, error) {
	d, err := p.newDecider(name, Moment{}, c.Audience, c.Log)
	if err != nil {
		return nil, err
	}
	d.after = newTrigger(c.After)
	return &churn{Churn: c, decider: d, checkMS: c.Check.MS()}, nil
}

// onAfter clears an alert that no longer holds, and arms the next check.
func (x *churn) onAfter(p *Program, t *engine.Turn, c *Customer) {
	orders := c.occasions()
	if orders.Count < x.MinOrders {
		return
	}
	if m := c.marked(x.key); (m.alerted || m.n > 0) && p.rhythm.Left(orders, t.NowMS) <= x.Clear {
		*c.mark(x.key) = mark{decider: x.key, atMS: t.NowMS}
	}
	if !c.marked(x.key).alerted {
		t.SetTimer(x.name, t.NowMS+x.checkMS)
	}
}

func (x *churn) onTimer(p *Program, t *engine.Turn, c *Customer, s *scratch) {
	orders := c.occasions()
	if orders.Count < x.MinOrders { // orders were taken back
		return
	}
	score := p.rhythm.Left(orders, t.NowMS)
	if score < x.Threshold || !x.concerns(p, t, c, s) {
		t.SetTimer(x.name, t.NowMS+x.checkMS)
		return
	}
	score = math.Floor(float64(score*1e4)+0.5) / 1e4
	const dayMS = 24 * 3600 * 1000
	silent := float64(t.NowMS-orders.LastMS) / dayMS
	gap := p.rhythm.UsualGapDays()
	if n := orders.Count - 1; n > 0 {
		gap = float64(orders.LastMS-orders.FirstMS) / dayMS / float64(n)
	}
	mean := micros(c.spent) / float64(orders.Count)
	d := &streams.Decision{
		Kind: streams.KindChurn, Name: x.name, Action: streams.ActionShow, ExpiresMS: t.NowMS + x.Expires.MS(), Propensity: 1,
		Alert: &streams.Alert{Score: score, Band: band(score), Horizon: x.Horizon.String(),
			ExpectedValue: math.Floor(float64(p.rhythm.Expected(orders, x.Horizon.MS())*mean*100)+0.5) / 100},
		Reasons: []streams.Reason{
			{Code: streams.ReasonSilence, Weight: tenth(silent)}, {Code: streams.ReasonRhythm, Weight: tenth(gap)}, {Code: streams.ReasonOrders, Weight: float64(orders.Count)},
		},
		Features: []streams.Feature{
			{Name: "silent_d", Value: tenth(silent)}, {Name: "gap_d", Value: tenth(gap)}, {Name: "purchases", Value: float64(orders.Count)},
			{Name: "spent", Value: micros(c.spent)}, {Name: "shop_gap_d", Value: tenth(p.rhythm.UsualGapDays())},
		},
		Model: streams.ModelVersion{Name: "rhythm", Version: p.version},
	}
	x.log(p, t, c, s, d)
	switch {
	case t.Stale(d.ExpiresMS):
		withhold(d, streams.Reason{Code: streams.ReasonStale})
	case t.Paused(x.name):
		withhold(d, streams.Reason{Code: streams.ReasonPaused, With: x.name})
	case t.Paused(GroupChurn):
		withhold(d, streams.Reason{Code: streams.ReasonPaused, With: GroupChurn})
	}
	m := c.mark(x.key)
	if d.Action == streams.ActionNone { // nobody heard it: the checks go on, but it is not said daily that it is withheld
		t.SetTimer(x.name, t.NowMS+x.checkMS)
		if m.n > 0 {
			return
		}
		m.n++
	} else {
		m.alerted, m.n = true, 0
	}
	m.atMS = t.NowMS
	t.Decide(d)
}

// band names a range of the score for people.
func band(score float64) string {
	switch {
	case score >= 0.95:
		return "very_high"
	case score >= 0.85:
		return "high"
	case score >= 0.7:
		return "raised"
	}
	return "moderate"
}

func tenth(x float64) float64 { return math.Floor(float64(x*10)+0.5) / 10 }
