package streams

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// seeds feeds the records of the text tables to a fuzz test.
func seeds(f *testing.F, add func(record []byte)) {
	paths, err := filepath.Glob("testdata/decode/*.txt")
	if err != nil || len(paths) == 0 {
		f.Fatal("no text tables in testdata/decode", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, line := range bytes.Split(text, []byte("\n")) {
			if bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
				add(line)
			}
		}
	}
}

// FuzzDecode holds the decoder against encoding/json: what it accepts is JSON with these fields, and what it refuses as no
// JSON is none.
func FuzzDecode(f *testing.F) {
	seeds(f, func(record []byte) { f.Add(record) })
	d := NewDecoder(Native)
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) > 0 && value[0] == 0 {
			return // a schema registry's prefix
		}
		before := bytes.Clone(value)
		var e Event
		fault := d.Decode(&Record{Value: value}, &e)
		if !bytes.Equal(before, value) {
			t.Fatal("the record was written to")
		}
		if fault != nil {
			holdFault(t, fault, value)
			return
		}
		if !json.Valid(value) || !utf8.Valid(value) {
			t.Fatalf("accepted what is no JSON: %q", value)
		}
		holdEvent(t, &e, value)
	})
}

// FuzzSegment looks for texts that the rewriting into native events can't stand.
func FuzzSegment(f *testing.F) { fuzzForeign(f, Segment) }

// FuzzGA4 does the same for GA4 events.
func FuzzGA4(f *testing.F) { fuzzForeign(f, GA4) }

// FuzzAuto does the same where the format is told by the record, CloudEvents among them.
func FuzzAuto(f *testing.F) { fuzzForeign(f, Auto) }

func fuzzForeign(f *testing.F, format Format) {
	seeds(f, func(record []byte) { f.Add(record) })
	d := NewDecoder(format)
	f.Fuzz(func(t *testing.T, value []byte) {
		var e Event
		if fault := d.Decode(&Record{Value: value}, &e); fault != nil {
			if fault.Reason != FaultUTF8 {
				holdFault(t, fault, value)
			}
			return
		}
		if len(value) > 0 && value[0] != 0 && !json.Valid(value) {
			t.Fatalf("accepted what is no JSON: %q", value)
		}
		if e.Type == Invalid || e.ID == "" || e.User == "" && e.Anon == "" && !e.Type.Catalogue() {
			t.Fatalf("accepted an event that is none: %s", describe(&e))
		}
	})
}

func holdFault(t *testing.T, fault *Fault, value []byte) {
	switch fault.Reason {
	case FaultJSON:
		if json.Valid(value) && value[0] != 0 {
			t.Fatalf("%v: but it is JSON: %q", fault, value)
		}
	case FaultUTF8:
		if utf8.Valid(value) && !bytes.Contains(value, []byte(`\u`)) {
			t.Fatalf("%v: but it is UTF-8: %q", fault, value)
		}
	case FaultTooLarge:
	default:
		if !json.Valid(value) && value[0] != 0 {
			t.Fatalf("%v: but it is no JSON: %q", fault, value)
		}
	}
	if !ValidToken(fault.Reason) || fault.Detail == "" || !utf8.ValidString(fault.Detail) {
		t.Fatalf("reason %q and detail %q can't be published", fault.Reason, fault.Detail)
	}
}

