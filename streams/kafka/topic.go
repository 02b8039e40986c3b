package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/deletetopics"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// TopicInfo is what the broker says of a topic.
type TopicInfo struct {
	Name       string
	ID         TopicID // changes when the topic is created anew
	Partitions int32

	// ConfigError says why the rest is not known: the user may not read the topic's settings (the DescribeConfigs right).
	ConfigError     error
	LogAppendTime   bool // message.timestamp.type: records carry the broker's time, not the producer's
	Compacted       bool // cleanup.policy contains compact
	Deleted         bool // cleanup.policy contains delete: records leave the log by age or size
	Retention       time.Duration
	RetentionBytes  int64 // per partition
	MaxMessageBytes int32
}

// Forever is the Retention of a topic that keeps records whatever their age; RetentionBytes is then -1 or a size that may still end them.
const Forever = time.Duration(-1)

// Topic describes a topic. A missing one is ErrTopicMissing.
func (c *Client) Topic(ctx context.Context, name string) (TopicInfo, error) {
	var info TopicInfo
	err := c.insist(ctx, "describe topic "+name, func(ctx context.Context) error {
		meta, err := c.metadata(ctx, name)
		if err != nil {
			return err
		}
		info = TopicInfo{Name: name, ID: meta.id, Partitions: int32(len(meta.partitions))}
		err = c.describe(ctx, &info)
		if errors.Is(err, ErrDenied) {
			info.ConfigError, err = err, nil
		}
		return err
	})
	return info, err
}

