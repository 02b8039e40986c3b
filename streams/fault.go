package streams

// A Fault says why a record can't be an event. It is data, not failure: the record goes to the
// dead letters under Reason and the stream moves on.
type Fault struct {
	Reason string // a token: json, utf8, type, field, time, future, identity, too_large, ...
	Detail string // for people: field, what was wanted, what was found
}

func (f *Fault) Error() string { return f.Reason + ": " + f.Detail }

// DeadLetter is a record that was refused, as published.
type DeadLetter struct {
	Reason    string `json:"reason"`
	Detail    string `json:"detail"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       []byte `json:"key,omitempty"`
	Raw       []byte `json:"raw"` // the first 4 KiB, base64
	RawBytes  int    `json:"raw_bytes"`
	Truncated bool   `json:"truncated"`
	TimeMS    int64  `json:"time"` // append time of the record
}

// The reasons of faults: why a record can't be an event. They are tokens of dead-letter subjects and labels of metrics.
const (
	FaultJSON      = "json"          // no JSON text
	FaultUTF8      = "utf8"          // bytes or \u escapes that are no Unicode text
	FaultDuplicate = "duplicate_key" // a key given twice in one object
	FaultTooLarge  = "too_large"     // the record, its context or its props exceed their bytes
	FaultType      = "type"          // a value of another JSON type than the field's, or of no form the field knows
	FaultField     = "field"         // a field that the event's type needs is missing
	FaultLimit     = "limit"         // too long, too many, too deep, out of its range
	FaultEvent     = "event_type"    // a type that version 1 does not know
	FaultIdentity  = "identity"      // neither user nor anon, or one that means nobody
	FaultTime      = "time"          // unreadable, or before 1970
	FaultFuture    = "future"        // more than five minutes after the record was appended
	FaultPrice     = "price"         // a price, value, cost or margin that is negative or beyond 10^9
	FaultCurrency  = "currency"      // no ISO 4217 code, or one without a rate
	FaultVersion   = "version"       // a major version other than 1
	FaultUnknown   = "unknown_field" // a top-level field that the schema does not know, in strict mode
)

// FaultReasons returns every reason that this package gives.
func FaultReasons() []string {
	return []string{FaultJSON, FaultUTF8, FaultDuplicate, FaultTooLarge, FaultType, FaultField, FaultLimit, FaultEvent,
		FaultIdentity, FaultTime, FaultFuture, FaultPrice, FaultCurrency, FaultVersion, FaultUnknown}
}
