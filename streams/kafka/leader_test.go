package kafka_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"nudge/streams/kafka"
)

// Readers and writers follow a partition from broker to broker, in order, without loss or repetition.
func TestFollowsLeader(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(1, "moving"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := &rig{t: t, addr: cluster.ListenAddrs()[0]}
	r.client = open(t, kafka.Config{Brokers: cluster.ListenAddrs()})
	p := r.producer("moving", kafka.ProducerConfig{})
	f := r.fetcher("moving", 0)
	for i := range 30 {
		if err := cluster.MoveTopicPartition("moving", 0, int32(i%3)); err != nil {
			t.Fatal(err)
		}
		r.send(p, kafka.Record{Value: fmt.Append(nil, i)})
		r.flush(p)
		if got := r.read(f, 1); len(got) != 1 || string(got[0].Value) != fmt.Sprint(i) || got[0].Offset != int64(i) {
			t.Fatalf("round %d: got %q", i, values(got))
		}
	}
	if s := f.Stats(); s.Reconnects < 20 {
		t.Errorf("stats %+v: it did not move", s)
	}
	if err := r.client.CommitGroup(t.Context(), "g", map[string]map[int32]int64{"moving": {0: 30}}); err != nil {
		t.Error(err)
	}
	r.read(r.fetcher(r.topic(5, nil), 0), 0)
}
