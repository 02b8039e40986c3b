package embedded_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"

	"nudge/streams/embedded"
)

func client(t *testing.T, k *embedded.Kafka, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(k.Addr()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func start(t *testing.T, dir string, port int, topics ...embedded.KafkaTopic) *embedded.Kafka {
	t.Helper()
	k, err := embedded.StartKafka(dir, port, zaptest.NewLogger(t), topics...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func read(t *testing.T, k *embedded.Kafka, topic string, n int) []*kgo.Record {
	t.Helper()
	cl := client(t, k, kgo.ConsumeTopics(topic))
	var got []*kgo.Record
	for len(got) < n {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		got = append(got, fetches.Records()...)
	}
	return got
}

func TestKafkaKeepsItsData(t *testing.T) {
	dir := t.TempDir()
	topics := []embedded.KafkaTopic{{Name: "clickstream", Partitions: 2}, {Name: "catalog", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}}
	k := start(t, dir, 0, topics...)
	_, port, _ := net.SplitHostPort(k.Addr())
	number, _ := strconv.Atoi(port)
	for round := range 3 {
		cl := client(t, k, kgo.DefaultProduceTopic("clickstream"))
		for i := range 100 {
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(round*100+i))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		k.Close()
		k = start(t, dir, number, topics...)
		if got := read(t, k, "clickstream", 100*(round+1)); len(got) != 100*(round+1) {
			t.Fatalf("after restart %d: %d records", round+1, len(got))
		}
	}
	k.Close()
	topics[0].Partitions = 3
	if _, err := embedded.StartKafka(dir, 0, nil, topics...); err == nil || !strings.Contains(err.Error(), "has 2 partitions, want 3") {
		t.Errorf("other partitions: got %v", err)
	}
}

func TestKafkaFolderInUse(t *testing.T) {
	dir := t.TempDir()
	k := start(t, dir, 0)
	if _, err := embedded.StartKafka(dir, 0, nil); err == nil || !strings.Contains(err.Error(), "another process uses the folder") {
		t.Errorf("got %v", err)
	}
	k.Close()
	start(t, dir, 0)
}

// Records carry the broker's time where the topic says so, however the producer packed them.
func TestKafkaStamps(t *testing.T) {
	k := start(t, t.TempDir(), 0, embedded.KafkaTopic{Name: "stamped", Partitions: 1},
		embedded.KafkaTopic{Name: "asis", Partitions: 1, Config: map[string]string{"message.timestamp.type": "CreateTime"}})
	begun := time.Now().Truncate(time.Millisecond)
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	old := time.UnixMilli(1_000_000_000_000)
	for _, codec := range codecs {
		for _, topic := range []string{"stamped", "asis"} {
			cl := client(t, k, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec))
			var records []*kgo.Record
			for i := range 50 {
				r := kgo.KeyStringRecord(fmt.Sprint(i), strings.Repeat("x", i*7))
				r.Timestamp = old.Add(time.Duration(i*i%17) * time.Hour)
				r.Headers = []kgo.RecordHeader{{Key: "n", Value: []byte{byte(i)}}}
				records = append(records, r)
			}
			if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, topic := range []string{"stamped", "asis"} {
		for i, r := range read(t, k, topic, 50*len(codecs)) {
			n := i % 50
			if string(r.Key) != fmt.Sprint(n) || len(r.Value) != n*7 || len(r.Headers) != 1 || r.Headers[0].Value[0] != byte(n) {
				t.Fatalf("%s %d: got %+v", topic, i, r)
			}
			if topic == "stamped" && (r.Timestamp.Before(begun) || r.Timestamp.After(time.Now())) {
				t.Fatalf("%s %d: time %v, want the broker's", topic, i, r.Timestamp)
			}
			if want := old.Add(time.Duration(n*n%17) * time.Hour); topic == "asis" && !r.Timestamp.Equal(want) {
				t.Fatalf("%s %d: time %v, want %v", topic, i, r.Timestamp, want)
			}
		}
	}
}
