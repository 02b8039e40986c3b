package kafka_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"go.uber.org/zap"

	"nudge/streams/embedded"
	"nudge/streams/kafka"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	broker, err := embedded.StartKafka(dir, 0, nil, embedded.KafkaTopic{Name: "clickstream", Partitions: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()

	ctx := context.Background()
	client, err := kafka.Open(ctx, kafka.Config{Brokers: []string{broker.Addr()}}, zap.NewNop())
	if err != nil {
		log.Fatal(err)
	}
	p, err := client.Producer(ctx, "clickstream", kafka.ProducerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	for _, what := range []string{"viewed", "added", "bought"} {
		if err := p.Send(ctx, &kafka.Record{Key: []byte("u-42"), Value: []byte(what)}); err != nil {
			log.Fatal(err)
		}
	}
	if err := p.Flush(ctx); err != nil {
		log.Fatal(err)
	}

	f := client.Fetcher("clickstream", 0, 1)
	defer f.Close()
	batch, err := f.Fetch(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range batch.Records {
		fmt.Printf("%d: %s %s\n", r.Offset, r.Key, r.Value)
	}
	fmt.Println("next:", batch.Next, "end:", batch.End)
	// Output:
	// 1: u-42 added
	// 2: u-42 bought
	// next: 3 end: 3
}
