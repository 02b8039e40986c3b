package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"nudge/operators/pipeline"
)

// runAll runs a node, and after each SIGHUP one under the file as it then is.
func (f *runFlags) runAll(ctx, kill context.Context, page *page, started time.Time, log *zap.Logger) error {
	if f.untilEnd || f.file == "" {
		_, err := f.runOnce(ctx, kill, page, started, log)
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	var before *pipeline.Config // in force until the last SIGHUP
	for {
		running, end := context.WithCancel(ctx)
		next := make(chan *pipeline.Config, 1)
		go func() {
			next <- f.changed(running, hangups, log)
			end()
		}()
		took, err := f.runOnce(running, kill, page, started, log)
		end()
		changed := <-next
		switch {
		case err != nil && before != nil && !took && ctx.Err() == nil:
			log.Error("the node can't go on under the changed pipeline; the one before stays in force", zap.String("file", f.file), zap.Error(err))
			f.config, before = before, nil
		case err != nil || changed == nil || ctx.Err() != nil:
			return err
		default:
			before, f.config = f.config, changed
		}
	}
}

// changed waits for a SIGHUP that finds another valid pipeline in the file and returns it; nil when ctx ends first.
func (f *runFlags) changed(ctx context.Context, hangups <-chan os.Signal, log *zap.Logger) *pipeline.Config {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangups:
		}
		c, err := f.load()
		switch {
		case err != nil:
			log.Error("the changed pipeline has faults; the one in force stays", zap.String("file", f.file), zap.Error(err))
		case bytes.Equal(c.Text(), f.config.Text()):
			log.Info("the pipeline has not changed", zap.String("file", f.file))
		default:
			log.Info("the pipeline has changed: draining, to go on under it", zap.String("file", f.file))
			return c
		}
	}
}
