package streams

// CustomPrefix starts the name of every custom type: custom.<a-z0-9_>.
const CustomPrefix = "custom."

var typeNames = [NumTypes]string{
	PageViewed:          "page.viewed",
	ListViewed:          "list.viewed",
	ProductClicked:      "product.clicked",
	ProductViewed:       "product.viewed",
	SearchPerformed:     "search.performed",
	ProductAdded:        "product.added",
	ProductRemoved:      "product.removed",
	CartViewed:          "cart.viewed",
	CheckoutStarted:     "checkout.started",
	OrderCompleted:      "order.completed",
	OrderRefunded:       "order.refunded",
	OrderCancelled:      "order.cancelled",
	WishlistAdded:       "wishlist.added",
	WishlistRemoved:     "wishlist.removed",
	CouponApplied:       "coupon.applied",
	CouponDenied:        "coupon.denied",
	DecisionShown:       "decision.shown",
	DecisionClicked:     "decision.clicked",
	DecisionRedeemed:    "decision.redeemed",
	DecisionDismissed:   "decision.dismissed",
	ReviewSubmitted:     "review.submitted",
	ServiceContacted:    "service.contacted",
	MessageSent:         "message.sent",
	MessageOpened:       "message.opened",
	MessageClicked:      "message.clicked",
	MessageUnsubscribed: "message.unsubscribed",
	UserUpdated:         "user.updated",
	UserMerged:          "user.merged",
	ConsentChanged:      "consent.changed",
	UserErased:          "user.erased",
	ItemUpserted:        "item.upserted",
	ItemRemoved:         "item.removed",
	DecisionRequested:   "decision.requested",
	Custom:              "custom",
}

// String returns the type's name as senders spell it; "custom" for every custom type and "invalid" for Invalid.
func (t Type) String() string {
	if t == Invalid || t >= NumTypes {
		return "invalid"
	}
	return typeNames[t]
}

// Catalogue reports whether events of the type speak of the catalogue and not of a customer.
func (t Type) Catalogue() bool { return t == ItemUpserted || t == ItemRemoved }

// TypeNames returns the names of all types but the custom ones, in the order of the constants.
func TypeNames() []string {
	names := make([]string, 0, NumTypes)
	for t := PageViewed; t < Custom; t++ {
		names = append(names, typeNames[t])
	}
	return names
}

// ParseType returns the type of that name, or Invalid. Names that start with CustomPrefix and go on with
// 1 to 64 of a-z, 0-9 and '_' are Custom.
func ParseType(name string) Type {
	switch name {
	case "page.viewed":
		return PageViewed
	case "list.viewed":
		return ListViewed
	case "product.clicked":
		return ProductClicked
	case "product.viewed":
		return ProductViewed
	case "search.performed":
		return SearchPerformed
	case "product.added":
		return ProductAdded
	case "product.removed":
		return ProductRemoved
	case "cart.viewed":
		return CartViewed
	case "checkout.started":
		return CheckoutStarted
	case "order.completed":
		return OrderCompleted
	case "order.refunded":
		return OrderRefunded
	case "order.cancelled":
		return OrderCancelled
	case "wishlist.added":
		return WishlistAdded
	case "wishlist.removed":
		return WishlistRemoved
	case "coupon.applied":
		return CouponApplied
	case "coupon.denied":
		return CouponDenied
	case "decision.requested":
		return DecisionRequested
	case "decision.shown":
		return DecisionShown
	case "decision.clicked":
		return DecisionClicked
	case "decision.redeemed":
		return DecisionRedeemed
	case "decision.dismissed":
		return DecisionDismissed
	case "review.submitted":
		return ReviewSubmitted
	case "service.contacted":
		return ServiceContacted
	case "message.sent":
		return MessageSent
	case "message.opened":
		return MessageOpened
	case "message.clicked":
		return MessageClicked
	case "message.unsubscribed":
		return MessageUnsubscribed
	case "user.updated":
		return UserUpdated
	case "user.merged":
		return UserMerged
	case "consent.changed":
		return ConsentChanged
	case "user.erased":
		return UserErased
	case "item.upserted":
		return ItemUpserted
	case "item.removed":
		return ItemRemoved
	}
	if len(name) > len(CustomPrefix) && len(name) <= len(CustomPrefix)+64 && name[:len(CustomPrefix)] == CustomPrefix {
		for i := len(CustomPrefix); i < len(name); i++ {
			if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
				return Invalid
			}
		}
		return Custom
	}
	return Invalid
}
