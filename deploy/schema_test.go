package deploy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"nudge/operators/pipeline"
	"nudge/streams"
	"nudge/streams/simulate"
)

func compiled(t *testing.T, write func() ([]byte, error)) *jsonschema.Schema {
	t.Helper()
	text, err := write()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource("nudge.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("nudge.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func instance(t *testing.T, text []byte) any {
	t.Helper()
	x, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return x
}

// The schema of pipelines takes every pipeline that nudge takes, and refuses what is wrong with a key by itself.
func TestPipelineSchema(t *testing.T) {
	s := compiled(t, pipeline.JSONSchema)
	validate := func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return s.Validate(instance(t, asJSON))
	}
	checked := 0
	for _, pattern := range []string{"*.yaml", "bench/*.yaml", "../operators/pipeline/testdata/*.good.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if text, err := os.ReadFile(path); err != nil || !regexp.MustCompile(`(?m)^app:`).Match(text) {
				continue // no pipeline
			}
			if err := validate(path); err != nil {
				t.Errorf("%s is valid, the schema says: %v", path, err)
			}
			checked++
		}
	}
	if checked < 15 {
		t.Errorf("only %d pipelines were checked", checked)
	}
	for _, bad := range []string{"app_missing", "app_misspelt", "bare", "bytes_bad_unit", "bytes_without_unit", "duration_bad_unit", "duration_negative", "duration_without_unit", "enum",
		"enum_in_list", "enum_unlike", "feature_names", "out_of_range_float", "out_of_range_high", "out_of_range_low", "secret_inline", "unknown_key", "unknown_key_in_flow",
		"unknown_key_inside", "version_missing", "when_missing", "wrong_type_list_for_text", "wrong_type_section", "wrong_type_text"} {
		if validate("../operators/pipeline/testdata/"+bad+".bad.yaml") == nil {
			t.Errorf("the schema takes %s", bad)
		}
	}
}

// The schema of events takes what the decoder takes of a simulated shop, and refuses what lacks a field.
func TestEventSchema(t *testing.T) {
	s := compiled(t, streams.EventSchema)
	shop := simulate.Default().Clean()
	shop.Shoppers, shop.Items, shop.Start = 100, 50, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	world, err := simulate.New(shop)
	if err != nil {
		t.Fatal(err)
	}
	d := streams.NewDecoder(streams.Native)
	types := map[string]bool{}
	for range 3000 {
		r := world.Next()
		var e streams.Event
		if f := d.Decode(&streams.Record{Value: r.Value}, &e); f != nil {
			t.Fatalf("%s: %v", r.Value, f)
		}
		if err := s.Validate(instance(t, r.Value)); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		types[e.Name] = true
		var fields map[string]any
		if err := json.Unmarshal(r.Value, &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields { // whatever is left out: both take it, or neither does
			value := fields[name]
			delete(fields, name)
			text, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			fields[name] = value
			refused := d.Decode(&streams.Record{Value: text}, &e)
			if invalid := s.Validate(instance(t, text)); (invalid != nil) != (refused != nil) {
				t.Fatalf("%s\nthe decoder: %v\nthe schema: %v", text, refused, invalid)
			}
		}
	}
	if len(types) < 12 {
		t.Errorf("only these types were seen: %v", types)
	}
}

// The schema of decisions takes the examples of EVENTS.md.
func TestDecisionSchema(t *testing.T) {
	s := compiled(t, streams.DecisionSchema)
	examples := regexp.MustCompile("(?s)```json decision\n(.*?)\n```").FindAllStringSubmatch(read(t, "EVENTS.md"), -1)
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, x := range examples {
		if err := s.Validate(instance(t, []byte(x[1]))); err != nil {
			t.Errorf("%s: %v", x[1], err)
		}
		if s.Validate(instance(t, []byte(strings.Replace(x[1], `"kind":"`, `"kin":"`, 1)))) == nil {
			t.Error("a decision without its kind is taken")
		}
		if s.Validate(instance(t, []byte(strings.Replace(x[1], `"action":"show"`, `"action":"shown"`, 1)))) == nil {
			t.Error("a decision with another action than there are is taken")
		}
	}
}
