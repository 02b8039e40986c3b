package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// tuneRuntime gives the process more threads than processors, and lets the heap grow further between collections. A thread
// that waits for the disk keeps its place among Go's running ones for a while: with two places on two processors whoever
// publishes waited for the journal's sync and the fold (latency at 20,000 events/s fell to a fifth with four). GOMAXPROCS in
// the environment has the last word.
func tuneRuntime() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(4, 2*runtime.NumCPU()))
	}
	collectLess()
}

// collectLess lets the heap grow to leastMemory, and beyond it to nine fifths of what is alive, before it is collected: a node's memory is mostly
// long-lived customers, and walking them is work and, on few processors, latency for all the others. The limit follows what is alive: one that is
// hardly above it has the collector run all the time, which with a million customers took half of the processor. GOGC and GOMEMLIMIT in the
// environment have the last word.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(leastMemory)
		go followHeap()
	}
}

const leastMemory = 760 << 20

// followHeap keeps the memory limit at nine fifths of the live heap, and at leastMemory.
func followHeap() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for next := time.NewTimer(0); ; next.Reset(250 * time.Millisecond) {
		<-next.C
		metrics.Read(live)
		debug.SetMemoryLimit(max(leastMemory, int64(live[0].Value.Uint64())/5*9))
	}
}
