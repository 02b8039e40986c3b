package streams

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

const upperHex = "0123456789ABCDEF"

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// ValidToken reports whether s can stand as an app, decider, generation or reason in ids and subjects:
// 1 to 64 of A-Z, a-z, 0-9, '-' and '_'.
func ValidToken(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return true
}

// EncodeToken appends s as one token of a NATS subject: A-Z, a-z, 0-9, '-' and '_' as they are, every other byte as =HH.
// The empty string gives no token; ids are never empty.
func EncodeToken(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; tokenByte(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// DecodeToken is the inverse of EncodeToken. It refuses what EncodeToken would not have written, so that equal tokens
// mean equal strings and the reverse.
func DecodeToken(token string) (string, error) {
	out := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if tokenByte(c) {
			out = append(out, c)
			continue
		}
		if c != '=' || i+2 >= len(token) {
			return "", fmt.Errorf("streams: token %q: byte %d: want A-Za-z0-9-_ or =HH", token, i)
		}
		hi, lo := unhex(token[i+1]), unhex(token[i+2])
		if hi < 0 || lo < 0 || tokenByte(byte(hi<<4|lo)) {
			return "", fmt.Errorf("streams: token %q: byte %d: %q is no escape (two upper-case hex digits of a byte that needs one)", token, i, token[i:i+3])
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return string(out), nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// appendApp writes what every id starts with. '~' is legal in no app, generation or topic, so a generation can't be
// mistaken for the start of a topic's name.
func appendApp(dst []byte, app, generation string) []byte {
	dst = append(dst, app...)
	if generation != "" {
		dst = append(dst, '~')
		dst = append(dst, generation...)
	}
	return append(dst, '.')
}

func appendTail(dst []byte, name string, ordinal int) []byte {
	dst = append(dst, '.')
	dst = append(dst, name...)
	dst = append(dst, '.')
	return strconv.AppendInt(dst, int64(ordinal), 10)
}

func appendPosition(dst []byte, pos Position) []byte {
	dst = append(dst, pos.Topic...)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, int64(pos.Partition), 10)
	dst = append(dst, '-')
	return strconv.AppendInt(dst, pos.Offset, 10)
}

// AppendDecisionID appends the id of a decision caused by the record at pos: shop.clickstream-3-81273.home.0, or
// shop~g2.clickstream-3-81273.home.0 in generation g2.
func AppendDecisionID(dst []byte, app, generation string, pos Position, name string, ordinal int) []byte {
	dst = appendApp(dst, app, generation)
	dst = appendPosition(dst, pos)
	return appendTail(dst, name, ordinal)
}

// DecisionID is AppendDecisionID as a string.
func DecisionID(app, generation string, pos Position, name string, ordinal int) string {
	return string(AppendDecisionID(make([]byte, 0, 96), app, generation, pos, name, ordinal))
}

// AppendTimerDecisionID appends the id of a decision caused by a timer of the customer that was due at atMS:
// shop.t-5f1c0e8a9b7d6c3e-1764849600000.winback.0. The hash is of the customer string as given: a caller whose known and
// anonymous ids may be equal passes them marked.
func AppendTimerDecisionID(dst []byte, app, generation, customer string, atMS int64, name string, ordinal int) []byte {
	dst = appendApp(dst, app, generation)
	dst = append(dst, 't', '-')
	dst = appendHex64(dst, xxhash.Sum64String(customer))
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, atMS, 10)
	return appendTail(dst, name, ordinal)
}

// TimerDecisionID is AppendTimerDecisionID as a string.
func TimerDecisionID(app, generation, customer string, atMS int64, name string, ordinal int) string {
	return string(AppendTimerDecisionID(make([]byte, 0, 96), app, generation, customer, atMS, name, ordinal))
}

// maxRequestToken bounds what an id holds of a request's id, so that an event can name the decision.
const maxRequestToken = 128

// RequestCause is the part of an id that says which request a decision was taken on, the same however often it is made: a function of the
// customer (marked, where a known and an anonymous one may be equal) and of the id that it was made with, request-R-1~5f1c0e8a9b7d6c3e. '~' is
// legal in no topic, so no position is written alike. Of an id that would be too long it holds the hash.
func RequestCause(customer, id string) string {
	dst := EncodeToken(append(make([]byte, 0, 64), requestPrefix...), id)
	if len(dst) > len(requestPrefix)+maxRequestToken {
		dst = appendHex64(append(dst[:len(requestPrefix)], '~'), xxhash.Sum64String(id))
	}
	return string(appendHex64(append(dst, '~'), xxhash.Sum64String(customer)))
}

const requestPrefix = "request-"

// AppendRequestDecisionID appends the id of a decision caused by a request: shop.request-R-1~5f1c0e8a9b7d6c3e.home.0.
func AppendRequestDecisionID(dst []byte, app, generation, cause, name string, ordinal int) []byte {
	return appendTail(append(appendApp(dst, app, generation), cause...), name, ordinal)
}

// RequestDecisionID is AppendRequestDecisionID as a string.
func RequestDecisionID(app, generation, cause, name string, ordinal int) string {
	return string(AppendRequestDecisionID(make([]byte, 0, 96), app, generation, cause, name, ordinal))
}

// RequestOf is the cause in the id of a decision that a request has caused, "" for any other id.
func RequestOf(id string) string {
	_, rest, _ := strings.Cut(id, ".")
	cause, _, _ := strings.Cut(rest, ".")
	if strings.HasPrefix(cause, requestPrefix) && strings.IndexByte(cause, '~') > 0 {
		return cause
	}
	return ""
}

// DeadID returns the id of the dead letter of the record at pos: shop.dead.clickstream-3-81273.
func DeadID(app, generation string, pos Position) string {
	dst := appendApp(make([]byte, 0, 96), app, generation)
	dst = append(dst, "dead."...)
	return string(appendPosition(dst, pos))
}

func appendHex64(dst []byte, h uint64) []byte {
	const lowerHex = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, lowerHex[h>>uint(shift)&15])
	}
	return dst
}

