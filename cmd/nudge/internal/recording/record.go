package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"nudge/engine"
	"nudge/state"
	"nudge/streams/files"
	"nudge/streams/kafka"
)

// Plan is what to record.
type Plan struct {
	Dir    string
	About  About
	Client *kafka.Client
	// Journal is the folder of the node's journal, "" to leave it out; Start is a backup that it goes on from, "" where it begins
	// with the first epoch.
	Journal, Start string
	// Progress is told how many records of how many are recorded. It is called from several goroutines.
	Progress func(done, total int64)
}

// Record records the topics of the setup up to where they end now. A folder that was recorded before goes on where it ended.
func Record(ctx context.Context, p Plan) error {
	if err := os.MkdirAll(filepath.Join(p.Dir, beside), 0o755); err != nil {
		return err
	}
	from := map[string]map[int32]int64{}
	if p.Journal != "" {
		var err error
		if from, err = p.copyJournal(); err != nil {
			return err
		}
	}
	if err := p.copyTopics(ctx, from); err != nil {
		return err
	}
	text, err := json.MarshalIndent(&p.About, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.Dir, beside, aboutFile), append(text, '\n'), 0o644)
}

// copyJournal copies the journal and the backup that it goes on from, and says at which offsets the records begin that they
// need; nil stands for the beginning of the topics.
func (p *Plan) copyJournal() (from map[string]map[int32]int64, err error) {
	to := filepath.Join(p.Dir, beside, journalPart)
	if err := replaceFolder(p.Journal, to); err != nil {
		return nil, fmt.Errorf("copy the journal: %w", err)
	}
	journal, err := state.OpenJournal(to, state.JournalHeader{App: p.About.App}, state.JournalOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer journal.Close()
	p.About.Epoch, _ = journal.Last()
	if p.Start == "" {
		if first := journal.First(); first > 1 {
			return nil, fmt.Errorf("the journal begins at epoch %d: name a backup that it goes on from with --from, or leave the journal out with --no-journal", first)
		}
		return nil, nil
	}
	info, err := state.ReadBackup(p.Start)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(p.Start, "meta"))
	if err != nil {
		return nil, err
	}
	meta, err := engine.ReadMeta(text)
	if err != nil {
		return nil, err
	}
	if id := journal.Header().ID; info.Journal != id || meta.Epoch+1 < journal.First() {
		return nil, fmt.Errorf("the backup %s is of epoch %d of journal %s, the journal %s begins at epoch %d: name a backup of this journal that reaches that far", p.Start, meta.Epoch, info.Journal, id, journal.First())
	}
	if err := replaceFolder(p.Start, filepath.Join(p.Dir, beside, startPart)); err != nil {
		return nil, fmt.Errorf("copy the backup: %w", err)
	}
	return meta.Offsets, nil
}

// copyTopics records every topic to where it ends now.
func (p *Plan) copyTopics(ctx context.Context, from map[string]map[int32]int64) error {
	var done, total atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	var copies []func() error
	for _, t := range p.About.Setup.Inputs {
		if t.Partitions == 0 {
			continue
		}
		ranges, err := p.Client.AllOffsets(ctx, t.Topic)
		if err != nil {
			return err
		}
		for id, r := range ranges {
			begin := r.Start
			if at, ok := from[t.Topic][int32(id)]; ok && !t.Catalog {
				if at < r.Start {
					return fmt.Errorf("%s/%d begins at %d, the backup needs it from %d on: those records are gone; name a later backup", t.Topic, id, r.Start, at)
				}
				begin = at
			}
			w, err := files.Create(p.Dir, t.Topic, int32(id), begin)
			if err != nil { // it was recorded before: go on there
				if w, err = files.Create(p.Dir, t.Topic, int32(id), -1); err != nil {
					return err
				}
			}
			if next := w.Next(); next < r.Start {
				return errors.Join(fmt.Errorf("%s/%d is recorded up to %d and begins at %d now: the records between are gone; record into an empty folder", t.Topic, id, next, r.Start), w.Close())
			}
			total.Add(max(r.End-w.Next(), 0))
			copies = append(copies, func() error {
				return p.copyPartition(ctx, w, t.Topic, int32(id), r.End, func(n int64) {
					if sum := done.Add(n); p.Progress != nil {
						p.Progress(sum, total.Load())
					}
				})
			})
		}
	}
	for _, f := range copies {
		group.Go(f)
	}
	return group.Wait()
}

func (p *Plan) copyPartition(ctx context.Context, w *files.Writer, topic string, id int32, end int64, did func(int64)) (err error) {
	defer func() { err = errors.Join(err, w.Close()) }()
	f := p.Client.Fetcher(topic, id, w.Next())
	defer f.Close()
	for next := w.Next(); next < end; {
		batch, err := f.Fetch(ctx)
		if err != nil {
			return err
		}
		if err := w.Write(batch); err != nil {
			return err
		}
		did(batch.Next - next)
		next = batch.Next
	}
	return nil
}

// replaceFolder makes to a copy of the files of from. A file that goes away meanwhile was trimmed: it is tried again.
func replaceFolder(from, to string) error {
	for attempt := 0; ; attempt++ {
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		err := os.CopyFS(to, os.DirFS(from))
		if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, io.ErrUnexpectedEOF) || attempt == 3 {
			return err
		}
	}
}
