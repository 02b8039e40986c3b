package operators

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"nudge/operators/feature"
	"nudge/streams"
)

// Config is what a pipeline says about deciding. Every map is keyed by a name that ends up in decisions, subjects and
// state: renaming an entry starts it afresh.
type Config struct {
	Timezone     string                        `yaml:"timezone"` // IANA name; the days of budgets
	Recommenders map[string]Recommender        `yaml:"recommenders"`
	Offers       map[string]Offer              `yaml:"offers"`
	Churn        map[string]Churn              `yaml:"churn"`
	Budgets      map[string]Budget             `yaml:"budgets"`
	Features     map[string]feature.Definition `yaml:"features" doc:"user.<name>, user_category.<name>, session.<name>, item.<name> or global.<name>, each with an aggregate"`
	Predictions  map[string]Prediction         `yaml:"predictions" doc:"by name: the chance of an event within a time, prediction.<name> in conditions"`
	Audiences    map[string]string             `yaml:"audiences" doc:"by name: a condition over what is known of a customer; audience.<name> in others"`
	Traits       []string                      `yaml:"traits"`               // kept for the profile though no condition names them
	Holdout      Decimal                       `yaml:"holdout" allow:"0..1"` // share of customers that never gets an offer
	Ignore       map[string]IgnoreRule         `yaml:"ignore"`
	Limits       Limits                        `yaml:"limits"`

	Results map[string]Results `yaml:"-"` // closed windows: the section outputs.features
}

// MaxTraits is how many traits a pipeline may name in all, and how many are kept of a customer.
const MaxTraits = 32

// SetDefaults fills in what a pipeline need not say.
func (c *Config) SetDefaults() {
	c.Timezone = "UTC"
	c.Limits.SetDefaults()
}

// Recommender shows items on an event.
type Recommender struct {
	When          Moment   `yaml:"when" need:"the event types that it answers to, such as [page.viewed, product.viewed]"`
	Audience      string   `yaml:"audience"` // a condition: only to customers for whom it holds
	Log           []string `yaml:"log"`      // features published with each decision
	AtMost        Rate     `yaml:"at_most"`
	Candidates    []string `yaml:"candidates" allow:"next_item|choices|sequence|viewed_together|similar_shoppers|similar_content|goes_with|instead_of|buy_again|recently_viewed|trending"` // in the order in which they are taken
	Rank          Rank     `yaml:"rank"`
	Filter        string   `yaml:"filter"` // a condition over a candidate and the customer: only items for which it holds
	Rules         []Rule   `yaml:"rules"`
	Always        bool     `yaml:"always"` // publish also that there is nothing to show where nothing is known yet
	Size          int      `yaml:"size" allow:"1..50"`
	PerCategory   int      `yaml:"per_category" allow:"0..50"` // at most so many items of one first category in a list; 0: any number
	PerBrand      int      `yaml:"per_brand" allow:"0..50"`
	Diversify     float64  `yaml:"diversify" allow:"0..1"` // how much an item loses that resembles those above it, or is shown everywhere; 0: nothing, 0.5: as measured
	SeenAtMost    Rate     `yaml:"seen_at_most"`           // an item that was seen so often and not clicked rests
	Expires       Duration `yaml:"expires" allow:"1s.."`
	History       int      `yaml:"history" allow:"1..20"`  // how many of the customer's last items speak
	HalfLife      Duration `yaml:"half_life" allow:"1h.."` // of what is viewed together; the same for all recommenders
	TrendHalfLife Duration `yaml:"trend_half_life" allow:"1m.."`
	ExcludeBought Duration `yaml:"exclude_bought"`
	ExcludeViewed Duration `yaml:"exclude_viewed"` // not what the customer met in this time
}

// SetDefaults fills in what a pipeline need not say. The half-lives: tastes go with the season, trends with the day.
func (r *Recommender) SetDefaults() {
	*r = Recommender{
		Candidates: []string{viewedTogether, trending}, Size: 8, Expires: Duration(10 * time.Minute), History: 6,
		HalfLife: Duration(14 * day), TrendHalfLife: Duration(day), ExcludeBought: Duration(30 * day),
	}
}

// Rank has the candidates of all sources ranked by what became of the lists before. Without a goal they stand in the order of the sources.
type Rank struct {
	Goal    string   `yaml:"goal,bare" allow:"click|cart|order|margin|kept"` // what is learned and ranked by: the chance of it; margin: of an order, times the item's margin; kept: times the chance that it is not sent back, too
	Within  Duration `yaml:"within" allow:"1m..7d"`                          // what happens so long after a list was shown counts for it; 0: 1h for clicks, 24h for others
	Explore float64  `yaml:"explore" allow:"0..0.5"`                         // share of places that are given to chance
}