// AppendDecisionSubject appends nudge.<app>.decisions.<kind>.<name>.<user>, the user as EncodeToken writes it. Known and
// anonymous ids are written alike.
func AppendDecisionSubject(dst []byte, app, kind, name, user string) []byte {
	dst = append(dst, "nudge."...)
	dst = append(dst, app...)
	dst = append(dst, ".decisions."...)
	dst = append(dst, kind...)
	dst = append(dst, '.')
	dst = append(dst, name...)
	dst = append(dst, '.')
	return EncodeToken(dst, user)
}

// DecisionSubject is AppendDecisionSubject as a string.
func DecisionSubject(app, kind, name, user string) string {
	return string(AppendDecisionSubject(make([]byte, 0, 96), app, kind, name, user))
}

// DeadSubject returns nudge.<app>.dead.<topic>.<reason>. A dot in the topic's name is written as EncodeToken does.
func DeadSubject(app, topic, reason string) string {
	dst := append(make([]byte, 0, 96), "nudge."...)
	dst = append(dst, app...)
	dst = append(dst, ".dead."...)
	dst = EncodeToken(dst, topic)
	dst = append(dst, '.')
	return string(EncodeToken(dst, reason))
}

// AdvisorySubject returns nudge.<app>.advisory.<what>.
func AdvisorySubject(app, what string) string {
	return "nudge." + app + ".advisory." + what
}

// AppendFeatureSubject appends nudge.<app>.features.<name>.<user>, the user as EncodeToken writes it; of another entity than the user
// nudge.<app>.features.<name>.<entity>.<key>, so that what belongs to a user who is erased can be told.
func AppendFeatureSubject(dst []byte, app, name, entity, key string) []byte {
	dst = append(dst, "nudge."...)
	dst = append(dst, app...)
	dst = append(dst, ".features."...)
	dst = append(dst, name...)
	dst = append(dst, '.')
	if entity != "" {
		dst = append(append(dst, entity...), '.')
	}
	return EncodeToken(dst, key)
}

// ClosedWindow is what the id of a window that closed is made of. One customer's window may be put out in parts: by the shards in which it
// has some, and again when an anonymous customer is merged into it after it had closed.
type ClosedWindow struct {
	Name, Window   string // of the output; as the pipeline writes the window
	StartMS, EndMS int64
	Shard          int
	DueMS          int64 // when the watermark passed its end
	User           string
	Anonymous      bool
}

// AppendFeatureID appends the id of a window that closed: shop.f.totals.1h.1772355600000-1772359200000.3-1772359200000.u-42, the user as
// EncodeToken writes it, after a '~' if it is an anonymous one.
func AppendFeatureID(dst []byte, app, generation string, w *ClosedWindow) []byte {
	dst = appendApp(dst, app, generation)
	dst = append(dst, "f."...)
	dst = append(dst, w.Name...)
	dst = append(dst, '.')
	dst = append(dst, w.Window...)
	for _, pair := range [...][2]int64{{w.StartMS, w.EndMS}, {int64(w.Shard), w.DueMS}} {
		dst = append(dst, '.')
		dst = strconv.AppendInt(dst, pair[0], 10)
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, pair[1], 10)
	}
	dst = append(dst, '.')
	if w.Anonymous {
		dst = append(dst, '~')
	}
	return EncodeToken(dst, w.User)
}