func holdEvent(t *testing.T, e *Event, value []byte) {
	var want map[string]any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if err := dec.Decode(&want); err != nil {
		t.Fatalf("accepted what encoding/json does not: %v: %q", err, value)
	}
	str := func(field, got string) {
		w, _ := want[field].(string)
		if got != w {
			t.Fatalf("field %q: got %q, want %q in %q", field, got, w, value)
		}
	}
	str("id", e.ID)
	str("type", e.Name)
	str("user", e.User)
	str("anon", e.Anon)
	str("session", e.Session)
	str("currency", e.Currency)
	str("decision", e.Decision)
	holdTime(t, want["time"], e.TimeMS)
	holdMoney(t, want["value"], e.Value, e.HasValue)
	if list, ok := want["items"].([]any); ok && len(list) > 0 && !rules[e.Type].needs.has(fieldItem) {
		if len(list) != len(e.Lines) {
			t.Fatalf("%d items, want %d in %q", len(e.Lines), len(list), value)
		}
		for i, w := range list {
			w := w.(map[string]any)
			if w["id"] != e.Lines[i].ID {
				t.Fatalf("item %d: got %q, want %q", i, e.Lines[i].ID, w["id"])
			}
			holdMoney(t, w["price"], e.Lines[i].Price, e.Lines[i].HasPrice)
		}
	}
	if e.Props != nil {
		holdProps(t, e.Props, want["props"].(map[string]any))
	}
}

func holdTime(t *testing.T, want any, gotMS int64) {
	switch want := want.(type) {
	case string:
		if strings.Contains(want, ":60") {
			return // a leap second, which package time does not read
		}
		at, err := time.Parse(time.RFC3339, strings.ToUpper(want))
		if err != nil || at.UnixMilli() != gotMS {
			t.Fatalf("time %q: got %d, want %d (%v)", want, gotMS, at.UnixMilli(), err)
		}
	case json.Number:
		if r, ok := new(big.Rat).SetString(want.String()); !ok || r.Cmp(new(big.Rat).SetInt64(gotMS)) != 0 {
			t.Fatalf("time %s: got %d", want, gotMS)
		}
	default:
		t.Fatalf("time %v was accepted", want)
	}
}

func holdMoney(t *testing.T, want any, got int64, has bool) {
	n, ok := want.(json.Number)
	if ok != has {
		t.Fatalf("price %v: has it: %v", want, has)
	}
	if ok && len(n) < 40 && !strings.ContainsAny(n.String(), "eE") {
		if micro := roundMicro(n.String()); micro.Cmp(big.NewInt(got)) != 0 {
			t.Fatalf("price %s: got %d millionths, want %s", n, got, micro)
		}
	}
}

// roundMicro is what parseMicro must give, by exact arithmetic.
func roundMicro(number string) *big.Int {
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return nil
	}
	r.Mul(r, big.NewRat(Micro, 1))
	twice := new(big.Int).Mul(r.Num(), big.NewInt(2))
	q, m := new(big.Int).DivMod(new(big.Int).Add(twice, r.Denom()), new(big.Int).Mul(r.Denom(), big.NewInt(2)), new(big.Int))
	if m.Sign() == 0 && q.Bit(0) == 1 { // half, rounded up to odd
		q.Sub(q, big.NewInt(1))
	}
	return q
}

func holdProps(t *testing.T, got Props, want map[string]any) {
	n := 0
	got.Each(func(key string, v Value) bool {
		n++
		w, ok := want[key]
		if !ok {
			t.Fatalf("props have no %q: %s", key, got)
		}
		switch w := w.(type) {
		case string:
			if s, ok := got.String(key); !ok || s != w {
				t.Fatalf("props.%s: got %q, want %q", key, s, w)
			}
		case bool:
			if b, ok := got.Bool(key); !ok || b != w {
				t.Fatalf("props.%s: got %v, want %v", key, b, w)
			}
		case json.Number:
			f, err := w.Float64()
			if g, ok := got.Number(key); ok != (err == nil) || ok && g != f {
				t.Fatalf("props.%s: got %v, want %v", key, g, f)
			}
		case map[string]any:
			o, ok := v.Props()
			if !ok {
				t.Fatalf("props.%s: no object: %s", key, v)
			}
			holdProps(t, o, w)
		case []any:
			count := 0
			if !v.List(func(i int, _ Value) bool { count++; return true }) || count != len(w) {
				t.Fatalf("props.%s: %d elements, want %d", key, count, len(w))
			}
		case nil:
			if v.Kind() != "null" {
				t.Fatalf("props.%s: got %s, want null", key, v)
			}
		}
		return true
	})
	if n != len(want) {
		t.Fatalf("props have %d members, want %d: %s", n, len(want), got)
	}
}

