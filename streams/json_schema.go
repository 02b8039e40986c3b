package streams

import (
	"encoding/json"
	"reflect"
	"strings"
)

type object = map[string]any

// EventSchema describes events, and records of the catalogue, as a JSON Schema (draft-07). It comes from the tables that native events are
// decoded by.
func EventSchema() ([]byte, error) {
	text := object{"type": "string"}
	id := object{"type": "string", "minLength": 1, "maxLength": MaxIDBytes}
	money := object{"type": "number", "minimum": 0, "maximum": MaxMicro / Micro}
	count := object{"type": "integer", "minimum": 1}
	when := object{"anyOf": []any{object{"type": "string", "format": "date-time"}, object{"type": "integer", "minimum": 0}},
		"description": "RFC 3339, or Unix milliseconds"}
	line := object{"type": "object", "required": []string{"id"}, "properties": object{"id": id, "price": money, "quantity": count, "position": count}}
	context := object{}
	for i := range reflect.TypeFor[Context]().NumField() {
		context[strings.ToLower(reflect.TypeFor[Context]().Field(i).Name)] = object{"type": []string{"string", "null"}}
	}
	fields := [numFields]object{fieldID: id, fieldTime: when, fieldSent: when, fieldUser: id, fieldAnon: id, fieldSession: text, fieldItem: id,
		fieldPrice: money, fieldQuantity: count, fieldItems: {"type": "array", "items": line}, fieldValue: money, fieldCurrency: {"type": "string", "pattern": "^[A-Z]{3}$"},
		fieldDecision: text, fieldContext: {"type": "object", "properties": context}, fieldProps: {"type": "object"}, fieldV: {"const": 1},
		fieldType: {"anyOf": []any{object{"enum": TypeNames()}, object{"type": "string", "pattern": "^custom\\.[a-z0-9_]{1,64}$"}}}}
	properties := object{}
	for f, s := range fields {
		if field(f) != fieldID && field(f) != fieldType && field(f) != fieldTime {
			s = object{"anyOf": []any{s, object{"type": "null"}}} // null is as if it were not there
		}
		properties[fieldNames[f]] = s
	}
	var all []any
	for t := PageViewed; t < Custom; t++ {
		if then := rules[t].schema(t); len(then) > 0 {
			all = append(all, object{"if": object{"properties": object{"type": object{"const": t.String()}}}, "then": then})
		}
	}
	return json.MarshalIndent(object{"$schema": "http://json-schema.org/draft-07/schema#", "title": "nudge event", "type": "object",
		"properties": properties, "required": []string{"id", "type", "time"}, "allOf": all}, "", "  ")
}

// schema is what a type asks for beside what all do.
func (r *rule) schema(t Type) object {
	s := object{}
	var required []string
	for f := range numFields {
		if r.needs.has(f) {
			required = append(required, fieldNames[f])
		}
	}
	there := func(f field) object { return object{"required": []string{fieldNames[f]}} }
	var ways []any
	if r.needs&needBoth == 0 && !t.Catalogue() {
		ways = append(ways, object{"anyOf": []any{there(fieldUser), there(fieldAnon)}})
	}
	if r.line {
		ways = append(ways, object{"anyOf": []any{there(fieldItem), there(fieldItems)}})
	}
	if len(ways) > 0 {
		s["allOf"] = ways
	}
	if len(r.props) > 0 {
		properties, needed := object{}, []string{}
		for _, p := range r.props {
			properties[propNames[p.prop]] = p.form.schema()
			if !p.optional {
				needed = append(needed, propNames[p.prop])
			}
		}
		s["properties"] = object{fieldNames[fieldProps]: object{"type": "object", "properties": properties, "required": needed}}
		if len(needed) > 0 && !r.needs.has(fieldProps) {
			required = append(required, fieldNames[fieldProps])
		}
	}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func (f form) schema() object {
	switch f {
	case formID:
		return object{"type": "string", "minLength": 1, "maxLength": MaxIDBytes}
	case formText:
		return object{"type": "string", "maxLength": MaxTextBytes}
	case formRating:
		return object{"type": "number", "minimum": 1, "maximum": 5}
	case formCount:
		return object{"type": "number", "minimum": 0}
	case formBool:
		return object{"type": "boolean"}
	case formStatus:
		return object{"enum": []string{"granted", "denied", "revoked"}}
	}
	return object{"type": "string"}
}

// DecisionSchema describes decisions as a JSON Schema (draft-07). It comes from the struct that ParseDecision reads.
func DecisionSchema() ([]byte, error) {
	s := structSchema(reflect.TypeFor[decisionWire]())
	s["$schema"], s["title"] = "http://json-schema.org/draft-07/schema#", "nudge decision"
	s["properties"].(object)["action"] = object{"enum": []string{ActionShow, ActionNone, ActionEnter, ActionLeave}}
	s["required"] = []string{"v", "id", "kind", "name", "action", "time", "propensity", "cause"}
	return json.MarshalIndent(s, "", "  ")
}

func structSchema(t reflect.Type) object {
	properties := object{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			properties[name] = typeSchema(t.Field(i).Type)
		}
	}
	return object{"type": "object", "properties": properties}
}

func typeSchema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[wireTime]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](): // features
		value := object{"anyOf": []any{object{"type": "number"}, object{"type": "string"}, object{"type": "array", "items": object{"type": "string"}}}}
		return object{"type": "object", "additionalProperties": value}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(t.Elem())
	case reflect.Struct:
		return structSchema(t)
	case reflect.Slice:
		return object{"type": "array", "items": typeSchema(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float64:
		return object{"type": "number"}
	}
	return object{"type": "integer"}
}
