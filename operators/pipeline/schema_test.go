package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nudge/operators"
	"nudge/operators/feature"
)

// leaves calls f with every key that a file may have; names that authors choose are written as *.
func leaves(key string, f func(key string, fd field), vs ...reflect.Value) {
	fields, _ := fieldsOf(vs...)
	for _, fd := range fields {
		at, v := join(key, fd.name), fd.values[0]
		switch {
		case reflect.PointerTo(v.Type()).Implements(textType):
			f(at, fd)
		case v.Kind() == reflect.Struct:
			leaves(at, f, fd.values...)
		case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
			leaves(at+".*", f, reflect.New(v.Type().Elem()).Elem())
		default:
			f(at, fd)
		}
	}
}

// Every range that a tag allows can be read, is a range, and holds the default.
func TestTags(t *testing.T) {
	c := Default()
	leaves("", func(key string, f field) {
		allow, v := f.tag.Get("allow"), f.values[0]
		if v.Kind() == reflect.Slice {
			v = reflect.New(v.Type().Elem()).Elem()
		}
		if allow == "" || allow == anyText || v.Kind() == reflect.String {
			return
		}
		low, high, ok := strings.Cut(allow, "..")
		if !ok {
			t.Errorf("%s: allow:%q of a %v is no range", key, allow, v.Type())
			return
		}
		if low != "" && high != "" && limit(v.Type(), low) >= limit(v.Type(), high) {
			t.Errorf("%s: allow:%q is empty", key, allow)
		}
		if at := number(v); !strings.Contains(key, "*") && (low != "" && at < limit(v.Type(), low) || high != "" && at > limit(v.Type(), high)) {
			t.Errorf("%s: the default %v is not within %s", key, v, allow)
		}
	}, reflect.ValueOf(c).Elem())
}

// The good files together have every key that there is.
func TestEveryKey(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var given []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := &decoder{file: path, root: reflect.TypeFor[Config](), places: map[string]place{}, spoilt: map[string]bool{}}
		d.value(d.parse(text), reflect.ValueOf(Default()).Elem(), "", "")
		for key := range d.places {
			given = append(given, key)
		}
	}
	leaves("", func(key string, _ field) {
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(key), `\*`, `[a-z0-9_.]+`) + "$")
		if !slices.ContainsFunc(given, pattern.MatchString) {
			t.Errorf("no testdata/*.good.yaml has %s", key)
		}
	}, reflect.ValueOf(Default()).Elem())
}

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		text string
		want Bytes
	}{{"512MiB", 512 << 20}, {"1.5GiB", 3 << 29}, {"100MB", 100_000_000}, {"0B", 0}, {"7B", 7}} {
		var b Bytes
		if err := b.UnmarshalText([]byte(c.text)); err != nil || b != c.want {
			t.Errorf("%s: got %d, %v, want %d", c.text, b, err, c.want)
		}
		var again Bytes
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Errorf("%s is written as %s, which is read as %d, %v", c.text, b, again, err)
		}
	}
	for _, text := range []string{"", "512", "MiB", "-1MiB", "1e30TiB", "NaNMiB", "infB", "5 mib", "5XiB"} {
		if b := Bytes(42); b.UnmarshalText([]byte(text)) == nil || b != 42 {
			t.Errorf("%q is read as %d", text, b)
		}
	}
}

func TestNearest(t *testing.T) {
	list := []string{"recommenders", "outputs", "offers", "time", "on"}
	for word, want := range map[string]string{"recomenders": "recommenders", "ofers": "offers", "tiem": "time", "Time": "time", "out-puts": "outputs", "zzz": "", "": "", "xy": ""} {
		if got := nearest(word, list); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {strings.Repeat("x", 80), strings.Repeat("x", 90), 0}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("%q %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// The struct that decides is decoded by the same walker: nothing in it is out of a file's reach.
func TestDecidersAreReachable(t *testing.T) {
	var missing []string
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Tag.Get("yaml") == "-" { // it stands in another section
				continue
			}
			if f.IsExported() && f.Tag.Get("yaml") == "" {
				missing = append(missing, fmt.Sprintf("%s.%s", path, f.Name))
			}
			inner := f.Type
			if inner.Kind() == reflect.Map {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && !reflect.PointerTo(inner).Implements(textType) {
				walk(path+"."+f.Name, inner)
			}
		}
	}
	walk("operators.Config", reflect.TypeFor[operators.Config]())
	if len(missing) > 0 {
		t.Errorf("no yaml tag: %v", missing)
	}
}

// What features, moments and outputs may say is described in the JSON Schema.
func TestKeysSayWhatTheyAre(t *testing.T) {
	described := func(key string, f field) {
		if f.tag.Get("doc") == "" && f.tag.Get("need") == "" {
			t.Errorf("%s: no doc tag", key)
		}
	}
	leaves("", func(key string, f field) {
		if strings.HasPrefix(key, "features.") || strings.HasPrefix(key, "outputs.features.") || strings.Contains(key, ".when.") || key == "audiences" {
			described(key, f)
		}
	}, reflect.ValueOf(Default()).Elem())
	leaves("features.*.transform", described, reflect.ValueOf(&feature.Transform{}).Elem())
	text, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"the mean time between two events, in unit", "of decayed; 1m to 3650d"} {
		if !strings.Contains(string(text), words) {
			t.Errorf("the schema does not say %q", words)
		}
	}
}
