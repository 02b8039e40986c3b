package streams

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestDecodeRequest(t *testing.T) {
	const arrivalMS = 1795437860131
	d := NewDecoder(Segment) // a request is native whatever its topic's format
	for text, want := range map[string]string{
		`{"id":"R-1","user":"u"}`: `decision.requested id=R-1 user="u" time=2026-11-23T12:44:20.131Z`,
		`{"id":"R-1","type":"decision.requested","anon":"a","time":1,"item":"p","props":{"name":"home","placement":"top"}}`: `decision.requested id=R-1 anon="a" time=1970-01-01T00:00:00.001Z props={"name":"home","placement":"top"}
  item "p" quantity=1`,
		`{"id":"R-1"}`:                                 `identity: missing: user or anon`,
		`{"user":"u"}`:                                 `field: missing: id`,
		`{"id":"R-1","user":"null"}`:                   `identity: field "user": "null" names nobody: leave the field out`,
		`{"id":"R-1","user":"u","props":{"name":7}}`:   `type: decision.requested: props.name: want a string, got 7`,
		`{"id":"R-1","user":"u","type":"page.viewed"}`: `event_type: field "type": want decision.requested, which goes without saying, got "page.viewed": other events go to Kafka`,
		`{"id":"R-1","user":"u","name":"home"}`:        `unknown_field: field "name": want one of id type time sent user anon session item price quantity items value currency decision context props v (strict mode); what a condition looks at, and the name of a decider, go into props, such as "props":{"name":"home"}`,
		`["R-1"]`:                                      `type: want a JSON object, got ["R-1"]`,
		`{"id":`:                                       `json: unexpected end after 6 bytes`,
		"\xff":                                         `utf8: byte 0: 0xff is no UTF-8`,
		``:                                             `json: unexpected end after 0 bytes`,
		`{"id":"R-1","user":"u","session":"` + strings.Repeat("x", MaxEventBytes) + `"}`: `too_large: request of 32804 bytes: want at most 32768`,
	} {
		var e Event
		got := ""
		if f := d.DecodeRequest([]byte(text), arrivalMS, &e); f != nil {
			got = f.Error()
		} else {
			got = strings.TrimSpace(describe(&e))
		}
		if got != want {
			t.Errorf("%.80s\n got %s\nwant %s", text, got, want)
		}
	}
	if d.Strict {
		t.Error("the decoder is strict for records too")
	}
}

// A request's cause tells the customer and the id, whatever bytes they are of, and is no position, timer or window.
func TestRequestCause(t *testing.T) {
	if got, want := RequestCause("uu-42", "R.1"), "request-R=2E1~a892d1f70b6baa12"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	known := map[string]string{}
	for _, customer := range []string{"u1", "a1", "u1~", "u"} {
		for _, id := range []string{"1", "R-1", "R-1~", "~", ".", strings.Repeat("\xff", MaxIDBytes), strings.Repeat("\xff", MaxIDBytes-1) + "x", strings.Repeat("x", MaxIDBytes)} {
			cause := RequestCause(customer, id)
			if other, twice := known[cause]; twice {
				t.Errorf("%s is of %q and %s", cause, customer+" "+id, other)
			}
			known[cause] = customer + " " + id
			decision := RequestDecisionID(strings.Repeat("s", 64), strings.Repeat("g", 64), cause, strings.Repeat("n", 64), 12345)
			if RequestOf(decision) != cause {
				t.Errorf("%s is of the request %q", decision, RequestOf(decision))
			}
			if len(decision) > maxDecisionBytes {
				t.Errorf("%s has %d bytes, an event can name %d", decision, len(decision), maxDecisionBytes)
			}
		}
	}
	for _, id := range []string{DecisionID("shop", "", Position{"request", 3, 1}, "home", 0), DecisionID("shop", "g", Position{"request-x.y", 3, 1}, "home", 0),
		TimerDecisionID("shop", "", "u-42", 1, "home", 0), DeadID("shop", "", Position{RequestTopic, 0, 7}), ""} {
		if got := RequestOf(id); got != "" {
			t.Errorf("%s is of the request %s", id, got)
		}
	}
}

func TestRequestAsCause(t *testing.T) {
	d := &Decision{ID: RequestDecisionID("shop", "", RequestCause("uu", "R-1"), "home", 0), Kind: KindRecommendation, Name: "home", Action: ActionShow, User: "u", TimeMS: 1,
		Propensity: 1, Cause: Cause{Request: "R-1"}}
	text := d.AppendJSON(nil)
	if !bytes.HasSuffix(text, []byte(`,"cause":{"request":"R-1"}}`)) {
		t.Errorf("it is written as %s", text)
	}
	if back, err := ParseDecision(text); err != nil || !reflect.DeepEqual(back, d) {
		t.Errorf("%s\nreads back as %+v, %v", text, back, err)
	}
	for lang, want := range map[string]string{"en": "cause       the request R-1\n", "zh": "起因        请求 R-1\n"} {
		if got := d.Explain(lang); !strings.Contains(got, want) {
			t.Errorf("%s: %s", lang, got)
		}
	}
}

// FuzzDecodeRequest: what is taken as a request is taken as a record when it says its type and time.
func FuzzDecodeRequest(f *testing.F) {
	seeds(f, func(record []byte) { f.Add(record) })
	f.Add([]byte(`{"id":"R-1","user":"u","props":{"name":"home"}}`))
	d := NewDecoder(Native)
	d.Strict = true
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		var e Event
		fault := d.DecodeRequest(text, 1795437860131, &e)
		if !bytes.Equal(before, text) {
			t.Fatal("the request was written to")
		}
		if fault != nil {
			return
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		fields["type"] = json.RawMessage(`"decision.requested"`)
		if v := fields["time"]; v == nil || string(v) == "null" {
			fields["time"] = json.RawMessage("1795437860131")
		}
		record, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		want := describe(&e)
		var again Event
		if f := d.Decode(&Record{Value: record}, &again); f != nil && len(record) <= MaxEventBytes && f.Reason != FaultTooLarge {
			t.Fatalf("a record that says the same is refused: %v", f)
		} else if f == nil && (again.ID != e.ID || again.TimeMS != e.TimeMS || len(again.Lines) != len(e.Lines) || again.User != e.User) {
			t.Fatalf("a record that says the same is\n%s, not\n%s", describe(&again), want)
		}
	})
}
