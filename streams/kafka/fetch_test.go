package kafka_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"nudge/streams"
	"nudge/streams/kafka"
)

func init() {
	suite["order"] = testOrder
	suite["fields"] = testFields
	suite["codecs"] = testCodecs
	suite["large"] = testLarge
	suite["missing"] = testMissing
	suite["range"] = testRange
	suite["recreated"] = testRecreated
	suite["aborted"] = testAborted
	suite["compacted"] = testCompacted
	suite["restart"] = testRestart
	suite["info"] = testInfo
}

func testOrder(t *testing.T, r *rig) {
	topic := r.topic(1, nil)
	cl := r.franz()
	for i := 0; i < 1000; i += 100 {
		r.write(cl, topic, numbered(1000)[i:i+100]...)
	}
	got := r.read(r.fetcher(topic, 250), 750)
	for i, rec := range got {
		if want := int64(250 + i); rec.Offset != want || string(rec.Value) != fmt.Sprint("v", want) || string(rec.Key) != fmt.Sprint("k", want) {
			t.Fatalf("record %d: got %d %s=%s, want offset %d", i, rec.Offset, rec.Key, rec.Value, want)
		}
		if rec.Hash != streams.HashRecord(&got[i]) {
			t.Fatalf("record %d: hash %x, want %x", i, rec.Hash, streams.HashRecord(&got[i]))
		}
	}
	// At the end a fetch comes back empty and says so.
	f := r.fetcher(topic, 1000)
	b, err := f.Fetch(t.Context())
	if err != nil || len(b.Records) != 0 || b.Next != 1000 || b.End != 1000 {
		t.Fatalf("at the end: got %+v, %v; want no records, next and end 1000", b, err)
	}
	if s := f.Stats(); s.Fetches != 1 || s.Waiting != "" {
		t.Fatalf("stats %+v", s)
	}
}

func testFields(t *testing.T, r *rig) {
	before := time.Now().UnixMilli()
	topic := r.topic(1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	created := r.topic(1, map[string]string{"message.timestamp.type": "CreateTime"})
	cl := r.franz()
	stamp := time.UnixMilli(before - 3600_000)
	records := func() []*kgo.Record {
		return []*kgo.Record{
			{Key: []byte("a"), Value: []byte("1"), Timestamp: stamp, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}, {Key: "", Value: nil}}},
			{Key: nil, Value: []byte{}, Timestamp: stamp.Add(5 * time.Second)},
			{Key: []byte{}, Value: nil, Timestamp: stamp.Add(-300 * time.Second)},
		}
	}
	r.write(cl, topic, records()...)
	r.write(cl, created, records()...)
	for _, name := range []string{topic, created} {
		got := r.read(r.fetcher(name, 0), 3)
		if len(got[0].Headers) != 2 || got[0].Headers[0].Key != "h" || string(got[0].Headers[0].Value) != "x" || got[0].Headers[1].Key != "" {
			t.Errorf("headers: got %+v", got[0].Headers)
		}
		if got[1].Key != nil || got[1].Value == nil || len(got[1].Value) != 0 || got[1].Headers != nil {
			t.Errorf("nil key, empty value: got %#v", got[1])
		}
		if got[2].Key == nil || got[2].Value != nil {
			t.Errorf("empty key, nil value: got %#v", got[2])
		}
		for i, rec := range got {
			if want := records()[i].Timestamp.UnixMilli(); name == created && rec.AppendMS != want {
				t.Errorf("CreateTime of record %d: got %d, want %d", i, rec.AppendMS, want)
			}
			if now := time.Now().UnixMilli(); name == topic && (rec.AppendMS < before || rec.AppendMS > now) {
				t.Errorf("LogAppendTime of record %d: got %d, want within %d and %d", i, rec.AppendMS, before, now)
			}
		}
	}
}

