package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// What a file may be, so that reading one takes bounded time: the YAML parser's is quadratic in lines and in nesting
// (10,000 lines took it 3 s).
const (
	maxText  = 256 << 10
	maxLines = 4000
	maxDepth = 32
	maxLine  = 8 << 10
)

// Load reads and validates a pipeline file. If the file was read and is wrong the error is of type Faults.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("operators/pipeline: load: %w", err)
	}
	config, faults := Parse(path, text)
	return config, faults.Err()
}

// Parse reads and validates the text of a pipeline file; name stands in the faults. The Config is nil if there are any.
func Parse(name string, text []byte) (*Config, Faults) {
	d := &decoder{file: name, root: reflect.TypeFor[Config](), places: map[string]place{}, spoilt: map[string]bool{}}
	config := Default()
	if body := d.parse(text); len(d.faults) == 0 {
		d.value(body, reflect.ValueOf(config).Elem(), "", "")
		config.Deciders.Results = config.Outputs.Features
		if !d.spoilt[""] {
			check(d, config)
		}
	}
	if len(d.faults) > 0 {
		d.faults.sort()
		return nil, d.faults
	}
	config.text = bytes.Clone(text)
	return config, nil
}

// parse returns the tree of the one document that the text must hold.
func (d *decoder) parse(text []byte) ast.Node {
	at := func(line, column int, found, allowed string) ast.Node {
		d.faults = append(d.faults, Fault{File: d.file, Line: line, Column: column, Found: found, Allowed: allowed})
		return nil
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(text) > maxText {
		return at(1, 1, fmt.Sprintf("a file of %d bytes", len(text)), fmt.Sprintf("allowed: at most %d", maxText))
	}
	lines := bytes.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > maxLines {
		return at(1, 1, fmt.Sprintf("a file of %d lines", len(lines)), fmt.Sprintf("allowed: at most %d", maxLines))
	}
	depth := 0
	for i, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) {
			return at(i+1, 1, "bytes that are no UTF-8 text", "save the file as UTF-8")
		}
		if len(line) > maxLine {
			return at(i+1, 1, fmt.Sprintf("a line of %d bytes", len(line)), fmt.Sprintf("allowed: at most %d", maxLine))
		}
		if tabs := bytes.TrimLeft(line, " "); bytes.HasPrefix(tabs, []byte("\t")) && len(bytes.TrimSpace(tabs)) > 0 {
			return at(i+1, len(line)-len(tabs)+1, "a tab", "indent with spaces")
		}
		if depth = nesting(line, depth); depth > maxDepth {
			return at(i+1, 1, "brackets nested too deeply", fmt.Sprintf("allowed: at most %d", maxDepth))
		}
	}
	file, err := parseYAML(text)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			p := syntax.GetToken().Position
			return at(p.Line, p.Column, "no valid YAML: "+syntax.GetMessage(), "check the indentation, and quote texts that hold any of : # [ ] { } , & * ! |")
		}
		first, _, _ := strings.Cut(err.Error(), "\n")
		return at(1, 1, "no valid YAML: "+first, "")
	}
	var body ast.Node
	for _, document := range file.Docs {
		switch {
		case document.Body == nil:
		case document.Body.Type() == ast.DirectiveType:
			p := document.Body.GetToken().Position
			return at(p.Line, p.Column, "a YAML directive", "remove the line")
		case body != nil:
			p := document.Body.GetToken().Position
			return at(p.Line, p.Column, "a second document", "one file holds one pipeline; remove the line ---")
		default:
			body = document.Body
		}
	}
	if _, comments := body.(*ast.CommentGroupNode); body == nil || comments {
		return at(1, 1, "an empty file", "want a pipeline; nudge's own is deploy/shop.yaml")
	}
	return body
}

// parseYAML is the library's parser behind a guard: it is fed by people, and an index out of its range is no reason to stop.
func parseYAML(text []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser gave up: %v", r)
		}
	}()
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}

// nesting follows the depth of brackets and of "- - -" chains through a line. Quotes are not looked at: texts with more
// than maxDepth opening brackets are no loss.
func nesting(line []byte, depth int) int {
	deepest := depth
	dashes := 0
	for i, c := range line {
		switch c {
		case '#':
			if i == 0 || line[i-1] == ' ' {
				return max(deepest, dashes)
			}
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '-', '?', '&', '!', '*':
			dashes++
		}
		deepest = max(deepest, depth)
	}
	if deepest > maxDepth || dashes > 4*maxDepth {
		return maxDepth + 1
	}
	return depth
}
