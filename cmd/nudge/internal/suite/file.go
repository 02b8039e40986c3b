package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"nudge/cmd/nudge/internal/sandbox"
	"nudge/operators/feature"
	"nudge/operators/pipeline"
)

// File is a file of tests.
type File struct {
	Pipeline string           `yaml:"pipeline"` // beside it
	Start    string           `yaml:"start"`    // day 1; a Monday unless it is given
	Catalog  []map[string]any `yaml:"catalog"`  // of all cases
	Cases    []Case           `yaml:"cases"`

	path   string
	tree   *ast.File
	config *pipeline.Config
	zone   *time.Location
	day    time.Time

	quantiles map[string]bool // see quantiles
}

// Case is one test.
type Case struct {
	Name    string           `yaml:"name"`
	Catalog []map[string]any `yaml:"catalog"`
	Events  []Step           `yaml:"events"`
}

// Step is an event, or, without a type, time that passes, and what must follow.
type Step struct {
	At       string           `yaml:"at" json:"-"`
	ID       string           `yaml:"id" json:"id"`
	Type     string           `yaml:"type" json:"type"`
	Time     string           `yaml:"-" json:"time"`
	User     string           `yaml:"user" json:"user,omitempty"`
	Anon     string           `yaml:"anon" json:"anon,omitempty"`
	Session  string           `yaml:"session" json:"session,omitempty"`
	Item     string           `yaml:"item" json:"item,omitempty"`
	Price    *float64         `yaml:"price" json:"price,omitempty"`
	Quantity *int             `yaml:"quantity" json:"quantity,omitempty"`
	Items    []map[string]any `yaml:"items" json:"items,omitempty"`
	Value    *float64         `yaml:"value" json:"value,omitempty"`
	Currency string           `yaml:"currency" json:"currency,omitempty"`
	Decision string           `yaml:"decision" json:"decision,omitempty"`
	Context  map[string]any   `yaml:"context" json:"context,omitempty"`
	Props    map[string]any   `yaml:"props" json:"props,omitempty"`
	Expect   *Expect          `yaml:"expect" json:"-"`
}

// Expect is what must follow from a step.
type Expect struct {
	Customer     string                    `yaml:"customer"` // whom it is about; the event's unless it is given
	Features     map[string]any            `yaml:"features"` // of user_category: by category
	Items        map[string]map[string]any `yaml:"items"`    // features of items
	Audiences    []string                  `yaml:"audiences"`
	NotAudiences []string                  `yaml:"not_audiences"`
	Decisions    []ExpectDecision          `yaml:"decisions"`    // each must be there
	NoDecisions  []string                  `yaml:"no_decisions"` // names of which there must be none
	Silent       bool                      `yaml:"silent"`       // no decision at all
	Windows      []ExpectWindow            `yaml:"windows"`
	Refused      string                    `yaml:"refused"`     // the reason for which the event must be refused
	PassedOver   string                    `yaml:"passed_over"` // the reason for which it must be passed over
}

// ExpectDecision is a decision that must be there; what is not given may be anything.
type ExpectDecision struct {
	Name     string         `yaml:"name"`
	Kind     string         `yaml:"kind"`
	Action   string         `yaml:"action"`
	User     string         `yaml:"user"`
	Items    []string       `yaml:"items"`     // among those that are shown
	NotItems []string       `yaml:"not_items"` // not among them
	Reason   string         `yaml:"reason"`    // a code among the decision's or its items'
	Offer    map[string]any `yaml:"offer"`
	Features map[string]any `yaml:"features"` // logged with it
}

// ExpectWindow is a closed window that must be there.
type ExpectWindow struct {
	Output   string         `yaml:"output"`
	Window   string         `yaml:"window"`
	Features map[string]any `yaml:"features"`
}

// Load reads a file and its pipeline. An error names the places of all faults.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, Start: "2026-01-05"}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("%s: it is empty: want pipeline and cases, as deploy/TESTING.md says", path)
	}
	if f.tree, err = parser.ParseBytes(text, 0); err != nil {
		return nil, f.located(err)
	}
	faults := f.decode(text)
	switch {
	case f.Pipeline == "":
		faults = append(faults, fmt.Errorf("%s: pipeline is missing: name the file that is tested, such as pipeline: shop.yaml", path))
	default:
		if f.config, err = pipeline.Load(filepath.Join(filepath.Dir(path), f.Pipeline)); err != nil {
			if errors.Is(err, fs.ErrNotExist) && len(faults) == 0 {
				return nil, err
			}
			faults = append(faults, err)
		}
	}
	if f.config == nil {
		return nil, errors.Join(faults...)
	}
	more, err := f.check(len(faults) > 0)
	if err != nil {
		return nil, err
	}
	if faults = append(faults, more...); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return f, nil
}

