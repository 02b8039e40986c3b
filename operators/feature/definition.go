package feature

// Definition is one entry of a pipeline's features: one aggregate, its window, and what is done to the value. Exactly one of the
// aggregates is given.
//
// An aggregate names what it is taken of: an event type, as in count: product.viewed, or a field of one, as in
// sum: order.completed.value. any stands for every type but decision.requested, user.merged and user.erased. Fields are price, quantity, amount (price times quantity), position, item, category (of each line), value, type, session, user,
// channel, device, locale, page, referrer, campaign, source, and props.<name>. Numbers are held as millionths.
type Definition struct {
	Count     []string `yaml:"count" doc:"the number of events of a type, or of several"`
	Sum       string   `yaml:"sum" doc:"the sum of a field"`
	Mean      string   `yaml:"mean" doc:"the mean of a field"`
	Min       string   `yaml:"min" doc:"the least value of a field"`
	Max       string   `yaml:"max" doc:"the greatest value of a field"`
	First     string   `yaml:"first" doc:"the value of a field at the first event"`
	Last      string   `yaml:"last" doc:"the value of a field at the last event"`
	Distinct  string   `yaml:"distinct" doc:"how many different values of a field there were: a HyperLogLog, with a standard error of 2.3 %"`
	TopK      string   `yaml:"topk" doc:"the k most frequent values of a field: exact up to 64 different ones or 256 in all, else by a sample of 256"`
	Quantile  string   `yaml:"quantile" doc:"the value that a share q of a field's values does not exceed, within 1 %"`
	Decayed   string   `yaml:"decayed" doc:"the sum of a field, or the number of events, halved every half_life"`
	Since     []string `yaml:"since" doc:"the time since the last event, in unit"`
	Rate      []string `yaml:"rate" doc:"events in a time of per, over the window"`
	Ratio     []string `yaml:"ratio" doc:"the number of the first event over that of the second, with a prior"`
	Frequency []string `yaml:"frequency" doc:"events in a unit of time since the first of them"`
	Gap       []string `yaml:"gap" doc:"the mean time between two events, in unit"`
	Dwell     []string `yaml:"dwell" doc:"seconds of attention: the sum of props.dwell_ms"`
	RFM       string   `yaml:"rfm" allow:"recency|frequency|monetary" doc:"of orders the time since the last, their number or their value"`
	Trend     []string `yaml:"trend" doc:"events in this window over those in the one before it, each plus one"`
	Sequence  string   `yaml:"sequence" doc:"the last k values of a field, the latest first"`

	Window    Window              `yaml:"window" doc:"the span of event time that it is about; nothing: since ever"`
	HalfLife  Duration            `yaml:"half_life" allow:"1m..3650d" doc:"of decayed"`
	Per       Duration            `yaml:"per" allow:"1s..366d" doc:"of rate"`
	Unit      string              `yaml:"unit" allow:"s|m|h|d" doc:"of since, frequency, gap and rfm: recency"`
	K         int                 `yaml:"k" allow:"1..64" doc:"of topk and sequence: how many"`
	Q         float64             `yaml:"q" allow:"0..1" doc:"of quantile: 0.5 is the median"`
	Prior     []float64           `yaml:"prior" doc:"of ratio: two numbers that are added above and below"`
	If        map[string][]string `yaml:"if" allow:"*" doc:"which events count: fields, each with the values of which one must be there, or comparisons such as >= 100 that must all hold"`
	Transform []Transform         `yaml:"transform" doc:"what is done to the value when it is read, step by step"`
}

// SetDefaults fills in what a pipeline need not say.
func (d *Definition) SetDefaults() {
	d.K, d.Q, d.Unit = 10, 0.5, "d"
}

// Window is the span of event time that a feature is about. Nothing is the entity's lifetime; a list makes one feature of each, named
// <feature>_<window>.
type Window struct {
	Sliding  []Duration `yaml:"sliding,bare" allow:"10s..3650d" doc:"the last so much, its edge moving in steps of a tile, or of by"`
	By       Duration   `yaml:"by" allow:"1s..30d" doc:"the steps of a sliding window"`
	Tumbling []Duration `yaml:"tumbling" allow:"1s..366d" doc:"spans one after the other, counted from 1970"`
	Session  []Duration `yaml:"session" allow:"1s..7d" doc:"as long as no silence is longer"`
	Calendar []string   `yaml:"calendar" allow:"day|week" doc:"in the pipeline's zone; weeks begin on Monday"`
}

// Transform is one step of what is done to a feature's value when it is read. Exactly one of its keys is given.
type Transform struct {
	Fill        *float64  `yaml:"fill" doc:"this instead of a value that is not known"`
	Clip        []float64 `yaml:"clip" doc:"to the range of the two"`
	Log         bool      `yaml:"log" doc:"log(1+x) of what is at least 0; 0 below"`
	Standardise bool      `yaml:"standardise" doc:"standard deviations above the mean of the values that it had at all customers' events"`
	Bucket      []float64 `yaml:"bucket" doc:"how many of these edges it has reached"`
	OneHot      string    `yaml:"one_hot" doc:"1 where the value is this text, or has it, else 0"`
	Hash        int       `yaml:"hash" allow:"0..16777216" doc:"a text as the number of one of so many slots"`
}
