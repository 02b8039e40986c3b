package streams

// The limits of an event.
const (
	MaxEventBytes   = 32 << 10
	MaxContextBytes = 4 << 10
	MaxPropsBytes   = 8 << 10 // without props.text, which has as much of its own
	MaxTextBytes    = 8 << 10 // props.text
	MaxIDBytes      = 128     // ids of events, customers, sessions, items, orders
	MaxLines        = 200     // items of an event
	MaxPropsKeys    = 64      // of the props and of any object in them
	MaxPropsDepth   = 3       // the props object is the first level
	MaxQuantity     = 1_000_000
	MaxFutureMS     = 5 * 60 * 1000

	maxDecisionBytes = 512 // of a decision's id on an event
	maxUnknownDepth  = 64  // of fields that the schema does not know
)

// field is one top-level field of a native event.
type field uint8

const (
	fieldID field = iota
	fieldType
	fieldTime
	fieldSent
	fieldUser
	fieldAnon
	fieldSession
	fieldItem
	fieldPrice
	fieldQuantity
	fieldItems
	fieldValue
	fieldCurrency
	fieldDecision
	fieldContext
	fieldProps
	fieldV
	numFields
)

var fieldNames = [numFields]string{"id", "type", "time", "sent", "user", "anon", "session", "item", "price", "quantity", "items",
	"value", "currency", "decision", "context", "props", "v"}

// fieldSet is a set of fields: 1<<f for each.
type fieldSet uint32

func (s fieldSet) has(f field) bool { return s&(1<<f) != 0 }

// prop is a member of props that some type of event needs or types.
type prop uint8

const (
	propList prop = iota
	propQuery
	propOrder
	propCoupon
	propText
	propRating
	propLang
	propChannel
	propResolved
	propPurpose
	propStatus
	propDwell
	numProps
)

var propNames = [numProps]string{"list", "query", "order", "coupon", "text", "rating", "lang", "channel", "resolved", "purpose", "status", "dwell_ms"}

func propOf(key string) (prop, bool) {
	switch key {
	case "list":
		return propList, true
	case "query":
		return propQuery, true
	case "order":
		return propOrder, true
	case "coupon":
		return propCoupon, true
	case "text":
		return propText, true
	case "rating":
		return propRating, true
	case "lang":
		return propLang, true
	case "channel":
		return propChannel, true
	case "resolved":
		return propResolved, true
	case "purpose":
		return propPurpose, true
	case "status":
		return propStatus, true
	case "dwell_ms":
		return propDwell, true
	}
	return 0, false
}

// form is what a member of props must be.
type form uint8

const (
	formString form = iota // any string
	formID                 // a string of 1 to MaxIDBytes
	formText               // a string of at most MaxTextBytes
	formRating             // a number from 1 to 5
	formCount              // a number that is not negative
	formBool
	formStatus // granted, denied or revoked
)

// propRule is what a type of event asks of one member of props.
type propRule struct {
	prop     prop
	form     form
	optional bool
}

// rule is what a type of event asks for.
type rule struct {
	needs fieldSet
	// line: item or items must be there. filled: the list must not be empty.
	line, filled bool
	props        []propRule
}

const (
	needItem     fieldSet = 1 << fieldItem
	needItems    fieldSet = 1 << fieldItems
	needValue    fieldSet = 1 << fieldValue
	needDecision fieldSet = 1 << fieldDecision
	needProps    fieldSet = 1 << fieldProps
	needBoth     fieldSet = 1<<fieldUser | 1<<fieldAnon
)

// A decision that is shown, clicked, redeemed or dismissed may be a coupon without items, so its items are optional.
var rules = [NumTypes]rule{
	ListViewed:      {needs: needItems, props: []propRule{{prop: propList}}},
	ProductClicked:  {needs: needItem},
	ProductViewed:   {needs: needItem, props: []propRule{{propDwell, formCount, true}}},
	SearchPerformed: {props: []propRule{{prop: propQuery}}},
	ProductAdded:    {line: true, filled: true},
	ProductRemoved:  {line: true, filled: true},
	CartViewed:      {needs: needItems},
	CheckoutStarted: {needs: needItems, filled: true},
	OrderCompleted:  {needs: needItems | needValue, filled: true, props: []propRule{{prop: propOrder, form: formID}}},
	OrderRefunded:   {props: []propRule{{prop: propOrder, form: formID}}},
	OrderCancelled:  {props: []propRule{{prop: propOrder, form: formID}}},
	WishlistAdded:   {needs: needItem},
	WishlistRemoved: {needs: needItem},
	CouponApplied:   {props: []propRule{{prop: propCoupon, form: formID}}},
	CouponDenied:    {props: []propRule{{prop: propCoupon, form: formID}}},

	DecisionShown:     {needs: needDecision},
	DecisionClicked:   {needs: needDecision},
	DecisionRedeemed:  {needs: needDecision},
	DecisionDismissed: {needs: needDecision},

	ReviewSubmitted: {needs: needItem, props: []propRule{{prop: propText, form: formText}, {propRating, formRating, true}, {propLang, formString, true}}},
	ServiceContacted: {props: []propRule{{prop: propChannel}, {prop: propRating, form: formRating}, {prop: propResolved, form: formBool},
		{prop: propText, form: formText}}},
	MessageSent:         {props: []propRule{{prop: propChannel}}},
	MessageOpened:       {props: []propRule{{prop: propChannel}}},
	MessageClicked:      {props: []propRule{{prop: propChannel}}},
	MessageUnsubscribed: {props: []propRule{{prop: propChannel}}},

	UserUpdated:    {needs: needProps},
	UserMerged:     {needs: needBoth},
	ConsentChanged: {props: []propRule{{prop: propPurpose, form: formID}, {prop: propStatus, form: formStatus}}},
	ItemUpserted:   {needs: needItem | needProps},
	ItemRemoved:    {needs: needItem},
}
