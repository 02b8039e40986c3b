package streams

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

func TestEveryReasonHasWords(t *testing.T) {
	for _, code := range ReasonCodes() {
		if !ValidToken(code) {
			t.Errorf("reason %q is no token", code)
		}
		for _, r := range []Reason{{Code: code}, {Code: code, With: "SKU-9"}, {Code: code, Weight: 0.25}, {Code: code, With: "SKU-9", Weight: 31}} {
			en, zh := r.Words("en"), r.Words("zh-CN")
			for _, s := range []string{en, zh} {
				if s == "" || s == code || strings.ContainsAny(s, "[]{}|") || strings.TrimSpace(s) != s {
					t.Errorf("%+v reads %q", r, s)
				}
			}
			if strings.ContainsFunc(en, func(c rune) bool { return unicode.Is(unicode.Han, c) }) || !strings.ContainsFunc(zh, func(c rune) bool { return unicode.Is(unicode.Han, c) }) {
				t.Errorf("%+v: languages mixed up: %q, %q", r, en, zh)
			}
		}
	}
	for r, want := range map[Reason]string{
		{Code: ReasonViewedTogether, With: "SKU-9", Weight: 0.4}: "shoppers who viewed SKU-9 also viewed it",
		{Code: ReasonViewedTogether}:                             "shoppers who viewed the same things also viewed it",
		{Code: ReasonCartAbandoned, Weight: 30}:                  "left a cart behind, quiet for 30 min",
		{Code: ReasonRhythm, Weight: 9.54}:                       "usually orders every 9.5 days",
		{Code: ReasonMargin, Weight: 0.12}:                       "withheld: the margin is too thin: 12 %",
		{Code: "no_such_code"}:                                   "no_such_code",
	} {
		if got := r.Words("en"); got != want {
			t.Errorf("%+v reads %q, want %q", r, got, want)
		}
	}
}

func TestDecisionWords(t *testing.T) {
	want := [][2]string{
		{"u-42: show SKU-1, SKU-2 (home) - shown to learn how it is received; shoppers who viewed SKU-9 also viewed it",
			"u-42：推荐 SKU-1、SKU-2（home）——为了解顾客反应而探索展示；浏览过SKU-9的顾客也浏览了它"},
		{"visitor 张 三: no coupon cart_rescue, 10 % off (cart_rescue) - withheld: the budget is spent: q4; left a cart behind, quiet for 30 min",
			"访客 张 三：不发优惠券 cart_rescue，减 10%（cart_rescue）——未执行：预算已用完（q4）；购物车被搁置，已静默 30 分钟"},
		{"u: churn alert 83 %, high (leaving) - no order for 31 days; usually orders every 9.5 days",
			"u：流失预警 83 %，high（leaving）——已 31 天没有下单；通常每 9.5 天下单一次"},
		{"u: coupon s, free shipping (ship)", "u：优惠券 s，免运费（ship）"},
		{"u: coupon s, 5 off (off)", "u：优惠券 s，立减 5（off）"},
	}
	for i, d := range decisions() {
		for j, lang := range []string{"en", "zh"} {
			if got := d.Words(lang); got != want[i][j] {
				t.Errorf("decision %d in %s\n got %s\nwant %s", i, lang, got, want[i][j])
			}
		}
	}
}

// What was given to chance has small propensities: the one number that must not read 0.
func TestSmallNumbersAreNotNothing(t *testing.T) {
	d := Decision{Kind: KindRecommendation, Action: ActionShow, Propensity: .0003061, Explored: true,
		Items: []DecisionItem{{ID: "SKU-1", Score: .04747, Propensity: .0003061, Reasons: []Reason{{Code: ReasonTrending, Weight: .002345}}}}}
	text := d.Explain("en")
	for _, want := range []string{"0.0003061, explored", "score 0.04747, propensity 0.0003061", "[trending 0.002345]"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing of\n%s", want, text)
		}
	}
	for f, want := range map[float64]string{.0003: "0.0003", .31: "0.31", 0: "0", .00462: "0.0046", 12.34: "12.3"} {
		if got := number(f, 1); got != want {
			t.Errorf("%v reads %q, want %q", f, got, want)
		}
	}
}

// TestCodesInUseAreKnown reads the whole tree: a Reason may be made only of a code that has words.
func TestCodesInUseAreKnown(t *testing.T) {
	root := ".."
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Skip("not run from within the module: ", err)
	}
	literals := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// What tests make up of a diary is published to nobody.
		if entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "enginetest") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return nil // the compiler says it better
		}
		check := func(e ast.Expr) {
			lit, ok := e.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return
			}
			literals++
			if code, _ := strconv.Unquote(lit.Value); !KnownReason(code) {
				t.Errorf("%s: reason code %q has no words: add it to words.go", set.Position(lit.Pos()), code)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			reason := isReason(lit.Type)
			for _, element := range lit.Elts {
				if inner, ok := element.(*ast.CompositeLit); ok && inner.Type == nil && isReasonList(lit.Type) {
					checkReason(inner, check)
				}
			}
			if reason {
				checkReason(lit, check)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d literal codes", literals)
}

func isReason(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.Ident:
		return t.Name == "Reason"
	case *ast.SelectorExpr:
		x, ok := t.X.(*ast.Ident)
		return ok && x.Name == "streams" && t.Sel.Name == "Reason"
	}
	return false
}

func isReasonList(t ast.Expr) bool {
	list, ok := t.(*ast.ArrayType)
	return ok && isReason(list.Elt)
}

func checkReason(lit *ast.CompositeLit, check func(ast.Expr)) {
	for i, element := range lit.Elts {
		if kv, ok := element.(*ast.KeyValueExpr); !ok {
			if i == 0 {
				check(element)
			}
		} else if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Code" {
			check(kv.Value)
		}
	}
}
