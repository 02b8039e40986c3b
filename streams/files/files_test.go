package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"nudge/streams"
)

// write records batches into one partition and closes it.
func write(t testing.TB, dir string, roll int, batches ...streams.Batch) {
	t.Helper()
	w, err := Create(dir, "clickstream", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	w.RollBytes = roll
	for _, b := range batches {
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// fetchAll reads a partition from an offset on, until an error.
func fetchAll(t testing.TB, dir string, from int64) (all []streams.Record, next int64, err error) {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		return nil, 0, err
	}
	f, err := l.Fetcher("clickstream", 0, from)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	next = from
	for {
		b, err := f.Fetch(context.Background())
		if b.Next < next {
			t.Fatalf("Next went from %d back to %d", next, b.Next)
		}
		next = b.Next
		if err != nil {
			return all, next, err
		}
		all = append(all, b.Records...)
	}
}

func same(a, b *streams.Record) bool {
	if a.Offset != b.Offset || a.AppendMS != b.AppendMS || streams.HashRecord(a) != b.Hash || len(a.Headers) != len(b.Headers) {
		return false
	}
	if (a.Key == nil) != (b.Key == nil) || (a.Value == nil) != (b.Value == nil) || !bytes.Equal(a.Key, b.Key) || !bytes.Equal(a.Value, b.Value) {
		return false
	}
	for i := range a.Headers {
		g, h := a.Headers[i], b.Headers[i]
		if g.Key != h.Key || (g.Value == nil) != (h.Value == nil) || !bytes.Equal(g.Value, h.Value) {
			return false
		}
	}
	return true
}

// anything draws the bytes of a key or value: null, empty, JSON, nearly JSON, or whatever.
func anything() *rapid.Generator[[]byte] {
	return rapid.OneOf(
		rapid.SampledFrom([][]byte{
			nil, {}, []byte(`{}`), []byte(`{"a":1}`), []byte("{\"a\":\n1}"), []byte(`{"a":1}}`), []byte(`{`), []byte(`}`), []byte(`"`), []byte(`\`),
			[]byte("{\"a\":\"\xff\"}"), []byte("null"), []byte(" {}"), []byte(`{"v":{"o":1,"t":2}}`), []byte("\x00\x00\x00\x00\x07{}"), []byte("\u2028é中"),
		}),
		rapid.SliceOf(rapid.Byte()),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
		rapid.Map(rapid.StringMatching(`[a-z]{1,5}`), func(s string) []byte { return []byte(`{"id":"` + s + `"}`) }),
	)
}

// Whatever is recorded, in whatever batches and file sizes, with whatever gaps, is read back from every offset on.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		next := rapid.Int64Range(0, 1<<40).Draw(rt, "start")
		start := next
		var all []streams.Record
		w, err := Create(dir, "clickstream", 0, start)
		if err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(0, 5).Draw(rt, "batches") {
			w.RollBytes = rapid.IntRange(100, 3000).Draw(rt, "roll")
			var b streams.Batch
			for range rapid.IntRange(0, 8).Draw(rt, "records") {
				next += rapid.SampledFrom([]int64{0, 0, 0, 1, 70}).Draw(rt, "gap")
				r := streams.Record{Offset: next, AppendMS: rapid.Int64().Draw(rt, "time"), Key: anything().Draw(rt, "key"), Value: anything().Draw(rt, "value")}
				for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(rt, "headers") {
					r.Headers = append(r.Headers, streams.Header{Key: string(anything().Draw(rt, "header")), Value: anything().Draw(rt, "header value")})
				}
				b.Records = append(b.Records, r)
				next++
			}
			next += rapid.SampledFrom([]int64{0, 0, 5}).Draw(rt, "gap behind")
			b.Next = next
			if err := w.Write(b); err != nil {
				rt.Fatal(err)
			}
			all = append(all, b.Records...)
			if rapid.Bool().Draw(rt, "reopen") {
				if err := w.Close(); err != nil {
					rt.Fatal(err)
				}
				if w, err = Create(dir, "clickstream", 0, next); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
		l, err := Open(dir)
		if err != nil {
			rt.Fatal(err)
		}
		if s, e, err := l.Offsets("clickstream", 0); err != nil || s != start || e != next {
			rt.Fatalf("offsets %d to %d, %v: want %d to %d", s, e, err, start, next)
		}
		from := rapid.Int64Range(start, next).Draw(rt, "from")
		got, end, err := fetchAll(t, dir, from)
		if !errors.Is(err, ErrEnd) || end != next {
			rt.Fatalf("ends at %d with %v: want %d and ErrEnd", end, err, next)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(r streams.Record) bool { return r.Offset < from })
		if len(got) != len(want) {
			rt.Fatalf("%d records from %d on: want %d", len(got), from, len(want))
		}
		for i := range want {
			if !same(&want[i], &got[i]) {
				rt.Fatalf("record %d: got %+v, want %+v", i, got[i], want[i])
			}
		}
	})
}

func FuzzLineRoundTrip(f *testing.F) {
	f.Add(int64(3), int64(1), []byte("k"), []byte(`{"id":"1"}`), "h", []byte("v"), true, true)
	f.Add(int64(0), int64(-1), []byte("\xff"), []byte("\xfe"), "\xfd", []byte(nil), false, false)
	f.Fuzz(func(t *testing.T, offset, at int64, key, value []byte, header string, headerValue []byte, hasKey, hasValue bool) {
		r := streams.Record{Offset: offset, AppendMS: at, Headers: []streams.Header{{Key: header, Value: headerValue}}}
		if hasKey {
			r.Key = append([]byte{}, key...)
		}
		if hasValue {
			r.Value = append([]byte{}, value...)
		}
		line := appendLine(nil, &r)
		if bytes.Count(line, newline) != 1 {
			t.Fatalf("more than one line: %q", line)
		}
		var got streams.Record
		if err := parseLine(line[:len(line)-1], &got); err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		if !same(&r, &got) {
			t.Fatalf("got %+v, want %+v\n%s", got, r, line)
		}
	})
}

// A line that is accepted is the spelling of its record: nothing else in it was passed over.
func FuzzParseLine(f *testing.F) {
	for _, s := range []string{
		`{"o":1,"t":2}`, `{"o":1,"t":2,"k":"a","v":{}}`, `{"o":-1,"t":2,"k64":"/w==","h":[["a",null],["","AA==","/w=="]],"v64":""}`,
		`{"o":01,"t":2}`, `{"o":1,"t":2,"k":"a`, `{"o":1,"t":2,"h":[]}`, `{"o":9223372036854775808,"t":2}`, `{"o":1,"t":-0}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.IndexByte(line, '\n') >= 0 {
			return
		}
		var r, again streams.Record
		if parseLine(line, &r) != nil {
			return
		}
		written := appendLine(nil, &r)
		if err := parseLine(written[:len(written)-1], &again); err != nil || !same(&r, &again) {
			t.Fatalf("%q reads as %+v, and written again as %+v, %v", line, r, again, err)
		}
	})
}

func numbered(from, n int) streams.Batch {
	b := streams.Batch{Next: int64(from + n)}
	for i := range n {
		b.Records = append(b.Records, streams.Record{Offset: int64(from + i), AppendMS: 1767571200000 + int64(i), Key: fmt.Appendf(nil, "u-%d", i%50),
			Value: fmt.Appendf(nil, `{"id":"e%d","type":"page.viewed","time":1767571200000,"user":"u-%d"}`, i, i%50)})
	}
	return b
}

// A crash leaves a .part file: it is not in the log, and recording goes on before it.
func TestCrashedWriter(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, 0, numbered(0, 100))
	w, err := Create(dir, "clickstream", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(numbered(100, 50)); err != nil {
		t.Fatal(err)
	}
	// The process dies here.
	if all, next, err := fetchAll(t, dir, 0); len(all) != 100 || next != 100 || !errors.Is(err, ErrEnd) {
		t.Fatalf("%d records to %d, %v: want the 100 of the whole file", len(all), next, err)
	}
	again, err := Create(dir, "clickstream", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if again.Next() != 100 {
		t.Fatalf("goes on at %d, want 100", again.Next())
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, "clickstream", "0", "*.part")); len(parts) > 0 {
		t.Fatalf("left behind: %v", parts)
	}
	if _, err := Create(dir, "clickstream", 0, 120); err == nil || !strings.Contains(err.Error(), "ends at 100") {
		t.Fatalf("recording with a gap: %v", err)
	}
}

func TestEmptyPartitionKeepsItsPlace(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, "clickstream", 0, 700)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	all, next, err := fetchAll(t, dir, 700)
	if len(all) != 0 || next != 700 || !errors.Is(err, ErrEnd) || !errors.Is(err, io.EOF) {
		t.Fatalf("%d records, next %d, %v", len(all), next, err)
	}
}

func TestFetchStopsAtTheEndAndAtTheContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, 0, numbered(0, 10))
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.Fetcher("clickstream", 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b, err := f.Fetch(ctx)
	if err != nil || len(b.Records) != 6 || b.Next != 10 || b.End != 10 {
		t.Fatalf("%d records, next %d, end %d, %v", len(b.Records), b.Next, b.End, err)
	}
	for range 2 {
		if b, err := f.Fetch(ctx); !errors.Is(err, ErrEnd) || b.Next != 10 || len(b.Records) != 0 {
			t.Fatalf("at the end: %+v, %v", b, err)
		}
	}
	cancel()
	if _, err := f.Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every damage is found, named with file and line, and cured by what the message says; what comes before it is read.
func TestDamage(t *testing.T) {
	const roll = 4000
	first := filepath.Join("clickstream", "0", segmentName(0))
	pack := func(lines string, s segment) []byte {
		var b bytes.Buffer
		z, err := newEncoder(&b)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(z, lines)
		z.Close()
		return appendFooter(b.Bytes(), &s)
	}
	for _, tc := range []struct {
		name string
		harm func(t *testing.T, dir string)
		want string
		left int // records read before it
	}{
		{"truncated", func(t *testing.T, dir string) {
			info, err := os.Stat(filepath.Join(dir, first))
			if err == nil {
				err = os.Truncate(filepath.Join(dir, first), info.Size()/2)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "it was cut off or made by something else", 0},
		{"missing file", func(t *testing.T, dir string) {
			names, _ := filepath.Glob(filepath.Join(dir, "clickstream", "0", "*"+suffix))
			os.Remove(names[1])
		}, "a file is missing", 0},
		{"misnamed", func(t *testing.T, dir string) {
			os.Rename(filepath.Join(dir, first), filepath.Join(dir, "clickstream", "0", segmentName(3)))
		}, "is named for 3", 0},
		{"flipped bit", func(t *testing.T, dir string) {
			b, _ := os.ReadFile(filepath.Join(dir, first))
			b[len(b)/2] ^= 0x10
			os.WriteFile(filepath.Join(dir, first), b, 0o644)
		}, "can't be unpacked", 0},
		{"broken line", func(t *testing.T, dir string) {
			b := pack("{\"o\":0,\"t\":1,\"v\":{}}\n{\"o\":1,\"t\":1,\"x\":2}\n", segment{next: 37, records: 2})
			os.WriteFile(filepath.Join(dir, first), b, 0o644)
		}, first + ":2: the file is damaged: column 13: want the next of k, k64, h, v, v64", 1},
		{"offsets out of order", func(t *testing.T, dir string) {
			b := pack("{\"o\":5,\"t\":1}\n{\"o\":5,\"t\":1}\n", segment{next: 37, records: 2})
			os.WriteFile(filepath.Join(dir, first), b, 0o644)
		}, first + ":2: the file is damaged: offset 5: want one of 6 to 36", 1},
		{"lines lost", func(t *testing.T, dir string) {
			b := pack("{\"o\":5,\"t\":1}\n", segment{next: 37, records: 2})
			os.WriteFile(filepath.Join(dir, first), b, 0o644)
		}, "it holds 1 lines, and says that it holds 2", 1},
		{"last line torn", func(t *testing.T, dir string) {
			b := pack("{\"o\":5,\"t\":1}\n{\"o\":6", segment{next: 37, records: 2})
			os.WriteFile(filepath.Join(dir, first), b, 0o644)
		}, "it holds 1 lines, and says that it holds 2", 1},
		{"strange file", func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, "clickstream", "0", "copy"+suffix), nil, 0o644)
		}, "want a name of 20 digits", 0},
		{"partition missing", func(t *testing.T, dir string) {
			os.Rename(filepath.Join(dir, "clickstream", "0"), filepath.Join(dir, "clickstream", "1"))
		}, "has no partition 0, but has 1", 0},
		{"nothing there", func(t *testing.T, dir string) {
			os.RemoveAll(filepath.Join(dir, "clickstream"))
		}, "holds no recorded topic", 0},
		{"not finished", func(t *testing.T, dir string) {
			names, _ := filepath.Glob(filepath.Join(dir, "clickstream", "0", "*"+suffix))
			for _, n := range names {
				os.Remove(n)
			}
		}, "its export was not finished", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, roll, numbered(0, 200))
			l, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if tc.left > 0 { // the files that are put in its place pretend to reach as far as the first does
				second := l.topics["clickstream"][0][1].first
				if second != 37 {
					t.Fatalf("the second file begins at %d: adapt the cases", second)
				}
			}
			tc.harm(t, dir)
			all, _, err := fetchAll(t, dir, 0)
			if err == nil || !strings.Contains(err.Error(), tc.want) || len(all) != tc.left {
				t.Fatalf("%d records, %v\nwant %d and %q", len(all), err, tc.left, tc.want)
			}
		})
	}
}

