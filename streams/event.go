package streams

// Type is the type of an event.
type Type uint8

// The event types of version 1. Custom types are all Custom; Event.Name tells them apart. What remembers features is named by their numbers, so one
// that is added comes last, before Custom.
const (
	Invalid Type = iota
	PageViewed
	ListViewed
	ProductClicked
	ProductViewed
	SearchPerformed
	ProductAdded
	ProductRemoved
	CartViewed
	CheckoutStarted
	OrderCompleted
	OrderRefunded
	OrderCancelled
	WishlistAdded
	WishlistRemoved
	CouponApplied
	CouponDenied
	DecisionShown
	DecisionClicked
	DecisionRedeemed
	DecisionDismissed
	ReviewSubmitted
	ServiceContacted
	MessageSent
	MessageOpened
	MessageClicked
	MessageUnsubscribed
	UserUpdated
	UserMerged
	ConsentChanged
	UserErased
	ItemUpserted
	ItemRemoved
	DecisionRequested
	Custom
	NumTypes
)

// Micro is one unit of a price or value: money is held as int64 millionths so that sums merge exactly.
const Micro = 1_000_000

// MaxMicro is the largest price or value an event may carry: 10^9 units.
const MaxMicro = 1_000_000_000 * Micro

// Line is one entry of an event's items.
type Line struct {
	ID       string
	Price    int64 // millionths; valid if HasPrice
	HasPrice bool
	Quantity int32 // 1 where the sender gave none
	Position int32 // counts from 1; 0 where the sender gave none
}

// Context is where an event happened. Fields that the sender left out are empty.
type Context struct {
	Channel, Locale, Page, Referrer, Campaign, Device, Source string
}

// Event is one decoded and validated event.
//
// Its strings and Props alias the buffer of the record it was decoded from, or memory of their own where JSON escapes
// had to be undone. They stay valid while the record does; whoever keeps one longer clones it.
type Event struct {
	Type Type
	Name string // the type as sent in native spelling, e.g. "product.viewed" or "custom.wheel_spun"
	ID   string
	// User is the known customer, Anon the anonymous one; at least one is set on customer events, both on UserMerged.
	User, Anon string
	Session    string
	TimeMS     int64 // Unix milliseconds as the sender said; not yet corrected for skew
	SentMS     int64 // Unix milliseconds, 0 where absent
	// Lines holds the items of the event. An event with a single "item" has exactly one line made of
	// item, price and quantity.
	Lines    []Line
	Value    int64 // millionths; valid if HasValue
	HasValue bool
	Currency string // ISO 4217 of the money held here, empty where the sender named none
	Decision string
	Context  Context
	Props    Props
	Unknown  int // top-level fields that the schema does not know

	currencies *Currencies // of a catalogue event: what CatalogItem turns money into; nil for nothing
}

// Item returns the id of the event's first item, or "".
func (e *Event) Item() string {
	if len(e.Lines) == 0 {
		return ""
	}
	return e.Lines[0].ID
}
