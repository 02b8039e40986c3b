package node

import (
	"context"
	"time"

	"go.uber.org/zap"

	"nudge/engine"
	"nudge/state"
)

// Pipeline is a compiled setup.
type Pipeline struct {
	Engine  engine.Config // Parallel and Beside are the node's to fill
	Program engine.Program
}

// Config is what a node runs on.
type Config struct {
	// Setup is what to run under, Compile makes a pipeline of it, or of the one that epochs of the journal ran under.
	Setup   engine.Setup
	Compile func(engine.Setup) (Pipeline, error)

	Source    Source
	Stream    Stream
	Publisher Publisher
	// OpenSinks opens the result streams of a setup, by the numbers that Program.Outputs gives them: nil for one whose lines leave with
	// the decisions. nil where there is none. Their lines name the journal as it is given. A sink that others could write to as well asks held
	// before it sends anything: that returns when the node's lease is live by its own clock, so that a node which slept, and was replaced, sends
	// no more.
	OpenSinks func(ctx context.Context, s engine.Setup, journal string, held func(context.Context) error) ([]Sink, error)
	Store     *state.Store
	Journal   *state.Journal

	Owner            string // who holds the lease: the same for every process on one state folder, no one else's
	Lease            time.Duration
	EpochEvents      int           // at most, in an epoch
	EpochWait        time.Duration // how long an epoch that is not full waits for more
	CheckpointEvery  time.Duration
	CheckpointEvents int
	// CheckpointRedo bounds what a start after a kill folds again, by the time that folding it took: a checkpoint begins when half of that was spent since the
	// last one began, and beyond it nothing is taken in until the one in progress is complete. Of a node with time to spare it asks nothing.
	CheckpointRedo time.Duration
	IdleAfter      time.Duration // how old the last word from a partition may be for it to count as idle
	TickEvery      time.Duration
	Workers        int // goroutines that fold shards, at most
	OutboxBytes    int64
	JournalBytes   int64 // how much of the journal is kept for exports and replays, beyond what recovery needs
	StateBytes     int64 // of the state folder, journal included; beyond them nothing is taken in. 0 for no limit

	UntilEnd bool // stop at the end offsets found at the start
	Flush    bool // with UntilEnd: move the watermark to the end of the log and put out open windows, after the last checkpoint

	TakeOver  bool // wait until another owner's lease has ended
	Adopt     bool // go on without entries that the journal lacks: suppress decisions by id only, put windows of lost epochs out again
	AcceptGap bool // go on where the log begins if records were lost

	// CommitOffsets tells the brokers where the node stands, for dashboards. It is called now and then; nil for not at all.
	CommitOffsets func(ctx context.Context, offsets map[string]map[int32]int64) error
	// Leased is called when the node holds its lease; nil where nobody waits for it.
	Leased func()
	// Step is called before and after every step of the protocol, by name: tests stop the process there. nil in life.
	Step func(name string)
	// Now is the node's clock. It decides when to cut, mark and checkpoint, and what the journal says of arrival.
	Now func() time.Time
	// CPU is the CPU time that the process has used, for reports; nil where nobody asks.
	CPU func() time.Duration
	Log *zap.Logger
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.Lease, 10*time.Second)
	def(&c.EpochWait, time.Millisecond)
	def(&c.CheckpointEvery, 10*time.Second)
	def(&c.CheckpointRedo, 3*time.Second)
	def(&c.IdleAfter, time.Second)
	def(&c.TickEvery, time.Second)
	if c.EpochEvents <= 0 {
		c.EpochEvents = 8192
	}
	if c.CheckpointEvents <= 0 {
		c.CheckpointEvents = 1_000_000
	}
	if c.Workers <= 0 {
		c.Workers = 2
	}
	if c.OutboxBytes <= 0 {
		c.OutboxBytes = 24 << 20
	}
	if c.JournalBytes <= 0 {
		c.JournalBytes = 1 << 30
	}
	if c.CPU == nil {
		c.CPU = func() time.Duration { return 0 }
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}
