package pipeline

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// decoder walks the tree of a YAML text against a Go struct and takes down every fault on its way.
//
// The struct's fields say what is allowed:
//
//	yaml:"name"        the key; fields without it are not part of the file; ",inline" on a map takes all other keys
//	allow:"a|b|c"      the values a text may have
//	allow:"1..100"     the range of a number, duration or amount of bytes; either end may be left out
//	need:"words"       the key must be there; what it is for
//	doc:"words"        what the key is, for the JSON Schema
//	yaml:"name,bare"   the section may be written as the value of this key alone
//
// A type with UnmarshalText is read from any scalar; what its error says is shown as what is allowed. A list of scalars
// may be written as the one scalar it holds. A type with SetDefaults starts from what that sets.
type decoder struct {
	file   string
	root   reflect.Type
	faults Faults
	places map[string]place
	spoilt map[string]bool // keys that have a fault, so that none follows from it
}

// anyText is the allow tag of the texts in an inline map: numbers, true and false count as the words they are written with.
const anyText = "*"

// place is where a key and its value stand in the file.
type place struct{ key, value *token.Position }

var (
	secretType = reflect.TypeFor[Secret]()
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()

	// names are tokens of NATS subjects and of decision ids, so neither dots nor capitals.
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)
	integerPattern = regexp.MustCompile(`^[+-]?(0|[1-9][0-9_]*)$`)
	envPattern     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	thousands      = regexp.MustCompile(`^[0-9]{3}$`)
	groupsPattern  = regexp.MustCompile(`^[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$`)

	// yaml11 are the words that YAML 1.1 parsers, which most editors and templates have, read as true, false or nothing.
	yaml11 = map[string]string{"on": "true", "yes": "true", "y": "true", "true": "true", "off": "false", "no": "false",
		"n": "false", "false": "false", "null": "nothing", "~": "nothing"}
)

// value decodes a node into v, which keeps what it had (the default) where the file says nothing or something wrong.
func (d *decoder) value(node ast.Node, v reflect.Value, key, allow string) {
	switch n := node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.fault(node, key, "an anchor, alias or tag", "write the value out: a policy should read the same to everyone", "")
		return
	case *ast.MappingValueNode:
		node = &ast.MappingNode{BaseNode: n.BaseNode, Start: n.Start, Values: []*ast.MappingValueNode{n}}
	}
	if v.Type() == secretType {
		d.secret(node, v, key)
		return
	}
	if reflect.PointerTo(v.Type()).Implements(textType) {
		if text, ok := d.scalar(node, v, key); ok {
			if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
				d.fault(node, key, show(node), err.Error(), repair(v, text))
				return
			}
			d.within(node, v, key, allow)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if bare, allow, ok := bareOf(v); ok && !isSection(node) {
			d.value(node, bare, key, allow)
			return
		}
		d.structure(node, key, v)
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		d.value(node, fresh.Elem(), key, allow)
		v.Set(fresh)
	case reflect.Map:
		d.mapping(node, v, key, allow)
	case reflect.Slice:
		d.list(node, v, key, allow)
	default:
		if text, ok := d.scalar(node, v, key); ok && d.simple(node, text, v, key, allow) {
			d.within(node, v, key, allow)
		}
	}
}

// isSection says whether a node is keys with values.
func isSection(node ast.Node) bool {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// entries returns the key-value pairs of a mapping. Nothing at all (a section whose lines are all comments) is an empty one.
func (d *decoder) entries(node ast.Node, v reflect.Value, key string) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.MappingNode:
		return n.Values, true
	}
	d.fault(node, key, show(node), "want "+describe(v.Type()), "")
	return nil, false
}

// keyOf returns the text of a mapping's key, after refusing what no mapping may have.
func (d *decoder) keyOf(entry *ast.MappingValueNode, parent string, seen map[string]int, meant []string) (string, bool) {
	node, ok := entry.Key.(ast.Node)
	tok := entry.Key.GetToken()
	if !ok || tok == nil {
		d.fault(entry, parent, "a key that is no text", "write a plain word as the key", "")
		return "", false
	}
	if entry.Key.IsMergeKey() {
		d.fault(node, join(parent, "<<"), "a merge key", "write the keys out: a policy should read the same to everyone", "")
		return "", false
	}
	name, scalar := tok.Value, false
	switch node.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		scalar = true
	}
	if !scalar {
		d.fault(node, parent, "a key that is no text", "write a plain word as the key", "")
		return "", false
	}
	full := join(parent, name)
	if line, twice := seen[name]; twice {
		d.fault(node, full, "the key stands here a second time", fmt.Sprintf("it was given on line %d already; remove one", line), "")
		return "", false
	}
	seen[name] = tok.Position.Line
	if reads, bad := yaml11[strings.ToLower(name)]; bad {
		suggestion := ""
		if strings.EqualFold(name, "on") && contains(meant, "when") {
			suggestion = "when"
		}
		d.fault(node, full, fmt.Sprintf("the key %q", name), "choose another word: many YAML parsers read this one as "+reads, suggestion)
		return "", false
	}
	position := place{key: tok.Position}
	if entry.Value != nil && entry.Value.GetToken() != nil {
		position.value = entry.Value.GetToken().Position
	}
	d.places[full] = position
	return name, true
}

