package operators

import "nudge/streams"

// The names of the groups of deciders that can be paused.
const (
	GroupRecommendations = "recommendations"
	GroupCoupons         = "coupons"
	GroupChurn           = "churn"
)

// The sources of candidates, named like the reasons that they give where they give one.
const (
	viewedTogether  = streams.ReasonViewedTogether
	trending        = streams.ReasonTrending
	recentlyViewed  = "recently_viewed"
	nextItem        = "next_item"
	similarShoppers = streams.ReasonSimilarShoppers
)
