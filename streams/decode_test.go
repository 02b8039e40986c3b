package streams

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/cockroachdb/datadriven"
)

// describe writes an event as the text tables expect it.
func describe(e *Event) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s id=%s", e.Name, e.ID)
	str := func(name, s string) {
		if s != "" {
			fmt.Fprintf(&out, " %s=%q", name, s)
		}
	}
	str("user", e.User)
	str("anon", e.Anon)
	str("session", e.Session)
	fmt.Fprintf(&out, " time=%s", AppendTime(nil, e.TimeMS))
	if e.SentMS != 0 {
		fmt.Fprintf(&out, " sent=%s", AppendTime(nil, e.SentMS))
	}
	if e.HasValue {
		fmt.Fprintf(&out, " value=%d", e.Value)
	}
	str("currency", e.Currency)
	str("decision", e.Decision)
	if e.Context != (Context{}) {
		fmt.Fprintf(&out, " context=%q", e.Context)
	}
	if e.Props != nil {
		fmt.Fprintf(&out, " props=%s", e.Props)
	}
	if e.Unknown != 0 {
		fmt.Fprintf(&out, " unknown=%d", e.Unknown)
	}
	out.WriteByte('\n')
	for _, l := range e.Lines {
		fmt.Fprintf(&out, "  item %q quantity=%d", l.ID, l.Quantity)
		if l.HasPrice {
			fmt.Fprintf(&out, " price=%d", l.Price)
		}
		if l.Position != 0 {
			fmt.Fprintf(&out, " position=%d", l.Position)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// TestDecode runs the text tables in testdata/decode. Each line of a block's input is one record; \xHH stands for a byte
// and <n*s> for s repeated n times; @key=value before it is a header. own=CNY USD=7.1 says what money is held in and what a dollar is worth.
func TestDecode(t *testing.T) {
	datadriven.Walk(t, "testdata/decode", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			format, err := ParseFormat(strings.TrimSuffix(filepath.Base(path), ".txt"))
			if err != nil {
				format = Native
			}
			d := NewDecoder(format)
			d.Strict = td.HasArg("strict")
			d.Currencies = currenciesOf(t, td)
			var out strings.Builder
			var e Event
			for _, line := range strings.Split(td.Input, "\n") {
				r := Record{}
				for strings.HasPrefix(line, "@") { // @key=value: a header
					name, rest, _ := strings.Cut(line[1:], " ")
					key, value, _ := strings.Cut(name, "=")
					r.Headers, line = append(r.Headers, Header{key, []byte(value)}), rest
				}
				r.Value = expand(t, line)
				if f := d.Decode(&r, &e); f != nil {
					fmt.Fprintf(&out, "%s\n", f.Error())
					continue
				}
				switch td.Cmd {
				case "decode":
					out.WriteString(describe(&e))
				case "catalog":
					var c CatalogItem
					if f := e.CatalogItem(&c); f != nil {
						fmt.Fprintf(&out, "%s\n", f.Error())
						continue
					}
					fmt.Fprintf(&out, "%+v\n", c)
				case "time":
					var appended string
					td.ScanArgs(t, "append", &appended)
					at, _ := ParseTime(appended)
					ms, f := CheckTime(&e, at)
					if f != nil {
						fmt.Fprintf(&out, "%s\n", f.Error())
						continue
					}
					fmt.Fprintf(&out, "%s\n", AppendTime(nil, ms))
				default:
					t.Fatalf("%s: no command %q: want decode, catalog or time", td.Pos, td.Cmd)
				}
			}
			return out.String()
		})
	})
}

func currenciesOf(t *testing.T, td *datadriven.TestData) *Currencies {
	if !td.HasArg("own") {
		return nil
	}
	c := &Currencies{Rates: map[string]int64{}}
	td.ScanArgs(t, "own", &c.Own)
	for _, arg := range td.CmdArgs {
		if currencyCode(arg.Key) {
			rate, ok := parseMicro([]byte(arg.Vals[0]))
			if !ok {
				t.Fatalf("%s: no rate: %s", td.Pos, arg)
			}
			c.Rates[arg.Key] = rate
		}
	}
	return c
}