func testCodecs(t *testing.T, r *rig) {
	topic := r.topic(1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for _, codec := range codecs {
		cl := r.franz(kgo.ProducerBatchCompression(codec))
		records := numbered(500)
		for i, rec := range records {
			rec.Value = bytes.Repeat(fmt.Appendf(nil, "%d ", i), 40)
			rec.Timestamp = time.UnixMilli(int64(1_000_000 + i))
		}
		r.write(cl, topic, records...)
	}
	for i, rec := range r.read(r.fetcher(topic, 0), 500*len(codecs)) {
		if want := bytes.Repeat(fmt.Appendf(nil, "%d ", i%500), 40); rec.Offset != int64(i) || !bytes.Equal(rec.Value, want) || rec.AppendMS < 1_000_000_000 {
			t.Fatalf("record %d: got offset %d, %d bytes, time %d", i, rec.Offset, len(rec.Value), rec.AppendMS)
		}
	}
	// Beginning within a compressed batch.
	if got := r.read(r.fetcher(topic, 777), 1); got[0].Offset != 777 {
		t.Fatalf("got offset %d, want 777", got[0].Offset)
	}
}

func testLarge(t *testing.T, r *rig) {
	topic := r.topic(1, map[string]string{"max.message.bytes": "12000000"})
	cl := r.franz(kgo.ProducerBatchCompression(kgo.NoCompression()))
	large := bytes.Repeat([]byte("0123456789"), 1<<20)
	r.write(cl, topic, &kgo.Record{Value: []byte("before")})
	r.write(cl, topic, &kgo.Record{Value: large})
	r.write(cl, topic, &kgo.Record{Value: []byte("after")})
	got := r.read(r.fetcher(topic, 0), 3)
	if !bytes.Equal(got[1].Value, large) || string(got[2].Value) != "after" {
		t.Fatalf("got %d and %d bytes", len(got[1].Value), len(got[2].Value))
	}
}

func testMissing(t *testing.T, r *rig) {
	if _, err := r.client.Topic(t.Context(), "no-such-topic"); !errors.Is(err, kafka.ErrTopicMissing) {
		t.Errorf("Topic: got %v", err)
	}
	if _, _, err := r.client.Offsets(t.Context(), "no-such-topic", 0); !errors.Is(err, kafka.ErrTopicMissing) {
		t.Errorf("Offsets: got %v", err)
	}
	if _, err := r.client.Fetcher("no-such-topic", 0, 0).Fetch(t.Context()); !errors.Is(err, kafka.ErrTopicMissing) {
		t.Errorf("Fetch: got %v", err)
	}
	topic := r.topic(1, nil)
	if _, err := r.client.Fetcher(topic, 1, 0).Fetch(t.Context()); !errors.Is(err, kafka.ErrPartitionMissing) {
		t.Errorf("Fetch from a missing partition: got %v", err)
	}
	if err := r.client.CreateTopic(t.Context(), topic, 1, nil); !errors.Is(err, kafka.ErrTopicExists) {
		t.Errorf("CreateTopic: got %v", err)
	}
}

func testRange(t *testing.T, r *rig) {
	topic := r.topic(1, nil)
	cl := r.franz()
	r.write(cl, topic, numbered(30)...)
	r.deleteRecords(cl, topic, 20)
	_, err := r.fetcher(topic, 7).Fetch(t.Context())
	below := (*kafka.ErrOffsetBelowStart)(nil)
	if !errors.As(err, &below) || below.Start != 20 || below.Offset != 7 {
		t.Errorf("below the start: got %v", err)
	}
	f := r.fetcher(topic, 31)
	_, err = f.Fetch(t.Context())
	above := (*kafka.ErrOffsetAboveEnd)(nil)
	if !errors.As(err, &above) || above.End != 30 || above.Offset != 31 {
		t.Errorf("above the end: got %v", err)
	}
	if start, end, err := r.client.Offsets(t.Context(), topic, 0); err != nil || start != 20 || end != 30 {
		t.Errorf("offsets: got %d to %d, %v; want 20 to 30", start, end, err)
	}
	if got := r.read(r.fetcher(topic, 20), 10); got[0].Offset != 20 {
		t.Errorf("from the start: got offset %d", got[0].Offset)
	}
}

func testRecreated(t *testing.T, r *rig) {
	topic := r.topic(1, nil)
	r.write(r.franz(), topic, numbered(3)...)
	f := r.fetcher(topic, 0)
	r.read(f, 3)
	if err := r.client.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if err := r.client.CreateTopic(t.Context(), topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fetch(within(t, patience)); !errors.Is(err, kafka.ErrTopicRecreated) {
		t.Errorf("got %v", err)
	}
}

func testAborted(t *testing.T, r *rig) {
	topic := r.topic(1, nil)
	plain := r.franz()
	value := func(s string) *kgo.Record { return &kgo.Record{Value: []byte(s)} }
	transact := func(id string) *kgo.Client { return r.franz(kgo.TransactionalID(topic + id)) }
	a, b := transact("a"), transact("b")
	begin := func(cl *kgo.Client) {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	end := func(cl *kgo.Client, commit kgo.TransactionEndTry) {
		if err := cl.EndTransaction(within(t, patience), commit); err != nil {
			t.Fatal(err)
		}
	}
	// Interleaved: a aborts twice and commits between, b commits, plain records stand everywhere.
	r.write(plain, topic, value("plain 1"))
	begin(a)
	r.write(a, topic, value("aborted 1"), value("aborted 2"))
	begin(b)
	r.write(b, topic, value("b 1"))
	r.write(plain, topic, value("plain 2"))
	r.write(a, topic, value("aborted 3"))
	end(a, kgo.TryAbort)
	r.write(b, topic, value("b 2"))
	begin(a)
	r.write(a, topic, value("a 1"))
	end(a, kgo.TryCommit)
	end(b, kgo.TryCommit)
	begin(a)
	r.write(a, topic, value("aborted 4"))
	end(a, kgo.TryAbort)
	r.write(plain, topic, value("plain 3"))

	// An open transaction holds back what follows it.
	begin(b)
	r.write(b, topic, value("b 3"))
	r.write(plain, topic, value("plain 4"))

	want := []string{"plain 1", "b 1", "plain 2", "b 2", "a 1", "plain 3"}
	f := r.fetcher(topic, 0)
	check := func(got []streams.Record, want []string) {
		t.Helper()
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || string(got[i].Value) != want[i] {
				t.Fatalf("record %d: got %q, want %q", i, values(got), want)
			}
		}
	}
	check(r.read(f, len(want)), want)
	batch, err := f.Fetch(t.Context())
	if err != nil || len(batch.Records) != 0 || batch.Next != batch.End {
		t.Fatalf("at the open transaction: got %+v, %v", batch, err)
	}
	end(b, kgo.TryAbort)
	check(r.read(f, 1), []string{"plain 4"})
	if s := f.Stats(); s.Skipped < 8 {
		t.Errorf("skipped %d, want the 5 aborted records and the markers", s.Skipped)
	}
	// A start within an aborted transaction hides what is left of it.
	check(r.read(r.fetcher(topic, 2), len(want)), append(want[1:], "plain 4"))
}

func values(records []streams.Record) []string {
	var v []string
	for _, r := range records {
		v = append(v, string(r.Value))
	}
	return v
}

func testCompacted(t *testing.T, r *rig) {
	topic := r.topic(1, map[string]string{"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01",
		"min.compaction.lag.ms": "0", "max.compaction.lag.ms": "200"})
	cl := r.franz()
	for i := range 20 {
		r.write(cl, topic, &kgo.Record{Key: fmt.Appendf(nil, "k%d", i%3), Value: fmt.Append(nil, i)})
	}
	// Every look writes another record, so that segments roll and the cleaner has something to do.
	for deadline := time.Now().Add(patience); ; {
		r.write(cl, topic, &kgo.Record{Key: []byte("filler"), Value: []byte("x")})
		r.compact()
		start, end, err := r.client.Offsets(t.Context(), topic, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got []streams.Record
		f := r.fetcher(topic, start)
		for next := start; next < end; {
			b, err := f.Fetch(within(t, patience))
			if err != nil {
				t.Fatal(err)
			}
			got, next = append(got, b.Records...), b.Next
		}
		f.Close()
		for i, rec := range got[1:] {
			if rec.Offset <= got[i].Offset {
				t.Fatalf("offset %d after %d", rec.Offset, got[i].Offset)
			}
		}
		if gone := got[len(got)-1].Offset - start + 1 - int64(len(got)); gone > 10 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broker has not compacted: %d records up to %d", len(got), end)
		}
	}
}

func testRestart(t *testing.T, r *rig) {
	topic := r.topic(1, nil)
	cl := r.franz()
	r.write(cl, topic, numbered(10)...)
	f := r.fetcher(topic, 0)
	r.read(f, 10)
	// A fetch is under way while the broker goes away and comes back.
	type answer struct {
		batch streams.Batch
		err   error
	}
	answers := make(chan answer)
	ctx := within(t, patience)
	go func() {
		defer close(answers)
		for {
			b, err := f.Fetch(ctx)
			if len(b.Records) == 0 && err == nil {
				continue
			}
			answers <- answer{b, err}
			return
		}
	}()
	r.restart()
	r.write(cl, topic, numbered(1)...)
	got := <-answers
	if got.err != nil || got.batch.Records[0].Offset != 10 {
		t.Fatalf("after the restart: got %+v, %v", got.batch, got.err)
	}
	if s := f.Stats(); s.Reconnects == 0 || s.Waiting != "" {
		t.Errorf("stats %+v; want a reconnect and nothing waited for", s)
	}
}

func testInfo(t *testing.T, r *rig) {
	topic := r.topic(3, map[string]string{"message.timestamp.type": "LogAppendTime", "cleanup.policy": "compact,delete", "retention.ms": "3600000"})
	info, err := r.client.Topic(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if info.Partitions != 3 || !info.LogAppendTime || !info.Compacted || !info.Deleted || info.Retention != time.Hour || info.RetentionBytes != -1 ||
		info.ID == (kafka.TopicID{}) || info.MaxMessageBytes < 1_000_000 || info.ConfigError != nil {
		t.Errorf("got %+v", info)
	}
	if ranges, err := r.client.AllOffsets(t.Context(), topic); err != nil || len(ranges) != 3 || ranges[2] != (kafka.Range{}) {
		t.Errorf("offsets: got %v, %v", ranges, err)
	}
}
