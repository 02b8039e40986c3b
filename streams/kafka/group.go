package kafka

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
)

// CommitGroup stores offsets, by topic and partition, as those of a consumer group, for dashboards that show lag. nudge never reads them
// back. The group must have no members: it is not joined. A coordinator that is not there yet, as on a broker whose first group this is, is
// waited for.
func (c *Client) CommitGroup(ctx context.Context, group string, offsets map[string]map[int32]int64) error {
	req := &offsetcommit.Request{GroupID: group, GenerationID: -1}
	for topic, partitions := range offsets {
		rt := offsetcommit.RequestTopic{Name: topic}
		for p, offset := range partitions {
			rt.Partitions = append(rt.Partitions, offsetcommit.RequestPartition{PartitionIndex: p, CommittedOffset: offset, CommittedLeaderEpoch: -1})
		}
		req.Topics = append(req.Topics, rt)
	}
	return c.insist(ctx, "commit offsets of group "+group, func(ctx context.Context) error {
		addr, err := c.coordinator(ctx, group)
		if err != nil {
			return err
		}
		m, err := c.askAt(ctx, addr, req)
		if err != nil {
			return err
		}
		for _, t := range m.(*offsetcommit.Response).Topics {
			for _, p := range t.Partitions {
				if err := refusal(p.ErrorCode, ""); err != nil {
					return fmt.Errorf("%s/%d: %w", t.Name, p.PartitionIndex, err)
				}
			}
		}
		return nil
	})
}

// coordinator returns the address of the broker that keeps a group's offsets.
func (c *Client) coordinator(ctx context.Context, group string) (string, error) {
	m, err := c.askAny(ctx, &findcoordinator.Request{Key: group})
	if err != nil {
		return "", err
	}
	res := m.(*findcoordinator.Response)
	if err := refusal(res.ErrorCode, res.ErrorMessage); err != nil {
		return "", fmt.Errorf("find the coordinator: %w", err)
	}
	return net.JoinHostPort(res.Host, strconv.Itoa(int(res.Port))), nil
}
