package operators

import "nudge/streams"

// The names of the groups of deciders that can be paused.
const (
	GroupRecommendations = "recommendations"
	GroupCoupons         = "coupons"
	GroupChurn           = "churn"
)

// The sources of candidates, named like the reasons that they give.
const (
	viewedTogether = streams.ReasonViewedTogether
	trending       = streams.ReasonTrending
	recentlyViewed = "recently_viewed"
)
