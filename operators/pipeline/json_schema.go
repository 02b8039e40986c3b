package pipeline

import (
	"encoding/json"
	"reflect"
	"strings"

	"nudge/operators"
	"nudge/operators/feature"
)

// JSONSchema describes pipeline files as a JSON Schema (draft-07), for editors and for checks elsewhere. It comes from the structs and tags that
// files are read by. Load knows more: names that refer to others, conditions, and what may not stand together.
func JSONSchema() ([]byte, error) {
	s := schemaOf(reflect.ValueOf(Default()).Elem(), "")
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "nudge pipeline"
	return json.MarshalIndent(s, "", "  ")
}

// The patterns of scalars that are written with a unit.
const (
	durationPattern = `^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$`
	ratePattern     = `^[0-9]+ per ([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$`
	dayPattern      = `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`
	bytesPattern    = `^[0-9.]+ ?(KiB|MiB|GiB|TiB|KB|MB|GB|TB|B)$`
)

// schemaOf describes what a value may be written as, with what the tag of its field says of it. The value holds the default.
func schemaOf(v reflect.Value, tag reflect.StructTag) map[string]any {
	s := shapeOf(v, tag.Get("allow"))
	words := tag.Get("need")
	if words == "" {
		words = tag.Get("doc")
	}
	if within, ok := s["description"].(string); ok && words != "" {
		words += "; " + within
	}
	if words != "" {
		s["description"] = words
	}
	if v.IsValid() && v.CanInterface() && !v.IsZero() {
		switch x := v.Interface().(type) {
		case interface{ MarshalText() ([]byte, error) }:
			if text, err := x.MarshalText(); err == nil {
				s["default"] = string(text)
			}
		default:
			switch v.Kind() {
			case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
				s["default"] = v.Interface()
			}
		}
	}
	return s
}

func shapeOf(v reflect.Value, allow string) map[string]any {
	t := v.Type()
	text := func(pattern string) map[string]any { return map[string]any{"type": "string", "pattern": pattern} }
	switch {
	case t == secretType:
		return map[string]any{"type": "object", "properties": map[string]any{"env": text(envPattern.String()), "file": map[string]any{"type": "string"}},
			"additionalProperties": false, "minProperties": 1, "maxProperties": 1}
	case t == reflect.TypeFor[operators.Duration]():
		s := map[string]any{"anyOf": []any{text(durationPattern), map[string]any{"const": 0}}}
		if allow != "" {
			s["description"] = inWords(allow)
		}
		return s
	case t == reflect.TypeFor[operators.Day]():
		return text(dayPattern)
	case t == reflect.TypeFor[operators.Rate]():
		return text(ratePattern)
	case t == reflect.TypeFor[Bytes]():
		return text(bytesPattern)
	case t == reflect.TypeFor[operators.Decimal]():
		return ranged(map[string]any{"type": "number"}, t, allow, "0..1000000000")
	case reflect.PointerTo(t).Implements(textType):
		return map[string]any{"type": []string{"string", "number"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shapeOf(reflect.New(t.Elem()).Elem(), allow)
	case reflect.String:
		s := map[string]any{"type": "string"}
		switch {
		case allow == anyText:
			s["type"] = []string{"string", "number", "boolean"}
		case allow != "":
			s["enum"] = strings.Split(allow, "|")
		}
		return s
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return ranged(map[string]any{"type": "integer"}, t, allow, "")
	case reflect.Float64:
		return ranged(map[string]any{"type": "number"}, t, allow, "")
	case reflect.Slice:
		fresh := reflect.New(t.Elem())
		if d, ok := fresh.Interface().(interface{ SetDefaults() }); ok {
			d.SetDefaults()
		}
		item := shapeOf(fresh.Elem(), allow)
		list := map[string]any{"type": "array", "items": item}
		if t.Elem().Kind() == reflect.Struct {
			return list
		}
		return map[string]any{"anyOf": []any{item, list}} // one may be written without the brackets
	case reflect.Map:
		elem := t.Elem()
		if elem.Kind() == reflect.Slice {
			allow = anyText
		}
		fresh := reflect.New(elem)
		if d, ok := fresh.Interface().(interface{ SetDefaults() }); ok {
			d.SetDefaults()
		}
		s := map[string]any{"type": []string{"object", "null"}, "additionalProperties": shapeOf(fresh.Elem(), allow)}
		switch {
		case elem == reflect.TypeFor[feature.Definition]():
			s["propertyNames"] = text(operators.FeaturePattern)
		case elem == reflect.TypeFor[operators.Decimal](), elem.Kind() == reflect.Slice: // whose keys are currencies, or fields
		default:
			s["propertyNames"] = text(namePattern.String())
		}
		return s
	case reflect.Struct:
		section := sectionOf(v)
		if bare, allow, ok := bareOf(v); ok {
			return map[string]any{"anyOf": []any{shapeOf(bare, allow), section}}
		}
		return section
	}
	return map[string]any{}
}

// sectionOf describes a section: its keys, those of inline structs among them.
func sectionOf(vs ...reflect.Value) map[string]any {
	fields, rest := fieldsOf(vs...)
	properties, required := map[string]any{}, []string{}
	for _, f := range fields {
		need := f.tag.Get("need")
		if len(f.values) > 1 { // a section that is shared out
			properties[f.name] = sectionOf(f.values...)
		} else {
			properties[f.name] = schemaOf(f.values[0], f.tag)
		}
		if need != "" {
			required = append(required, f.name)
		}
	}
	s := map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	if rest.IsValid() {
		s["additionalProperties"] = shapeOf(reflect.New(rest.Type().Elem()).Elem(), anyText)
	}
	if len(required) > 0 {
		s["required"] = required
		s["type"] = "object"
	}
	return s
}

// ranged adds the ends of a range.
func ranged(s map[string]any, t reflect.Type, allow, otherwise string) map[string]any {
	if allow == "" {
		allow = otherwise
	}
	low, high, _ := strings.Cut(allow, "..")
	scale := 1.0
	if t == reflect.TypeFor[operators.Decimal]() {
		scale = 1e6
	}
	if low != "" {
		s["minimum"] = limit(t, low) / scale
	}
	if high != "" {
		s["maximum"] = limit(t, high) / scale
	}
	return s
}
