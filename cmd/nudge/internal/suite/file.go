package suite

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

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
	Features     map[string]any            `yaml:"features"`
	Items        map[string]map[string]any `yaml:"items"` // features of items
	Audiences    []string                  `yaml:"audiences"`
	NotAudiences []string                  `yaml:"not_audiences"`
	Decisions    []ExpectDecision          `yaml:"decisions"`    // each must be there
	NoDecisions  []string                  `yaml:"no_decisions"` // names of which there must be none
	Silent       bool                      `yaml:"silent"`       // no decision at all
	Windows      []ExpectWindow            `yaml:"windows"`
	Refused      string                    `yaml:"refused"` // the reason for which the event must be refused
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

// Load reads a file and its pipeline. An error names the place.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, Start: "2026-01-05"}
	at := func(err error) error { return fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true)) }
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("%s: it is empty: want pipeline and cases, as deploy/TESTING.md says", path)
	}
	if f.tree, err = parser.ParseBytes(text, 0); err != nil {
		return nil, at(err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(f); err != nil {
		return nil, at(err)
	}
	if f.Pipeline == "" {
		return nil, fmt.Errorf("%s: pipeline is missing: name the file that is tested, such as pipeline: shop.yaml", path)
	}
	if f.config, err = pipeline.Load(filepath.Join(filepath.Dir(path), f.Pipeline)); err != nil {
		return nil, err
	}
	if f.zone, err = time.LoadLocation(f.config.Deciders.Timezone); err != nil {
		return nil, err
	}
	if f.day, err = time.ParseInLocation(time.DateOnly, f.Start, f.zone); err != nil {
		return nil, f.fault("$.start", "%q is no day: want one such as 2026-01-05", f.Start)
	}
	if len(f.Cases) == 0 {
		return nil, fmt.Errorf("%s: no cases", path)
	}
	names := map[string]bool{}
	for i := range f.Cases {
		c := &f.Cases[i]
		key := fmt.Sprintf("$.cases[%d]", i)
		switch {
		case c.Name == "":
			return nil, f.fault(key, "a case without a name")
		case names[c.Name]:
			return nil, f.fault(key+".name", "there is a case %q already", c.Name)
		case len(c.Events) == 0:
			return nil, f.fault(key, "a case without events")
		}
		names[c.Name] = true
		if err := f.checkExpectations(key, c); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// checkExpectations refuses what could never fail: a case that expects nothing, and names that the pipeline does not have.
func (f *File) checkExpectations(key string, c *Case) error {
	d := &f.config.Deciders
	deciders := slices.Concat(slices.Collect(maps.Keys(d.Recommenders)), slices.Collect(maps.Keys(d.Offers)), slices.Collect(maps.Keys(d.Churn)), slices.Collect(maps.Keys(d.Audiences)))
	expects := false
	for i := range c.Events {
		x, at := c.Events[i].Expect, fmt.Sprintf("%s.events[%d].expect", key, i)
		if x == nil {
			continue
		}
		expects = true
		for _, list := range []struct {
			key   string
			names []string
			known []string
			what  string
		}{
			{"no_decisions", x.NoDecisions, deciders, "decider or audience"},
			{"audiences", x.Audiences, slices.Collect(maps.Keys(d.Audiences)), "audience"},
			{"not_audiences", x.NotAudiences, slices.Collect(maps.Keys(d.Audiences)), "audience"},
			{"features", slices.Collect(maps.Keys(x.Features)), slices.Collect(maps.Keys(d.Features)), "feature"},
		} {
			for k, name := range list.names {
				if !slices.Contains(list.known, name) && !(list.key == "features" && derived(name, list.known)) {
					return f.fault(fmt.Sprintf("%s.%s[%d]", at, list.key, k), "%q: the pipeline has no such %s, but %s", name, list.what, strings.Join(slices.Sorted(slices.Values(list.known)), ", "))
				}
			}
		}
	}
	if !expects {
		return f.fault(key, "case %q expects nothing: add expect to an event", c.Name)
	}
	return nil
}

// derived says whether a name is one that a feature brings with it, such as user.spend.rank of user.spend, or of another entity.
func derived(name string, known []string) bool {
	return slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(name, k) })
}

// fault is an error at a place of the file.
func (f *File) fault(key, format string, args ...any) error {
	return fmt.Errorf("%s: %s", f.place(key), fmt.Sprintf(format, args...))
}

// place is file:line:column of a key, or of the nearest one above it that is there.
func (f *File) place(key string) string {
	for ; key != "" && key != "$"; key = key[:strings.LastIndexAny(key, ".[")] {
		path, err := yaml.PathString(key)
		if err != nil {
			continue
		}
		if node, err := path.FilterFile(f.tree); err == nil && node != nil {
			at := node.GetToken().Position
			if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
				at = m.Values[0].Key.GetToken().Position
			}
			return fmt.Sprintf("%s:%d:%d", f.path, at.Line, at.Column)
		}
	}
	return f.path
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
