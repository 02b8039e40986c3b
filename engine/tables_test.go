package engine_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"nudge/engine"
	"nudge/engine/enginetest"
	"nudge/state"
	"nudge/streams"
)

// TestTables drives an engine with a Diary by text; run it with -rewrite to take the output as expected. Commands:
//
//	engine [shards=N] [lateness=D] [late=D] [forget=D] [ids=N] [cache=BYTES]
//	                    a fresh engine with the topics clicks and reviews of N partitions, and catalog
//	epoch [idle=clicks/0,...] [tick=0+30s] [pause=NAME] [resume=NAME] [gap=clicks/0-9]
//	                    folds one epoch of the records: TOPIC/PARTITION HH:MM:SS WHO TYPE [key=value ...]
//	                    WHO ~x is the anonymous x; keys: id, append (its append time), anon (with merged), others are props;
//	                    ask[/SHARD] HH:MM:SS|- WHO [key=value ...] is a request, in the shard that Engine.Ask names (0 for a stranger) or in
//	                    that one; - leaves its time to the arrival of the epoch;
//	                    prints decisions, what was counted, what came of requests, and the watermarks that moved
//	customer WHO        what is known of a customer, in every shard
//	restart [failed]    takes a checkpoint and goes on from what it holds; failed: the checkpoint fails and the engine goes on
//	recut               folds all records again in epochs of one record and in one epoch: the same customers, decisions and timers
func TestTables(t *testing.T) {
	datadriven.Walk(t, "testdata/tables", func(t *testing.T, path string) {
		b := &bench{}
		defer b.close()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			b.t = t
			return b.run(d)
		})
	})
}

// bench is an engine on a store of its own.
type bench struct {
	t       *testing.T
	cfg     engine.Config
	store   *state.Store
	engine  *engine.Engine
	next    map[engine.Partition]int64
	marks   []int64 // watermarks last printed
	records []sent  // all, in the order of their epochs
	given   map[string]string
	who     map[string]bool
}

type sent struct {
	engine.Partition
	record streams.Record
}

var topics = []string{"clicks", "reviews", "catalog"}

func serial(n int, f func(int)) {
	for i := range n {
		f(i)
	}
}

func (b *bench) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "engine":
		return b.start(d)
	case "epoch":
		return b.epoch(d)
	case "customer":
		return b.customer(d.CmdArgs[0].Key)
	case "restart":
		b.restart(len(d.CmdArgs) > 0)
		return ""
	case "recut":
		return b.recut()
	}
	d.Fatalf(b.t, "unknown command %s", d.Cmd)
	return ""
}

func (b *bench) start(d *datadriven.TestData) string {
	b.close()
	*b = bench{t: b.t, next: map[engine.Partition]int64{}, given: map[string]string{}, who: map[string]bool{}}
	shards := 1
	b.cfg = engine.Config{App: "t", Definition: []byte("d"), KeepLateMS: 3600_000, RememberedIDs: 8, CacheBytes: 1 << 20, Parallel: serial, ActOnStale: true}
	for _, a := range d.CmdArgs {
		ms := func() int64 {
			v, err := time.ParseDuration(a.Vals[0])
			if err != nil {
				d.Fatalf(b.t, "%s: %v", a.Key, err)
			}
			return v.Milliseconds()
		}
		switch a.Key {
		case "shards":
			a.Scan(b.t, 0, &shards)
		case "lateness":
			b.cfg.LatenessMS = ms()
		case "late":
			b.cfg.KeepLateMS = ms()
		case "forget":
			b.cfg.ForgetAfterMS = ms()
		case "ids":
			a.Scan(b.t, 0, &b.cfg.RememberedIDs)
		case "cache":
			a.Scan(b.t, 0, &b.cfg.CacheBytes)
		default:
			d.Fatalf(b.t, "unknown argument %s", a.Key)
		}
	}
	for i, name := range topics {
		n, catalog := shards, i == 2
		if catalog {
			n = 1
		}
		b.cfg.Inputs = append(b.cfg.Inputs, engine.Input{Topic: engine.Topic{Topic: name, Partitions: n, Catalog: catalog, LogAppendTime: true},
			NewDecoder: func() *streams.Decoder { return streams.NewDecoder(streams.Native) }})
	}
	b.store, b.engine = open(b.t, b.t.TempDir(), b.cfg)
	for range shards {
		b.marks = append(b.marks, math.MinInt64)
	}
	return ""
}

