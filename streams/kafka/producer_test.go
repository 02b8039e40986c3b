package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"nudge/streams"
	"nudge/streams/kafka"
)

func init() {
	suite["produce"] = testProduce
	suite["partitions"] = testPartitions
	suite["toolarge"] = testTooLarge
	suite["exactly once"] = testProduceOnce
	suite["group"] = testGroup
	suite["linger"] = testLinger
	suite["gate"] = testGate
}

func (r *rig) producer(topic string, cfg kafka.ProducerConfig) *kafka.Producer {
	r.t.Helper()
	p, err := r.client.Producer(within(r.t, patience), topic, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.Close)
	return p
}

func (r *rig) send(p *kafka.Producer, records ...kafka.Record) {
	r.t.Helper()
	for i := range records {
		if err := p.Send(within(r.t, patience), &records[i]); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) flush(p *kafka.Producer) {
	r.t.Helper()
	if err := p.Flush(within(r.t, patience)); err != nil {
		r.t.Fatal(err)
	}
}

func testProduce(t *testing.T, r *rig) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []kafka.Acks{kafka.AcksAll, kafka.AcksLeader, kafka.AcksNone} {
			topic := r.topic(1, map[string]string{"message.timestamp.type": "CreateTime"})
			p := r.producer(topic, kafka.ProducerConfig{Compression: codec, Acks: acks, BatchBytes: 4000})
			const n = 1000
			for i := range n {
				rec := kafka.Record{Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte{byte(i)}, i%300), TimeMS: int64(1_700_000_000_000 - i*1000)}
				switch i % 4 {
				case 1:
					rec.Headers = []streams.Header{{Key: "a", Value: []byte("b")}, {Key: "", Value: nil}}
				case 2:
					rec.Value = nil
				case 3:
					rec.Key = nil
				}
				r.send(p, rec)
			}
			r.flush(p)
			for i, rec := range r.read(r.fetcher(topic, 0), n) {
				want := bytes.Repeat([]byte{byte(i)}, i%300)
				if i%4 == 2 {
					want = nil
				}
				if rec.Offset != int64(i) || !bytes.Equal(rec.Value, want) || rec.AppendMS != int64(1_700_000_000_000-i*1000) ||
					(rec.Value == nil) != (i%4 == 2) || (rec.Key == nil) != (i%4 == 3) || len(rec.Headers) != 2*(i%4&1)*(1-i%4/2) {
					t.Fatalf("%s, acks %d, record %d: got %+v", codec, acks, i, rec)
				}
			}
		}
	}
}

// testGate closes a producer's gate: what waits behind it is not sent, and the reason is what Flush says.
func testGate(t *testing.T, r *rig) {
	topic := r.topic(1, nil)
	replaced := errors.New("another process writes here now")
	var closed atomic.Bool
	p := r.producer(topic, kafka.ProducerConfig{Gate: func(context.Context) error {
		if closed.Load() {
			return replaced
		}
		return nil
	}})
	r.send(p, kafka.Record{Value: []byte("before")})
	r.flush(p)
	closed.Store(true)
	r.send(p, kafka.Record{Value: []byte("after")})
	if err := p.Flush(within(t, patience)); !errors.Is(err, replaced) {
		t.Errorf("behind a closed gate Flush said %v", err)
	}
	if _, end, err := r.client.Offsets(t.Context(), topic, 0); err != nil || end != 1 {
		t.Errorf("the topic ends at %d (%v), want 1", end, err)
	}
}

