package feed

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"nudge/streams"
	"nudge/streams/files"
	"nudge/streams/kafka"
	"nudge/streams/simulate"
)

// Topics names the topics of a world's records. Records of a topic without a name are left out.
type Topics [simulate.NumTopics]string

// Create makes the topics that are missing: those of customers with so many partitions, the catalogue compacted with one.
func (t Topics) Create(ctx context.Context, client *kafka.Client, partitions int) error {
	for kind, name := range t {
		if name == "" {
			continue
		}
		n, config := partitions, map[string]string{"message.timestamp.type": "LogAppendTime"}
		if simulate.Topic(kind) == simulate.Catalog {
			n, config["cleanup.policy"] = 1, "compact"
		}
		if err := client.CreateTopic(ctx, name, n, config); err != nil && !errors.Is(err, kafka.ErrTopicExists) {
			return err
		}
	}
	return nil
}

// Kafka sends records to topics of a cluster.
func Kafka(ctx context.Context, client *kafka.Client, t Topics, linger time.Duration) (*Sink, error) {
	var producers [simulate.NumTopics]*kafka.Producer
	closeAll := func() error {
		for _, p := range producers {
			if p != nil {
				p.Close()
			}
		}
		return nil
	}
	for kind, name := range t {
		if name == "" {
			continue
		}
		p, err := client.Producer(ctx, name, kafka.ProducerConfig{Linger: linger})
		if err != nil {
			closeAll()
			return nil, err
		}
		producers[kind] = p
	}
	return &Sink{
		Send: func(ctx context.Context, r *simulate.Record) error {
			if p := producers[r.Topic]; p != nil {
				return p.Send(ctx, &kafka.Record{Key: r.Key, Value: r.Value, TimeMS: r.TimeMS})
			}
			return nil
		},
		Flush: func(ctx context.Context) error {
			var errs []error
			for _, p := range producers {
				if p != nil {
					errs = append(errs, p.Flush(ctx))
				}
			}
			return errors.Join(errs...)
		},
		Close: closeAll,
	}, nil
}

// Files records an event log in a folder, with so many partitions of the customers' topics. Records bear the world's time of
// arrival as their append time.
func Files(dir string, t Topics, partitions int) (*Sink, error) {
	var writers [simulate.NumTopics][]*files.Writer
	closeAll := func() error {
		var errs []error
		for _, ws := range writers {
			for _, w := range ws {
				errs = append(errs, w.Close())
			}
		}
		return errors.Join(errs...)
	}
	for kind, name := range t {
		if name == "" {
			continue
		}
		if there, err := filepath.Glob(filepath.Join(dir, name, "*", "*")); err != nil || len(there) > 0 {
			return nil, errors.Join(err, closeAll(), fmt.Errorf("%s holds a log already: name an empty folder", filepath.Join(dir, name)))
		}
		n := partitions
		if simulate.Topic(kind) == simulate.Catalog {
			n = 1
		}
		for p := range n {
			w, err := files.Create(dir, name, int32(p), 0)
			if err != nil {
				return nil, errors.Join(err, closeAll())
			}
			writers[kind] = append(writers[kind], w)
		}
	}
	return &Sink{
		Send: func(_ context.Context, r *simulate.Record) error {
			ws := writers[r.Topic]
			if len(ws) == 0 {
				return nil
			}
			w := ws[kafka.PartitionOf(r.Key, int32(len(ws)))]
			at := w.Next()
			return w.Write(streams.Batch{Next: at + 1, Records: []streams.Record{{Offset: at, AppendMS: r.TimeMS, Key: r.Key, Value: r.Value}}})
		},
		Flush: func(context.Context) error { return nil },
		Close: closeAll,
	}, nil
}