func expand(t *testing.T, line string) []byte {
	for {
		before, rest, ok := strings.Cut(line, "<")
		inside, after, closed := strings.Cut(rest, ">")
		count, s, star := strings.Cut(inside, "*")
		if !ok || !closed || !star {
			break
		}
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%q: %v", inside, err)
		}
		line = before + strings.Repeat(s, n) + after
	}
	var out []byte
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' && i+3 < len(line) && line[i+1] == 'x' {
			c, err := strconv.ParseUint(line[i+2:i+4], 16, 8)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			out = append(out, byte(c))
			i += 3
			continue
		}
		out = append(out, line[i])
	}
	return out
}

var (
	viewed = []byte(`{"id":"e000000002","type":"product.viewed","user":"u001019","session":"s000000069461-0000000048","item":"p00877",` +
		`"time":"2026-03-01T10:00:00.001Z","price":51.62,"quantity":1,"context":{"channel":"app"}}`)
	ordered = []byte(`{"id":"e000000019","type":"order.completed","user":"u000154","session":"s000000219526-0000000048","item":"p00130",` +
		`"time":"2026-03-01T10:00:00.009Z","price":96.69,"quantity":1,"items":[{"id":"p00130","price":96.69,"quantity":1}],"value":96.69,` +
		`"props":{"order":"o000000019"},"context":{"channel":"email"}}`)
)

func TestDecodeReusesItsEvent(t *testing.T) {
	d := NewDecoder(Native)
	var e Event
	if f := d.Decode(&Record{Value: ordered}, &e); f != nil {
		t.Fatal(f)
	}
	lines := unsafe.SliceData(e.Lines)
	if f := d.Decode(&Record{Value: viewed}, &e); f != nil {
		t.Fatal(f)
	}
	if unsafe.SliceData(e.Lines) != lines {
		t.Error("the lines of the event were not reused")
	}
	if e.HasValue || e.Props != nil || len(e.Lines) != 1 || e.Lines[0].ID != "p00877" {
		t.Errorf("the event keeps parts of the one before: %+v", e)
	}
	allocs := testing.AllocsPerRun(100, func() {
		if f := d.Decode(&Record{Value: ordered}, &e); f != nil {
			t.Fatal(f)
		}
	})
	if allocs != 0 {
		t.Errorf("decoding allocates %v times, want 0", allocs)
	}
}

// An event is kept for an epoch while its decoder goes on: nothing of it may lie in the decoder's memory.
func TestEventsOutliveTheDecoder(t *testing.T) {
	for _, format := range []Format{Native, Segment} {
		texts := map[Format]string{
			Native:  `{"id":"\u0061-%[1]d","type":"search.performed","us\u0065r":"u\n%[1]d","time":1,"items":[{"id":"\u0070%[1]d"}],"props":{"query":"q\u0062%[1]d"},"x":1}`,
			Segment: `{"messageId":"\u0061-%[1]d","type":"track","event":"Products Searched","userId":"u\n%[1]d","timestamp":1,"properties":{"products":[{"sku":"\u0070%[1]d"}],"query":"q\u0062%[1]d"}}`,
		}
		d := NewDecoder(format)
		events := make([]Event, 100)
		for i := range events {
			if f := d.Decode(&Record{Value: fmt.Appendf(nil, texts[format], i)}, &events[i]); f != nil {
				t.Fatal(format, f)
			}
		}
		for i := range events {
			e := &events[i]
			query, _ := e.Props.String("query")
			n := strconv.Itoa(i)
			if e.ID != "a-"+n || e.User != "u\n"+n || e.Item() != "p"+n || query != "qb"+n {
				t.Fatalf("%s: event %d was overwritten: %s", format, i, describe(e))
			}
		}
	}
}

func TestRegistryPrefixIsSkipped(t *testing.T) {
	value := append(binary.BigEndian.AppendUint32([]byte{0}, 77), viewed...)
	var e Event
	if f := NewDecoder(Native).Decode(&Record{Value: value}, &e); f != nil || e.ID != "e000000002" {
		t.Fatal(f, e.ID)
	}
}