// check looks at all cases before one is run, and returns what is wrong with them. Of a file that is spoilt, with keys that were not read, nothing is
// said that may follow from that.
func (f *File) check(spoilt bool) (faults []error, err error) {
	if f.zone, err = time.LoadLocation(f.config.Deciders.Timezone); err != nil {
		return nil, err
	}
	if f.day, err = time.ParseInLocation(time.DateOnly, f.Start, f.zone); err != nil {
		faults = append(faults, f.fault("$.start", "%q is no day: want one such as 2026-01-05", f.Start))
		f.day = time.Date(2026, 1, 5, 0, 0, 0, 0, f.zone)
	}
	if len(f.Cases) == 0 {
		faults = append(faults, fmt.Errorf("%s: no cases", f.path))
	}
	box, err := sandbox.New(f.config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	k := &checking{File: f, box: box, features: box.Program.FeatureNames(), faults: faults, spoilt: spoilt}
	f.quantiles = quantiles(&f.config.Deciders, k.features)
	k.catalog("$", f.Catalog)
	names := map[string]bool{}
	for i := range f.Cases {
		c := &f.Cases[i]
		key := fmt.Sprintf("$.cases[%d]", i)
		switch {
		case c.Name == "":
			k.fault(key, "a case without a name")
		case names[c.Name]:
			k.fault(key+".name", "there is a case %q already", c.Name)
		}
		names[c.Name] = true
		k.catalog(key, c.Catalog)
		if len(c.Events) == 0 {
			k.fault(key, "a case without events")
			continue
		}
		k.steps(key, c)
	}
	return k.faults, nil
}

// fault is an error at a place of the file.
func (f *File) fault(key, format string, args ...any) error {
	return fmt.Errorf("%s: %s", f.place(key), fmt.Sprintf(format, args...))
}

// stepTime is when a step is, or why that can't be.
func (f *File) stepTime(key string, s *Step, before time.Time) (time.Time, error) {
	now, err := f.timeOf(s.At, before)
	if err != nil {
		return before, f.fault(key+".at", "%v", err)
	}
	if s.Type == "" && now.Before(before) {
		return before, f.fault(key+".at", "%q is before the step above, and without an event: time does not go back; want a later time, or an event that comes late", s.At)
	}
	return now, nil
}

// record is a step's event.
func (s *Step) record(number int, at time.Time) ([]byte, error) {
	event := *s
	event.Time = at.UTC().Format("2006-01-02T15:04:05.000Z")
	if event.ID == "" {
		event.ID = fmt.Sprintf("e%d", number+1)
	}
	return json.Marshal(&event)
}

// itemRecord is the catalogue's record of an item.
func (f *File) itemRecord(key string, item map[string]any, number int) ([]byte, error) {
	props := maps.Clone(item)
	id, ok := item["item"].(string)
	if !ok {
		return nil, f.fault(key, "an item without its id: want {item: SKU-1, price: 10, ...}")
	}
	delete(props, "item")
	record, err := json.Marshal(map[string]any{"id": fmt.Sprintf("c%d", number), "type": "item.upserted", "time": f.day.Format(time.RFC3339), "item": id, "props": props})
	if err != nil {
		return nil, f.fault(key, "%v", err)
	}
	return record, nil
}

var dayPattern = regexp.MustCompile(`^day (\d+)(?: (.+))?$`)

// timeOf reads a spelled time: 09:00, day 2 09:00, +30m, or a whole RFC 3339 one. Nothing is a second after the step before.
func (f *File) timeOf(spelled string, before time.Time) (time.Time, error) {
	clock := func(day time.Time, text string) (time.Time, bool) {
		for _, layout := range []string{"15:04", time.TimeOnly} {
			if t, err := time.Parse(layout, text); err == nil {
				return time.Date(day.Year(), day.Month(), day.Day(), t.Hour(), t.Minute(), t.Second(), 0, f.zone), true
			}
		}
		return time.Time{}, false
	}
	if spelled == "" {
		spelled = "+1s"
	}
	if span, ok := strings.CutPrefix(spelled, "+"); ok {
		var d feature.Duration
		if err := d.UnmarshalText([]byte(span)); err != nil {
			return time.Time{}, fmt.Errorf("%q: %w", spelled, err)
		}
		return before.Add(time.Duration(d)), nil
	}
	if m := dayPattern.FindStringSubmatch(spelled); m != nil {
		n, err := strconv.Atoi(m[1])
		text := m[2]
		if text == "" {
			text = "00:00"
		}
		if t, ok := clock(f.day.AddDate(0, 0, n-1), text); ok && err == nil && n > 0 {
			return t, nil
		}
	} else if t, ok := clock(before.In(f.zone), spelled); ok {
		return t, nil
	} else if t, err := time.Parse(time.RFC3339, spelled); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: want 09:00, 09:00:30, day 2 09:00, +30m, +3d or 2026-01-05T09:00:00Z", spelled)
}