// within is the time in which what happens counts for a list.
func (r *Rank) within() int64 {
	switch {
	case r.Within > 0:
		return r.Within.MS()
	case r.Goal == goalClick:
		return time.Hour.Milliseconds()
	}
	return day.Milliseconds()
}

// Rule is a merchandiser's: exactly one of Pin, Boost and Bury.
type Rule struct {
	Pin   string  `yaml:"pin"`                   // an item that stands At a place, while it may be shown
	At    int     `yaml:"at" allow:"1..50"`      // the place of what is pinned
	Boost string  `yaml:"boost"`                 // a condition: the scores of items for which it holds are multiplied by By
	By    float64 `yaml:"by" allow:"0.01..1000"` // of Boost
	Bury  string  `yaml:"bury"`                  // a condition: items for which it holds stand below all others
	From  Day     `yaml:"from"`                  // the first day, in the pipeline's zone; none: since ever
	Until Day     `yaml:"until"`                 // the last day
}

// SetDefaults fills in what a pipeline need not say.
func (r *Rule) SetDefaults() { *r = Rule{At: 1, By: 2} }

// Day is a day of the calendar, written 2026-12-24. The zero Day is none.
type Day struct{ days int32 } // since 1970, plus 1

// MarshalText is the inverse of UnmarshalText.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the day as it is read, nothing for none.
func (d Day) String() string {
	if d.days == 0 {
		return ""
	}
	return time.Unix(int64(d.days-1)*86400, 0).UTC().Format(time.DateOnly)
}

// UnmarshalText reads 2026-12-24.
func (d *Day) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Day{}
		return nil
	}
	x, err := time.Parse(time.DateOnly, string(text))
	if err != nil || x.Year() < 1970 || x.Year() > 9999 {
		return errors.New("want a day such as 2026-12-24")
	}
	d.days = int32(x.Unix()/86400) + 1
	return nil
}

// Offer gives a coupon at a moment: as a rule when a customer has fallen silent with something in the cart.
type Offer struct {
	When        Moment   `yaml:"when" need:"the moment at which it is considered, such as {quiet: 30m, after: product.added}"`
	Audience    string   `yaml:"audience"` // a condition: only to customers for whom it holds
	Log         []string `yaml:"log"`      // features published with each decision
	Gives       Gives    `yaml:"gives"`
	MarginFloor Decimal  `yaml:"margin_floor" allow:"0..1"` // share of what is paid that must stay as margin
	Consent     string   `yaml:"consent"`                   // purpose that must have been granted; empty: none needed
	Budget      string   `yaml:"budget" need:"the budget that pays for it"`
	Cooldown    Duration `yaml:"cooldown"` // between two coupons of this offer for one customer
	Expires     Duration `yaml:"expires" allow:"1m.."`
}

// SetDefaults fills in what a pipeline need not say.
func (o *Offer) SetDefaults() {
	*o = Offer{Cooldown: Duration(7 * day), Expires: Duration(72 * time.Hour)}
	o.When.After, o.When.Unless = streams.ProductAdded.String(), streams.OrderCompleted.String()
}

// Gives is what a coupon gives: exactly one of PercentOff, AmountOff and FreeShipping.
type Gives struct {
	PercentOff   Decimal `yaml:"percent_off" allow:"0..100"`
	AtMost       Decimal `yaml:"at_most"` // of PercentOff, in units of currency
	AmountOff    Decimal `yaml:"amount_off"`
	FreeShipping bool    `yaml:"free_shipping"`
	Costs        Decimal `yaml:"costs"` // what shipping costs the shop
}

// Churn raises an alert when a customer's silence is unlikely for their own rhythm of purchases.
type Churn struct {
	After     string   `yaml:"after"`
	Audience  string   `yaml:"audience"`               // a condition: only of customers for whom it holds
	Log       []string `yaml:"log"`                    // features published with each decision
	Threshold float64  `yaml:"threshold" allow:"0..1"` // alert at this probability of having left
	Clear     float64  `yaml:"clear" allow:"0..1"`     // and not again before it has fallen to this one
	MinOrders int      `yaml:"min_orders" allow:"1..100"`
	Check     Duration `yaml:"check" allow:"1m.."`
	Horizon   Duration `yaml:"horizon" allow:"1d.."` // what the alert's expected value looks ahead
	Expires   Duration `yaml:"expires" allow:"1m.."`
}