func TestManyUnknownFields(t *testing.T) {
	build := func(n int, last string) []byte {
		var b bytes.Buffer
		b.WriteString(`{"id":"1","type":"page.viewed","user":"u","time":1`)
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":%d`, i, i)
		}
		fmt.Fprintf(&b, `,%q:0}`, last)
		return b.Bytes()
	}
	d := NewDecoder(Native)
	for _, n := range []int{1, 31, 32, 33, 1000} {
		var e Event
		if f := d.Decode(&Record{Value: build(n, "other")}, &e); f != nil || e.Unknown != n+1 {
			t.Errorf("%d unknown fields: got %d, fault %v", n+1, e.Unknown, f)
		}
		for _, twice := range []string{"k0", fmt.Sprint("k", n-1)} {
			if f := d.Decode(&Record{Value: build(n, twice)}, &e); f == nil || f.Reason != FaultDuplicate {
				t.Errorf("%d unknown fields and %s twice: got %v, want %s", n, twice, f, FaultDuplicate)
			}
		}
	}
}

func TestTypesAndNames(t *testing.T) {
	names := TypeNames()
	if len(names) != int(Custom)-1 {
		t.Fatalf("%d names for %d types", len(names), int(Custom)-1)
	}
	for i, name := range names {
		if got := ParseType(name); got != Type(i+1) || got.String() != name {
			t.Errorf("ParseType(%q) = %d %q, want %d", name, got, got, i+1)
		}
	}
	for name, want := range map[string]Type{"custom.wheel_spun": Custom, "custom.": Invalid, "custom": Invalid, "custom.A": Invalid, "custom.a-b": Invalid,
		"custom." + strings.Repeat("a", 64): Custom, "custom." + strings.Repeat("a", 65): Invalid, "": Invalid, "invalid": Invalid, "Page.viewed": Invalid} {
		if got := ParseType(name); got != want {
			t.Errorf("ParseType(%q) = %s, want %s", name, got, want)
		}
	}
	for _, f := range []Format{Native, Segment, GA4, CloudEvents, Auto} {
		if got, err := ParseFormat(f.String()); got != f || err != nil {
			t.Errorf("ParseFormat(%q) = %v, %v", f, got, err)
		}
	}
	if _, err := ParseFormat("avro"); err == nil || !strings.Contains(err.Error(), "native, segment, ga4, cloudevents, auto") {
		t.Errorf("ParseFormat(avro): %v: want an error that names the formats", err)
	}
}

func TestHashRecord(t *testing.T) {
	base := Record{AppendMS: 5, Key: []byte("k"), Value: []byte("value"), Headers: []Header{{"a", []byte("1")}, {"b", []byte("2")}}}
	seen := map[uint64]string{HashRecord(&base): "base"}
	for name, change := range map[string]func(r *Record){
		"time":           func(r *Record) { r.AppendMS++ },
		"key":            func(r *Record) { r.Key = []byte("l") },
		"key to value":   func(r *Record) { r.Key, r.Value = nil, []byte("kvalue") },
		"value":          func(r *Record) { r.Value = []byte("valuf") },
		"header value":   func(r *Record) { r.Headers = []Header{{"a", []byte("1")}, {"b", []byte("3")}} },
		"header order":   func(r *Record) { r.Headers = []Header{{"b", []byte("2")}, {"a", []byte("1")}} },
		"header joined":  func(r *Record) { r.Headers = []Header{{"a1", nil}, {"b", []byte("2")}} },
		"headers joined": func(r *Record) { r.Headers = r.Headers[:1] },
	} {
		r := base
		change(&r)
		h := HashRecord(&r)
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s hash alike", name, other)
		}
		seen[h] = name
	}
	moved := base
	moved.Offset = 77
	if HashRecord(&moved) != HashRecord(&base) {
		t.Error("the offset is no part of what a record says")
	}
	if n := testing.AllocsPerRun(100, func() { HashRecord(&base) }); n != 0 {
		t.Errorf("HashRecord allocates %v times", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, bench := range []struct {
		name  string
		value []byte
	}{{"viewed", viewed}, {"ordered", ordered}} {
		b.Run(bench.name, func(b *testing.B) {
			d := NewDecoder(Native)
			var e Event
			r := Record{Value: bench.value}
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.value)))
			for b.Loop() {
				if f := d.Decode(&r, &e); f != nil {
					b.Fatal(f)
				}
			}
		})
	}
}

func BenchmarkHashRecord(b *testing.B) {
	r := Record{AppendMS: 1, Key: []byte("u001019"), Value: viewed}
	for b.Loop() {
		HashRecord(&r)
	}
}
