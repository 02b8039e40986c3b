package streams

import (
	"strings"
	"testing"
)

// The numbers of types are in the names that stored features have: an upgrade that changed one would take what one type has counted for another's.
func TestTypeNumbers(t *testing.T) {
	const want = "page.viewed list.viewed product.clicked product.viewed search.performed product.added product.removed cart.viewed checkout.started " +
		"order.completed order.refunded order.cancelled wishlist.added wishlist.removed coupon.applied coupon.denied decision.shown decision.clicked " +
		"decision.redeemed decision.dismissed review.submitted service.contacted message.sent message.opened message.clicked message.unsubscribed " +
		"user.updated user.merged consent.changed user.erased item.upserted item.removed decision.requested"
	if got := strings.Join(TypeNames(), " "); got != want {
		t.Errorf("types are\n%s\nwere\n%s\nadd one at the end", got, want)
	}
	for i, name := range TypeNames() {
		if ParseType(name) != Type(i+1) {
			t.Errorf("%s is %d, want %d", name, ParseType(name), i+1)
		}
	}
}
