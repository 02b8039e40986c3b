package feature

// Definition is one entry of a pipeline's features: one aggregate, its window, and what is done to the value. Exactly one of the
// aggregates is given.
//
// An aggregate names what it is taken of: an event type, as in count: product.viewed, or a field of one, as in
// sum: order.completed.value. any stands for every type but decision.requested. Fields are price, quantity, item, category (of each line), value, type, session, user,
// channel, device, locale, page, referrer, campaign, source, and props.<name>. Numbers are held as millionths.
type Definition struct {
	Count     []string `yaml:"count"`     // events
	Sum       string   `yaml:"sum"`       // of a field
	Mean      string   `yaml:"mean"`      // of a field
	Min       string   `yaml:"min"`       // of a field
	Max       string   `yaml:"max"`       // of a field
	First     string   `yaml:"first"`     // value of a field
	Last      string   `yaml:"last"`      // value of a field
	Distinct  string   `yaml:"distinct"`  // values of a field: a HyperLogLog
	TopK      string   `yaml:"topk"`      // the k most frequent values of a field: exact up to 64 different ones or 256 in all, else by a sample of 256
	Quantile  string   `yaml:"quantile"`  // of a field, at q
	Decayed   string   `yaml:"decayed"`   // sum of a field, or number of events, halved every half_life
	Since     []string `yaml:"since"`     // time since the last event, in unit
	Rate      []string `yaml:"rate"`      // events per per
	Ratio     []string `yaml:"ratio"`     // of two numbers of events, the first over the second, with a prior
	Frequency []string `yaml:"frequency"` // events per unit since the first
	Gap       []string `yaml:"gap"`       // mean time between two events, in unit
	Dwell     []string `yaml:"dwell"`     // seconds of attention: props.dwell_ms, summed
	RFM       string   `yaml:"rfm" allow:"recency|frequency|monetary"`
	Trend     []string `yaml:"trend"`    // events in this window over those in the one before, each plus one
	Sequence  string   `yaml:"sequence"` // the last k values of a field, the latest first

	Window    Window              `yaml:"window"`
	HalfLife  Duration            `yaml:"half_life" allow:"1m..3650d"`
	Per       Duration            `yaml:"per" allow:"1s..366d"`
	Unit      string              `yaml:"unit" allow:"s|m|h|d"`
	K         int                 `yaml:"k" allow:"1..64"`
	Q         float64             `yaml:"q" allow:"0..1"`
	Prior     []float64           `yaml:"prior"`        // of a ratio: added above and below
	If        map[string][]string `yaml:"if" allow:"*"` // fields, each with the values that count; ">= 100" and its like compare
	Transform []Transform         `yaml:"transform"`
}

// SetDefaults fills in what a pipeline need not say.
func (d *Definition) SetDefaults() {
	d.K, d.Q, d.Unit = 10, 0.5, "d"
}

// Window is the span of event time that a feature is about. Nothing is the entity's lifetime; a list makes one feature of each, named
// <feature>_<window>.
type Window struct {
	Sliding  []Duration `yaml:"sliding,bare" allow:"10s..3650d"` // the last so much, its edge moving in steps of a tile, or of By
	By       Duration   `yaml:"by" allow:"1s..30d"`
	Tumbling []Duration `yaml:"tumbling" allow:"1s..366d"` // spans one after the other, counted from 1970
	Session  []Duration `yaml:"session" allow:"1s..7d"`    // as long as no silence is longer
	Calendar []string   `yaml:"calendar" allow:"day|week"` // in the pipeline's zone; weeks begin on Monday
}

// Transform is one step of what is done to a feature's value when it is read. Exactly one of its keys is given.
type Transform struct {
	Fill        *float64  `yaml:"fill"`                     // instead of a value that is not known
	Clip        []float64 `yaml:"clip"`                     // to the range of the two
	Log         bool      `yaml:"log"`                      // log(1+x), of what is at least 0; 0 below
	Standardise bool      `yaml:"standardise"`              // standard deviations above the mean of the values that it had at all customers' events
	Bucket      []float64 `yaml:"bucket"`                   // how many of these edges it has reached
	OneHot      string    `yaml:"one_hot"`                  // 1 where the value is this text, else 0
	Hash        int       `yaml:"hash" allow:"0..16777216"` // a text as the number of one of so many slots
}