// SetDefaults fills in what a pipeline need not say.
func (c *Churn) SetDefaults() {
	*c = Churn{After: streams.OrderCompleted.String(), Threshold: 0.8, Clear: 0.6, MinOrders: 2,
		Check: Duration(day), Horizon: Duration(45 * day), Expires: Duration(7 * day)}
}

// Prediction is, of each customer at any time, the chance that an event comes within a time: prediction.<name> in conditions, and in the profile.
type Prediction struct {
	Event  []string `yaml:"event" need:"the event that is predicted, such as order.completed"`
	Within Duration `yaml:"within" allow:"10m..90d"`
}

// SetDefaults fills in what a pipeline need not say.
func (p *Prediction) SetDefaults() { *p = Prediction{Within: Duration(day)} }

// Budget is money that offers may spend, in units of the pipeline's currency. Zero means no limit of that sort.
type Budget struct {
	Total Decimal `yaml:"total"`
	Daily Decimal `yaml:"daily"`
}

// IgnoreRule keeps traffic out of every model and state. It either matches fields (context.* and trait.*, each with the
// values that match; all fields must match) or counts events of one customer.
type IgnoreRule struct {
	MoreThan int                 `yaml:"more_than" allow:"0..1000000"`
	Per      Duration            `yaml:"per"`
	Match    map[string][]string `yaml:",inline"`
}

// Limits bound what is kept.
type Limits struct {
	Items   int `yaml:"items" allow:"100..16000000"`
	History int `yaml:"history" allow:"1..200"` // distinct items remembered per customer
	Cart    int `yaml:"cart" allow:"1..200"`
	Bought  int `yaml:"bought" allow:"1..500"`
}

// SetDefaults fills in what a pipeline need not say.
func (l *Limits) SetDefaults() {
	*l = Limits{Items: 500_000, History: 16, Cart: 20, Bought: 40}
}

const day = 24 * time.Hour

// Duration is a time.Duration that is written with units up to weeks: 30s, 10m, 72h, 7d, 2w.
type Duration = feature.Duration

// Decimal is a decimal number held as millionths: money, a percentage, a share.
type Decimal int64

// Float is the number as a float64, for what is published.
func (d Decimal) Float() float64 { return float64(d) / streams.Micro }

// String writes the number without trailing zeros.
func (d Decimal) String() string {
	sign, u := "", uint64(d)
	if d < 0 {
		sign, u = "-", -u
	}
	s := strconv.FormatUint(u/streams.Micro, 10)
	if f := u % streams.Micro; f != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%06d", f), "0")
	}
	return sign + s
}

// MarshalText is the inverse of UnmarshalText.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a number that is not negative, up to 10^9, with at most six decimals.
func (d *Decimal) UnmarshalText(text []byte) error {
	whole, fraction, _ := strings.Cut(string(text), ".")
	w, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || len(fraction) > 6 || w > 1_000_000_000 {
		return errors.New("want a number from 0 to 1000000000 with at most six decimals, such as 5000 or 0.15")
	}
	f := uint64(0)
	if fraction != "" {
		if f, err = strconv.ParseUint((fraction + "000000")[:6], 10, 64); err != nil {
			return errors.New("want decimals after the point, such as 0.15")
		}
	}
	*d = Decimal(w*streams.Micro + f)
	return nil
}

// of is the share d of x, rounded down. Both are not negative.
func (d Decimal) of(x int64) int64 {
	hi, lo := bits.Mul64(uint64(d), uint64(x))
	if hi >= streams.Micro {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, streams.Micro)
	return int64(min(q, math.MaxInt64))
}

// Rate is a number of times per span: 1 per 30s. The zero Rate is no limit.
type Rate struct {
	N   int
	Per Duration
}

// String writes the rate as it is read.
func (r Rate) String() string {
	if r.N == 0 {
		return ""
	}
	return strconv.Itoa(r.N) + " per " + r.Per.String()
}

// MarshalText is the inverse of UnmarshalText.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads "1 per 30s".
func (r *Rate) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Rate{}
		return nil
	}
	bad := errors.New("want a number of times per duration, such as 1 per 30s")
	count, span, ok := strings.Cut(string(text), " per ")
	if !ok {
		return bad
	}
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || n < 1 || n > 255 {
		return bad
	}
	var per Duration
	if per.UnmarshalText([]byte(strings.TrimSpace(span))) != nil || per <= 0 {
		return bad
	}
	*r = Rate{N: n, Per: per}
	return nil
}

// hashes is the share d of all hashes: the smallest hash that is not in it.
func (d Decimal) hashes() uint64 {
	if d <= 0 {
		return 0
	}
	if d >= streams.Micro {
		return math.MaxUint64
	}
	q, _ := bits.Div64(uint64(d), 0, streams.Micro)
	return q
}
