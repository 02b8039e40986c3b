package operators

// The names of the groups of deciders that can be paused.
const (
	GroupRecommendations = "recommendations"
	GroupCoupons         = "coupons"
	GroupChurn           = "churn"
)