func open(t *testing.T, dir string, cfg engine.Config) (*state.Store, *engine.Engine) {
	t.Helper()
	store, err := state.Open(dir, state.Options{App: cfg.App, MemTableBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(cfg, enginetest.NewDiary(), store)
	if err != nil {
		t.Fatal(err)
	}
	return store, e
}

func (b *bench) close() {
	if b.store != nil {
		b.store.Close()
		b.store = nil
	}
}

// day is the day of the tables.
var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func (b *bench) clock(text string) int64 {
	at, err := time.Parse(time.TimeOnly, text)
	if err != nil {
		b.t.Fatal(err)
	}
	return day.UnixMilli() + int64(at.Hour()*3600+at.Minute()*60+at.Second())*1000
}

func spell(ms int64) string {
	if ms == math.MinInt64 {
		return "none"
	}
	at := time.UnixMilli(ms).UTC()
	text := at.Format("15:04:05")
	if ms%1000 != 0 {
		text = at.Format("15:04:05.000")
	}
	if days := int(at.Sub(day) / (24 * time.Hour)); days > 0 {
		text = fmt.Sprintf("d%d %s", days, text)
	}
	return text
}

func (b *bench) partition(text string) engine.Partition {
	topic, number, _ := strings.Cut(text, "/")
	id, err := strconv.Atoi(number)
	input := slices.Index(topics, topic)
	if err != nil || input < 0 {
		b.t.Fatalf("%q: want TOPIC/PARTITION", text)
	}
	return engine.Partition{Input: input, ID: int32(id)}
}

func (b *bench) record(line string) sent {
	f := strings.Fields(line)
	if len(f) < 4 {
		b.t.Fatalf("%q: want TOPIC/PARTITION HH:MM:SS WHO TYPE", line)
	}
	s := sent{Partition: b.partition(f[0])}
	at := b.clock(f[1])
	offset := b.next[s.Partition]
	b.next[s.Partition]++
	event := map[string]any{"id": fmt.Sprintf("%s@%d", f[0], offset), "type": "custom." + f[3], "time": at}
	if kind, ok := map[string]string{"merged": "user.merged", "erased": "user.erased"}[f[3]]; ok {
		event["type"] = kind
	}
	who := "user"
	if id, ok := strings.CutPrefix(f[2], "~"); ok {
		who, f[2] = "anon", id
		b.who["a"+id] = true
	} else {
		b.who["u"+f[2]] = true
	}
	event[who] = f[2]
	s.record = streams.Record{Offset: offset, AppendMS: at}
	props := map[string]any{}
	for _, kv := range f[4:] {
		key, value, _ := strings.Cut(kv, "=")
		switch key {
		case "id":
			event["id"] = value
		case "anon":
			event["anon"] = value
			b.who["a"+value] = true
		case "append":
			s.record.AppendMS = b.clock(value)
		default:
			if d, err := time.ParseDuration(value); err == nil {
				props[key] = d.Milliseconds()
			} else if n, err := strconv.Atoi(value); err == nil {
				props[key] = n
			} else {
				props[key] = value
			}
		}
	}
	if len(props) > 0 {
		event["props"] = props
	}
	if f[3] == "garbage" {
		s.record.Value = []byte("{")
		return s
	}
	var err error
	if s.record.Value, err = json.Marshal(event); err != nil {
		b.t.Fatal(err)
	}
	return s
}

// request reads a request, and finds its shard.
func (b *bench) request(line string) engine.Request {
	f := strings.Fields(line)
	if len(f) < 3 {
		b.t.Fatalf("%q: want ask[/SHARD] HH:MM:SS|- WHO", line)
	}
	event, props := map[string]any{"id": "R-1"}, map[string]any{}
	if f[1] != "-" {
		event["time"] = b.clock(f[1])
	}
	if id, ok := strings.CutPrefix(f[2], "~"); ok {
		event["anon"] = id
	} else {
		event["user"] = f[2]
	}
	for _, kv := range f[3:] {
		switch key, value, _ := strings.Cut(kv, "="); key {
		case "id", "type":
			event[key] = value
		case "cost":
			props[key], _ = strconv.Atoi(value)
		default:
			props[key] = value
		}
	}
	event["props"] = props
	data, err := json.Marshal(event)
	if err != nil {
		b.t.Fatal(err)
	}
	q := engine.Request{Data: data}
	_, shard, given := strings.Cut(f[0], "/")
	if given {
		q.Shard, err = strconv.Atoi(shard)
	} else {
		var a engine.Asked
		a, err = b.engine.Ask(data, day.Add(24*time.Hour).UnixMilli())
		q.Shard = max(a.Shard, 0)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return q
}

// epoch makes an epoch of records.
func epoch(cfg *engine.Config, number uint64, entry *engine.Entry, records []sent) *engine.Epoch {
	ep := &engine.Epoch{Number: number, Entry: entry}
	chunks := map[engine.Partition]*engine.Chunk{}
	for i := range records {
		r := &records[i]
		c := chunks[r.Partition]
		if c == nil {
			c = &engine.Chunk{Partition: r.Partition, Faults: map[int]*streams.Fault{}}
			chunks[r.Partition] = c
		}
		var e streams.Event
		if f := cfg.Inputs[r.Input].NewDecoder().Decode(&r.record, &e); f != nil {
			e.Type = streams.Invalid
			c.Faults[len(c.Records)] = f
		}
		c.Records, c.Events = append(c.Records, r.record), append(c.Events, e)
		c.Next = r.record.Offset + 1
		entry.ArrivalMS = max(entry.ArrivalMS, r.record.AppendMS)
	}
	for _, p := range slices.SortedFunc(maps.Keys(chunks), func(a, b engine.Partition) int {
		return (a.Input-b.Input)*1000 + int(a.ID-b.ID)
	}) {
		c := chunks[p]
		ep.Runs = append(ep.Runs, engine.Run{Chunk: c, J: len(c.Records)})
		entry.Spans = append(entry.Spans, engine.Span{Partition: p, From: c.Records[0].Offset, To: c.Next, Count: len(c.Records)})
	}
	// Everything an epoch says must survive the journal.
	again, err := engine.DecodeEntry(entry.AppendBinary(nil))
	if err != nil {
		panic(err)
	}
	ep.Entry = again
	return ep
}

func (b *bench) epoch(d *datadriven.TestData) string {
	entry := &engine.Entry{ArrivalMS: day.UnixMilli()}
	for _, a := range d.CmdArgs {
		for _, v := range strings.Split(strings.Join(a.Vals, ","), ",") {
			switch a.Key {
			case "idle":
				entry.Idle = append(entry.Idle, b.partition(v))
			case "tick":
				shard, ahead, _ := strings.Cut(v, "+")
				n, err1 := strconv.Atoi(shard)
				dur, err2 := time.ParseDuration(ahead)
				if err := errors.Join(err1, err2); err != nil {
					d.Fatalf(b.t, "%v", err)
				}
				entry.Ticks = append(entry.Ticks, engine.Tick{Shard: n, AheadMS: dur.Milliseconds()})
			case "pause", "resume":
				entry.Commands = append(entry.Commands, engine.Command{Kind: a.Key, Name: v})
			case "flush":
				entry.Commands = append(entry.Commands, engine.Command{Kind: engine.CommandFlush})
			case "gap":
				p, to, _ := strings.Cut(v, "-")
				g := engine.Gap{Partition: b.partition(p)}
				g.From = b.next[g.Partition]
				fmt.Sscan(to, &g.To)
				b.next[g.Partition] = g.To
				entry.Gaps = append(entry.Gaps, g)
			default:
				d.Fatalf(b.t, "unknown argument %s", a.Key)
			}
		}
	}
	var records []sent
	for _, line := range strings.Split(d.Input, "\n") {
		if strings.HasPrefix(line, "ask") {
			if at := strings.Fields(line)[1]; at != "-" {
				entry.ArrivalMS = max(entry.ArrivalMS, b.clock(at))
			}
			entry.Requests = append(entry.Requests, b.request(line))
		} else if line != "" {
			records = append(records, b.record(line))
		}
	}
	b.records = append(b.records, records...)
	out := fold(b.t, b.engine, epoch(&b.cfg, b.engine.Number()+1, entry, records))
	var text strings.Builder
	for _, m := range out.Messages {
		b.given[strings.Clone(m.ID)] = string(m.Data)
		text.WriteString(describe(&m) + "\n")
	}
	for _, r := range out.Results {
		fmt.Fprintf(&text, "result %d %s %s\n", r.Output, r.Key, r.Value)
	}
	if out.Flushed {
		text.WriteString("flushed\n")
	}
	counts := map[string]int64{"late": out.Counts.Late, "duplicates": out.Counts.Duplicates}
	for k, n := range out.Counts.Dead {
		counts["dead "+k] = n
	}
	for k, n := range out.Counts.Named {
		counts[k] = n
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		if counts[k] > 0 {
			fmt.Fprintf(&text, "%s: %d\n", k, counts[k])
		}
	}
	for _, a := range out.Answered {
		fmt.Fprintf(&text, "answered %s: %s\n", a.Cause, cmp.Or(a.Why, "decided"))
	}
	if len(out.Erased) > 0 {
		fmt.Fprintf(&text, "purge: %s\n", strings.Join(out.Erased, " "))
	}
	b.engine.Release(out)
	for i, v := range b.engine.Shards() {
		if v.WatermarkMS != b.marks[i] {
			b.marks[i] = v.WatermarkMS
			fmt.Fprintf(&text, "watermark %d: %s\n", i, spell(v.WatermarkMS))
		}
		if v.Messages > 0 {
			fmt.Fprintf(&text, "messages to %d: %d\n", i, v.Messages)
		}
	}
	return text.String()
}

func fold(t *testing.T, e *engine.Engine, ep *engine.Epoch) *engine.Output {
	t.Helper()
	out, err := e.Fold(ep)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func describe(m *streams.Message) string {
	var d struct {
		Name, Action, User, Anon, Time string
		Reasons                        []streams.Reason
	}
	if !strings.Contains(m.Subject, ".decisions.") {
		return m.Subject + " " + m.ID
	}
	if err := json.Unmarshal(m.Data, &d); err != nil {
		return err.Error()
	}
	at, _ := streams.ParseTime(d.Time)
	who := d.User
	if d.Anon != "" {
		who = "~" + d.Anon
	}
	text := fmt.Sprintf("%s %s %s %s", spell(at), who, d.Name, d.Action)
	for _, r := range d.Reasons {
		text += fmt.Sprintf(" (%s", r.Code)
		if r.With != "" {
			text += " " + r.With
		}
		if r.Weight != 0 {
			text += fmt.Sprintf(" %g", r.Weight)
		}
		text += ")"
	}
	return text + "  " + m.ID
}

func (b *bench) customer(who string) string {
	id, anonymous := strings.CutPrefix(who, "~")
	var out strings.Builder
	for _, v := range views(b.t, b.engine, id, anonymous) {
		fmt.Fprintf(&out, "shard %d: ", v.Shard)
		if v.MergedInto != "" {
			fmt.Fprintf(&out, "is %s\n", v.MergedInto)
			continue
		}
		s := v.State.(*enginetest.State)
		fmt.Fprintf(&out, "%d events, %d remembered\n", s.Events, v.Remembered)
		for _, n := range s.Notes {
			fmt.Fprintf(&out, "  %s %s\n", spell(n.AtMS), n.Text)
		}
		for _, timer := range v.Timers {
			fmt.Fprintf(&out, "  timer %s at %s by %s\n", timer.Name, spell(timer.AtMS), timer.ArmedBy)
		}
		if len(v.MergedFrom) > 0 {
			fmt.Fprintf(&out, "  was ~%s\n", strings.Join(v.MergedFrom, " ~"))
		}
	}
	if out.Len() == 0 {
		return "unknown"
	}
	return out.String()
}

func views(t *testing.T, e *engine.Engine, id string, anonymous bool) []engine.CustomerView {
	t.Helper()
	v, err := e.Customers(id, anonymous)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b *bench) restart(failed bool) {
	to, err := b.store.Begin()
	if err != nil {
		b.t.Fatal(err)
	}
	b.engine.BeginCheckpoint(to, "journal", 0)
	for done := false; !done; {
		if done, err = b.engine.DrainCheckpoint(1); err != nil {
			b.t.Fatal(err)
		}
	}
	if failed {
		to.Abort()
		b.engine.EndCheckpoint(false)
		return
	}
	if _, err := to.Complete(b.engine.CheckpointMeta()); err != nil {
		b.t.Fatal(err)
	}
	b.engine.EndCheckpoint(true)
	dir := b.store.Dir()
	b.close()
	b.store, b.engine = open(b.t, dir, b.cfg)
}

// recut folds the records in other epochs.
func (b *bench) recut() string {
	var silent []engine.Partition // never had a record: they do not hold the watermark
	for i, in := range b.cfg.Inputs[:2] {
		for id := range int32(in.Partitions) {
			if p := (engine.Partition{Input: i, ID: id}); b.next[p] == 0 {
				silent = append(silent, p)
			}
		}
	}
	settle := func(e *engine.Engine, given map[string]string) {
		for range 3 { // messages between shards arrive
			out := fold(b.t, e, epoch(&b.cfg, e.Number()+1, &engine.Entry{ArrivalMS: day.UnixMilli(), Idle: silent}, nil))
			for _, m := range out.Messages {
				given[strings.Clone(m.ID)] = string(m.Data)
			}
		}
	}
	settle(b.engine, b.given)
	for _, size := range []int{1, 3, len(b.records)} {
		store, e := open(b.t, b.t.TempDir(), b.cfg)
		given := map[string]string{}
		for i := 0; i < len(b.records); i += size {
			out := fold(b.t, e, epoch(&b.cfg, e.Number()+1, &engine.Entry{Idle: silent}, b.records[i:min(i+size, len(b.records))]))
			for _, m := range out.Messages {
				given[strings.Clone(m.ID)] = string(m.Data)
			}
		}
		settle(e, given)
		for _, id := range slices.Sorted(maps.Keys(b.who)) {
			was, is := views(b.t, b.engine, id[1:], id[0] == 'a'), views(b.t, e, id[1:], id[0] == 'a')
			if x, y := fmt.Sprintf("%+v", plain(was)), fmt.Sprintf("%+v", plain(is)); x != y {
				return fmt.Sprintf("in epochs of %d records %s is\n %s\nand was\n %s", size, id, y, x)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(b.given)) {
			if given[id] != b.given[id] {
				return fmt.Sprintf("in epochs of %d records %s is\n %s\nand was\n %s", size, id, given[id], b.given[id])
			}
		}
		if len(given) != len(b.given) {
			return fmt.Sprintf("in epochs of %d records there are %d messages, there were %d", size, len(given), len(b.given))
		}
		store.Close()
	}
	return "the same"
}

// plain makes values of what a view points to.
func plain(views []engine.CustomerView) []string {
	var out []string
	for _, v := range views {
		s, _ := v.State.(*enginetest.State)
		v.State = nil
		out = append(out, fmt.Sprintf("%+v %+v", v, s))
	}
	return out
}
