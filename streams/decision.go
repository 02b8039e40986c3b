package streams

// Reason says in a code why something was decided. Codes are an enum; Words turns them into sentences.
type Reason struct {
	Code   string  `json:"code"`
	With   string  `json:"with,omitempty"`   // the item, rule or timer the reason refers to
	Weight float64 `json:"weight,omitempty"` // how much it counted, in units of the score; or the number the sentence needs
}

// DecisionItem is one recommended item.
type DecisionItem struct {
	ID         string   `json:"id"`
	Score      float64  `json:"score"`
	Propensity float64  `json:"propensity"`
	Reasons    []Reason `json:"reasons,omitempty"`
}

// Offer is what a coupon gives. Exactly one of PercentOff, AmountOff and FreeShipping is set.
type Offer struct {
	ID           string  `json:"id"`
	PercentOff   float64 `json:"percent_off,omitempty"`
	AmountOff    float64 `json:"amount_off,omitempty"`
	FreeShipping bool    `json:"free_shipping,omitempty"`
	AtMost       float64 `json:"at_most,omitempty"` // units of currency
	Budget       string  `json:"budget,omitempty"`
	Code         string  `json:"code,omitempty"`
}

// Alert is what a churn decision says.
type Alert struct {
	Score         float64 `json:"score"` // probability in [0,1]
	Band          string  `json:"band"`
	Horizon       string  `json:"horizon"`
	ExpectedValue float64 `json:"expected_value,omitempty"`
	Suggested     string  `json:"suggested,omitempty"`
}

// ExperimentArm is the arm of the experiment that the decision was taken under.
type ExperimentArm struct {
	ID  string `json:"id"`
	Arm string `json:"arm"`
}

// ModelVersion names the model that scored a decision.
type ModelVersion struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Cause is what a decision was taken on: the record at a position, a timer, or a request that came on NATS.
type Cause struct {
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Event     string `json:"event,omitempty"`

	Request string `json:"request,omitempty"` // id of the request, as its sender gave it

	Timer   string `json:"timer,omitempty"`
	AtMS    int64  `json:"at,omitempty"`
	ArmedBy string `json:"armed_by,omitempty"` // id of the event that set the timer
}

// Feature is one value a decision was taken on, logged with it: a list if there is one, else a text if there is one, else a number.
type Feature struct {
	Name  string
	Value float64
	Text  string
	List  []string
}

// The kinds of decision.
const (
	KindRecommendation = "recommendation"
	KindCoupon         = "coupon"
	KindChurn          = "churn"
	KindAudience       = "audience" // a customer began or ceased to belong to one
)

// The actions of a decision.
const (
	ActionShow = "show"
	ActionNone = "none"
	// Of an audience.
	ActionEnter = "enter"
	ActionLeave = "leave"
)

// Decision is one decision, whether acted on or withheld. AppendJSON writes the form that is published.
type Decision struct {
	ID         string
	Kind       string // recommendation, coupon, churn
	Name       string // the decider's name in the pipeline
	Action     string // show or none
	User       string // the customer as sent: a known user's id, or an anonymous id if Anonymous
	Anonymous  bool   // published as "anon" instead of "user"
	TimeMS     int64  // event time of the cause
	ExpiresMS  int64
	Items      []DecisionItem
	Offer      *Offer
	Alert      *Alert
	Propensity float64
	Explored   bool
	Experiment *ExperimentArm
	Reasons    []Reason
	Features   []Feature
	Logged     []byte   // more of them, written already: members of an object, each after a comma
	Warming    []string // of the features, those that a pipeline got later than others and that see less than their window yet or, without one, of a lifetime
	Model      ModelVersion
	Policy     string // "sha256:" and the first 8 hex digits of the definition's hash
	Cause      Cause
}
