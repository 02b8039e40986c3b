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
	unknownField = numFields
)

var fieldNames = [numFields]string{"id", "type", "time", "sent", "user", "anon", "session", "item", "price", "quantity", "items",
	"value", "currency", "decision", "context", "props", "v"}

// fieldOfWord returns the field whose name is the bytes of w, the first one lowest, or unknownField.
func fieldOfWord(w uint64) field {
	switch w {
	case 'i' | 'd'<<8:
		return fieldID
	case 't' | 'y'<<8 | 'p'<<16 | 'e'<<24:
		return fieldType
	case 't' | 'i'<<8 | 'm'<<16 | 'e'<<24:
		return fieldTime
	case 's' | 'e'<<8 | 'n'<<16 | 't'<<24:
		return fieldSent
	case 'u' | 's'<<8 | 'e'<<16 | 'r'<<24:
		return fieldUser
	case 'a' | 'n'<<8 | 'o'<<16 | 'n'<<24:
		return fieldAnon
	case 's' | 'e'<<8 | 's'<<16 | 's'<<24 | 'i'<<32 | 'o'<<40 | 'n'<<48:
		return fieldSession
	case 'i' | 't'<<8 | 'e'<<16 | 'm'<<24:
		return fieldItem
	case 'p' | 'r'<<8 | 'i'<<16 | 'c'<<24 | 'e'<<32:
		return fieldPrice
	case 'q' | 'u'<<8 | 'a'<<16 | 'n'<<24 | 't'<<32 | 'i'<<40 | 't'<<48 | 'y'<<56:
		return fieldQuantity
	case 'i' | 't'<<8 | 'e'<<16 | 'm'<<24 | 's'<<32:
		return fieldItems
	case 'v' | 'a'<<8 | 'l'<<16 | 'u'<<24 | 'e'<<32:
		return fieldValue
	case 'c' | 'u'<<8 | 'r'<<16 | 'r'<<24 | 'e'<<32 | 'n'<<40 | 'c'<<48 | 'y'<<56:
		return fieldCurrency
	case 'd' | 'e'<<8 | 'c'<<16 | 'i'<<24 | 's'<<32 | 'i'<<40 | 'o'<<48 | 'n'<<56:
		return fieldDecision
	case 'c' | 'o'<<8 | 'n'<<16 | 't'<<24 | 'e'<<32 | 'x'<<40 | 't'<<48:
		return fieldContext
	case 'p' | 'r'<<8 | 'o'<<16 | 'p'<<24 | 's'<<32:
		return fieldProps
	case 'v':
		return fieldV
	}
	return unknownField
}

// stringFields are those whose values are, or may be, strings.
const stringFields fieldSet = 1<<fieldID | 1<<fieldType | 1<<fieldTime | 1<<fieldSent | 1<<fieldUser | 1<<fieldAnon | 1<<fieldSession |
	1<<fieldItem | 1<<fieldCurrency | 1<<fieldDecision

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
	propName
	numProps
)

var propNames = [numProps]string{"list", "query", "order", "coupon", "text", "rating", "lang", "channel", "resolved", "purpose", "status", "dwell_ms", "name"}

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
	case "name":
		return propName, true
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

	DecisionRequested: {props: []propRule{{propName, formID, true}}},
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
