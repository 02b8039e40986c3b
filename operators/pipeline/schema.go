package pipeline

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"nudge/operators"
)

// field is one key that a section allows, and what it sets.
type field struct {
	name   string
	tag    reflect.StructTag
	values []reflect.Value // several structs where a section is shared out
}

// fieldsOf lists the keys that a section allows in the order of declaration, those of inline structs among them, and the
// inline map that takes all other keys, if there is one.
func fieldsOf(vs ...reflect.Value) (fields []field, rest reflect.Value) {
	add := func(f field) {
		if same := find(fields, f.name); same != nil {
			same.values = append(same.values, f.values...)
			return
		}
		fields = append(fields, f)
	}
	for _, v := range vs {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case !f.IsExported() || name == "-":
			case options == "inline" && f.Type.Kind() == reflect.Map:
				rest = v.Field(i)
			case options == "inline" && f.Type.Kind() == reflect.Struct:
				inner, innerRest := fieldsOf(v.Field(i))
				for _, f := range inner {
					add(f)
				}
				if innerRest.IsValid() {
					rest = innerRest
				}
			case name != "":
				add(field{name: name, tag: f.Tag, values: []reflect.Value{v.Field(i)}})
			}
		}
	}
	return fields, rest
}

// bareOf returns the value that a section may be written as alone, if it has one, and what is allowed of it.
func bareOf(v reflect.Value) (bare reflect.Value, allow string, ok bool) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if _, options, _ := strings.Cut(tag.Get("yaml"), ","); options == "bare" {
			return v.Field(i), tag.Get("allow"), true
		}
	}
	return reflect.Value{}, "", false
}

func namesOf(fields []field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

func find(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func contains(list []string, word string) bool { return slices.Contains(list, word) }

// elsewhere returns the path of a key that is unknown where it stands but known in another section, or "".
func elsewhere(t reflect.Type, name, path, not string) string {
	if t.Kind() != reflect.Struct || t == secretType || reflect.PointerTo(t).Implements(textType) {
		return ""
	}
	fields, _ := fieldsOf(reflect.New(t).Elem())
	for _, f := range fields {
		if f.name == name && path != not {
			return join(path, name)
		}
	}
	for _, f := range fields {
		for _, v := range f.values {
			if found := elsewhere(v.Type(), name, join(path, f.name), not); found != "" {
				return found
			}
		}
	}
	return ""
}

// within checks a value that was read against the allow tag of its field.
func (d *decoder) within(node ast.Node, v reflect.Value, key, allow string) {
	if allow == "" || allow == anyText {
		return
	}
	if v.Kind() == reflect.String {
		if words := strings.Split(allow, "|"); !slices.Contains(words, v.String()) {
			d.fault(node, key, show(node), "allowed: "+strings.Join(words, ", "), nearest(v.String(), words))
		}
		return
	}
	low, high, _ := strings.Cut(allow, "..")
	got := number(v)
	if low != "" && got < limit(v.Type(), low) || high != "" && got > limit(v.Type(), high) {
		d.fault(node, key, show(node), "allowed: "+inWords(allow), "")
	}
}

func number(v reflect.Value) float64 {
	if v.Kind() == reflect.Float64 {
		return v.Float()
	}
	return float64(v.Int())
}

// limit reads one end of a range in the notation of the type it limits.
func limit(t reflect.Type, text string) float64 {
	v := reflect.New(t)
	var err error
	var n float64
	switch b, ok := v.Interface().(interface{ UnmarshalText([]byte) error }); {
	case ok:
		err = b.UnmarshalText([]byte(text))
		n = number(v.Elem())
	default:
		n, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		panic(fmt.Sprintf("operators/pipeline: the allow tag %q of a %v: %v", text, t, err)) // a struct tag, checked by a test
	}
	return n
}

// inWords writes the range of an allow tag as a sentence has it.
func inWords(allow string) string {
	low, high, ok := strings.Cut(allow, "..")
	switch {
	case !ok:
		return strings.ReplaceAll(allow, "|", ", ")
	case low == "":
		return "at most " + high
	case high == "":
		return "at least " + low
	}
	return low + " to " + high
}

// describe names what a type is written as in YAML.
func describe(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[operators.Duration]():
		return "a duration such as 10s"
	case t == reflect.TypeFor[operators.Decimal]():
		return "a number"
	case t == reflect.TypeFor[operators.Day]():
		return "a day such as 2026-12-24"
	case t == reflect.TypeFor[operators.Rate]():
		return "a rate such as 1 per 30s"
	case t == reflect.TypeFor[Bytes]():
		return "an amount such as 512MiB"
	case reflect.PointerTo(t).Implements(textType):
		return "one value"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return describe(t.Elem())
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list [" + strings.TrimPrefix(strings.TrimPrefix(describe(t.Elem()), "a "), "one ") + ", ...]"
	case reflect.Map:
		return "names, each with " + describe(t.Elem())
	case reflect.Struct:
		v := reflect.New(t).Elem()
		fields, rest := fieldsOf(v)
		names := namesOf(fields)
		if rest.IsValid() {
			names = append(names, "...")
		}
		if bare, _, ok := bareOf(v); ok {
			return describe(bare.Type()) + ", or keys with values (" + strings.Join(names, ", ") + ")"
		}
		return "keys with values (" + strings.Join(names, ", ") + ")"
	}
	return "a value"
}

// show quotes what stands in the file, in short.
func show(node ast.Node) string {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return strconv.Quote(short(n.Value))
	case *ast.LiteralNode:
		if n.Value != nil {
			return strconv.Quote(short(n.Value.Value))
		}
		return "nothing"
	default:
		if tok := n.GetToken(); tok != nil {
			return short(tok.Value)
		}
	}
	return "something unreadable"
}

func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
