package condition

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"nudge/models"
)

// binary compiles an operator between two values.
func (k *compiler) binary(x *ast.BinaryNode) node {
	a, b := k.node(x.Left), k.node(x.Right)
	if k.fault != nil {
		return a
	}
	if k.fits(x, a, b); k.fault != nil {
		return a
	}
	switch x.Operator {
	case "and", "&&", "or", "||":
		a, b = k.want(x.Left, a, Truth), k.want(x.Right, b, Truth)
		if x.Operator == "and" || x.Operator == "&&" {
			return node{kind: Truth, truth: func(v Vars) bool { return a.truth(v) && b.truth(v) }}
		}
		return node{kind: Truth, truth: func(v Vars) bool { return a.truth(v) || b.truth(v) }}
	case "==", "!=":
		return k.equality(x, a, b)
	case "<", "<=", ">", ">=":
		return k.comparison(x, a, b)
	case "+", "-", "*", "/", "%":
		return k.arithmetic(x, a, b)
	case "in":
		return k.membership(x, a, b)
	case "contains", "startsWith", "endsWith":
		return k.search(x, a, b)
	}
	return k.failf(x, "allowed: and, or, not, ==, !=, <, <=, >, >=, +, -, *, /, %, in, contains, startsWith, endsWith", "", "the operator %q", x.Operator)
}

func (k *compiler) equality(x *ast.BinaryNode, a, b node) node {
	switch {
	case a.kind == Loose && b.kind != Loose:
		a = loosely(a, b.kind)
	case b.kind == Loose && a.kind != Loose:
		b = loosely(b, a.kind)
	}
	if a.kind != b.kind || a.kind == List {
		return k.failf(x, "compare a number with a number, a text with a text", "", "%q compares %v with %v", x.String(), a.kind, b.kind)
	}
	var same func(Vars) bool
	switch a.kind {
	case Number:
		same = func(v Vars) bool { return a.number(v) == b.number(v) }
		if x.Operator == "!=" { // what is not known is not different either
			return node{kind: Truth, truth: func(v Vars) bool {
				l, r := a.number(v), b.number(v)
				return l < r || l > r
			}}
		}
	case Truth:
		same = func(v Vars) bool { return a.truth(v) == b.truth(v) }
	default:
		same = func(v Vars) bool { return a.text(v) == b.text(v) }
	}
	if x.Operator == "!=" {
		return node{kind: Truth, truth: func(v Vars) bool { return !same(v) }}
	}
	return node{kind: Truth, truth: same}
}

func (k *compiler) comparison(x *ast.BinaryNode, a, b node) node {
	a, b = k.want(x.Left, a, Number), k.want(x.Right, b, Number)
	if k.fault != nil {
		return a
	}
	k.bound(x.Left, b)
	k.bound(x.Right, a)
	l, r := a.number, b.number
	var f func(Vars) bool
	switch x.Operator {
	case "<":
		f = func(v Vars) bool { return l(v) < r(v) }
	case "<=":
		f = func(v Vars) bool { return l(v) <= r(v) }
	case ">":
		f = func(v Vars) bool { return l(v) > r(v) }
	default:
		f = func(v Vars) bool { return l(v) >= r(v) }
	}
	return node{kind: Truth, truth: f}
}

// bound notes that a name, or what stands for it where it is not known, is compared with a number.
func (k *compiler) bound(x ast.Node, n node) {
	if c, is := x.(*ast.CallNode); is && c.Callee.String() == "or_else" {
		x = c.Arguments[0]
	}
	if path, ok := pathOf(x); ok && n.fixed {
		k.bounds = append(k.bounds, Bound{strings.Join(path, "."), n.number(nil)})
	}
}

func (k *compiler) arithmetic(x *ast.BinaryNode, a, b node) node {
	a, b = k.want(x.Left, a, Number), k.want(x.Right, b, Number)
	if k.fault != nil {
		return a
	}
	l, r := a.number, b.number
	var f func(Vars) float64
	switch x.Operator {
	case "+":
		f = func(v Vars) float64 { return l(v) + r(v) }
	case "-":
		f = func(v Vars) float64 { return l(v) - r(v) }
	case "*":
		f = func(v Vars) float64 { return float64(l(v) * r(v)) }
	case "/":
		f = func(v Vars) float64 {
			if d := r(v); d != 0 {
				return l(v) / d
			}
			return nan
		}
	default:
		f = func(v Vars) float64 { return math.Mod(l(v), r(v)) }
	}
	return node{kind: Number, fixed: a.fixed && b.fixed, number: f}
}

// membership is "x in list", and "x in text" for a part of it.
func (k *compiler) membership(x *ast.BinaryNode, a, b node) node {
	if b.kind != List {
		return k.failf(x.Right, "want a list, such as [\"gold\", \"silver\"], or a feature that is one", "", "%q is %v", x.Right.String(), b.kind)
	}
	if a.kind == Text && b.ofNumbers || a.kind == Number && b.ofTexts {
		return k.failf(x.Right, "look for a number among numbers, for a text among texts, which are in quotes", "", "%q looks for %v", x.String(), a.kind)
	}
	switch {
	case a.kind == Number:
		return node{kind: Truth, truth: contains(b, a.number)}
	case a.kind == Text, a.kind == Loose && !b.ofNumbers:
		return node{kind: Truth, truth: func(v Vars) bool { return slices.Contains(b.list(v), a.text(v)) }}
	case a.kind == Loose: // among numbers it is one, however it is written; among both it may be either
		isNumber := contains(b, loosely(a, Number).number)
		return node{kind: Truth, truth: func(v Vars) bool { return isNumber(v) || slices.Contains(b.list(v), a.text(v)) }}
	}
	return k.failf(x.Left, "want a text or a number before in", "", "%q is %v", x.Left.String(), a.kind)
}