// Keys must go where the Java client, and franz-go after it, send them.
func testPartitions(t *testing.T, r *rig) {
	ours, theirs := r.topic(7, nil), r.topic(7, nil)
	p := r.producer(ours, kafka.ProducerConfig{})
	cl := r.franz(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	var records []*kgo.Record
	for i := range 200 {
		key := bytes.Repeat([]byte{byte('a' + i)}, i%11)
		key = append(key, byte(200+i))
		r.send(p, kafka.Record{Key: key, Value: []byte("x")})
		records = append(records, &kgo.Record{Topic: theirs, Key: key, Value: []byte("x")})
	}
	r.flush(p)
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	a, err1 := r.client.AllOffsets(t.Context(), ours)
	b, err2 := r.client.AllOffsets(t.Context(), theirs)
	if err1 != nil || err2 != nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Fatalf("got %v, franz-go %v, %v %v", a, b, err1, err2)
	}
}

func testTooLarge(t *testing.T, r *rig) {
	topic := r.topic(1, map[string]string{"max.message.bytes": "2000"})
	p := r.producer(topic, kafka.ProducerConfig{})
	r.send(p, kafka.Record{Value: []byte("before")})
	if err := p.Send(t.Context(), &kafka.Record{Value: make([]byte, 2000)}); !errors.Is(err, kafka.ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	for range 100 {
		r.send(p, kafka.Record{Value: make([]byte, 700)})
	}
	r.flush(p)
	r.read(r.fetcher(topic, 0), 101)
}

// A producer that sends through restarts and lost connections stores every record once.
func testProduceOnce(t *testing.T, r *rig) {
	topic := r.topic(2, nil)
	var conns connections
	client := open(t, kafka.Config{Brokers: []string{r.addr}, Patience: 3 * time.Second, Dial: conns.dial})
	p, err := client.Producer(t.Context(), topic, kafka.ProducerConfig{BatchBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const n = 4000
	for i := range n {
		if err := p.SendTo(within(t, patience), int32(i%2), &kafka.Record{Value: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
		if i%400 == 0 {
			conns.cut() // answers under way are lost
		}
	}
	if err := p.Flush(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	for part := range int32(2) {
		f := r.client.Fetcher(topic, part, 0)
		defer f.Close()
		got := r.read(f, n/2)
		for i, rec := range got {
			if string(rec.Value) != fmt.Sprint(2*i+int(part)) {
				t.Fatalf("partition %d, record %d: got %s", part, i, rec.Value)
			}
		}
		if b, err := f.Fetch(t.Context()); err != nil || len(b.Records) != 0 || len(got) != n/2 {
			t.Fatalf("partition %d: more records than were sent: %d and %d, %v", part, len(got), len(b.Records), err)
		}
	}
}

// connections are those that a client opened, to be cut.
type connections struct {
	mu   sync.Mutex
	open []net.Conn
}

func (c *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		c.mu.Lock()
		c.open = append(c.open, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
	c.open = c.open[:0]
}

func testLinger(t *testing.T, r *rig) {
	topic := r.topic(1, nil)
	f := r.fetcher(topic, 0)
	for _, linger := range []time.Duration{-1, time.Millisecond} {
		p := r.producer(topic, kafka.ProducerConfig{Linger: linger})
		for range 50 {
			r.send(p, kafka.Record{Value: []byte("x")})
			r.read(f, 1) // it comes without a flush
		}
	}
}

func testGroup(t *testing.T, r *rig) {
	topic := r.topic(2, nil)
	group := "g-" + topic
	if err := r.client.CommitGroup(within(t, patience), group, map[string]map[int32]int64{topic: {0: 17, 1: 4}}); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{0, 1}
	req.Topics = append(req.Topics, rt)
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.Partitions = topic, []int32{0, 1}
	rg.Topics = append(rg.Topics, gt)
	req.Groups = append(req.Groups, rg)
	res, err := req.RequestWith(t.Context(), r.franz())
	if err != nil {
		t.Fatal(err)
	}
	got := map[int32]int64{}
	for _, g := range res.Groups {
		for _, p := range g.Topics[0].Partitions {
			got[p.Partition] = p.Offset
		}
	}
	if got[0] != 17 || got[1] != 4 {
		t.Fatalf("got %v", got)
	}
}
