package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nudge/engine"
	"nudge/state"
	"nudge/streams"
	"nudge/streams/files"
)

const (
	beside      = ".nudge"
	aboutFile   = "recording.json"
	journalPart = "journal"
	startPart   = "start"
)

// About is what recording.json says.
type About struct {
	App   string       `json:"app"`
	Build string       `json:"build"`
	Setup engine.Setup `json:"setup"`           // when it was recorded
	Epoch uint64       `json:"epoch,omitempty"` // the last one of the journal that was recorded; 0: none was
	// Erased lists the customers who had been erased, by their keys: 'u' or 'a' and the id.
	Erased []string `json:"erased,omitempty"`
}

// Recording is a folder of recorded topics.
type Recording struct {
	Dir   string
	Log   *files.Log
	About *About // nil where there is only an event log
}

// Open opens a recording.
func Open(dir string) (*Recording, error) {
	log, err := files.Open(dir)
	if err != nil {
		return nil, err
	}
	r := &Recording{Dir: dir, Log: log}
	text, err := os.ReadFile(r.path(aboutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	r.About = &About{}
	if err := json.Unmarshal(text, r.About); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, r.path(aboutFile), err)
	}
	return r, nil
}

func (r *Recording) path(part string) string { return filepath.Join(r.Dir, beside, part) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// HasJournal says whether the journal was recorded.
func (r *Recording) HasJournal() bool { return exists(r.path(journalPart)) }

// HasStart says whether the journal goes on from a backup.
func (r *Recording) HasStart() bool { return exists(r.path(startPart)) }

// CheckJournal says whether the journal that was recorded is there, whole.
func (r *Recording) CheckJournal() error {
	if r.About == nil || r.About.Epoch == 0 {
		return nil
	}
	if !r.HasJournal() {
		return fmt.Errorf("%w: %s is missing: export again, or leave the journal out with --no-journal, which cuts epochs anew", ErrDamaged, r.path(journalPart))
	}
	journal, err := r.Journal()
	if err != nil {
		return err
	}
	if last, _ := journal.Last(); last < r.About.Epoch {
		err = fmt.Errorf("%w: %s ends at epoch %d, %d were recorded: export again, or leave the journal out with --no-journal", ErrDamaged, r.path(journalPart), last, r.About.Epoch)
	}
	return errors.Join(err, journal.Close())
}

// ErrDamaged says that a recording is not what was recorded.
var ErrDamaged = errors.New("the recording is damaged")

// Journal opens the recorded journal; nothing can be written to it.
func (r *Recording) Journal() (*state.Journal, error) {
	return state.OpenJournal(r.path(journalPart), state.JournalHeader{}, state.JournalOptions{ReadOnly: true})
}

// Start makes a state folder of the state that the recording begins with. With a journal that is the checkpoint which the
// journal goes on from, without one it is the empty state.
func (r *Recording) Start(dir string, o state.Options) (*state.Store, error) {
	if r.HasJournal() && exists(r.path(startPart)) {
		if _, err := state.Restore(r.path(startPart), dir, o); err != nil {
			return nil, err
		}
	}
	return state.Open(dir, o)
}

// Topic describes a recorded topic as the broker did; one that was not recorded has no partitions.
func (r *Recording) Topic(name string, catalog bool) engine.Topic {
	t := engine.Topic{Topic: name, Catalog: catalog, Partitions: r.Log.Partitions(name), LogAppendTime: true}
	if r.About != nil {
		for _, was := range r.About.Setup.Inputs {
			if was.Topic == name {
				t.ID, t.LogAppendTime = was.ID, was.LogAppendTime
			}
		}
	}
	return t
}

// Offsets gives the first recorded offset of a partition and the one after the last.
func (r *Recording) Offsets(_ context.Context, topic string, partition int32) (start, end int64, err error) {
	return r.Log.Offsets(topic, partition)
}

// Fetcher reads a partition. An offset that was not recorded is the error of the first Fetch.
func (r *Recording) Fetcher(topic string, partition int32, from int64) *Fetcher {
	f, err := r.Log.Fetcher(topic, partition, from)
	return &Fetcher{f, err}
}

// Fetcher reads a recorded partition in order.
type Fetcher struct {
	from *files.Fetcher
	err  error
}

// Fetch returns the records that follow.
func (f *Fetcher) Fetch(ctx context.Context) (streams.Batch, error) {
	if f.err != nil {
		return streams.Batch{}, f.err
	}
	return f.from.Fetch(ctx)
}

// Close ends reading. Nothing is lost by a file that can't be closed.
func (f *Fetcher) Close() {
	if f.err == nil {
		_ = f.from.Close()
	}
}

// Erased lists the customers who are to be passed over: those who had been erased when it was recorded, and those whose
// erasure is part of the log, and how often it is.
func (r *Recording) Erased(ctx context.Context, inputs []engine.Input) (erased map[string]bool, times map[string]int, err error) {
	erased, times = map[string]bool{}, map[string]int{}
	if r.About != nil {
		for _, key := range r.About.Erased {
			erased[key] = true
		}
	}
	var event streams.Event
	for _, in := range inputs {
		if in.Catalog {
			continue
		}
		d := in.NewDecoder()
		for p := range int32(in.Partitions) {
			start, end, err := r.Log.Offsets(in.Topic.Topic, p)
			if err != nil {
				return nil, nil, err
			}
			f := r.Fetcher(in.Topic.Topic, p, start)
			defer f.Close()
			for next := start; next < end; {
				batch, err := f.Fetch(ctx)
				if err != nil {
					return nil, nil, err
				}
				next = batch.Next
				for i := range batch.Records {
					if d.Decode(&batch.Records[i], &event) != nil || event.Type != streams.UserErased {
						continue
					}
					key := "a" + event.Anon
					if event.User != "" {
						key = "u" + event.User
					}
					erased[key] = true
					times[key]++
				}
			}
		}
	}
	return erased, times, nil
}
