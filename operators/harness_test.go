package operators_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"nudge/engine"
	"nudge/operators"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams"
)

// shop is an engine with one shard over a pipeline, driven by text. Its commands:
//
//	pipeline                the YAML text; starts afresh
//	catalog                 lines of: item {"price":10,"cost":6,...}; or: item removed
//	events [together] [arrival=TIME]
//	                        lines of: [dN ]HH:MM:SS user type [item[*quantity][@price] ...] [{"props":...}] [key=value ...]
//	                        user ~x is the anonymous x; keys: context.device, decision, value; prints the decisions.
//	                        Each event is an epoch of its own, or all are one.
//	ask HH:MM:SS            lines of questions for a list, as JSON; prints the answers
//	flush                   closes the windows that are open
//	pause, resume NAME
//	customer ID             what is remembered of a customer
//	item ID                 what is known of an item
//	budgets                 what was spent
//	counts                  what was counted
//	restart                 takes a checkpoint, and goes on from what it holds
type shop struct {
	t       *testing.T
	dir     string
	store   *state.Store
	config  engine.Config
	program *spy
	engine  *engine.Engine
	decider operators.Config
	text    []byte
	offset  int64
	events  int
	catalog int64
	counts  engine.Counts
}

// spy remembers the states that pass through a program.
type spy struct {
	*operators.Program
	states map[string]engine.State
}

func (s *spy) Fold(t *engine.Turn) {
	s.states[t.Customer] = t.State
	s.Program.Fold(t)
}

func TestTables(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") || strings.Contains(path, "rapid") {
			t.Skip("a corpus")
		}
		s := &shop{t: t}
		defer s.close()
		datadriven.RunTest(t, path, s.run)
	})
}