func FuzzMoney(f *testing.F) {
	for _, s := range []string{"0", "-0", "51.62", "1e9", "0.0000005", "0.0000015", "12345678901234567890", "1e-7", "5e-7", "15e-7", "999999999.9999995", "1E+5", "0.00000049999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 60 || scanNumber([]byte(s), 0) != len(s) || s == "" {
			return
		}
		if i := strings.IndexAny(s, "eE"); i >= 0 && len(s)-i > 4 {
			return // exact arithmetic would take all memory
		}
		want := roundMicro(s)
		got, ok := parseMicro([]byte(s))
		if fits := want.CmpAbs(big.NewInt(MaxMicro)) <= 0; ok != fits || ok && want.Cmp(big.NewInt(got)) != 0 {
			t.Fatalf("parseMicro(%s) = %d, %v, want %s", s, got, ok, want)
		}
		if plain, end := plainMicro([]byte(s), 0); end > 0 && (end != len(s) || plain != got) {
			t.Fatalf("plainMicro(%s) = %d up to byte %d, want %d", s, plain, end, got)
		}
		r, _ := new(big.Rat).SetString(s)
		whole, ok := parseWhole([]byte(s))
		if fits := r.IsInt() && r.Num().CmpAbs(big.NewInt(1e18)) <= 0; ok && (!fits || r.Num().Cmp(big.NewInt(whole)) != 0) || !ok && fits && len(s) < 19 {
			t.Fatalf("parseWhole(%s) = %d, %v", s, whole, ok)
		}
	})
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"2026-03-01T10:00:00.001Z", "2024-02-29T23:59:59+23:59", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.9999-00:00", "2026-02-29T00:00:00Z"} {
		f.Add(s, int64(1767225600000))
	}
	f.Fuzz(func(t *testing.T, s string, ms int64) {
		if got, ok := ParseTime(s); ok && !strings.Contains(s, ":60") {
			at, err := time.Parse(time.RFC3339, strings.ToUpper(s))
			if err != nil || at.UnixMilli() != got {
				t.Fatalf("ParseTime(%q) = %d, want %d (%v)", s, got, at.UnixMilli(), err)
			}
		} else if at, err := time.Parse(time.RFC3339, s); !ok && err == nil && at.Format(time.RFC3339Nano) == s {
			t.Fatalf("ParseTime refuses %q", s)
		}
		ms = ms % maxMS
		written := string(AppendTime(nil, ms))
		if want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z"); ms > -62167219200000 && written != want {
			t.Fatalf("AppendTime(%d) = %s, want %s", ms, written, want)
		}
		if back, ok := ParseTime(written); ms > -62167219200000 && (!ok || back != ms) {
			t.Fatalf("ParseTime(%s) = %d, want %d", written, back, ms)
		}
	})
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"u-42", "a.b c*>", "张三", "=41", "", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token := string(EncodeToken(nil, s))
		if strings.ContainsAny(token, ".*> \t\r\n") || len(token) > 3*len(s) {
			t.Fatalf("EncodeToken(%q) = %q is no token", s, token)
		}
		if back, err := DecodeToken(token); err != nil || back != s {
			t.Fatalf("DecodeToken(%q) = %q, %v, want %q", token, back, err, s)
		}
		if back, err := DecodeToken(s); err == nil && string(EncodeToken(nil, back)) != s {
			t.Fatalf("DecodeToken accepts %q, which EncodeToken would write as %q", s, EncodeToken(nil, back))
		}
	})
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c\n\r\t\x00\x1f", "张三😀", "\xff\xed\xa0\x80", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendJSONString(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%q was written as %s: %v", s, b, err)
		}
		if want := string([]rune(s)); back != want {
			t.Fatalf("%q reads back as %q", s, back)
		}
		if own, ok := Value(b).Text(); !ok || own != back {
			t.Fatalf("%s is read as %q, want %q", b, own, back)
		}
	})
}