// contains says whether a number is one of a list, however that has written it.
func contains(list node, number func(Vars) float64) func(Vars) bool {
	if list.fixed {
		var numbers []float64
		for _, s := range list.literals {
			numbers = append(numbers, parseNumber(s))
		}
		return func(v Vars) bool { return slices.Contains(numbers, number(v)) }
	}
	return func(v Vars) bool {
		n := number(v)
		return n == n && slices.ContainsFunc(list.list(v), func(s string) bool { return parseNumber(s) == n })
	}
}

func (k *compiler) search(x *ast.BinaryNode, a, b node) node {
	if a.kind == List && x.Operator == "contains" {
		b = k.want(x.Right, b, Text)
		return node{kind: Truth, truth: func(v Vars) bool { return slices.Contains(a.list(v), b.text(v)) }}
	}
	a, b = k.want(x.Left, a, Text), k.want(x.Right, b, Text)
	if k.fault != nil {
		return a
	}
	f := map[string]func(s, part string) bool{"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix}[x.Operator]
	return node{kind: Truth, truth: func(v Vars) bool { return f(a.text(v), b.text(v)) }}
}

// function is one that a condition may call: numbers in, a number out, but for those that call compiles itself.
type function struct {
	name     string
	from, to int // how many arguments
	f        func(x []float64) float64
}

var functions = []function{
	{"abs", 1, 1, func(x []float64) float64 { return math.Abs(x[0]) }},
	{"ceil", 1, 1, func(x []float64) float64 { return math.Ceil(x[0]) }},
	{"floor", 1, 1, func(x []float64) float64 { return math.Floor(x[0]) }},
	{"known", 1, 1, nil},
	{"len", 1, 1, nil},
	{"log", 1, 1, func(x []float64) float64 { return models.Log(x[0]) }},
	{"lower", 1, 1, nil},
	{"max", 2, 8, slices.Max[[]float64]},
	{"min", 2, 8, slices.Min[[]float64]},
	{"number", 1, 1, nil},
	{"or_else", 2, 2, nil},
	{"round", 1, 1, func(x []float64) float64 { return math.Floor(x[0] + 0.5) }},
}

// Functions names the functions that a condition may call.
func Functions() []string {
	var names []string
	for _, f := range functions {
		names = append(names, f.name)
	}
	return names
}

func (k *compiler) call(x ast.Node, name string, args []ast.Node) node {
	i := slices.IndexFunc(functions, func(f function) bool { return f.name == name })
	if i < 0 {
		return k.failf(x, "allowed: "+strings.Join(Functions(), ", "), "", "unknown function %q", name)
	}
	fn := functions[i]
	if len(args) < fn.from || len(args) > fn.to {
		return k.failf(x, "want "+strconv.Itoa(fn.from)+" to "+strconv.Itoa(fn.to), "", "%s is given %d values", name, len(args))
	}
	in := make([]node, len(args))
	for i, a := range args {
		in[i] = k.node(a)
	}
	if k.fault != nil {
		return in[0]
	}
	a := in[0]
	switch name {
	case "known":
		return k.known(args[0], a)
	case "len":
		switch a.kind {
		case List:
			return node{kind: Number, number: func(v Vars) float64 { return float64(len(a.list(v))) }}
		case Text, Loose:
			return node{kind: Number, number: func(v Vars) float64 { return float64(utf8.RuneCountInString(a.text(v))) }}
		}
		return k.failf(args[0], "want a text or a list", "", "%q is %v", args[0].String(), a.kind)
	case "lower":
		a = k.want(args[0], a, Text)
		return node{kind: Text, text: func(v Vars) string { return strings.ToLower(a.text(v)) }}
	case "number":
		if a.kind == Text {
			a.kind = Loose
		}
		return k.want(args[0], a, Number)
	case "or_else":
		a, b := k.want(args[0], a, Number), k.want(args[1], in[1], Number)
		if k.fault != nil {
			return a
		}
		return node{kind: Number, number: func(v Vars) float64 {
			if n := a.number(v); n == n {
				return n
			}
			return b.number(v)
		}}
	}
	numbers := make([]func(Vars) float64, len(in))
	for i := range in {
		n := k.want(args[i], in[i], Number)
		if k.fault != nil {
			return n
		}
		numbers[i] = n.number
	}
	return node{kind: Number, number: func(v Vars) float64 {
		var x [8]float64
		for i, n := range numbers {
			if x[i] = n(v); x[i] != x[i] {
				return nan
			}
		}
		return fn.f(x[:len(numbers)])
	}}
}

func (k *compiler) known(x ast.Node, a node) node {
	switch a.kind {
	case Number:
		return node{kind: Truth, truth: func(v Vars) bool { n := a.number(v); return n == n }}
	case Text, Loose:
		return node{kind: Truth, truth: func(v Vars) bool { return a.text(v) != "" }}
	case List:
		return node{kind: Truth, truth: func(v Vars) bool { return len(a.list(v)) > 0 }}
	}
	return k.failf(x, "true or false is always known; leave known out", "", "%q is true or false", x.String())
}

func numberText(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }

// parseNumber reads a text as a number; one that is none, or no finite one, is not a number.
func parseNumber(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(n, 0) {
		return nan
	}
	return n
}
