package node

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nudge/engine"
)

// Metrics is what a node tells Prometheus, in base units, without labels of customers or items.
type Metrics struct {
	Registry *prometheus.Registry

	events, decisions, dead, ignored, counted         *prometheus.CounterVec
	late, duplicates, stale                           prometheus.Counter
	lag, headroom                                     *prometheus.GaugeVec
	epochEvents, epochDuration                        prometheus.Histogram
	checkpointDuration                                prometheus.Histogram
	checkpointBytes, memory, checkpointAt, stateBytes prometheus.Gauge
	cacheHits, cacheMisses                            prometheus.Counter
	publishLatency                                    prometheus.Histogram
	paused                                            *prometheus.GaugeVec

	ready       atomic.Bool
	epochs      atomic.Int64
	checkpoints atomic.Int64
	workedAt    atomic.Int64 // Unix nanoseconds of the closing checkpoint
	gaugedAt    time.Time
	cache       engine.CacheStats // when last gauged
}

func newMetrics(cfg *Config, waits *waits) *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry()}
	m.Registry.MustRegister(waits)
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.Registry.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.Registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		m.Registry.MustRegister(g)
		return g
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		m.Registry.MustRegister(g)
		return g
	}
	histogram := func(name, help string, from, factor float64, n int) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(from, factor, n)})
		m.Registry.MustRegister(h)
		return h
	}
	m.events = counters("nudge_events_total", "Records folded.", "topic")
	m.decisions = counters("nudge_decisions_total", "Decisions made.", "kind", "action")
	m.dead = counters("nudge_dead_letters_total", "Records refused.", "reason")
	m.ignored = counters("nudge_ignored_total", "Events kept out of every model.", "rule")
	m.counted = counters("nudge_counted_total", "What else was counted, by name.", "what")
	m.late = counter("nudge_late_total", "Events too late to count.")
	m.duplicates = counter("nudge_duplicates_total", "Events whose id had come before.")
	m.stale = counter("nudge_stale_total", "Decisions that had expired when their epoch arrived.")
	m.lag = gauges("nudge_lag_records", "Records between what is folded and the end of the log.", "topic", "partition")
	m.headroom = gauges("nudge_retention_headroom_records", "Records between the start of the log and what is folded.", "topic", "partition")
	m.epochEvents = histogram("nudge_epoch_events", "Records in an epoch.", 1, 4, 8)
	m.epochDuration = histogram("nudge_epoch_duration_seconds", "Time to fold an epoch.", 0.0001, 2.5, 12)
	m.checkpointDuration = histogram("nudge_checkpoint_duration_seconds", "Time from the beginning of a checkpoint to its completion.", 0.01, 2.5, 10)
	m.checkpointBytes = gauge("nudge_checkpoint_bytes", "Bytes of the last checkpoint.")
	m.checkpointAt = gauge("nudge_checkpoint_completed_timestamp_seconds", "When the last checkpoint completed.")
	m.memory = gauge("nudge_memory_bytes", "Estimated memory of customers held.")
	m.stateBytes = gauge("nudge_state_bytes", "Bytes of the state folder, journal included.")
	m.cacheHits = counter("nudge_cache_hits_total", "Customers found in memory.")
	m.cacheMisses = counter("nudge_cache_misses_total", "Customers looked for in the store.")
	m.publishLatency = histogram("nudge_publish_latency_seconds", "From the cut of an epoch to the acknowledgement of its last decision.", 0.0005, 2, 14)
	m.paused = gauges("nudge_paused", "1 for what is paused.", "name")
	gauge("nudge_state_limit_bytes", "What the state folder may have; 0 is no limit.").Set(float64(cfg.StateBytes))
	return m
}

// folded notes an epoch.
func (m *Metrics) folded(ep *engine.Epoch, out *engine.Output, took time.Duration) {
	m.epochs.Add(1)
	m.epochEvents.Observe(float64(out.Counts.Events))
	m.epochDuration.Observe(took.Seconds())
	m.late.Add(float64(out.Counts.Late))
	m.duplicates.Add(float64(out.Counts.Duplicates))
	m.stale.Add(float64(out.Counts.Stale))
	for k, n := range out.Counts.Decisions {
		m.decisions.WithLabelValues(k.Kind, k.Action).Add(float64(n))
	}
	for reason, n := range out.Counts.Dead {
		m.dead.WithLabelValues(reason).Add(float64(n))
	}
	const rule = "ignored/"
	for name, n := range out.Counts.Named {
		if len(name) > len(rule) && name[:len(rule)] == rule {
			m.ignored.WithLabelValues(name[len(rule):]).Add(float64(n))
		} else {
			m.counted.WithLabelValues(name).Add(float64(n))
		}
	}
}

// published notes that an epoch is wholly acknowledged.
func (m *Metrics) published(e *epochOut, now time.Time) {
	if len(e.out.Messages) > 0 {
		m.publishLatency.Observe(now.Sub(e.cutAt).Seconds())
	}
}

// gauge reads the node's state, now and then.
func (m *Metrics) gauge(n *Node, now time.Time) {
	if now.Sub(m.gaugedAt) < 500*time.Millisecond {
		return
	}
	m.gaugedAt = now
	for _, q := range n.queues {
		id := strconv.Itoa(int(q.ID))
		m.lag.WithLabelValues(q.topic, id).Set(float64(max(q.end-q.next, 0)))
		m.headroom.WithLabelValues(q.topic, id).Set(float64(q.next - q.start))
		m.events.WithLabelValues(q.topic).Add(float64(q.taken))
		q.taken = 0
	}
	c := n.engine.Cache()
	m.memory.Set(float64(c.Bytes))
	m.cacheHits.Add(float64(c.Hits - m.cache.Hits))
	m.cacheMisses.Add(float64(c.Misses - m.cache.Misses))
	m.cache = c
	m.paused.Reset()
	for _, name := range n.engine.Paused() {
		m.paused.WithLabelValues(name).Set(1)
	}
}

// checkpointed notes a complete checkpoint.
func (m *Metrics) checkpointed(end checkpointEnd, now time.Time) {
	m.checkpoints.Add(1)
	m.checkpointDuration.Observe(end.stats.Took.Seconds())
	m.checkpointBytes.Set(float64(end.stats.Bytes))
	m.checkpointAt.Set(float64(now.UnixMilli()) / 1000)
}