func FuzzFloat(f *testing.F) {
	for _, x := range []float64{0, 1, -1, 0.1, 0.182, 1e-6, 9.99e-7, 1e-7, 123456.789012, 1e9, 1e21, 1e-300, 1.0 / 3, 5e-324, 1.7976931348623157e308} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, x float64) {
		want, err := json.Marshal(x)
		if err != nil {
			want = []byte("null")
		}
		if got := appendFloat(nil, x); !bytes.Equal(got, want) {
			t.Fatalf("%v was written as %s, want %s", x, got, want)
		}
	})
}

// FuzzParseDecision reads what others may have put on a subject: whatever it accepts, it writes and reads again alike.
func FuzzParseDecision(f *testing.F) {
	for _, d := range decisions() {
		f.Add(d.AppendJSON(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDecision(b)
		if err != nil || len(b) > MaxDecisionJSONBytes/8 { // a longer one may lose items
			return
		}
		once := d.AppendJSON(nil)
		back, err := ParseDecision(once)
		if err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice := back.AppendJSON(nil); !bytes.Equal(once, twice) {
			t.Fatalf("written as\n%s\nthen as\n%s", once, twice)
		}
	})
}

func FuzzParseDeadLetter(f *testing.F) {
	f.Add([]byte("key"), []byte(`{"id":7}`), "type", int64(5))
	f.Add([]byte("\xff\xfe"), bytes.Repeat([]byte("x"), 5000), "field \"id\"", int64(-1))
	f.Fuzz(func(t *testing.T, key, value []byte, detail string, offset int64) {
		pos := Position{Topic: "clickstream", Partition: 3, Offset: offset}
		dl := NewDeadLetter(pos, &Record{Offset: offset, AppendMS: 1764849600000, Key: key, Value: value}, &Fault{FaultType, detail})
		b := dl.AppendJSON(nil)
		back, err := ParseDeadLetter(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if len(dl.Raw) == 0 {
			dl.Raw = back.Raw // nil and empty are written alike
		}
		if len(dl.Key) == 0 {
			dl.Key = back.Key
		}
		if !reflect.DeepEqual(&dl, back) {
			t.Fatalf("%+v reads back as %+v", dl, *back)
		}
	})
}

// FuzzCloudEvents looks for attributes and data, in headers and in the text, that the rewriting can't stand.
func FuzzCloudEvents(f *testing.F) {
	f.Add("1.0", "/shop", "1", "com.example.page.viewed.v1", "2026-03-01T10:00:00Z", "u", []byte(`{"id":null}`))
	f.Add("1.0", "\xff", "1", "page.viewed", "5", "", []byte(``))
	seeds(f, func(record []byte) { f.Add("", "", "", "", "", "", record) })
	d := NewDecoder(CloudEvents)
	f.Fuzz(func(t *testing.T, version, source, id, kind, at, user string, value []byte) {
		r := Record{Value: value}
		for _, h := range [][2]string{{"ce_specversion", version}, {"ce_source", source}, {"ce_id", id}, {"ce_type", kind}, {"ce_time", at}, {"ce_user", user}} {
			if h[1] != "" {
				r.Headers = append(r.Headers, Header{h[0], []byte(h[1])})
			}
		}
		var e Event
		if d.Decode(&r, &e) != nil {
			return
		}
		if e.Type == Invalid || e.ID == "" || e.User == "" && e.Anon == "" && !e.Type.Catalogue() {
			t.Fatalf("accepted an event that is none: %s", describe(&e))
		}
		if text := d.NativeText(); !json.Valid(text) || !utf8.Valid(text) {
			t.Fatalf("the native text is no JSON: %q", text)
		}
	})
}
