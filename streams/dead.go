package streams

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDeadBytes is how much of a refused record's value, and of its key, a dead letter carries.
const MaxDeadBytes = 4 << 10

const maxDetailBytes = 512

// NewDeadLetter makes the dead letter of the record at pos. It aliases the record.
func NewDeadLetter(pos Position, r *Record, f *Fault) DeadLetter {
	dl := DeadLetter{Reason: f.Reason, Detail: strings.ToValidUTF8(f.Detail, "\uFFFD"), Topic: pos.Topic, Partition: pos.Partition,
		Offset: pos.Offset, Key: r.Key, Raw: r.Value, RawBytes: len(r.Value), TimeMS: r.AppendMS}
	if n := maxDetailBytes; len(dl.Detail) > n {
		for !utf8.RuneStart(dl.Detail[n]) {
			n--
		}
		dl.Detail = dl.Detail[:n] + "…"
	}
	if len(dl.Raw) > MaxDeadBytes {
		dl.Raw, dl.Truncated = dl.Raw[:MaxDeadBytes], true
	}
	if len(dl.Key) > MaxDeadBytes {
		dl.Key, dl.Truncated = dl.Key[:MaxDeadBytes], true
	}
	return dl
}

// Position returns where the record stands.
func (dl *DeadLetter) Position() Position {
	return Position{Topic: dl.Topic, Partition: dl.Partition, Offset: dl.Offset}
}

// AppendJSON appends the dead letter as it is published. A key that is no UTF-8 is written as key_base64 in place of key;
// a record without a key has neither.
func (dl *DeadLetter) AppendJSON(b []byte) []byte {
	b = append(b, `{"reason":`...)
	b = AppendJSONString(b, dl.Reason)
	b = append(b, `,"detail":`...)
	b = AppendJSONString(b, dl.Detail)
	b = append(b, `,"topic":`...)
	b = AppendJSONString(b, dl.Topic)
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(dl.Partition), 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, dl.Offset, 10)
	switch {
	case dl.Key == nil:
	case utf8.Valid(dl.Key):
		b = append(b, `,"key":`...)
		b = AppendJSONString(b, string(dl.Key))
	default:
		b = append(b, `,"key_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, dl.Key)
		b = append(b, '"')
	}
	b = append(b, `,"raw":"`...)
	b = base64.StdEncoding.AppendEncode(b, dl.Raw)
	b = append(b, `","raw_bytes":`...)
	b = strconv.AppendInt(b, int64(dl.RawBytes), 10)
	b = append(b, `,"truncated":`...)
	b = strconv.AppendBool(b, dl.Truncated)
	b = append(b, `,"time":"`...)
	b = AppendTime(b, dl.TimeMS)
	return append(b, '"', '}')
}

// MarshalJSON is AppendJSON.
func (dl *DeadLetter) MarshalJSON() ([]byte, error) { return dl.AppendJSON(nil), nil }

// ParseDeadLetter reads what AppendJSON wrote.
func ParseDeadLetter(b []byte) (*DeadLetter, error) {
	var w struct {
		Reason    string   `json:"reason"`
		Detail    string   `json:"detail"`
		Topic     string   `json:"topic"`
		Partition int32    `json:"partition"`
		Offset    int64    `json:"offset"`
		Key       *string  `json:"key"`
		KeyBase64 []byte   `json:"key_base64"`
		Raw       []byte   `json:"raw"`
		RawBytes  int      `json:"raw_bytes"`
		Truncated bool     `json:"truncated"`
		Time      wireTime `json:"time"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("streams: parse dead letter: %w", err)
	}
	dl := &DeadLetter{Reason: w.Reason, Detail: w.Detail, Topic: w.Topic, Partition: w.Partition, Offset: w.Offset, Key: w.KeyBase64,
		Raw: w.Raw, RawBytes: w.RawBytes, Truncated: w.Truncated, TimeMS: int64(w.Time)}
	if w.Key != nil {
		dl.Key = []byte(*w.Key)
	}
	return dl, nil
}

// UnmarshalJSON is ParseDeadLetter.
func (dl *DeadLetter) UnmarshalJSON(b []byte) error {
	parsed, err := ParseDeadLetter(b)
	if err != nil {
		return err
	}
	*dl = *parsed
	return nil
}
