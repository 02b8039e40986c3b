package condition

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// Kind is the type of a value in a condition.
type Kind uint8

// The kinds of value.
const (
	Number Kind = iota + 1
	Text
	Truth
	List  // of texts
	Loose // a text that is read as what stands beside it
)

// String names the kind as people say it.
func (k Kind) String() string {
	return [...]string{"nothing", "a number", "a text", "true or false", "a list", "a trait"}[k]
}

// Names says what a name such as user.views_1h means: the number under which Vars knows it, and its kind. A name that is not
// known has suggestions for what may have been meant; they may be empty.
type Names interface {
	Name(path []string) (slot int, kind Kind, ok bool)
	Near(path []string) []string
}

// Vars gives the values of names. Law: it is pure, and slot and kind are as Names gave them.
type Vars interface {
	Number(slot int) float64 // not a number where it is not known
	Text(slot int) string    // also of a Loose
	Truth(slot int) bool
	List(slot int) []string
}

// Condition is a compiled expression.
type Condition struct {
	source string
	truth  func(Vars) bool
	number func(Vars) float64
	names  []string
	bounds []Bound
}

// Bound is a number that is written out and that something is compared with by its size.
type Bound struct {
	Name   string
	Number float64
}

// Fault is what is wrong with an expression, and where: Offset counts characters from its beginning.
type Fault struct {
	Offset     int
	Found      string
	Allowed    string
	Suggestion string
}

func (f *Fault) Error() string {
	s := f.Found + ": " + f.Allowed
	if f.Suggestion != "" {
		s += "; did you mean " + f.Suggestion + "?"
	}
	return s
}

// Compile compiles an expression that is true or false. An error is a *Fault.
func Compile(source string, names Names) (*Condition, error) {
	c, n, at, err := compile(source, names)
	if err != nil {
		return nil, err
	}
	if n.kind == Loose {
		n = loosely(n, Truth)
	}
	if n.kind != Truth {
		return nil, &Fault{Offset: at, Found: "the whole is " + n.kind.String(), Allowed: "want a condition that is true or false, such as user.orders >= 2"}
	}
	c.truth = n.truth
	return c, nil
}

// CompileNumber compiles an expression that is a number.
func CompileNumber(source string, names Names) (*Condition, error) {
	c, n, at, err := compile(source, names)
	if err != nil {
		return nil, err
	}
	if n.kind == Loose {
		n = loosely(n, Number)
	}
	if n.kind != Number {
		return nil, &Fault{Offset: at, Found: "the whole is " + n.kind.String(), Allowed: "want a number"}
	}
	c.number = n.number
	return c, nil
}

func compile(source string, names Names) (*Condition, node, int, error) {
	tree, err := parser.Parse(source)
	if err != nil {
		f := &Fault{Found: "it can't be read", Allowed: err.Error()}
		if e, ok := err.(*file.Error); ok {
			f.Offset, f.Allowed = e.From, e.Message
			f.Suggestion = meant[strings.TrimPrefix(e.Message, "unexpected token ")]
		}
		return nil, node{}, 0, f
	}
	k := &compiler{names: names}
	n := k.node(tree.Node)
	if k.fault != nil {
		return nil, node{}, 0, k.fault
	}
	slices.Sort(k.used)
	return &Condition{source: source, names: slices.Compact(k.used), bounds: k.bounds}, n, begin(tree.Node), nil
}

// meant are the operators of other languages, as the parser names them, and what they are here.
var meant = map[string]string{`Operator("=")`: "==", `Identifier("AND")`: "and", `Identifier("OR")`: "or", `Identifier("is")`: "==", `Identifier("IN")`: "in"}

// begin is where a part begins: the parser places a name with dots at its last word.
func begin(x ast.Node) int {
	if m, ok := x.(*ast.MemberNode); ok {
		return begin(m.Node)
	}
	return x.Location().From
}

// True says whether the condition holds.
func (c *Condition) True(v Vars) bool { return c.truth(v) }

