package embedded

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// timestampType is the topic setting that says whose clock the records carry.
const (
	timestampType = "message.timestamp.type"
	logAppendTime = "LogAppendTime"
)

// Kafka is a broker of the Kafka protocol in this process, listening on a real port: franz-go's kfake with its data on disk.
type Kafka struct {
	cluster *kfake.Cluster
	lock    *os.File
}

// KafkaTopic is a topic to create unless it is there. Records are stamped with the broker's time unless Config says
// message.timestamp.type=CreateTime.
type KafkaTopic struct {
	Name       string
	Partitions int
	Config     map[string]string
}

// StartKafka starts a broker on 127.0.0.1 whose log lives in dir; one that was started there before continues with its data, also after
// a kill -9. Port 0 is any free one. log may be nil; it gets the broker's warnings and errors.
func StartKafka(dir string, port int, log *zap.Logger, topics ...KafkaTopic) (*Kafka, error) {
	if log == nil {
		log = zap.NewNop()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("streams/embedded: start Kafka: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("streams/embedded: start Kafka in %s: another process uses the folder; stop it or name another one: %w", dir, err)
	}
	cluster, err := kfake.NewCluster(
		kfake.Ports(port),
		kfake.DataDir(filepath.Join(dir, "log")),
		kfake.ClusterID("nudge-embedded"),
		kfake.WithLogger(kafkaLog{log}),
		kfake.BrokerConfigs(map[string]string{"default.replication.factor": "1"}),
	)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("streams/embedded: start Kafka in %s on port %d: %w", dir, port, err)
	}
	k := &Kafka{cluster, lock}
	cluster.ControlKey(int16(kmsg.Produce), k.stamp)
	for _, t := range topics {
		if err := k.ensure(t); err != nil {
			k.Close()
			return nil, fmt.Errorf("streams/embedded: start Kafka in %s: %w", dir, err)
		}
	}
	return k, nil
}

// ensure creates a topic, or checks that it is there as asked.
func (k *Kafka) ensure(t KafkaTopic) error {
	if k.cluster.TopicInfo(t.Name) != nil {
		if have := len(k.cluster.PartitionInfos(t.Name)); have != t.Partitions {
			return fmt.Errorf("topic %s has %d partitions, want %d; use as many as it has, or another folder", t.Name, have, t.Partitions)
		}
		return nil
	}
	config := map[string]string{timestampType: logAppendTime}
	for key, v := range t.Config {
		config[key] = v
	}
	if err := k.cluster.CreateTopic(t.Name, int32(t.Partitions), config); err != nil {
		return fmt.Errorf("create topic %s: %w", t.Name, err)
	}
	return nil
}

// Addr is where clients connect, host:port.
func (k *Kafka) Addr() string { return k.cluster.ListenAddrs()[0] }

// DeleteRecords removes the records of a partition before an offset, as retention does.
func (k *Kafka) DeleteRecords(topic string, partition int32, before int64) error {
	if err := k.cluster.DeleteRecords(topic, partition, before); err != nil {
		return fmt.Errorf("streams/embedded: delete records of %s/%d before %d: %w", topic, partition, before, err)
	}
	return nil
}

// Compact removes from compacted topics the records that a later one of the same key replaces.
func (k *Kafka) Compact() { k.cluster.Compact() }

// Close stops the broker and returns when its data is on disk.
func (k *Kafka) Close() {
	k.cluster.Close()
	k.lock.Close()
}

// stamp gives the records of a produce request the broker's time where the topic asks for it: kfake knows the setting but does not act on
// it. It runs before the request is handled and never handles it itself.
func (k *Kafka) stamp(req kmsg.Request) (kmsg.Response, error, bool) {
	produce := req.(*kmsg.ProduceRequest)
	for i := range produce.Topics {
		t := &produce.Topics[i]
		info := k.cluster.TopicInfo(t.Topic)
		if t.Topic == "" {
			info = k.cluster.TopicIDInfo(t.TopicID)
		}
		if info == nil {
			continue
		}
		if v := info.Configs[timestampType]; v == nil || *v != logAppendTime {
			continue
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			p.Records = restamp(p.Records, nowMS())
		}
	}
	return nil, nil, false
}

// kafkaLog passes on what deserves attention.
type kafkaLog struct{ log *zap.Logger }

func (l kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error("embedded Kafka", zap.String("says", fmt.Sprintf(format, args...)))
	case kfake.LogLevelWarn:
		l.log.Warn("embedded Kafka", zap.String("says", fmt.Sprintf(format, args...)))
	}
}
