package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"
	"go.uber.org/zap"

	"nudge/engine"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams/nats"
)

// ask asks the running node of a pipeline.
func (c *cli) ask(ctx context.Context, config *pipeline.Config, endpoint string, data []byte, within time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := openNATS(ctx, &config.NATS, "nudge "+endpoint, quiet(c.log), nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer, err := conn.Request(ctx, nats.APIGroup(config.App)+"."+endpoint, data)
	if errors.Is(err, nats.ErrNobody) {
		return nil, fmt.Errorf("%w: start the node of app %s; nudge inspect --dir DIR looks into the folder of a stopped one", err, config.App)
	}
	return answer, err
}

// openStore opens the state folder of a stopped node.
func openStore(config *pipeline.Config, log *zap.Logger) (v *view, closeAll func() error, err error) {
	if _, err := os.Stat(filepath.Join(config.Dir, "nudge.json")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s is no state folder: name the one that nudge run was given with --dir", config.Dir)
	}
	v = &view{}
	if v.store, err = state.Open(config.Dir, state.Options{App: config.App, Build: build(), Logger: log.Named("state")}); err != nil {
		if errors.Is(err, state.ErrInUse) {
			err = fmt.Errorf("%w: a node runs on it; leave --dir out to ask the node", err)
		}
		return nil, nil, err
	}
	if v.replayed() {
		return v, v.store.Close, nil
	}
	v.journal, err = state.OpenJournal(v.store.JournalDir(), state.JournalHeader{App: config.App}, state.JournalOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, errors.Join(err, v.store.Close())
	}
	return v, func() error { return errors.Join(v.journal.Close(), v.store.Close()) }, nil
}

// replayed says whether the state is one that replay kept: it has no journal beside it.
func (v *view) replayed() bool {
	_, err := os.Stat(v.store.JournalDir())
	return !v.store.Empty() && errors.Is(err, fs.ErrNotExist)
}

// journalEnd is the last epoch of the journal; that of the checkpoint where there is no journal.
func (v *view) journalEnd(checkpoint uint64) uint64 {
	if v.journal == nil {
		return checkpoint
	}
	last, _ := v.journal.Last()
	return last
}

// openFolder opens the state folder of a stopped node as of its last checkpoint, with an engine that can be asked.
func openFolder(config *pipeline.Config, log *zap.Logger) (v *view, closeAll func() error, err error) {
	if v, closeAll, err = openStore(config, log); err != nil {
		return nil, nil, err
	}
	if err := v.build(config, log); err != nil {
		return nil, nil, errors.Join(err, closeAll())
	}
	return v, closeAll, nil
}

// build makes the engine of the last checkpoint.
func (v *view) build(config *pipeline.Config, log *zap.Logger) error {
	if v.store.Empty() {
		return fmt.Errorf("%s holds no complete checkpoint yet: start the node", config.Dir)
	}
	m, err := engine.ReadMeta(v.store.Meta())
	if err != nil {
		return err
	}
	compiled, program, err := compile(m.Setup, config)
	if err != nil {
		return err
	}
	v.program = program
	if v.engine, err = engine.New(compiled.Engine, compiled.Program, v.store); err != nil {
		return err
	}
	if last := v.journalEnd(m.Epoch); last > m.Epoch {
		log.Info("as of the last checkpoint; the journal goes on and is folded again at the next start", zap.Uint64("epoch", m.Epoch), zap.Uint64("journal", last))
	}
	return nil
}

// printAnswer prints a JSON document as it is, or for people.
func printAnswer(w io.Writer, answer []byte, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", bytes.TrimSpace(answer))
		return err
	}
	text, err := yaml.JSONToYAML(answer)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs of strings and numbers: it cannot be
	}
	return b
}