// Number is the value of an expression that CompileNumber compiled.
func (c *Condition) Number(v Vars) float64 { return c.number(v) }

// Names lists the names it asks for, ascending.
func (c *Condition) Names() []string { return c.names }

// Bounds lists the numbers that names are compared with by their size, in the order in which they are written.
func (c *Condition) Bounds() []Bound { return c.bounds }

// String is the expression as it was written.
func (c *Condition) String() string { return c.source }

// node is a compiled part: the function of its kind is set.
type node struct {
	kind   Kind
	number func(Vars) float64
	text   func(Vars) string
	truth  func(Vars) bool
	list   func(Vars) []string
	fixed  bool // the same whatever the Vars

	literals  []string // texts that are written out
	ofTexts   bool     // some of a list's are texts
	ofNumbers bool     // some are numbers
	most      int      // bytes that are kept of its texts; 0: all
}

type compiler struct {
	names  Names
	used   []string
	bounds []Bound
	fault  *Fault
}

func (k *compiler) failf(at ast.Node, allowed, suggestion, found string, args ...any) node {
	if k.fault == nil {
		k.fault = &Fault{Offset: begin(at), Found: fmt.Sprintf(found, args...), Allowed: allowed, Suggestion: suggestion}
	}
	return node{kind: Number, number: func(Vars) float64 { return 0 }}
}

func (k *compiler) node(x ast.Node) node {
	switch x := x.(type) {
	case *ast.IntegerNode:
		return fixedNumber(float64(x.Value))
	case *ast.FloatNode:
		return fixedNumber(x.Value)
	case *ast.BoolNode:
		return node{kind: Truth, fixed: true, truth: func(Vars) bool { return x.Value }}
	case *ast.StringNode:
		return node{kind: Text, fixed: true, literals: []string{x.Value}, text: func(Vars) string { return x.Value }}
	case *ast.ArrayNode:
		return k.array(x)
	case *ast.IdentifierNode, *ast.MemberNode:
		return k.name(x)
	case *ast.UnaryNode:
		return k.unary(x)
	case *ast.BinaryNode:
		return k.binary(x)
	case *ast.ConditionalNode:
		return k.conditional(x)
	case *ast.BuiltinNode:
		return k.call(x, x.Name, x.Arguments)
	case *ast.CallNode:
		if f, ok := x.Callee.(*ast.IdentifierNode); ok {
			return k.call(x, f.Value, x.Arguments)
		}
	}
	return k.failf(x, "allowed: names, numbers, texts, and or not, comparisons, + - * / %, in, contains, startsWith, endsWith, a ? b : c, and the functions "+strings.Join(Functions(), ", "), "",
		"%q can't be part of a condition", x.String())
}

func fixedNumber(v float64) node {
	return node{kind: Number, fixed: true, number: func(Vars) float64 { return v }}
}

// array is a list of fixed texts or numbers, for "in".
func (k *compiler) array(x *ast.ArrayNode) node {
	texts := make([]string, 0, len(x.Nodes))
	of := [2]bool{}
	for _, n := range x.Nodes {
		switch v := n.(type) {
		case *ast.StringNode:
			of[0] = true
			texts = append(texts, v.Value)
		case *ast.IntegerNode, *ast.FloatNode:
			of[1] = true
			texts = append(texts, numberText(k.node(n).number(nil)))
		default:
			return k.failf(n, "a list holds texts or numbers that are written out, such as [\"gold\", \"silver\"]", "", "%q in a list", n.String())
		}
	}
	return node{kind: List, fixed: true, literals: texts, ofTexts: of[0], ofNumbers: of[1], list: func(Vars) []string { return texts }}
}

