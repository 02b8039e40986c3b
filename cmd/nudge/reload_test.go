package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nudge/streams/embedded"
)

// A file that has changed is taken on SIGHUP; one with faults, or that the state can't go on under, is not.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	kafka, err := embedded.StartKafka(filepath.Join(dir, "kafka"), 0, nil, embedded.KafkaTopic{Name: "clickstream", Partitions: 2}, embedded.KafkaTopic{Name: "other", Partitions: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	server, err := embedded.StartNATS(filepath.Join(dir, "nats"), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	file := filepath.Join(dir, "shop.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte("version: 1\napp: reload\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raise := func(s syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	hangUp := func() { raise(syscall.SIGHUP) }
	core, logs := observer.New(zap.InfoLevel)
	said := func(message string) func() bool {
		return func() bool { return logs.FilterMessage(message).Len() > 0 }
	}
	// policy is what the node that answers runs under, "" while none is ready.
	policy := func() string {
		m, err := conn.Request("nudge.reload.api.status", nil, time.Second)
		var answer statusAnswer
		if err != nil || json.Unmarshal(m.Data, &answer) != nil || !answer.Ready {
			return ""
		}
		return answer.Policy
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for range 300 {
			if holds() {
				return
			}
			<-time.After(50 * time.Millisecond)
		}
		t.Fatalf("%s: not within 15 s; the log: %v", what, logs.All())
	}

	write("features: {user.views: {count: product.viewed}}\n")
	f := runFlags{file: file, kafka: []string{kafka.Addr()}, nats: server.URL(), dir: filepath.Join(dir, "state"), stale: "withhold", nodeOptions: nodeOptions{workers: 1}}
	ended := make(chan error, 1)
	go func() { ended <- f.run(context.Background(), zap.New(core)) }()
	until("ready", func() bool { return policy() != "" })
	first := policy()

	hangUp()
	until("unchanged", said("the pipeline has not changed"))
	write("features: {user.views: {count: product.veiwed}}\n")
	hangUp()
	until("refused", said("the changed pipeline has faults; the one in force stays"))
	if now := policy(); now != first {
		t.Fatalf("after a fault: policy %q, want %q", now, first)
	}

	write("features: {user.views: {count: product.viewed}, user.clicks: {count: product.clicked}}\n")
	hangUp()
	until("changed", func() bool { now := policy(); return now != "" && now != first })
	second := policy()

	write("inputs: {clickstream: {topic: other}}\n")
	hangUp()
	until("refused by the state", said("the node can't go on under the changed pipeline; the one before stays in force"))
	until("going on", func() bool { return policy() == second })

	raise(syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
