package nats_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"nudge/streams"
	"nudge/streams/embedded"
	"nudge/streams/nats"
)

// A decision is published and read back.
func Example() {
	dir, err := os.MkdirTemp("", "nudge-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, err := embedded.StartNATS(dir, 0, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	conn, err := nats.Connect(ctx, nats.Config{URL: server.URL()}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	stream, err := conn.OpenStream(ctx, nats.StreamConfig{App: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	publisher, err := stream.Publisher(0)
	if err != nil {
		log.Fatal(err)
	}
	defer publisher.Close()

	err = publisher.Send(ctx, []streams.Message{{
		Subject: stream.DecisionFilter(streams.KindCoupon, "cart", "u-42"),
		ID:      "shop.clickstream-3-81273.cart.0",
		Data:    []byte(`{"v":1}`),
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := publisher.Wait(ctx, publisher.Sent()); err != nil {
		log.Fatal(err)
	}
	err = stream.Read(ctx, 0, func(seq uint64, subject, id string, data []byte) error {
		fmt.Println(seq, subject, id, string(data))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1 nudge.shop.decisions.coupon.cart.u-42 shop.clickstream-3-81273.cart.0 {"v":1}
}
