package streams

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// MaxDecisionJSONBytes is the largest decision that is published.
const MaxDecisionJSONBytes = 16 << 10

// AppendJSON appends the decision as it is published: the same bytes for the same decision, always. Fields that do not
// apply are left out; propensity is always there. Numbers are written as short as they can be, what JSON can't write (an
// infinity, NaN) as null.
//
// The text is at most MaxDecisionJSONBytes long. One that would be longer loses, in this order and as few as it takes:
// the reasons of its items from the last item on, its items from the last one on, its features, its reasons.
func (d *Decision) AppendJSON(dst []byte) []byte {
	start := len(dst)
	dst = d.appendParts(dst, len(d.Items), len(d.Items), true, true)
	if len(dst)-start <= MaxDecisionJSONBytes {
		return dst
	}
	return d.appendFitting(dst[:start])
}

func (d *Decision) appendFitting(dst []byte) []byte {
	start := len(dst)
	fits := func(items, explained int, features, reasons bool) bool {
		dst = d.appendParts(dst[:start], items, explained, features, reasons)
		return len(dst)-start <= MaxDecisionJSONBytes
	}
	// most returns the largest n below limit that fits, or -1.
	most := func(limit int, fit func(n int) bool) int {
		lo, hi := -1, limit // fit(lo) holds or lo is -1; fit(hi) does not
		for hi-lo > 1 {
			if mid := (lo + hi) / 2; fit(mid) {
				lo = mid
			} else {
				hi = mid
			}
		}
		return lo
	}
	if n := most(len(d.Items), func(n int) bool { return fits(len(d.Items), n, true, true) }); n >= 0 {
		fits(len(d.Items), n, true, true)
		return dst
	}
	if n := most(len(d.Items), func(n int) bool { return fits(n, 0, true, true) }); n >= 0 {
		fits(n, 0, true, true)
		return dst
	}
	if !fits(0, 0, false, true) {
		fits(0, 0, false, false)
	}
	return dst
}

