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
