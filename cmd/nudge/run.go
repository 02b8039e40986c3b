package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"nudge/deploy"
	"nudge/engine"
	"nudge/operators/pipeline"
	"nudge/state"
)

// runFlags are the flags of `nudge run`.
type runFlags struct {
	file        string
	kafka       []string
	nats, dir   string
	summary     string
	metricsAddr string
	stale       string
	profile     string
	nodeOptions
}

func runCommand(log func() *zap.Logger) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a pipeline: events from Kafka, decisions to NATS",
		Long: `Run a pipeline: events from Kafka, decisions to NATS, state in a folder of its own.

Without -c the default pipeline runs (deploy/shop.yaml). A first SIGINT or SIGTERM drains: what was read is decided,
published and checkpointed. A second one ends at once; the next start continues exactly where this one was.
On SIGHUP the file is read again: if it is valid the node drains and goes on under it within the process, with the state of what both
have; with a fault, or if the node can't go on under it, the one in force stays.`,
		Example: `  nudge run                                            the default pipeline on localhost:9092 and localhost:4222
  nudge run -c shop.yaml --metrics-addr :9090          yours, with /metrics, /livez and /readyz
  nudge run -c shop.yaml --kafka k1:9092,k2:9092 --nats nats://n1:4222 --dir /var/lib/nudge
  nudge run -c shop.yaml --until-end --summary s.json  process what is there, write what was counted, end`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), log()) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "config", "c", "", "pipeline `FILE` (default: the built-in deploy/shop.yaml)")
	fs.StringSliceVar(&f.kafka, "kafka", nil, "Kafka brokers `HOST:PORT,...`, in place of the file's")
	fs.StringVar(&f.nats, "nats", "", "NATS `URL`, in place of the file's")
	fs.StringVar(&f.dir, "dir", "", "state folder `DIR`, in place of the file's")
	fs.BoolVar(&f.untilEnd, "until-end", false, "stop at the end offsets found at the start")
	fs.BoolVar(&f.flush, "flush", false, "with --until-end: move event time to the end of the log when all is read, after the last checkpoint")
	fs.StringVar(&f.summary, "summary", "", "with --until-end: write what was counted to `FILE`, as JSON")
	fs.StringVar(&f.stale, "stale", "withhold", "what becomes of decisions that had expired when their event arrived: `withhold|act`; act is for replays and benchmarks")
	fs.StringVar(&f.metricsAddr, "metrics-addr", "", "serve /metrics, /livez and /readyz on `ADDR`")
	fs.BoolVar(&f.takeOver, "take-over", false, "wait until another owner's lease has ended")
	fs.BoolVar(&f.adopt, "adopt", false, "go on from a state folder that the stream's marker does not know: suppress decisions by id only, put closed windows out again")
	fs.BoolVar(&f.acceptGap, "accept-gap", false, "go on where the log begins if records were removed before they were read")
	fs.StringVar(&f.profile, "cpu-profile", "", "write a CPU profile of the run to `FILE`, for go tool pprof")
	fs.IntVar(&f.workers, "workers", runtime.NumCPU(), "shards folded side by side, at most; it changes no result")
	return cmd
}

func (f *runFlags) load() (*pipeline.Config, error) {
	var c *pipeline.Config
	var err error
	if f.file != "" {
		c, err = pipeline.Load(f.file)
	} else {
		var faults pipeline.Faults
		c, faults = pipeline.Parse("deploy/shop.yaml", deploy.Shop)
		err = faults.Err()
	}
	if err != nil {
		return nil, err
	}
	return c.With(pipeline.Overrides{Brokers: f.kafka, NATS: f.nats, Dir: f.dir}), nil
}