func (s *shop) run(t *testing.T, d *datadriven.TestData) string {
	s.t = t
	switch d.Cmd {
	case "pipeline":
		return s.start(d.Input)
	case "catalog":
		return s.fold(nil, s.items(d.Input), 0)
	case "events":
		return s.feed(d)
	case "ask":
		return s.ask(d)
	case "flush":
		return s.number(engine.Entry{ArrivalMS: base, Commands: []engine.Command{{Kind: engine.CommandFlush}}}, nil)
	case "pause", "resume":
		s.number(engine.Entry{ArrivalMS: base, Commands: []engine.Command{{Kind: d.Cmd, Name: d.CmdArgs[0].Key}}}, nil)
		return ""
	case "customer":
		c, ok := s.program.states[d.CmdArgs[0].Key]
		if !ok {
			return "unknown"
		}
		return pretty(s.program.Describe(c))
	case "item":
		x, ok := s.program.DescribeItem(d.CmdArgs[0].Key, s.engine.ClockMS())
		if !ok {
			return "unknown"
		}
		return pretty(x)
	case "budgets":
		return pretty(s.program.Spent())
	case "counts":
		var out []string
		for k, n := range s.counts.Named {
			out = append(out, fmt.Sprintf("%s %d", k, n))
		}
		slices.Sort(out)
		return strings.Join(out, "\n")
	case "restart":
		s.restart()
		return ""
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func pretty(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *shop) start(text string) string {
	s.close()
	config, faults := pipeline.Parse("shop.yaml", []byte("version: 1\napp: shop\n"+text))
	if len(faults) > 0 {
		return faults.Error()
	}
	s.decider, s.text = config.Deciders, []byte(text)
	s.dir = s.t.TempDir()
	s.offset, s.events, s.catalog, s.counts = 0, 0, 0, engine.Counts{}
	decoder := func() *streams.Decoder { return streams.NewDecoder(streams.Native) }
	s.config = engine.Config{App: "shop", Definition: s.text, RememberedIDs: 32, KeepLateMS: 400 * 24 * 3600_000, CacheBytes: 1 << 20,
		Parallel: func(n int, f func(int)) {
			for i := range n {
				f(i)
			}
		},
		Inputs: []engine.Input{
			{Topic: engine.Topic{Topic: "clickstream", Partitions: 1, LogAppendTime: true}, NewDecoder: decoder},
			{Topic: engine.Topic{Topic: "catalog", Partitions: 1, Catalog: true, LogAppendTime: true}, NewDecoder: decoder},
		}}
	if err := s.open(); err != nil {
		return err.Error()
	}
	return ""
}

func (s *shop) open() error {
	program, err := operators.New(s.decider, s.text)
	if err != nil {
		return err
	}
	s.program = &spy{program, map[string]engine.State{}}
	if s.store, err = state.Open(s.dir, state.Options{App: "shop", MemTableBytes: 8 << 20}); err != nil {
		s.t.Fatal(err)
	}
	if s.engine, err = engine.New(s.config, s.program, s.store); err != nil {
		s.t.Fatal(err)
	}
	return nil
}

// change has the shop go on from its last checkpoint under another pipeline, with an epoch that holds nothing else, as a node does.
func (s *shop) change(text string) {
	s.reopen(text)
	s.number(engine.Entry{ArrivalMS: base}, nil)
}

func (s *shop) reopen(text string) {
	config, faults := pipeline.Parse("shop.yaml", []byte("version: 1\napp: shop\n"+text))
	if len(faults) > 0 {
		s.t.Fatal(faults)
	}
	s.decider, s.text, s.config.Definition = config.Deciders, []byte(text), []byte(text)
	s.close()
	if err := s.open(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) close() {
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.t.Fatal(err)
		}
		s.store = nil
	}
}

func (s *shop) restart() {
	to, err := s.store.Begin()
	if err != nil {
		s.t.Fatal(err)
	}
	s.engine.BeginCheckpoint(to, "test", 0)
	for done := false; !done; {
		if done, err = s.engine.DrainCheckpoint(7); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := to.Complete(s.engine.CheckpointMeta()); err != nil {
		s.t.Fatal(err)
	}
	s.engine.EndCheckpoint(true)
	before := s.shared()
	s.close()
	if err := s.open(); err != nil {
		s.t.Fatal(err)
	}
	if after := s.shared(); !bytes.Equal(before, after) {
		s.t.Fatalf("shared state was not restored:\n%q\n%q", before, after)
	}
}

// shared is the encoding of all shared state.
func (s *shop) shared() []byte {
	var out bytes.Buffer
	for _, t := range s.program.Tables() {
		rows := uint32(200)
		if t.Name == "models" {
			rows = 6
		}
		if t.Name == "budgets" {
			rows = uint32(len(s.program.Spent()))
		}
		for i := range rows {
			if k, v := t.Row(i, nil, nil); v != nil {
				fmt.Fprintf(&out, "%s %x %x\n", t.Name, k, v)
			}
		}
	}
	return out.Bytes()
}

// base is the day of the tables, a Sunday.
var base = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

func clock(t *testing.T, day, at string) int64 {
	d, err := time.Parse(time.TimeOnly, at)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if day != "" {
		if n, err = strconv.Atoi(day[1:]); err != nil {
			t.Fatal(err)
		}
	}
	return base + int64(n)*24*3600_000 + int64(d.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))/time.Millisecond)
}

