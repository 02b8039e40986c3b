package deploy_test

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The consumer of GUARANTEES.md: it acts once on every decision, whatever crashes.
func consume(ctx context.Context, js jetstream.JetStream, once func(id string, decision []byte) error) error {
	consumer, err := js.CreateOrUpdateConsumer(ctx, "NUDGE_SHOP_DECISIONS", jetstream.ConsumerConfig{
		Durable:       "crm",
		FilterSubject: "nudge.shop.decisions.coupon.>",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       30 * time.Second,
	})
	if err != nil {
		return err
	}
	running, err := consumer.Consume(func(m jetstream.Msg) {
		if err := once(m.Headers().Get(jetstream.MsgIDHeader), m.Data()); err != nil {
			m.NakWithDelay(time.Second) // delivered again
			return
		}
		m.Ack() // if this is lost it is delivered again too, and once knows the id
	})
	if err != nil {
		return err
	}
	defer running.Stop()
	<-ctx.Done()
	return nil
}
