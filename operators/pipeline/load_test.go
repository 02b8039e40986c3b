package pipeline_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"nudge/deploy"
	"nudge/operators/pipeline"
)

var rewrite = flag.Bool("rewrite", false, "write what came as what is expected")

// A *.good.yaml has no fault.
func TestGood(t *testing.T) {
	for _, path := range files(t, "*.good.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := pipeline.Load(path)
			if err != nil {
				t.Fatalf("%s is good, but:\n%v", path, err)
			}
			text, _ := os.ReadFile(path)
			if !bytes.Equal(c.Text(), text) {
				t.Error("Text differs from the file")
			}
		})
	}
}

// A *.bad.yaml begins with the faults it has, one "# want " line each, without the file's name.
func TestBad(t *testing.T) {
	for _, path := range files(t, "*.bad.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want, rest []string
			for line := range strings.Lines(string(text)) {
				if w, ok := strings.CutPrefix(line, "# want "); ok {
					want = append(want, strings.TrimSuffix(w, "\n"))
				} else {
					rest = append(rest, line)
				}
			}
			_, err = pipeline.Load(path)
			var faults pipeline.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v, want faults", err)
			}
			var got []string
			for _, f := range faults {
				got = append(got, strings.TrimPrefix(f.Error(), path+":"))
			}
			if *rewrite && len(got) == len(want) { // as many: else the lines of the faults would move
				os.WriteFile(path, []byte("# want "+strings.Join(got, "\n# want ")+"\n"+strings.Join(rest, "")), 0o644)
				return
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s\n got:\n%s\nwant:\n%s\nagain: go test ./operators/pipeline -run 'TestBad/%s' (-rewrite to accept)",
					path, strings.Join(got, "\n"), strings.Join(want, "\n"), filepath.Base(path))
			}
		})
	}
}

func files(t *testing.T, pattern string) []string {
	paths, err := filepath.Glob("testdata/" + pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("testdata/%s: %v, %d files", pattern, err, len(paths))
	}
	return paths
}

func parse(t testing.TB, text string) *pipeline.Config {
	t.Helper()
	c, faults := pipeline.Parse("test.yaml", []byte(text))
	if len(faults) > 0 {
		t.Fatalf("faults in\n%s\n%v", text, faults)
	}
	return c
}

// What a file leaves out is as Default has it, and what nudge ships says the same as Default wherever both speak.
func TestDefaultHolds(t *testing.T) {
	least := parse(t, "version: 1\napp: shop\n")
	want := pipeline.Default()
	want.Version, want.App, want.Outputs.Decisions.Stream = 1, "shop", "NUDGE_SHOP_DECISIONS"
	if got, want := dump(*least), dump(*want); got != want {
		t.Errorf("the least pipeline is not the default:\n got %s\nwant %s", got, want)
	}
	shop := parse(t, string(deploy.Shop))
	for _, same := range []struct{ got, want any }{
		{shop.Kafka, want.Kafka}, {shop.NATS, want.NATS}, {shop.Dir, want.Dir}, {shop.Inputs, want.Inputs}, {shop.Time, want.Time},
		{shop.Outputs, want.Outputs}, {shop.Node, want.Node}, {shop.Checkpoint, want.Checkpoint}, {shop.Epoch, want.Epoch},
		{shop.Lease, want.Lease}, {shop.Deciders.Limits, want.Deciders.Limits},
	} {
		if !reflect.DeepEqual(same.got, same.want) {
			t.Errorf("deploy/shop.yaml and Default differ:\n shop    %+v\n default %+v", same.got, same.want)
		}
	}
}

// The default pipeline, as read, is what testdata/shop.golden says.
func TestShopGolden(t *testing.T) {
	got := dump(*parse(t, string(deploy.Shop)))
	const golden = "testdata/shop.golden"
	if *rewrite {
		os.WriteFile(golden, []byte(got), 0o644)
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("deploy/shop.yaml is read as\n%s\nwant\n%s\nagain: go test ./operators/pipeline -run TestShopGolden (-rewrite to accept)", got, want)
	}
}

