package node

import (
	"time"

	"nudge/engine"
)

// Report is what a run has done.
type Report struct {
	Counts      engine.Counts // in this run; epochs folded again after a restart do not count
	Epochs      int64
	Checkpoints int64
	// CPUWork is the CPU time of the process from the first record to the last marker and the closing checkpoint.
	CPUWork time.Duration
	Wall    time.Duration // the same span by the clock
}

// Report tells what the run has done. It is called when Run has returned.
func (n *Node) Report() Report {
	totals := n.engine.Totals()
	return Report{Counts: totals.Since(&n.began), Epochs: n.metrics.epochs.Load(), Checkpoints: n.metrics.checkpoints.Load(),
		CPUWork: n.work.cpuEnd - n.work.cpuBegin, Wall: n.work.end.Sub(n.work.begin)}
}

// Metrics is what the node tells Prometheus.
func (n *Node) Metrics() *Metrics { return n.metrics }

// Lived says whether the node got as far as to take in new records, under the configured pipeline.
func (n *Node) Lived() bool { return n.metrics.ready.Load() }

// Ready says that the node has recovered and folds new records.
func (n *Node) Ready() bool { return n.metrics.ready.Load() && n.Waiting() == "" }

// work is the span that a benchmark asks about.
type work struct {
	begin, end       time.Time
	cpuBegin, cpuEnd time.Duration
}

func (n *Node) workBegins() {
	if n.work.begin.IsZero() {
		n.work.begin, n.work.cpuBegin = n.cfg.Now(), n.cfg.CPU()
	}
}

func (n *Node) workEnds() { n.work.end, n.work.cpuEnd = n.cfg.Now(), n.cfg.CPU() }