func (c *Client) describe(ctx context.Context, info *TopicInfo) error {
	const topicResource = 2
	m, err := c.askAny(ctx, &describeconfigs.Request{Resources: []describeconfigs.RequestResource{{
		ResourceType: topicResource,
		ResourceName: info.Name,
		ConfigNames:  []string{"message.timestamp.type", "cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes"},
	}}})
	if err != nil {
		return err
	}
	for _, r := range m.(*describeconfigs.Response).Resources {
		if err := refusal(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
		for _, e := range r.ConfigEntries {
			number, _ := strconv.ParseInt(e.ConfigValue, 10, 64)
			switch e.ConfigName {
			case "message.timestamp.type":
				info.LogAppendTime = e.ConfigValue == "LogAppendTime"
			case "cleanup.policy":
				policies := strings.Split(strings.ReplaceAll(e.ConfigValue, " ", ""), ",")
				info.Compacted = slices.Contains(policies, "compact")
				info.Deleted = slices.Contains(policies, "delete")
			case "retention.ms":
				info.Retention = Forever
				if number >= 0 {
					info.Retention = time.Duration(min(number, int64(1<<63-1)/int64(time.Millisecond))) * time.Millisecond
				}
			case "retention.bytes":
				info.RetentionBytes = number
			case "max.message.bytes":
				info.MaxMessageBytes = int32(number)
			}
		}
	}
	return nil
}

// CreateTopic creates a topic and returns when all its partitions have a leader. The replication factor is the broker's default
// unless config holds "replication.factor". An existing topic is ErrTopicExists.
func (c *Client) CreateTopic(ctx context.Context, name string, partitions int, config map[string]string) error {
	rt := createtopics.RequestTopic{Name: name, NumPartitions: int32(partitions), ReplicationFactor: -1}
	for k, v := range config {
		if k == "replication.factor" {
			factor, err := strconv.ParseInt(v, 10, 16)
			if err != nil {
				return fmt.Errorf("streams/kafka: create topic %s: %w: replication.factor %q; want a small number", name, ErrConfig, v)
			}
			rt.ReplicationFactor = int16(factor)
			continue
		}
		rt.Configs = append(rt.Configs, createtopics.RequestConfig{Name: k, Value: v})
	}
	attempts := 0
	err := c.insist(ctx, "create topic "+name, func(ctx context.Context) error {
		attempts++
		addr, err := c.controller(ctx)
		if err != nil {
			return err
		}
		m, err := c.askAt(ctx, addr, &createtopics.Request{
			Topics: []createtopics.RequestTopic{rt}, TimeoutMs: int32(c.cfg.Patience / time.Millisecond),
		})
		if err != nil {
			return err
		}
		for _, t := range m.(*createtopics.Response).Topics {
			err := refusal(t.ErrorCode, t.ErrorMessage)
			if errors.Is(err, ErrTopicExists) && attempts > 1 {
				return nil // our own first attempt, whose answer was lost
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.insist(ctx, "wait for the new topic "+name, func(ctx context.Context) error {
		meta, err := c.metadata(ctx, name)
		if errors.Is(err, ErrTopicMissing) {
			return kafkago.LeaderNotAvailable
		}
		if err != nil {
			return err
		}
		for p := range meta.partitions {
			if _, err := meta.leader(int32(p)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteTopic deletes a topic and returns when the broker no longer knows it. A missing one is ErrTopicMissing.
func (c *Client) DeleteTopic(ctx context.Context, name string) error {
	err := c.insist(ctx, "delete topic "+name, func(ctx context.Context) error {
		addr, err := c.controller(ctx)
		if err != nil {
			return err
		}
		m, err := c.askAt(ctx, addr, &deletetopics.Request{TopicNames: []string{name}, TimeoutMs: int32(c.cfg.Patience / time.Millisecond)})
		if err != nil {
			return err
		}
		for _, t := range m.(*deletetopics.Response).Responses {
			if kafkago.Error(t.ErrorCode) == kafkago.UnknownTopicOrPartition {
				return fmt.Errorf("%w: %s", ErrTopicMissing, name)
			}
			if err := refusal(t.ErrorCode, ""); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.insist(ctx, "wait until topic "+name+" is gone", func(ctx context.Context) error {
		switch _, err := c.metadata(ctx, name); {
		case errors.Is(err, ErrTopicMissing):
			return nil
		case err != nil:
			return err
		}
		return kafkago.RequestTimedOut
	})
}

// Range is what a partition's log holds: from Start up to, not including, End. End is the last stable offset: what lies beyond
// belongs to transactions that are still open.
type Range struct{ Start, End int64 }

// Offsets returns the first offset of a partition and the first that can't be read yet.
func (c *Client) Offsets(ctx context.Context, topic string, partition int32) (start, end int64, err error) {
	all, err := c.AllOffsets(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	if partition < 0 || int(partition) >= len(all) {
		return 0, 0, fmt.Errorf("streams/kafka: offsets of %s/%d: %w; it has %d", topic, partition, ErrPartitionMissing, len(all))
	}
	return all[partition].Start, all[partition].End, nil
}

// AllOffsets returns the range of every partition of a topic, by partition.
func (c *Client) AllOffsets(ctx context.Context, topic string) ([]Range, error) {
	var ranges []Range
	err := c.insist(ctx, "offsets of "+topic, func(ctx context.Context) error {
		meta, err := c.metadata(ctx, topic)
		if err != nil {
			return err
		}
		leaders := make(map[string][]int32)
		for p := range meta.partitions {
			addr, err := meta.leader(int32(p))
			if err != nil {
				return err
			}
			leaders[addr] = append(leaders[addr], int32(p))
		}
		ranges = make([]Range, len(meta.partitions))
		return each(leaders, func(addr string, partitions []int32) error {
			return c.listOffsets(ctx, addr, topic, partitions, ranges)
		})
	})
	return ranges, err
}

// listOffsets fills the ranges of the partitions that the broker at addr leads.
func (c *Client) listOffsets(ctx context.Context, addr, topic string, partitions []int32, ranges []Range) error {
	cn, err := c.dial(ctx, addr)
	if err != nil {
		return err
	}
	defer cn.Close()
	const earliest, latest = -2, -1
	for _, which := range []int64{earliest, latest} {
		rt := listoffsets.RequestTopic{Topic: topic}
		for _, p := range partitions {
			rt.Partitions = append(rt.Partitions, listoffsets.RequestPartition{Partition: p, CurrentLeaderEpoch: -1, Timestamp: which})
		}
		m, err := cn.ask(ctx, c.cfg.Patience, &listoffsets.Request{ReplicaID: -1, IsolationLevel: readCommitted, Topics: []listoffsets.RequestTopic{rt}})
		if err != nil {
			return err
		}
		for _, t := range m.(*listoffsets.Response).Topics {
			for _, p := range t.Partitions {
				if err := refusal(p.ErrorCode, ""); err != nil {
					return fmt.Errorf("%s/%d: %w", topic, p.Partition, err)
				}
				if p.Partition < 0 || int(p.Partition) >= len(ranges) {
					continue
				}
				if which == earliest {
					ranges[p.Partition].Start = p.Offset
				} else {
					ranges[p.Partition].End = p.Offset
				}
			}
		}
	}
	return nil
}

// metadata is what a broker knows of one topic.
type metadata struct {
	topic      string
	id         TopicID
	brokers    map[int32]string
	control    int32
	partitions []partitionMetadata
}

type partitionMetadata struct {
	leader int32
	epoch  int32
	known  bool
}

// leader returns the address of the broker that leads a partition.
func (m *metadata) leader(partition int32) (string, error) {
	if partition < 0 || int(partition) >= len(m.partitions) {
		return "", fmt.Errorf("%w: %s/%d; it has %d", ErrPartitionMissing, m.topic, partition, len(m.partitions))
	}
	p := m.partitions[partition]
	addr, ok := m.brokers[p.leader]
	if !p.known || p.leader < 0 || !ok {
		return "", fmt.Errorf("%s/%d: %w", m.topic, partition, kafkago.LeaderNotAvailable)
	}
	return addr, nil
}

// controller returns the address of the broker that changes of topics are sent to.
func (c *Client) controller(ctx context.Context) (string, error) {
	meta, err := c.metadata(ctx, "")
	if err != nil {
		return "", err
	}
	if addr, ok := meta.brokers[meta.control]; ok {
		return addr, nil
	}
	return "", fmt.Errorf("find the controller: %w", kafkago.BrokerNotAvailable)
}

// metadata asks any broker for a topic, or for the brokers alone if topic is "". It does not wait.
func (c *Client) metadata(ctx context.Context, topic string) (*metadata, error) {
	cn, err := c.anyBroker(ctx)
	if err != nil {
		return nil, err
	}
	defer cn.Close()
	r, err := cn.exchange(ctx, c.cfg.Patience, metadataKey, metadataVersion, true, func(w *writer) {
		if topic == "" {
			w.compactLen(0)
		} else {
			w.compactLen(1)
			w.b = append(w.b, make([]byte, 16)...)
			w.compactString(topic)
			w.tags()
		}
		w.int8(0) // create no topic
		w.int8(0) // no list of rights
		w.tags()
	})
	if err != nil {
		return nil, err
	}
	meta, code, err := readMetadata(&r)
	if err != nil {
		return nil, fmt.Errorf("%s: metadata: %w", cn.addr, err)
	}
	meta.topic = topic
	switch kafkago.Error(code) {
	case kafkago.UnknownTopicOrPartition, kafkago.UnknownTopicID:
		return nil, fmt.Errorf("%w: %s; create it, or correct the name in the configuration", ErrTopicMissing, topic)
	}
	if err := refusal(code, ""); err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	return meta, nil
}

// readMetadata decodes an answer of version 12 to a request for at most one topic, with that topic's error code.
func readMetadata(r *reader) (*metadata, int16, error) {
	meta := &metadata{brokers: make(map[int32]string)}
	var code int16
	r.int32() // throttle
	for n := r.compactLen(); n > 0; n-- {
		id, host, port := r.int32(), r.compactString(), r.int32()
		r.compactBytes() // rack
		r.tags()
		meta.brokers[id] = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	r.compactBytes() // cluster
	meta.control = r.int32()
	for n := r.compactLen(); n > 0; n-- {
		code = r.int16()
		r.compactBytes() // name
		meta.id = r.topicID()
		r.int8() // internal
		count := r.compactLen()
		meta.partitions = make([]partitionMetadata, max(count, 0))
		for ; count > 0; count-- {
			r.int16() // the leader says it as well: -1 for none
			p := partitionMetadata{known: true}
			index := r.int32()
			p.leader, p.epoch = r.int32(), r.int32()
			for range 3 { // replicas, in sync, offline
				for k := r.compactLen(); k > 0; k-- {
					r.int32()
				}
			}
			r.tags()
			if index >= 0 && int(index) < len(meta.partitions) {
				meta.partitions[index] = p
			}
		}
		r.int32() // rights
		r.tags()
	}
	r.tags()
	return meta, code, r.err()
}