// dump writes every exported field of a Config, one per line and in a fixed order.
func dump(c pipeline.Config) string {
	var b strings.Builder
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if s, ok := v.Interface().(fmt.Stringer); ok {
			fmt.Fprintf(&b, "%s = %s\n", path, s)
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() {
					walk(path+"."+f.Name, v.Field(i))
				}
			}
		case reflect.Map:
			for _, k := range sorted(v.MapKeys()) {
				walk(path+"["+k.String()+"]", v.MapIndex(k))
			}
		default:
			fmt.Fprintf(&b, "%s = %v\n", path, v)
		}
	}
	walk("", reflect.ValueOf(c))
	return b.String()
}

func sorted(keys []reflect.Value) []reflect.Value {
	for i := range keys {
		for j := i; j > 0 && keys[j].String() < keys[j-1].String(); j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
	return keys
}

func TestWith(t *testing.T) {
	c := parse(t, "version: 1\napp: shop\n")
	moved := c.With(pipeline.Overrides{Brokers: []string{"kafka:9092"}, NATS: "nats://nats:4222", Dir: "/data"})
	if c.Kafka.Brokers[0] != "localhost:9092" || c.NATS.URL != "nats://localhost:4222" || c.Dir != "nudge-data" {
		t.Errorf("With changed its receiver: %+v", c)
	}
	if moved.Kafka.Brokers[0] != "kafka:9092" || moved.NATS.URL != "nats://nats:4222" || moved.Dir != "/data" || !bytes.Equal(moved.Text(), c.Text()) {
		t.Errorf("With gave %+v", moved)
	}
}

func TestLoadMissingFile(t *testing.T) {
	if _, err := pipeline.Load("testdata/none.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want an error that is os.ErrNotExist", err)
	}
}

func TestSecret(t *testing.T) {
	t.Setenv("NUDGE_TEST_SECRET", "s3cret")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("fr0m file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secret pipeline.Secret
		want   string
		err    bool
	}{
		{pipeline.Secret{}, "", false},
		{pipeline.Secret{Env: "NUDGE_TEST_SECRET"}, "s3cret", false},
		{pipeline.Secret{Env: "NUDGE_TEST_UNSET"}, "", true},
		{pipeline.Secret{File: file}, "fr0m file", false},
		{pipeline.Secret{File: file + "x"}, "", true},
	} {
		if got, err := c.secret.Read(); got != c.want || (err != nil) != c.err {
			t.Errorf("%+v: got %q, %v", c.secret, got, err)
		}
	}
}

// A text in the place of a secret is never shown, however it is put there.
func TestSecretsAreNotShown(t *testing.T) {
	for _, form := range []string{"hunter2", "{env: [hunter2]}", "{file: {x: hunter2}}", "[hunter2]", "|\n    hunter2", "{env: 'hunter2 '}", "{enw: hunter2}", "{env: A, file: B, value: hunter2}", "{env: {file: hunter2}}", "!!str hunter2", "&x hunter2"} {
		for _, key := range []string{"kafka:\n  sasl:\n    password: ", "nats:\n  token: ", "nats:\n  password: "} {
			_, faults := pipeline.Parse("x.yaml", []byte("version: 1\napp: shop\n"+key+form+"\n"))
			if len(faults) == 0 || strings.Contains(faults.Error(), "hunter2") {
				t.Errorf("%s%s: %v", key, form, faults)
			}
		}
	}
	for _, text := range []string{"nats: {url: 'nats://me:hunter2@host:4222'}", "kafka: {brokers: ['me:hunter2@host:9092']}", "nats: {credentials: '-----BEGIN NATS USER JWT----- hunter2'}"} {
		_, faults := pipeline.Parse("x.yaml", []byte("version: 1\napp: shop\n"+text+"\n"))
		if len(faults) != 1 || strings.Contains(faults.Error(), "hunter2") {
			t.Errorf("%s: %v", text, faults)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"*.good.yaml", "*.bad.yaml"} {
		paths, _ := filepath.Glob("testdata/" + pattern)
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil {
				f.Add(text)
			}
		}
	}
	f.Add(deploy.Shop)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, faults := pipeline.Parse("fuzz.yaml", text)
		if (c == nil) != (len(faults) > 0) {
			t.Fatalf("config %v beside %d faults", c != nil, len(faults))
		}
		lines := 1 + bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r")) // either breaks a line
		for _, fault := range faults {
			if fault.Found == "" || fault.Line < 1 || fault.Column < 1 || fault.Line > lines+1 {
				t.Fatalf("%d lines: %#v", lines, fault)
			}
		}
	})
}
