package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"nudge/streams/kafka"
)

// BenchmarkRealFetch compares ways to read the same 230-byte records from a real broker by the CPU that this process spends:
//
//	eval "$(.ci/kafka.sh start)" && go test -run '^$' -bench RealFetch ./streams/kafka
func BenchmarkRealFetch(b *testing.B) {
	addr := os.Getenv("NUDGE_TEST_KAFKA")
	if addr == "" {
		b.Skip(`needs a real broker; run: eval "$(.ci/kafka.sh start)"`)
	}
	const records = 400_000
	client, topic := filled(b, addr, records, "none")
	b.Run("Fetcher", func(b *testing.B) { perRecord(b, records, func() int { return readAll(b, client, topic, records) }) })
	b.Run("kafka-go Client.Fetch", func(b *testing.B) {
		perRecord(b, records, func() int {
			cl := &kafkago.Client{Addr: kafkago.TCP(addr)}
			n := 0
			for offset := int64(0); offset < records; {
				res, err := cl.Fetch(b.Context(), &kafkago.FetchRequest{Topic: topic, Offset: offset, MinBytes: 1, MaxBytes: 2 << 20, MaxWait: time.Second})
				if err != nil {
					b.Fatal(err)
				}
				for {
					rec, err := res.Records.ReadRecord()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					kafkago.ReadAll(rec.Key)
					kafkago.ReadAll(rec.Value)
					offset = rec.Offset + 1
					n++
				}
			}
			return n
		})
	})
	b.Run("kafka-go Reader", func(b *testing.B) {
		perRecord(b, records, func() int {
			r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{addr}, Topic: topic, MinBytes: 1, MaxBytes: 2 << 20, QueueCapacity: 10000})
			defer r.Close()
			for range records {
				if _, err := r.ReadMessage(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			return records
		})
	})
}

// BenchmarkRealCodecs is the Fetcher on compressed topics.
func BenchmarkRealCodecs(b *testing.B) {
	addr := os.Getenv("NUDGE_TEST_KAFKA")
	if addr == "" {
		b.Skip(`needs a real broker; run: eval "$(.ci/kafka.sh start)"`)
	}
	for _, codec := range []string{"gzip", "snappy", "lz4", "zstd"} {
		b.Run(codec, func(b *testing.B) {
			const records = 200_000
			client, topic := filled(b, addr, records, codec)
			perRecord(b, records, func() int { return readAll(b, client, topic, records) })
		})
	}
}

// BenchmarkRealProduce writes 230-byte records and waits until they are stored.
func BenchmarkRealProduce(b *testing.B) {
	addr := os.Getenv("NUDGE_TEST_KAFKA")
	if addr == "" {
		b.Skip(`needs a real broker; run: eval "$(.ci/kafka.sh start)"`)
	}
	const records = 400_000
	perRecord(b, records, func() int {
		filled(b, addr, records, "none")
		return records
	})
}

// filled returns a topic of one partition with so many records.
func filled(b *testing.B, addr string, records int, codec string) (*kafka.Client, string) {
	ctx := b.Context()
	client, err := kafka.Open(ctx, kafka.Config{Brokers: []string{addr}}, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	topic := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	if err := client.CreateTopic(ctx, topic, 1, map[string]string{"message.timestamp.type": "LogAppendTime"}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.DeleteTopic(context.Background(), topic) })
	p, err := client.Producer(ctx, topic, kafka.ProducerConfig{Compression: codec})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	key, value := []byte("u0000000"), bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog "), 6)[:222]
	for i := range records {
		rec := kafka.Record{Key: strconv.AppendInt(key[:1], int64(1_000_000+i%100_000), 10), Value: value}
		strconv.AppendInt(value[:0], int64(100_000_000+i), 10)
		if err := p.Send(ctx, &rec); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	return client, topic
}

func readAll(b *testing.B, client *kafka.Client, topic string, records int) int {
	f := client.Fetcher(topic, 0, 0)
	defer f.Close()
	n := 0
	for n < records {
		batch, err := f.Fetch(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		n += len(batch.Records)
	}
	return n
}

// perRecord reports the CPU of this process and the wall time per record.
//
// The heap of a benchmark is so small that the collector would run after every fetch; a node's is a hundred times larger.
func perRecord(b *testing.B, want int, op func() int) {
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	before, start := cpu(), time.Now()
	for range b.N {
		if n := op(); n != want {
			b.Fatalf("got %d records, want %d", n, want)
		}
	}
	total := float64(want) * float64(b.N)
	b.ReportMetric(float64(cpu()-before)/total, "cpu-ns/record")
	b.ReportMetric(total/time.Since(start).Seconds(), "records/s")
}

// cpu returns what this process has used, of the user and the system.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
