package operators

// The codes of reasons. They are part of the contract with users: a code is never given another meaning.
const (
	// Of an item: With names the item of the customer's history that speaks loudest for it, Weight is what that one adds to
	// the score.
	ReasonViewedTogether = "viewed_together"
	// Of an item: Weight is its popularity as a part of the most popular item's.
	ReasonTrending = "trending"

	// Of a coupon: Weight is how long the customer has been silent, in minutes.
	ReasonCartAbandoned = "cart_abandoned"
	// Of a coupon: Weight is the value of the cart, in units of currency.
	ReasonCartValue = "cart_value"

	// Of an alert: Weight is how long the customer has not bought, in days.
	ReasonSilence = "silence"
	// Of an alert: Weight is the usual time between two purchases of this customer, in days.
	ReasonUsualGap = "usual_gap"
	// Of an alert: Weight is the number of purchases.
	ReasonPurchases = "purchases"

	// Why a decision was withheld. With names the budget, the purpose of a consent or what was paused.
	ReasonHoldout  = "holdout"
	ReasonCooldown = "cooldown" // Weight is what is left of it, in hours
	ReasonBudget   = "budget"
	ReasonConsent  = "consent"
	ReasonStale    = "stale"
	ReasonMargin   = "margin" // Weight is the margin that would have stayed, as a share of what is paid
	ReasonPaused   = "paused"
)

// The names of the groups of deciders that can be paused.
const (
	GroupRecommendations = "recommendations"
	GroupCoupons         = "coupons"
	GroupChurn           = "churn"
)

// The sources of candidates.
const (
	viewedTogether = ReasonViewedTogether
	trending       = ReasonTrending
)
