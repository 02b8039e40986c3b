package pipeline

import (
	"reflect"
	"time"

	"nudge/operators"
)

// Default returns what holds where a file says nothing. What a decider need not say stands in its SetDefaults.
func Default() *Config {
	const day = operators.Duration(24 * time.Hour)
	c := &Config{
		Currency: "EUR",
		Kafka:    Kafka{Brokers: []string{"localhost:9092"}},
		NATS:     NATS{URL: "nats://localhost:4222"},
		Dir:      "nudge-data",
		Inputs: Inputs{
			Clickstream: Input{Topic: "clickstream", Format: "native"},
			Reviews:     Input{Topic: "reviews", Format: "native", Optional: true},
			Catalog:     Input{Topic: "catalog", Format: "native", Optional: true},
		},
		Time: Time{
			Lateness: operators.Duration(2 * time.Second),
			KeepLate: operators.Duration(time.Hour),
			Idle:     operators.Duration(time.Second),
		},
		Outputs: Outputs{Decisions: Decisions{
			Replicas: 1, DedupWindow: operators.Duration(10 * time.Minute), Storage: "file", MaxAge: 30 * day, Outage: day,
		}},
		Node: Node{
			RememberedIDs: 32, ForgetAfter: 400 * day, Cache: 512 << 20, State: 40 << 30,
		},
		Checkpoint: Checkpoint{Every: operators.Duration(5 * time.Second), Events: 1_000_000, Redo: operators.Duration(3 * time.Second)},
		Epoch:      Epoch{Events: 4096, Wait: operators.Duration(2 * time.Millisecond)},
		Lease:      operators.Duration(10 * time.Second),
	}
	setDefault(reflect.ValueOf(&c.Deciders))
	return c
}

// setDefault fills the value behind a pointer with what its owner says holds where a file says nothing.
func setDefault(v reflect.Value) {
	if s, ok := v.Interface().(interface{ SetDefaults() }); ok {
		s.SetDefaults()
	}
}