// name resolves a.b.c, and a["b"].
func (k *compiler) name(x ast.Node) node {
	path, ok := pathOf(x)
	if !ok {
		return k.failf(x, "want a name such as user.orders", "", "%q is no name", x.String())
	}
	slot, kind, ok := k.names.Name(path)
	if !ok {
		near := k.names.Near(path)
		suggestion := ""
		if len(near) > 0 {
			suggestion = near[0]
		}
		return k.failf(x, "want a feature, prediction, trait, consent or audience that there is, or a field of customer, event, item, next or now; all are in deploy/FEATURES.md", suggestion, "unknown name %q", strings.Join(path, "."))
	}
	k.used = append(k.used, strings.Join(path, "."))
	switch kind {
	case Number:
		return node{kind: kind, number: func(v Vars) float64 { return v.Number(slot) }}
	case Truth:
		return node{kind: kind, truth: func(v Vars) bool { return v.Truth(slot) }}
	case List:
		return node{kind: kind, most: k.most(path), list: func(v Vars) []string { return v.List(slot) }}
	}
	return node{kind: kind, most: k.most(path), text: func(v Vars) string { return v.Text(slot) }}
}

func pathOf(x ast.Node) ([]string, bool) {
	switch x := x.(type) {
	case *ast.IdentifierNode:
		return []string{x.Value}, true
	case *ast.MemberNode:
		path, ok := pathOf(x.Node)
		property, text := x.Property.(*ast.StringNode)
		if !ok || !text || x.Optional {
			return nil, false
		}
		return append(path, property.Value), true
	}
	return nil, false
}

func (k *compiler) unary(x *ast.UnaryNode) node {
	n := k.node(x.Node)
	switch x.Operator {
	case "not", "!":
		if n = k.want(x.Node, n, Truth); k.fault == nil {
			return node{kind: Truth, fixed: n.fixed, truth: func(v Vars) bool { return !n.truth(v) }}
		}
	case "-":
		if n = k.want(x.Node, n, Number); k.fault == nil {
			return node{kind: Number, fixed: n.fixed, number: func(v Vars) float64 { return -n.number(v) }}
		}
	case "+":
		return k.want(x.Node, n, Number)
	}
	return k.failf(x, "allowed before a value: not, -", "", "the operator %q", x.Operator)
}

// want makes n of the kind, or says what is wrong.
func (k *compiler) want(x ast.Node, n node, kind Kind) node {
	if k.fault != nil || n.kind == kind {
		return n
	}
	if n.kind == Loose {
		return loosely(n, kind)
	}
	return k.failf(x, "want "+kind.String()+" here", "", "%q is %v", x.String(), n.kind)
}

func (k *compiler) conditional(x *ast.ConditionalNode) node {
	c, a, b := k.want(x.Cond, k.node(x.Cond), Truth), k.node(x.Exp1), k.node(x.Exp2)
	if k.fault != nil {
		return a
	}
	if a.kind == Loose {
		a = loosely(a, b.kind)
	}
	if b = k.want(x.Exp2, b, a.kind); k.fault != nil {
		return b
	}
	switch a.kind {
	case Number:
		return node{kind: Number, number: func(v Vars) float64 {
			if c.truth(v) {
				return a.number(v)
			}
			return b.number(v)
		}}
	case Truth:
		return node{kind: Truth, truth: func(v Vars) bool {
			if c.truth(v) {
				return a.truth(v)
			}
			return b.truth(v)
		}}
	case List:
		return k.failf(x, "want numbers, texts or truths", "", "lists in a choice")
	}
	return node{kind: Text, text: func(v Vars) string {
		if c.truth(v) {
			return a.text(v)
		}
		return b.text(v)
	}}
}

// loosely reads a trait's text as a number, a truth or a text.
func loosely(n node, kind Kind) node {
	text := n.text
	switch kind {
	case Number:
		return node{kind: Number, number: func(v Vars) float64 { return parseNumber(text(v)) }}
	case Truth:
		return node{kind: Truth, truth: func(v Vars) bool { return truthOf(text(v)) }}
	}
	return node{kind: Text, text: text}
}

// truthOf says whether a trait stands for true: set, and none of the words for false.
func truthOf(s string) bool {
	switch s {
	case "", "0", "false", "no", "off", "null", "False", "FALSE", "No", "NO":
		return false
	}
	return true
}

var nan = math.NaN()
