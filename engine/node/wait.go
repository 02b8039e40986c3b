package node

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// waits is what a node waits for at the moment: several of its goroutines may wait at once, each for a thing of its own.
type waits struct {
	mu sync.Mutex
	on map[string]string // by what is waited for: how far it got, or ""
}

// The things that a node waits for.
const (
	waitKafka      = "kafka"
	waitNATS       = "nats"
	waitLease      = "the lease"
	waitJournal    = "disk space for the journal"
	waitCheckpoint = "disk space for a checkpoint"
	waitState      = "a higher limits.state"
)

// begin says whether the wait is a new one.
func (w *waits) begin(what, detail string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on == nil {
		w.on = map[string]string{}
	}
	_, waiting := w.on[what]
	w.on[what] = detail
	return !waiting
}

// end says whether there was such a wait.
func (w *waits) end(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, waiting := w.on[what]
	delete(w.on, what)
	return waiting
}

func (w *waits) has(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, waiting := w.on[what]
	return waiting
}

// WaitingDesc describes the metric that says what a node waits for.
var WaitingDesc = prometheus.NewDesc("nudge_waiting", "1 for what the node waits for.", []string{"what"}, nil)

// Describe and Collect make it a metric, which is read when it is asked for: a node that waits may do nothing else.
func (w *waits) Describe(to chan<- *prometheus.Desc) { to <- WaitingDesc }

// Collect is the other half of Describe.
func (w *waits) Collect(to chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what := range w.on {
		to <- prometheus.MustNewConstMetric(WaitingDesc, prometheus.GaugeValue, 1, what)
	}
}

func (w *waits) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(w.on)) {
		if detail := w.on[what]; detail != "" {
			what += " (" + detail + ")"
		}
		all = append(all, what)
	}
	return strings.Join(all, ", ")
}

// Waiting says what the node waits for, or "".
func (n *Node) Waiting() string { return n.waits.String() }

func (n *Node) waitFor(what, detail string, err error) {
	if n.waits.begin(what, detail) {
		n.log.Warn("waiting for "+what, zap.String("at", detail), zap.Error(err))
	}
}

func (n *Node) waitOver(what string) {
	if n.waits.end(what) {
		n.log.Info("no longer waiting for " + what)
	}
}

// sleep waits a second because of err, saying what for.
func (n *Node) sleep(kill context.Context, what, detail string, err error) error {
	n.waitFor(what, detail, err)
	select {
	case <-time.After(time.Second):
		return nil
	case <-kill.Done():
		return kill.Err()
	}
}

// stoppedLook is how often a node that takes nothing in asks how far the logs have grown meanwhile: its fetchers are full and hear no more.
const stoppedLook = 2 * time.Second

// lookAtEnds asks where the logs end, for the lag of a node that is stopped. What cannot be asked stays as it was.
func (n *Node) lookAtEnds(ctx context.Context) {
	now := n.cfg.Now()
	if now.Sub(n.looked) < stoppedLook {
		return
	}
	n.looked = now
	ctx, cancel := context.WithTimeout(ctx, stoppedLook/2)
	defer cancel()
	for _, q := range n.queues {
		if _, end, err := n.cfg.Source.Offsets(ctx, q.topic, q.ID); err == nil {
			q.end = max(q.end, end)
		}
	}
	n.metrics.gauge(n, now)
}

// watchKafka looks whether a partition has been silent for so long that its broker must be away: a fetch that finds
// nothing answers too.
func (n *Node) watchKafka() {
	now := n.cfg.Now()
	for _, q := range n.queues {
		if !q.alive.IsZero() && !q.finished() && q.empty() && now.Sub(q.alive) > 2*n.cfg.IdleAfter {
			n.waitFor(waitKafka, q.describe(), nil)
			return
		}
	}
	n.waitOver(waitKafka)
}