// structure decodes a section. Its keys may be shared out over several structs.
func (d *decoder) structure(node ast.Node, key string, vs ...reflect.Value) {
	entries, ok := d.entries(node, vs[0], key)
	if !ok {
		return
	}
	fields, rest := fieldsOf(vs...)
	names := namesOf(fields)
	seen, meant := map[string]int{}, map[string]bool{}
	before := ""
	for _, entry := range entries {
		name, ok := d.keyOf(entry, key, seen, names)
		if !ok {
			continue
		}
		f := find(fields, name)
		switch {
		case f == nil && thousands.MatchString(name) && show(entry.Value) == "nothing": // {total: 200,000} is total: 200 and a key 000
			d.spoilt[join(key, before)] = true
			d.fault(entry.Key.(ast.Node), join(key, before), "a comma within a number", "write numbers without separators, such as 200000", "")
			continue
		case f != nil && len(f.values) > 1:
			d.structure(entry.Value, join(key, name), f.values...)
		case f != nil:
			d.value(entry.Value, f.values[0], join(key, name), f.tag.Get("allow"))
		case rest.IsValid():
			d.entry(entry.Value, rest, name, join(key, name), anyText)
		default:
			suggestion := nearest(name, names)
			meant[suggestion] = true
			if suggestion == "" {
				suggestion = elsewhere(d.root, name, "", key)
			}
			d.fault(entry.Key.(ast.Node), join(key, name), "unknown key", "allowed here: "+strings.Join(names, ", "), suggestion)
		}
		before = name
	}
	for _, f := range fields {
		if _, given := seen[f.name]; !given && !meant[f.name] {
			d.missing(f, key)
		}
	}
}

// missing takes down what a key that is not given would have had to say.
func (d *decoder) missing(f field, parent string) {
	key := join(parent, f.name)
	if need := f.tag.Get("need"); need != "" {
		d.add(d.nearestPlace(key), key, "missing", "needed: "+need, "")
		return
	}
	if v := f.values[0]; v.Kind() == reflect.Struct && !reflect.PointerTo(v.Type()).Implements(textType) {
		fields, _ := fieldsOf(f.values...)
		for _, inner := range fields {
			d.missing(inner, key)
		}
	}
}

// mapping decodes a map whose keys are names that the author of the file chose.
func (d *decoder) mapping(node ast.Node, v reflect.Value, key, allow string) {
	entries, ok := d.entries(node, v, key)
	if !ok {
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	seen := map[string]int{}
	for _, entry := range entries {
		if name, ok := d.keyOf(entry, key, seen, nil); ok {
			d.entry(entry.Value, v, name, join(key, name), allow)
		}
	}
}

// entry decodes one value of a map, starting from the default of its type.
func (d *decoder) entry(node ast.Node, m reflect.Value, name, key, allow string) {
	if m.IsNil() {
		m.Set(reflect.MakeMap(m.Type()))
	}
	fresh := reflect.New(m.Type().Elem())
	setDefault(fresh)
	d.value(node, fresh.Elem(), key, allow)
	m.SetMapIndex(reflect.ValueOf(name).Convert(m.Type().Key()), fresh.Elem())
}

func (d *decoder) list(node ast.Node, v reflect.Value, key, allow string) {
	var nodes []ast.Node
	switch n := node.(type) {
	case *ast.SequenceNode:
		nodes = n.Values
	case *ast.MappingNode, *ast.NullNode, nil:
		d.fault(node, key, show(node), "want "+describe(v.Type()), "")
		return
	default:
		nodes = []ast.Node{n}
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(nodes)))
	for i, n := range nodes {
		at := fmt.Sprintf("%s[%d]", key, i)
		if n != nil && n.GetToken() != nil {
			d.places[at] = place{value: n.GetToken().Position}
		}
		fresh := reflect.New(v.Type().Elem())
		setDefault(fresh)
		d.value(n, fresh.Elem(), at, allow)
		v.Set(reflect.Append(v, fresh.Elem()))
	}
}

// scalar returns the text of a node that is one value, not a mapping, a list or nothing.
func (d *decoder) scalar(node ast.Node, v reflect.Value, key string) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.LiteralNode:
		if n.Value != nil {
			return n.Value.Value, true
		}
	}
	d.fault(node, key, show(node), "want "+describe(v.Type()), "")
	return "", false
}