func TestOutOfRange(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, "clickstream", 0, 50)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(numbered(50, 10)); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(numbered(55, 10)); err == nil || !strings.Contains(err.Error(), "want 60 or more") {
		t.Fatalf("offsets twice: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{49, 61} {
		if _, err := l.Fetcher("clickstream", 0, from); !errors.Is(err, ErrOutOfRange) || !strings.Contains(err.Error(), "offsets 50 to 60 are recorded") {
			t.Errorf("from %d: %v", from, err)
		}
	}
	if _, err := l.Fetcher("clickstream", 1, 50); err == nil {
		t.Error("a partition that is not there was opened")
	}
	for _, topic := range []string{"", ".", "..", "a/b", strings.Repeat("x", 250)} {
		if _, err := Create(dir, topic, 0, 0); err == nil {
			t.Errorf("topic %q was accepted", topic)
		}
	}
}

func TestTopics(t *testing.T) {
	dir := t.TempDir()
	for _, topic := range []string{"reviews", "clickstream"} {
		for p := range int32(3) {
			w, err := Create(dir, topic, p, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(numbered(0, int(p))); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "checkpoint"), 0o755); err != nil { // stands beside the topics
		t.Fatal(err)
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Topics(); !slices.Equal(got, []string{"clickstream", "reviews"}) || l.Partitions("reviews") != 3 || l.Partitions("x") != 0 {
		t.Fatalf("topics %v, %d and %d partitions", got, l.Partitions("reviews"), l.Partitions("x"))
	}
	if n, err := l.Records("reviews", 2, 0); n != 2 || err != nil {
		t.Fatalf("%d records, %v", n, err)
	}
}

func TestDecisions(t *testing.T) {
	for _, name := range []string{"decisions.jsonl", "decisions.jsonl.zst"} {
		path := filepath.Join(t.TempDir(), name)
		w, err := CreateDecisions(path)
		if err != nil {
			t.Fatal(err)
		}
		var want [][]byte
		for i := range 500 {
			d := streams.Decision{ID: fmt.Sprintf("shop.clickstream-0-%d.home.0", i), Kind: streams.KindCoupon, Name: "home", Action: streams.ActionNone,
				User: "u-1", TimeMS: 1767571200000, ExpiresMS: 1767571300000, Propensity: 0.5, Reasons: []streams.Reason{{Code: "holdout"}}}
			want = append(want, d.AppendJSON(nil))
			if err := w.Write(streams.Message{ID: d.ID, Data: want[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Fatal("the file has its name before it is whole")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		i := 0
		err = ReadDecisions(path, func(line []byte, d *streams.Decision) error {
			if !bytes.Equal(line, want[i]) || !bytes.Equal(d.AppendJSON(nil), want[i]) {
				return fmt.Errorf("decision %d: got %s, want %s", i, line, want[i])
			}
			i++
			return nil
		})
		if err != nil || i != 500 || w.Count() != 500 {
			t.Fatalf("%d read, %d written: %v", i, w.Count(), err)
		}
		if info, err := os.Stat(path); err == nil {
			os.Truncate(path, info.Size()-30)
		}
		err = ReadDecisions(path, func([]byte, *streams.Decision) error { return nil })
		if err == nil || !strings.Contains(err.Error(), name+":") {
			t.Fatalf("torn file: %v", err)
		}
	}
}

func TestDecisionsThatFail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.jsonl")
	if err := os.WriteFile(path, []byte("as before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := CreateDecisions(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(streams.Message{ID: "x", Data: []byte("{\n}")}); err == nil {
		t.Fatal("two lines were accepted")
	}
	if err := w.Close(); err == nil {
		t.Fatal("Close forgot the error")
	}
	if b, _ := os.ReadFile(path); string(b) != "as before\n" {
		t.Fatalf("the file from before is now %q", b)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 1 {
		t.Fatalf("left behind: %v", left)
	}
}

func BenchmarkFetch(b *testing.B) {
	dir := b.TempDir()
	const n = 400_000
	batch := streams.Batch{Next: n}
	for i := range n {
		batch.Records = append(batch.Records, streams.Record{Offset: int64(i), AppendMS: 1767571200000 + int64(i), Key: fmt.Appendf(nil, "u-%d", i*7919%100003),
			Value: fmt.Appendf(nil, `{"id":"%x","type":"product.viewed","time":%d,"user":"u-%d","session":"s%d-3","item":"SKU-%05d","price":%d.99,`+
				`"props":{"dwell_ms":%d},"context":{"channel":"web","locale":"en-GB","device":"mobile"}}`, i*2654435761, 1767571200000+i*37, i*7919%100003, i*7919%100003, i*31%20000, i%300, i*131%60000)})
	}
	write(b, dir, 0, batch)
	b.SetBytes(int64(len(batch.Records[0].Value)) * n)
	b.ResetTimer()
	for b.Loop() {
		if all, _, err := fetchCount(b, dir); all != n {
			b.Fatal(all, err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "records/s")
}

func fetchCount(t testing.TB, dir string) (n int, next int64, err error) {
	l, err := Open(dir)
	if err != nil {
		return 0, 0, err
	}
	f, err := l.Fetcher("clickstream", 0, 0)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for {
		b, err := f.Fetch(context.Background())
		if err != nil {
			return n, b.Next, err
		}
		n += len(b.Records)
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	w, err := Create(dir, "clickstream", 0, 81273)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = w.Write(streams.Batch{Next: 81275, Records: []streams.Record{
		{Offset: 81273, AppendMS: 1767571200000, Key: []byte("u-42"), Value: []byte(`{"id":"01J9Z7K3QW","type":"page.viewed"}`)},
		{Offset: 81274, AppendMS: 1767571200350, Key: []byte("u-7"), Value: []byte("not JSON")},
	}})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	log, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := log.Fetcher("clickstream", 0, 81273)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	for {
		batch, err := f.Fetch(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, r := range batch.Records {
			fmt.Println(r.Offset, string(r.Key), string(r.Value))
		}
	}
	// Output:
	// 81273 u-42 {"id":"01J9Z7K3QW","type":"page.viewed"}
	// 81274 u-7 not JSON
	// end of the recorded log: EOF
}
