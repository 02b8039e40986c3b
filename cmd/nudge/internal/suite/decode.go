package suite

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// decode reads the tree into f and returns all that is wrong with its keys and values. In a file with aliases only the first fault is found: what
// stands behind them is known of the whole alone.
func (f *File) decode(text []byte) (faults []error) {
	aliases := false
	for _, doc := range f.tree.Docs {
		if doc.Body != nil {
			aliases = aliases || len(ast.Filter(ast.AliasType, doc.Body)) > 0
		}
	}
	if aliases || len(f.tree.Docs) != 1 {
		if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(f); err != nil {
			return []error{f.located(err)}
		}
		return nil
	}
	f.into(f.tree.Docs[0].Body, reflect.ValueOf(f).Elem(), &faults)
	return faults
}

// into reads a node into a value: structs and lists of them key by key, all else as the decoder does.
func (f *File) into(node ast.Node, to reflect.Value, faults *[]error) {
	if node == nil || node.Type() == ast.NullType {
		return
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	list, isList := node.(*ast.SequenceNode)
	pairs, isMap := pairsOf(node)
	switch {
	case to.Kind() == reflect.Struct && isMap:
		fields := fieldsOf(to)
		for _, pair := range pairs {
			name := keyOf(pair)
			if field, ok := fields[name]; ok {
				f.into(pair.Value, field, faults)
				continue
			}
			*faults = append(*faults, fmt.Errorf("%s: unknown key %q: want %s", f.placeOf(pair.Key), name, strings.Join(slices.Sorted(keysOf(fields)), ", ")))
		}
	case to.Kind() == reflect.Slice && to.Type().Elem().Kind() == reflect.Struct && isList:
		to.Set(reflect.MakeSlice(to.Type(), len(list.Values), len(list.Values)))
		for i, x := range list.Values {
			f.into(x, to.Index(i), faults)
		}
	default:
		if err := yaml.NodeToValue(node, to.Addr().Interface(), yaml.Strict()); err != nil {
			*faults = append(*faults, f.located(err))
		}
	}
}

// fieldsOf are the fields of a struct by their keys.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			fields[name] = v.Field(i)
		}
	}
	return fields
}

func keysOf(fields map[string]reflect.Value) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range fields {
			if !yield(name) {
				return
			}
		}
	}
}

// pairsOf are the keys and values of a mapping.
func pairsOf(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := node.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func keyOf(pair *ast.MappingValueNode) string { return pair.Key.GetToken().Value }

var locatedPattern = regexp.MustCompile(`(?s)^\[(\d+):(\d+)\] (.*)$`)

// located writes an error of the decoder as file:line:column: what.
func (f *File) located(err error) error {
	text := yaml.FormatError(err, false, false)
	if m := locatedPattern.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s:%s: %s", f.path, m[1], m[2], strings.TrimSpace(m[3]))
	}
	return fmt.Errorf("%s: %s", f.path, text)
}

// place is file:line:column of a key, or of the nearest one above it that is there.
func (f *File) place(key string) string {
	for ; key != "" && key != "$"; key = key[:strings.LastIndexAny(key, ".[")] {
		if node := f.node(key); node != nil {
			return f.placeOf(node)
		}
	}
	return f.path
}

// member is the place of a member of the mapping at a key, whatever its name.
func (f *File) member(key, name string) string {
	pairs, _ := pairsOf(f.node(key))
	for _, pair := range pairs {
		if keyOf(pair) == name {
			return f.placeOf(pair.Key)
		}
	}
	return f.place(key)
}

// node is the node at a key, nil for none.
func (f *File) node(key string) ast.Node {
	path, err := yaml.PathString(key)
	if err != nil {
		return nil
	}
	node, err := path.FilterFile(f.tree)
	if err != nil {
		return nil
	}
	return node
}

func (f *File) placeOf(node ast.Node) string {
	at := node.GetToken().Position
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		at = m.Values[0].Key.GetToken().Position
	}
	return fmt.Sprintf("%s:%d:%d", f.path, at.Line, at.Column)
}