func (f *runFlags) run(parent context.Context, log *zap.Logger) error {
	switch f.stale {
	case "act":
		f.actOnStale = true
	case "withhold":
	default:
		return usageError{fmt.Errorf("--stale: want withhold or act, got %q", f.stale)}
	}
	if f.summary != "" && !f.untilEnd || f.flush && !f.untilEnd {
		return usageError{errors.New("--summary and --flush go with --until-end")}
	}
	if f.workers < 1 {
		return usageError{fmt.Errorf("--workers %d: want at least 1", f.workers)}
	}
	if f.summary != "" { // a whole log would be processed before it is written
		file, err := os.OpenFile(f.summary, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("--summary: %w", err)
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("--summary: %w", err)
		}
	}
	config, err := f.load()
	if err != nil {
		return err
	}
	f.config = config
	ctx, kill, stop := drainOnSignal(parent, log)
	defer stop()
	stopProfile, err := profileCPU(f.profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	started := time.Now()
	page, err := servePage(f.metricsAddr, log)
	if err != nil {
		return err
	}
	defer page.stop()
	err = f.runAll(ctx, kill, page, started, log)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil && kill.Err() == nil && !f.untilEnd {
		log.Info("ended before the brokers answered", zap.NamedError("waited_for", err))
		return nil
	}
	return err
}

// runOnce runs a node until ctx ends. took says whether it got as far as to live under its pipeline.
func (f *runFlags) runOnce(ctx, kill context.Context, page *page, started time.Time, log *zap.Logger) (took bool, err error) {
	f.waits = page.early.tell
	n, err := openNode(ctx, f.nodeOptions, log) // nothing is read yet: the first signal ends what it waits for
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	page.show(n)
	stopServing, err := n.serve(log)
	if err != nil {
		return false, err
	}
	defer stopServing()
	if err := n.node.Run(ctx, kill); err != nil {
		return n.node.Lived(), err
	}
	if f.summary == "" {
		return true, nil
	}
	return true, n.writeSummary(f.summary, started)
}

// profileCPU writes a CPU profile to a file until stop is called; to none without a path.
func profileCPU(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, fmt.Errorf("--cpu-profile: %w", errors.Join(err, file.Close()))
	}
	return func() {
		pprof.StopCPUProfile()
		file.Close()
	}, nil
}

// drainOnSignal returns a context that the first SIGINT or SIGTERM ends, and one that the second ends.
func drainOnSignal(parent context.Context, log *zap.Logger) (ctx, kill context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	kill, cancelKill := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for _, end := range []context.CancelFunc{cancel, cancelKill} {
			select {
			case s := <-signals:
				log.Info("ending", zap.Stringer("signal", s))
				end()
			case <-done:
				return
			}
		}
	}()
	return ctx, kill, func() {
		signal.Stop(signals)
		close(done)
		cancel()
		cancelKill()
	}
}

// summary is what --summary writes.
type summary struct {
	Events         int64            `json:"events"`
	Decisions      map[string]int64 `json:"decisions"` // by kind
	Withheld       map[string]int64 `json:"withheld"`  // of them with action none, by reason
	Dead           map[string]int64 `json:"dead"`      // by reason
	Results        map[string]int64 `json:"results"`   // closed windows, by output
	Counters       map[string]int64 `json:"counters"`
	Late           int64            `json:"late"`
	Duplicates     int64            `json:"duplicates"`
	Stale          int64            `json:"stale"`
	WallSeconds    float64          `json:"wall_seconds"`
	CPUSeconds     float64          `json:"cpu_seconds"`
	CPUSecondsWork float64          `json:"cpu_seconds_work"` // from the first record to the last marker and the closing checkpoint
	PeakRSSBytes   int64            `json:"peak_rss_bytes"`
	Epochs         int64            `json:"epochs"`
	Checkpoints    int64            `json:"checkpoints"`
	StateBytes     int64            `json:"state_bytes,omitempty"` // on disk; not of a replay whose state is not kept
	StateHash      string           `json:"state_hash,omitempty"`  // over all rows of the last checkpoint
}

func (n *opened) writeSummary(path string, started time.Time) error {
	r := n.node.Report()
	s := newSummary(&r.Counts, started)
	s.CPUSecondsWork, s.Epochs, s.Checkpoints = r.CPUWork.Seconds(), r.Epochs, r.Checkpoints
	if err := s.state(n.store); err != nil {
		return err
	}
	return s.write(path)
}

func newSummary(c *engine.Counts, started time.Time) *summary {
	if c.Results == nil {
		c.Results = map[string]int64{}
	}
	return &summary{
		Events: c.Events, Decisions: c.ByKind(), Withheld: c.Withheld, Dead: c.Dead, Results: c.Results, Counters: c.Named,
		Late: c.Late, Duplicates: c.Duplicates, Stale: c.Stale,
		WallSeconds: time.Since(started).Seconds(), CPUSeconds: cpuTime().Seconds(), PeakRSSBytes: peakRSS(),
	}
}

// state says what the store holds.
func (s *summary) state(store *state.Store) error {
	hash, _, _, err := store.Hash()
	if err != nil {
		return err
	}
	s.StateHash = fmt.Sprintf("%016x", hash)
	s.StateBytes, err = store.SizeOnDisk()
	return err
}

func (s *summary) write(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// cpuTime is the CPU time that the process has used, threadTime what the present thread has.
func cpuTime() time.Duration    { return clockTime(unix.CLOCK_PROCESS_CPUTIME_ID) }
func threadTime() time.Duration { return clockTime(unix.CLOCK_THREAD_CPUTIME_ID) }

func clockTime(clock int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(clock, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func peakRSS() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Maxrss * 1024
}