// simple sets a field of a basic type from the text of a scalar.
func (d *decoder) simple(node ast.Node, text string, v reflect.Value, key, allow string) bool {
	wrong := func(suggestion string) bool {
		want := "want " + describe(v.Type())
		if allow != "" && v.Kind() != reflect.String {
			want += " of " + inWords(allow)
		}
		d.fault(node, key, show(node), want, suggestion)
		return false
	}
	_, quoted := node.(*ast.StringNode)
	quoted = quoted && node.GetToken().Type != token.StringType
	switch v.Kind() {
	case reflect.String:
		switch node.(type) {
		case *ast.StringNode, *ast.LiteralNode:
			v.SetString(text)
			return true
		}
		if allow == anyText {
			v.SetString(text)
			return true
		}
		return wrong(strconv.Quote(text))
	case reflect.Bool:
		if _, ok := node.(*ast.BoolNode); ok {
			v.SetBool(strings.EqualFold(text, "true"))
			return true
		}
		if reads := yaml11[strings.ToLower(text)]; reads == "true" || reads == "false" {
			return wrong(reads)
		}
		return wrong("")
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, v.Type().Bits())
		if quoted || err != nil || !integerPattern.MatchString(text) {
			return wrong(plainNumber(text, quoted))
		}
		v.SetInt(n)
		return true
	case reflect.Float64:
		n, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
		if quoted || err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return wrong(plainNumber(text, quoted))
		}
		v.SetFloat(n)
		return true
	}
	d.fault(node, key, show(node), "the key can't be set in a file", "")
	return false
}

var unitWords = strings.NewReplacer("seconds", "s", "second", "s", "secs", "s", "sec", "s", "minutes", "m", "minute", "m", "mins", "m", "min", "m",
	"hours", "h", "hour", "h", "days", "d", "day", "d", "weeks", "w", "week", "w")

// repair suggests a text that UnmarshalText would have taken: the number without separators, or with a unit.
func repair(v reflect.Value, text string) string {
	close := unitWords.Replace(strings.ToLower(strings.ReplaceAll(text, " ", "")))
	tries := []string{plainNumber(text, true), text + "s", text + "MiB", close, strings.TrimSuffix(strings.ToUpper(close), "IB") + "iB"}
	for _, try := range tries {
		if m := reflect.New(v.Type()).Interface().(encoding.TextUnmarshaler); try != "" && try != text && m.UnmarshalText([]byte(try)) == nil {
			return try
		}
	}
	return ""
}

// plainNumber suggests the number meant by 200,000 or "12" or 10%.
func plainNumber(text string, quoted bool) string {
	if groupsPattern.MatchString(text) {
		return strings.ReplaceAll(text, ",", "")
	}
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		if n, err := strconv.ParseFloat(percent, 64); err == nil {
			return strconv.FormatFloat(n/100, 'g', -1, 64)
		}
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && quoted && !math.IsNaN(n) && !math.IsInf(n, 0) {
		return text
	}
	return ""
}

func (d *decoder) secret(node ast.Node, v reflect.Value, key string) {
	const allowed = "secrets are given as {env: NAME} or {file: path}"
	switch n := node.(type) {
	case *ast.MappingNode:
		before := len(d.faults)
		d.structure(node, key, v)
		for i := range d.faults[before:] { // whoever confuses the two forms may have written the secret anywhere
			if f := &d.faults[before+i]; f.Found != "unknown key" {
				f.Found, f.Suggestion = "something else (not shown)", ""
			}
		}
		switch s := v.Interface().(Secret); {
		case len(d.faults) > before:
		case (s.Env == "") == (s.File == ""):
			d.fault(n, key, "neither or both of env and file", allowed, "")
		case s.Env != "" && !envPattern.MatchString(s.Env):
			d.add(d.nearestPlace(key+".env"), key+".env", "a text that can't be the name of an environment variable (not shown)", allowed, "")
		}
	case *ast.NullNode, nil:
		d.fault(node, key, "nothing", allowed, "")
	default:
		d.fault(node, key, "a secret written into the file (not shown)", allowed, "")
	}
}

// fault takes down a fault at the place of a node.
func (d *decoder) fault(node ast.Node, key, found, allowed, suggestion string) {
	at := &token.Position{Line: 1, Column: 1}
	if p, ok := d.places[key]; ok && p.key != nil {
		at = p.key
	}
	switch n := node.(type) {
	case nil:
	case *ast.MappingNode, *ast.MappingValueNode:
		if len(d.places) > 0 && key != "" {
			at = d.nearestPlace(key)
		}
	default:
		if tok := n.GetToken(); tok != nil && tok.Position != nil {
			at = tok.Position
		}
	}
	d.add(at, key, found, allowed, suggestion)
}

func (d *decoder) add(at *token.Position, key, found, allowed, suggestion string) {
	d.spoilt[key] = true
	d.faults = append(d.faults, Fault{File: d.file, Line: at.Line, Column: at.Column, Key: key, Found: found, Allowed: allowed, Suggestion: suggestion})
}

// nearestPlace returns where a key stands, or else the innermost key around it that is in the file.
func (d *decoder) nearestPlace(key string) *token.Position {
	for k := key; k != ""; k = parent(k) {
		if p, ok := d.places[k]; ok {
			if p.key == nil || (k == key && p.value != nil && p.value.Line == p.key.Line) {
				return p.value
			}
			return p.key
		}
	}
	return &token.Position{Line: 1, Column: 1}
}

func parent(key string) string {
	if i := strings.LastIndexAny(key, ".["); i > 0 {
		return key[:i]
	}
	return ""
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}
