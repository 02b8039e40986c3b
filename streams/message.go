package streams

import (
	"errors"
	"fmt"
	"time"
)

// ErrFenced says that another owner has written the marker: this node must not publish any more.
var ErrFenced = errors.New("another node owns this app now; stop it or wait until its lease has ended, then start this one again")

// Message is what a sink publishes: one decision, dead letter or advisory.
type Message struct {
	Subject string
	ID      string // the de-duplication id; equal ids carry equal Data
	Data    []byte
	TTL     time.Duration // 0: kept by the stream's own limits
	Trace   string        // traceparent handed through, or ""
}

// Marker is what a node writes to the app's one marker subject when everything up to an epoch is acknowledged.
type Marker struct {
	Epoch     uint64 `json:"epoch"`
	JournalID string `json:"journal"`
	EntryHash uint64 `json:"entry_hash,string"`
	// Offsets holds the next input offset by topic and partition.
	Offsets map[string]map[int32]int64 `json:"offsets"`
	Owner   string                     `json:"owner"`
	LeaseMS int64                      `json:"lease_ms"`   // how long the lease lasts from WrittenMS
	Written int64                      `json:"written_ms"` // the owner's clock; only compared with that of the reader's with a margin
	// Floor is the stream sequence of the last message of Epoch, or of an epoch before: all beyond it is of later epochs. While a start runs epochs again
	// it lies below all messages that the stream held of later ones; what was lacking of Epoch, and was sent anew, may then be beyond it.
	Floor uint64 `json:"floor"`
	// Released is true when the owner has ended cleanly: the lease need not be waited out.
	Released bool `json:"released,omitempty"`
	// Adopted says that an operator let a state folder go on that the marker before did not know: any decision may be in the
	// stream already, so that all are looked up by id before they are sent.
	Adopted bool `json:"adopted,omitempty"`
	// Lines counts how often an operator let the result streams outside of the decision stream begin anew, behind lines of epochs that the journal had
	// lost: it is part of the name that lines are put out under.
	Lines int `json:"lines,omitempty"`
}

// StoredBefore is why a message is refused: the stream remembers its id. Where the stream does not hold it, it was stored once and purged since.
type StoredBefore struct {
	Message uint64 // its number among those that were sent
	Seq     uint64 // that it had
}

func (e *StoredBefore) Error() string {
	return fmt.Sprintf("a message with the id of message %d was stored before, as sequence %d", e.Message, e.Seq)
}