func (s *shop) items(input string) (out []engine.CatalogRecord) {
	var lines []string
	for _, line := range strings.Split(input, "\n") { // p*3 {...} stands for p1 to p3
		id, props, _ := strings.Cut(line, " ")
		if id, n, many := strings.Cut(id, "*"); many {
			for k := range count(s.t, n) {
				lines = append(lines, fmt.Sprintf("%s%d %s", id, k+1, props))
			}
			continue
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		id, props, _ := strings.Cut(line, " ")
		event := map[string]any{"id": "c" + id + strconv.FormatInt(s.catalog, 10), "type": "item.upserted", "time": base, "item": id}
		if props == "removed" {
			event["type"] = "item.removed"
		} else if props != "" {
			event["props"] = json.RawMessage(props)
		}
		b, err := json.Marshal(event)
		if err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		out = append(out, engine.CatalogRecord{Partition: engine.Partition{Input: 1}, Record: streams.Record{Offset: s.catalog, AppendMS: base, Key: []byte(id), Value: b}})
		s.catalog++
	}
	return out
}

func count(t *testing.T, digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ask asks for lists beside the stream.
func (s *shop) ask(d *datadriven.TestData) string {
	var out strings.Builder
	for _, line := range strings.Split(d.Input, "\n") {
		var q operators.Question
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		a, err := s.program.Recommend(s.program.states[q.Customer], 1, &q, clock(s.t, "", d.CmdArgs[0].Key))
		if err != nil {
			fmt.Fprintln(&out, "error:", err)
			continue
		}
		fmt.Fprintf(&out, "%s:", a.Name)
		for _, x := range a.Items {
			fmt.Fprintf(&out, " %s (%s)", x.ID, x.Reasons[0].Code)
		}
		if a.Empty != "" {
			fmt.Fprintf(&out, " %s", a.Empty)
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}

var linePattern = regexp.MustCompile(`^([^*@]+)(?:\*(\d+))?(?:@([\d.]+))?$`)

func (s *shop) feed(d *datadriven.TestData) string {
	together, arrival := false, int64(0)
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "together":
			together = true
		case "arrival":
			day, at, _ := strings.Cut(a.Vals[0], "_")
			arrival = clock(s.t, day, at)
		}
	}
	var out strings.Builder
	var records []streams.Record
	for _, line := range strings.Split(d.Input, "\n") {
		r := s.event(line)
		records = append(records, r)
		if !together {
			out.WriteString(s.fold(records, nil, arrival))
			records = nil
		}
	}
	if together {
		out.WriteString(s.fold(records, nil, arrival))
	}
	return out.String()
}

func (s *shop) event(line string) streams.Record {
	props := ""
	if i, j := strings.Index(line, "{"), strings.LastIndex(line, "}"); i >= 0 {
		props, line = line[i:j+1], line[:i]+line[j+1:]
	}
	fields := strings.Fields(line)
	day := ""
	if strings.HasPrefix(fields[0], "d") {
		day, fields = fields[0], fields[1:]
	}
	at := clock(s.t, day, fields[0])
	s.events++
	event := map[string]any{"id": fmt.Sprintf("e%d", s.events), "type": fields[2], "time": at}
	if anon, ok := strings.CutPrefix(fields[1], "~"); ok {
		event["anon"] = anon
	} else {
		event["user"] = fields[1]
	}
	if props != "" {
		event["props"] = json.RawMessage(props)
	}
	var items []map[string]any
	context := map[string]any{}
	for _, f := range fields[3:] {
		if key, value, ok := strings.Cut(f, "="); ok {
			if name, ok := strings.CutPrefix(key, "context."); ok {
				context[name] = value
			} else if key == "value" {
				event[key] = json.Number(value)
			} else {
				event[key] = value
			}
			continue
		}
		m := linePattern.FindStringSubmatch(f)
		if m == nil {
			s.t.Fatalf("%q: %q is no item", line, f)
		}
		item := map[string]any{"id": m[1]}
		if m[2] != "" {
			item["quantity"] = json.Number(m[2])
		}
		if m[3] != "" {
			item["price"] = json.Number(m[3])
		}
		items = append(items, item)
	}
	switch {
	case len(items) == 1 && !strings.HasPrefix(fields[2], "order") && !strings.HasPrefix(fields[2], "c"):
		event["item"] = items[0]["id"]
		for _, k := range []string{"price", "quantity"} {
			if v, ok := items[0][k]; ok {
				event[k] = v
			}
		}
	case len(items) > 0:
		event["items"] = items
	}
	if len(context) > 0 {
		event["context"] = context
	}
	b, err := json.Marshal(event)
	if err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
	s.offset++
	return streams.Record{Offset: s.offset - 1, AppendMS: at, Value: b}
}

func (s *shop) fold(records []streams.Record, catalog []engine.CatalogRecord, arrival int64) string {
	entry := engine.Entry{ArrivalMS: arrival, Catalog: catalog}
	var runs []engine.Run
	if len(records) > 0 {
		c := &engine.Chunk{Records: records, Events: make([]streams.Event, len(records)), Next: s.offset}
		decoder := streams.NewDecoder(streams.Native)
		for i := range records {
			if f := decoder.Decode(&records[i], &c.Events[i]); f != nil {
				s.t.Fatalf("%s: %v", records[i].Value, f)
			}
		}
		if arrival == 0 {
			entry.ArrivalMS = records[len(records)-1].AppendMS
		}
		runs = []engine.Run{{Chunk: c, I: 0, J: len(records)}}
		entry.Spans = []engine.Span{{From: records[0].Offset, To: s.offset, Count: len(records)}}
	}
	return s.number(entry, runs)
}

func (s *shop) number(entry engine.Entry, runs []engine.Run) string {
	out, err := s.engine.Fold(&engine.Epoch{Number: s.engine.Number() + 1, Entry: &entry, Runs: runs})
	if err != nil {
		s.t.Fatal(err)
	}
	s.counts.Add(&out.Counts)
	var text strings.Builder
	for _, m := range out.Messages {
		text.WriteString(short(s.t, m.Data))
	}
	for _, x := range out.Results {
		fmt.Fprintf(&text, "%s %s\n", x.Key, x.Value)
	}
	s.engine.Release(out)
	return text.String()
}

// short writes a decision in one line, without what is the same in all of them.
func short(t *testing.T, data []byte) string {
	var d map[string]any
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if d["kind"] == nil { // a dead letter
		return string(data) + "\n"
	}
	var out strings.Builder
	user := d["user"]
	if user == nil {
		user = fmt.Sprint("~", d["anon"])
	}
	at, err := time.Parse(time.RFC3339, d["time"].(string))
	if err != nil {
		t.Fatal(err)
	}
	day := int(at.UnixMilli()-base) / (24 * 3600_000)
	fmt.Fprintf(&out, "d%d %s %v %v %v", day, at.UTC().Format(time.TimeOnly), user, d["name"], d["action"])
	reasons := func(v any) string {
		var rs []string
		list, _ := v.([]any)
		for _, x := range list {
			r := x.(map[string]any)
			text := fmt.Sprint(r["code"])
			if r["with"] != nil {
				text += fmt.Sprint(" ", r["with"])
			}
			if r["weight"] != nil {
				text += fmt.Sprint(" ", r["weight"])
			}
			rs = append(rs, text)
		}
		return "(" + strings.Join(rs, ", ") + ")"
	}
	items, _ := d["items"].([]any)
	for _, x := range items {
		i := x.(map[string]any)
		chance := ""
		if i["propensity"] != 1.0 {
			chance = fmt.Sprintf("~%v ", i["propensity"])
		}
		fmt.Fprintf(&out, "\n   %v %v %s%s", i["id"], i["score"], chance, reasons(i["reasons"]))
	}
	if len(items) > 0 && d["propensity"] != 1.0 {
		fmt.Fprintf(&out, " ~%v", d["propensity"])
	}
	for _, key := range []string{"offer", "alert", "features"} {
		if d[key] != nil {
			b, _ := json.Marshal(d[key])
			fmt.Fprintf(&out, " %s", b)
		}
	}
	if d["warming"] != nil {
		fmt.Fprintf(&out, " warming %v", d["warming"])
	}
	if d["reasons"] != nil {
		out.WriteString(" " + reasons(d["reasons"]))
	}
	return out.String() + "\n"
}
