package nats

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Error codes of the server's API that we act on.
const (
	codeWrongLastSequence = 10071
	codeNotFound          = 10037
	codeNoStore           = 10049
)

// apiError is a refusal of the server.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s (code %d, err_code %d)", e.Description, e.Code, e.ErrCode)
}

var (
	ackStream    = []byte(`{"stream":`)
	ackSeq       = []byte(`"seq":`)
	ackDuplicate = []byte(`"duplicate":`)
)

// parseAck reads a publish acknowledgement: {"stream":"S","seq":7} or, for a message that was there,
// {"stream":"S","seq":7,"duplicate": true}. Whatever does not look like that goes through encoding/json.
// status is the status header, "" where there is none.
func parseAck(b []byte, status string) (seq uint64, duplicate bool, err error) {
	if status != "" {
		return 0, false, statusError(status)
	}
	if bytes.HasPrefix(b, ackStream) {
		if name := bytes.IndexByte(b[len(ackStream)+1:], '"'); name >= 0 { // a stream's name holds no quote
			rest := b[len(ackStream)+1+name+1:]
			if i := bytes.Index(rest, ackSeq); i == 1 {
				rest = bytes.TrimLeft(rest[i+len(ackSeq):], " ")
				digits := 0
				for digits < len(rest) && digits < 19 && rest[digits] >= '0' && rest[digits] <= '9' {
					seq = seq*10 + uint64(rest[digits]-'0')
					digits++
				}
				switch tail := rest[digits:]; {
				case digits == 0 || seq == 0:
				case len(tail) == 1 && tail[0] == '}':
					return seq, false, nil
				case bytes.HasPrefix(tail, []byte(",")) && bytes.HasPrefix(bytes.TrimLeft(tail[1:], " "), ackDuplicate):
					// Seldom: let encoding/json see whether it is true.
				}
			}
		}
	}
	var ack struct {
		Seq       uint64    `json:"seq"`
		Duplicate bool      `json:"duplicate"`
		Error     *apiError `json:"error"`
	}
	if err := json.Unmarshal(b, &ack); err != nil {
		return 0, false, fmt.Errorf("acknowledgement %.100q: %w", b, err)
	}
	if ack.Error != nil {
		return 0, false, ack.Error
	}
	if ack.Seq == 0 {
		return 0, false, fmt.Errorf("acknowledgement %.100q: no sequence", b)
	}
	return ack.Seq, ack.Duplicate, nil
}

// statusError says what a status header instead of an answer means.
func statusError(status string) error {
	switch status {
	case "503":
		return fmt.Errorf("no stream takes the subject (status 503): JetStream is starting, or the stream was deleted")
	default:
		return fmt.Errorf("status %s", status)
	}
}