func (d *Decision) appendParts(b []byte, items, explained int, features, reasons bool) []byte {
	b = append(b, `{"v":1,"id":`...)
	b = AppendJSONString(b, d.ID)
	b = append(b, `,"kind":`...)
	b = AppendJSONString(b, d.Kind)
	b = append(b, `,"name":`...)
	b = AppendJSONString(b, d.Name)
	b = append(b, `,"action":`...)
	b = AppendJSONString(b, d.Action)
	if d.Anonymous {
		b = append(b, `,"anon":`...)
	} else {
		b = append(b, `,"user":`...)
	}
	b = AppendJSONString(b, d.User)
	b = append(b, `,"time":"`...)
	b = AppendTime(b, d.TimeMS)
	b = append(b, '"')
	if d.ExpiresMS != 0 {
		b = append(b, `,"expires":"`...)
		b = AppendTime(b, d.ExpiresMS)
		b = append(b, '"')
	}
	if items > 0 {
		b = append(b, `,"items":[`...)
		for i := range d.Items[:items] {
			it := &d.Items[i]
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"id":`...)
			b = AppendJSONString(b, it.ID)
			b = append(b, `,"score":`...)
			b = appendFloat(b, it.Score)
			b = append(b, `,"propensity":`...)
			b = appendFloat(b, it.Propensity)
			if i < explained {
				b = appendReasons(b, it.Reasons)
			}
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if d.Offer != nil {
		b = appendOffer(append(b, `,"offer":`...), d.Offer)
	}
	if d.Alert != nil {
		b = appendAlert(append(b, `,"alert":`...), d.Alert)
	}
	b = append(b, `,"propensity":`...)
	b = appendFloat(b, d.Propensity)
	if d.Explored {
		b = append(b, `,"explored":true`...)
	}
	if d.Experiment != nil {
		b = append(b, `,"experiment":{"id":`...)
		b = AppendJSONString(b, d.Experiment.ID)
		b = append(b, `,"arm":`...)
		b = AppendJSONString(b, d.Experiment.Arm)
		b = append(b, '}')
	}
	if reasons {
		b = appendReasons(b, d.Reasons)
	}
	if features && len(d.Features)+len(d.Logged) > 0 {
		b = append(b, `,"features":`...)
		open := len(b)
		for i := range d.Features {
			b = append(b, ',')
			b = AppendJSONString(b, d.Features[i].Name)
			b = append(b, ':')
			b = d.Features[i].appendValue(b)
		}
		b = append(b, d.Logged...)
		b[open] = '{'
		b = append(b, '}')
	}
	if len(d.Warming) > 0 {
		b = append(b, `,"warming":[`...)
		for i, name := range d.Warming {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendJSONString(b, name)
		}
		b = append(b, ']')
	}
	if d.Model != (ModelVersion{}) {
		b = append(b, `,"model":{"name":`...)
		b = AppendJSONString(b, d.Model.Name)
		b = append(b, `,"version":`...)
		b = AppendJSONString(b, d.Model.Version)
		b = append(b, '}')
	}
	if d.Policy != "" {
		b = append(b, `,"policy":`...)
		b = AppendJSONString(b, d.Policy)
	}
	return append(appendCause(append(b, `,"cause":{`...), &d.Cause), '}', '}')
}

func (f *Feature) appendValue(b []byte) []byte {
	switch {
	case len(f.List) > 0:
		for i, x := range f.List {
			b = append(b, ",["[bit(i == 0)])
			b = AppendJSONString(b, x)
		}
		return append(b, ']')
	case f.Text != "":
		return AppendJSONString(b, f.Text)
	}
	return appendFloat(b, f.Value)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func appendReasons(b []byte, reasons []Reason) []byte {
	if len(reasons) == 0 {
		return b
	}
	b = append(b, `,"reasons":[`...)
	for i := range reasons {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"code":`...)
		b = AppendJSONString(b, reasons[i].Code)
		b = appendOptional(b, `,"with":`, reasons[i].With)
		if reasons[i].Weight != 0 {
			b = append(b, `,"weight":`...)
			b = appendFloat(b, reasons[i].Weight)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendOptional(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return AppendJSONString(append(b, key...), value)
}

func appendOffer(b []byte, o *Offer) []byte {
	b = append(b, `{"id":`...)
	b = AppendJSONString(b, o.ID)
	switch {
	case o.FreeShipping:
		b = append(b, `,"free_shipping":true`...)
	case o.AmountOff != 0:
		b = append(b, `,"amount_off":`...)
		b = appendFloat(b, o.AmountOff)
	default:
		b = append(b, `,"percent_off":`...)
		b = appendFloat(b, o.PercentOff)
	}
	if o.AtMost != 0 {
		b = append(b, `,"at_most":`...)
		b = appendFloat(b, o.AtMost)
	}
	b = appendOptional(b, `,"budget":`, o.Budget)
	b = appendOptional(b, `,"code":`, o.Code)
	return append(b, '}')
}

func appendAlert(b []byte, a *Alert) []byte {
	b = append(b, `{"score":`...)
	b = appendFloat(b, a.Score)
	b = append(b, `,"band":`...)
	b = AppendJSONString(b, a.Band)
	b = append(b, `,"horizon":`...)
	b = AppendJSONString(b, a.Horizon)
	if a.ExpectedValue != 0 {
		b = append(b, `,"expected_value":`...)
		b = appendFloat(b, a.ExpectedValue)
	}
	b = appendOptional(b, `,"suggested":`, a.Suggested)
	return append(b, '}')
}

func appendCause(b []byte, c *Cause) []byte {
	if c.Timer != "" {
		b = append(b, `"timer":`...)
		b = AppendJSONString(b, c.Timer)
		b = append(b, `,"at":"`...)
		b = AppendTime(b, c.AtMS)
		b = append(b, '"')
		return appendOptional(b, `,"armed_by":`, c.ArmedBy)
	}
	if c.Request != "" {
		b = append(b, `"request":`...)
		return AppendJSONString(b, c.Request)
	}
	b = append(b, `"topic":`...)
	b = AppendJSONString(b, c.Topic)
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(c.Partition), 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, c.Offset, 10)
	return appendOptional(b, `,"event":`, c.Event)
}

// MarshalJSON is AppendJSON.
func (d *Decision) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil), nil }

// decisionWire is the published form as encoding/json reads it.
type decisionWire struct {
	V          int             `json:"v"`
	ID         string          `json:"id"`
	Kind       string          `json:"kind"`
	Name       string          `json:"name"`
	Action     string          `json:"action"`
	User       string          `json:"user"`
	Anon       string          `json:"anon"`
	Time       wireTime        `json:"time"`
	Expires    wireTime        `json:"expires"`
	Items      []DecisionItem  `json:"items"`
	Offer      *Offer          `json:"offer"`
	Alert      *Alert          `json:"alert"`
	Propensity float64         `json:"propensity"`
	Explored   bool            `json:"explored"`
	Experiment *ExperimentArm  `json:"experiment"`
	Reasons    []Reason        `json:"reasons"`
	Features   json.RawMessage `json:"features"`
	Warming    []string        `json:"warming"`
	Model      ModelVersion    `json:"model"`
	Policy     string          `json:"policy"`
	Cause      struct {
		Topic     string   `json:"topic"`
		Partition int32    `json:"partition"`
		Offset    int64    `json:"offset"`
		Event     string   `json:"event"`
		Request   string   `json:"request"`
		Timer     string   `json:"timer"`
		At        wireTime `json:"at"`
		ArmedBy   string   `json:"armed_by"`
	} `json:"cause"`
}

// wireTime is a time as published, in Unix milliseconds.
type wireTime int64

func (t *wireTime) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("want an RFC 3339 string, got %s", excerpt(b))
	}
	ms, ok := ParseTime(s)
	if !ok {
		return fmt.Errorf("want an RFC 3339 string, got %q", excerpt(s))
	}
	*t = wireTime(ms)
	return nil
}

// ParseDecision reads what AppendJSON wrote. Fields that it does not know are ignored: later minor versions may add some.
func ParseDecision(b []byte) (*Decision, error) {
	var w decisionWire
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("streams: parse decision: %w", err)
	}
	if w.V != 1 {
		return nil, fmt.Errorf("streams: parse decision %q: field \"v\": want 1, got %d: it was written by another version of nudge", w.ID, w.V)
	}
	features, err := parseFeatures(w.Features)
	if err != nil {
		return nil, fmt.Errorf("streams: parse decision %q: field \"features\": %w", w.ID, err)
	}
	d := &Decision{ID: w.ID, Kind: w.Kind, Name: w.Name, Action: w.Action, User: w.User, TimeMS: int64(w.Time), ExpiresMS: int64(w.Expires),
		Items: w.Items, Offer: w.Offer, Alert: w.Alert, Propensity: w.Propensity, Explored: w.Explored, Experiment: w.Experiment,
		Reasons: w.Reasons, Features: features, Warming: w.Warming, Model: w.Model, Policy: w.Policy,
		Cause: Cause{Topic: w.Cause.Topic, Partition: w.Cause.Partition, Offset: w.Cause.Offset, Event: w.Cause.Event, Request: w.Cause.Request,
			Timer: w.Cause.Timer, AtMS: int64(w.Cause.At), ArmedBy: w.Cause.ArmedBy}}
	if w.User == "" && w.Anon != "" {
		d.User, d.Anonymous = w.Anon, true
	}
	return d, nil
}

// UnmarshalJSON is ParseDecision.
func (d *Decision) UnmarshalJSON(b []byte) error {
	parsed, err := ParseDecision(b)
	if err != nil {
		return err
	}
	*d = *parsed
	return nil
}

func (f *Feature) parseValue(b []byte) error {
	switch b[0] {
	case '[':
		return json.Unmarshal(b, &f.List)
	case '"':
		return json.Unmarshal(b, &f.Text)
	}
	return json.Unmarshal(b, &f.Value)
}

// parseFeatures reads the features in the order in which they stand.
func parseFeatures(b json.RawMessage) ([]Feature, error) {
	if len(b) == 0 || string(b) == "null" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("want an object, got %s", excerpt(b))
	}
	var features []Feature
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		f := Feature{Name: name.(string)}
		var value json.RawMessage
		if err = dec.Decode(&value); err == nil {
			err = f.parseValue(value)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		features = append(features, f)
	}
	return features, nil
}
