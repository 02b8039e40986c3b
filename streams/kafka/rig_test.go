package kafka_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap/zaptest"

	"nudge/streams"
	"nudge/streams/embedded"
	"nudge/streams/kafka"
)

// The suite runs twice: against the embedded broker always, and against a real one where there is one.
var suite = map[string]func(*testing.T, *rig){}

func TestEmbedded(t *testing.T) {
	for name, test := range suite {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, embeddedRig(t))
		})
	}
}

func TestReal(t *testing.T) {
	addr := os.Getenv("NUDGE_TEST_KAFKA")
	if addr == "" {
		t.Skip(`needs a real broker; run: eval "$(.ci/kafka.sh start)" && go test -run Real ./streams/kafka; .ci/kafka.sh stop`)
	}
	for name, test := range suite {
		if name == "restart" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, realRig(t, addr))
		})
	}
}

// TestRealRestart runs alone: it takes the broker away from everyone.
func TestRealRestart(t *testing.T) {
	addr, command := os.Getenv("NUDGE_TEST_KAFKA"), os.Getenv("NUDGE_TEST_KAFKA_RESTART")
	if addr == "" || command == "" {
		t.Skip(`needs a real broker that it may restart; run: eval "$(.ci/kafka.sh start)" && go test -run Real ./streams/kafka; .ci/kafka.sh stop`)
	}
	suite["restart"](t, realRig(t, addr))
}

// rig is a broker and a client of it.
type rig struct {
	t       *testing.T
	addr    string
	client  *kafka.Client
	restart func()
	compact func() // asks for compaction; on a real broker it happens by itself
}

func embeddedRig(t *testing.T) *rig {
	dir := t.TempDir()
	k, err := embedded.StartKafka(dir, 0, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, addr: k.Addr()}
	r.restart = func() {
		k.Close()
		var port int
		fmt.Sscanf(r.addr[strings.LastIndex(r.addr, ":"):], ":%d", &port)
		if k, err = embedded.StartKafka(dir, port, zaptest.NewLogger(t)); err != nil {
			t.Fatal(err)
		}
	}
	r.compact = func() { k.Compact() }
	t.Cleanup(func() { k.Close() })
	r.client = open(t, kafka.Config{Brokers: []string{r.addr}})
	return r
}

func realRig(t *testing.T, addr string) *rig {
	r := &rig{t: t, addr: addr, compact: func() {}}
	r.restart = func() {
		if out, err := exec.Command("bash", "-c", os.Getenv("NUDGE_TEST_KAFKA_RESTART")).CombinedOutput(); err != nil {
			t.Fatalf("restart the broker: %v\n%s", err, out)
		}
	}
	r.client = open(t, kafka.Config{Brokers: []string{addr}})
	return r
}

func open(t *testing.T, cfg kafka.Config) *kafka.Client {
	t.Helper()
	client, err := kafka.Open(within(t, patience), cfg, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// patience is how long a step may take on a machine that has much else to do.
const patience = 3 * time.Minute

// within returns a context of the test that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// topic creates a topic with a name of its own.
func (r *rig) topic(partitions int, config map[string]string) string {
	r.t.Helper()
	var id [4]byte
	rand.Read(id[:])
	name := "t-" + hex.EncodeToString(id[:])
	if err := r.client.CreateTopic(within(r.t, patience), name, partitions, config); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r.client.DeleteTopic(ctx, name)
	})
	return name
}

// franz returns a client of another make, to write what ours must read.
func (r *rig) franz(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(r.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(15 << 20),
		kgo.BrokerMaxWriteBytes(100 << 20)}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(cl.Close)
	return cl
}

// write produces records to partition 0, in order, as one flush.
func (r *rig) write(cl *kgo.Client, topic string, records ...*kgo.Record) {
	r.t.Helper()
	for _, rec := range records {
		rec.Topic = topic
	}
	if err := cl.ProduceSync(within(r.t, patience), records...).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

// read fetches partition 0 until it has n records.
func (r *rig) read(f *kafka.Fetcher, n int) []streams.Record {
	r.t.Helper()
	ctx := within(r.t, patience)
	var all []streams.Record
	for len(all) < n {
		b, err := f.Fetch(ctx)
		if err != nil {
			r.t.Fatalf("after %d of %d records: %v", len(all), n, err)
		}
		all = append(all, b.Records...)
	}
	return all
}

func (r *rig) fetcher(topic string, from int64) *kafka.Fetcher {
	f := r.client.Fetcher(topic, 0, from)
	r.t.Cleanup(f.Close)
	return f
}

// deleteRecords cuts the log of partition 0 off before an offset.
func (r *rig) deleteRecords(cl *kgo.Client, topic string, before int64) {
	r.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10000
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Offset = before
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(within(r.t, patience), cl)
	if err != nil {
		r.t.Fatal(err)
	}
	if code := res.Topics[0].Partitions[0].ErrorCode; code != 0 {
		r.t.Fatalf("delete records: code %d", code)
	}
}

func numbered(n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i)}
	}
	return records
}
