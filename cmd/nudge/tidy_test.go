package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The tests of this file read the tree and keep it as engine/DESIGN.md says. Run them with go test ./cmd/nudge -run TestTidy.

const module = "nudge"

// topLevel is what may stand at the top, beside names that begin with a dot and those that .gitignore lists.
var topLevel = []string{"LICENSE", "README.md", "cmd", "deploy", "docker-compose.yml", "engine", "go.mod", "go.sum", "models", "operators", "state", "streams"}

// arrows are the packages and which of ours each may import. A package that is not here has no place yet.
var arrows = map[string][]string{
	"streams":             {},
	"models":              {},
	"state":               {},
	"deploy":              {},
	"streams/embedded":    {},
	"streams/kafka":       {"streams"},
	"streams/nats":        {"streams"},
	"streams/files":       {"streams"},
	"streams/simulate":    {"streams"},
	"engine":              {"state", "streams"},
	"engine/enginetest":   {"engine", "state", "streams"}, // only tests import it
	"engine/node":         {"engine", "state", "streams"},
	"operators":           {"engine", "models", "operators/condition", "operators/feature", "streams"},
	"operators/condition": {"models"},
	"operators/feature":   {"models", "streams"},
	"operators/pipeline":  {"engine", "operators", "operators/condition", "operators/feature", "streams"},
	"cmd/nudge":           {"*"},

	"cmd/nudge/internal/bench":      {"cmd/nudge/internal/latency", "streams", "streams/kafka", "streams/nats"},
	"cmd/nudge/internal/closedloop": {"cmd/nudge/internal/sandbox", "operators/pipeline", "streams", "streams/simulate"},
	"cmd/nudge/internal/evaluation": {"models"},
	"cmd/nudge/internal/feed":       {"streams", "streams/files", "streams/kafka", "streams/simulate"},
	"cmd/nudge/internal/latency":    {"streams", "streams/kafka"},
	"cmd/nudge/internal/recording":  {"engine", "state", "streams", "streams/files", "streams/kafka"},
	"cmd/nudge/internal/sandbox":    {"engine", "operators", "operators/pipeline", "state", "streams"},
	"cmd/nudge/internal/suite":      {"cmd/nudge/internal/sandbox", "operators", "operators/feature", "operators/pipeline", "streams"},
}

// owners are the modules that only some packages may import. Tests may import what they like.
var owners = map[string][]string{
	"github.com/dgraph-io/badger":     {"state"},
	"github.com/segmentio/kafka-go":   {"streams/kafka", "streams/embedded"}, // embedded: to read compressed batches
	"github.com/nats-io/nats.go":      {"streams/nats"},
	"github.com/nats-io/nats-server":  {"streams/embedded"},
	"github.com/twmb/franz-go":        {"streams/embedded"},
	"github.com/goccy/go-yaml":        {"operators/pipeline", "cmd/nudge", "cmd/nudge/internal/suite"},
	"github.com/spf13":                {"cmd/nudge"},
	"github.com/prometheus":           {"engine/node", "cmd/nudge"},
	"go.uber.org/zap":                 {"cmd/nudge", "engine/node", "state", "streams/embedded", "streams/kafka", "streams/nats"},
	"gorgonia.org":                    {"models"},
	"github.com/expr-lang/expr":       {"operators/condition"},
	"github.com/compose-spec":         {}, // to test docker-compose.yml
	"github.com/cockroachdb":          {}, // tests only, as those below
	"github.com/rogpeppe/go-internal": {},
	"pgregory.net/rapid":              {},
}

// pure are the packages that are functions of what they are given.
var pure = []string{"engine", "operators", "models", "streams"}

// ban is a function, or all of a package, that some packages do without.
type ban struct {
	in      []string
	pkg     string
	names   string // a pattern; "" for the import of the package
	instead string
}

var bans = []ban{
	{pure, "time", "Now|Since|Until", "event time: Turn.NowMS, Turn.WatermarkMS, or an argument"},
	{pure, "time", "Sleep|After|AfterFunc|Tick|NewTimer|NewTicker", "an event-time timer: Turn.SetTimer"},
	{pure, "os|io/ioutil|os/exec|net|net/http|syscall", "", "data that is handed in: packages that fold do no I/O"},
	{pure, "log|log/slog|go.uber.org/zap", "", "a decision, a counter (Turn.Count) or an error: packages that fold do not log"},
	{pure, "sync|sync/atomic", "", "nothing: one goroutine folds a shard, and shards share nothing that changes"},
	{append([]string{"operators/pipeline"}, pure...), "math/rand|math/rand/v2|crypto/rand", "", "Turn.Random, or Turn.CustomerHash"},
	{[]string{"operators", "models"}, "math", "Exp|Exp2|Expm1|Log|Log10|Log1p|Log2|Pow|FMA|Sin|Cos|Tan|Tanh|Gamma|Lgamma",
		"exp and log of models/exp.go: those of math differ by the last bit between machines"},
	{[]string{"operators/pipeline", "streams/simulate", "streams/files"}, "time", "Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTimer|NewTicker", "an argument"},
	{[]string{"engine/node"}, "time", "Now|Since|Until", "Config.Now, the node's only clock"},
	{[]string{"engine/node", "state", "streams/files", "streams/simulate", "streams/embedded"}, "math/rand|math/rand/v2", globalRand, "a generator with a seed: rand.New(rand.NewPCG(...))"},
	{[]string{"*"}, "time", "Sleep|Tick", "a channel, or a time.Timer beside the context's Done"},
	{[]string{"*"}, "fmt", "Print|Printf|Println", "fmt.Fprint to the writer at hand (cli.out, cli.talk), an error, or the zap logger"},
	{[]string{"*"}, "math/rand", "", "math/rand/v2"},
	{[]string{"*"}, "io/ioutil", "", "io or os"},
	{[]string{"*"}, "log", "", "the zap logger that a constructor was given"},
}

// globalRand are the functions of math/rand/v2 that draw from the generator of the process.
const globalRand = "ExpFloat64|Float32|Float64|Int|Int32|Int32N|Int64|Int64N|IntN|N|NormFloat64|Perm|Shuffle|Uint|Uint32|Uint32N|Uint64|Uint64N"

// A file past some 500 lines tells two stories.
const mostLines = 600

// goFile is a file of the tree, parsed.
type goFile struct {
	dir, path string // from the top
	test      bool
	text      []byte
	ast       *ast.File
	fset      *token.FileSet
}

func (f *goFile) at(p token.Pos) string { return fmt.Sprintf("%s:%d", f.path, f.fset.Position(p).Line) }

const top = "../.."

var tree = sync.OnceValues(func() (files []*goFile, err error) {
	fset := token.NewFileSet()
	err = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || len(name) > 2 && name[0] == '.') {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		f := &goFile{dir: path.Dir(rel), path: rel, test: strings.HasSuffix(name, "_test.go"), fset: fset}
		if f.text, err = os.ReadFile(p); err != nil {
			return err
		}
		if f.ast, err = parser.ParseFile(fset, rel, f.text, parser.ParseComments); err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
})

func readTree(t *testing.T) []*goFile {
	t.Helper()
	files, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTidyTopLevel(t *testing.T) {
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.Join(top, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !matchesAny(strings.Fields(string(ignored)), e.Name()) {
			have = append(have, e.Name())
		}
	}
	for _, name := range topLevel {
		if !slices.Contains(have, name) {
			t.Errorf("%s is missing at the top", name)
		}
	}
	for _, name := range have {
		if !slices.Contains(topLevel, name) {
			t.Errorf("%s stands at the top: put it into one of %s", name, strings.Join(topLevel, ", "))
		}
	}
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(strings.Trim(p, "/"), name)
		return err == nil && ok
	})
}

func TestTidyArrows(t *testing.T) {
	for _, f := range readTree(t) {
		allowed, known := arrows[f.dir]
		if !known {
			t.Errorf("%s: package %s is not in the table of this test: put the file into one of %s, or add the package there and to engine/DESIGN.md",
				f.path, f.dir, strings.Join(slices.Sorted(maps.Keys(arrows)), ", "))
			continue
		}
		for _, spec := range f.ast.Imports {
			imported := importPath(spec)
			if own, ours := strings.CutPrefix(imported, module+"/"); ours && !f.test && !slices.Contains(allowed, own) && !slices.Contains(allowed, "*") {
				t.Errorf("%s: %s imports %s; it may import %s: let the importer hand in what is needed, or say whose it is",
					f.at(spec.Pos()), f.dir, own, orNothing(allowed))
			}
			for owned, by := range owners {
				if !f.test && within(imported, owned) && !slices.Contains(by, f.dir) {
					t.Errorf("%s: %s imports %s, which is %s's alone: use the types of that package", f.at(spec.Pos()), f.dir, imported, orNothing(by))
				}
			}
		}
	}
}

func importPath(s *ast.ImportSpec) string {
	p, err := strconv.Unquote(s.Path.Value)
	if err != nil {
		return s.Path.Value
	}
	return p
}

func within(imported, path string) bool {
	return imported == path || strings.HasPrefix(imported, path+"/")
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing (tests aside)"
	}
	return strings.Join(names, ", ")
}

func TestTidyCalls(t *testing.T) {
	for _, f := range readTree(t) {
		for i := range bans {
			b := &bans[i]
			if b.applies(f) {
				b.look(t, f)
			}
		}
	}
}

// applies says whether the ban is one for this file. Tests are only kept from sleeping.
func (b *ban) applies(f *goFile) bool {
	if f.test {
		return b.in[0] == "*" && b.pkg == "time"
	}
	return b.in[0] == "*" || slices.Contains(b.in, f.dir)
}

func (b *ban) look(t *testing.T, f *goFile) {
	t.Helper()
	pkg := regexp.MustCompile(`^(` + b.pkg + `)$`)
	names := regexp.MustCompile(`^(` + b.names + `)$`)
	local := map[string]string{} // package by its name in the file
	for _, spec := range f.ast.Imports {
		p := importPath(spec)
		if !pkg.MatchString(p) {
			continue
		}
		if b.names == "" {
			t.Errorf("%s: %s imports %s: use %s", f.at(spec.Pos()), f.dir, p, b.instead)
			continue
		}
		name := path.Base(strings.TrimSuffix(p, "/v2"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		local[name] = p
	}
	if len(local) == 0 {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok || !names.MatchString(s.Sel.Name) {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && local[x.Name] != "" && x.Obj == nil {
			t.Errorf("%s: %s calls %s.%s: use %s", f.at(s.Pos()), f.dir, local[x.Name], s.Sel.Name, b.instead)
		}
		return true
	})
}

func TestTidyFiles(t *testing.T) {
	todo := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	for _, f := range readTree(t) {
		if formatted, err := format.Source(f.text); err != nil {
			t.Errorf("%s: %v", f.path, err)
		} else if !bytes.Equal(formatted, f.text) {
			t.Errorf("%s is not formatted: run gofmt -w %s", f.path, f.path)
		}
		if n := bytes.Count(f.text, []byte("\n")); n > mostLines && !f.test {
			t.Errorf("%s has %d lines, at most %d are allowed: it tells two stories; move one to a file of its own", f.path, n, mostLines)
		}
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				if word := todo.FindString(c.Text); word != "" {
					t.Errorf("%s: a comment says %s: do it, or say what holds instead", f.at(c.Pos()), word)
				}
			}
		}
		if f.test {
			continue
		}
		goroutines := slices.Contains(pure, f.dir)
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: %s has a func init: let a constructor do it", f.at(n.Pos()), f.dir)
				}
			case *ast.GoStmt:
				if goroutines {
					t.Errorf("%s: %s starts a goroutine: shards run side by side by Config.Parallel alone", f.at(n.Pos()), f.dir)
				}
			}
			return true
		})
	}
}

// TestTidyDocs asks for a doc.go with a comment from every package.
func TestTidyDocs(t *testing.T) {
	docs := map[string]bool{}
	for _, f := range readTree(t) {
		if f.test {
			continue
		}
		docs[f.dir] = docs[f.dir] || path.Base(f.path) == "doc.go" && f.ast.Doc != nil
	}
	for _, dir := range slices.Sorted(maps.Keys(docs)) {
		if !docs[dir] {
			t.Errorf("%s has no doc.go with a package comment: say in one sentence what it is, which types there are, and its invariants", dir)
		}
	}
}

// TestTidyFileMap holds the file map of engine/DESIGN.md against the files.
func TestTidyFileMap(t *testing.T) {
	const design = "engine/DESIGN.md"
	text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(design)))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## File map\n")
	if !found {
		t.Fatalf("%s has no section \"File map\"", design)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	heading, file := regexp.MustCompile("^`([a-z/]+)`$"), regexp.MustCompile("`([a-z_]+\\.go)`")
	mapped, dir := map[string]bool{}, ""
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if m := heading.FindStringSubmatch(line); m != nil {
			dir = m[1]
		}
		cells := strings.Split(line, "|")
		if len(cells) < 2 {
			continue
		}
		for _, m := range file.FindAllStringSubmatch(cells[1], -1) {
			mapped[dir+"/"+m[1]] = true
		}
	}
	for _, f := range readTree(t) {
		if f.test || f.dir != "engine" && f.dir != "engine/node" {
			continue
		}
		if !mapped[f.path] {
			t.Errorf("%s is not in the file map of %s: add a line that says what its story is", f.path, design)
		}
		delete(mapped, f.path)
	}
	for _, gone := range slices.Sorted(maps.Keys(mapped)) {
		t.Errorf("the file map of %s names %s, which is not there: take it out", design, gone)
	}
}

// TestTidyPages follows the links of the pages, and looks that every command is in the README's table and every one in it exists.
func TestTidyPages(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, page := range []string{"README.md", "engine/DESIGN.md", "deploy/EVENTS.md", "deploy/GUARANTEES.md"} {
		text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(page)))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(top, path.Dir(page), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
	readme, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`nudge ([a-z]+)[ `]").FindAllStringSubmatch(string(readme), -1) {
		named[m[1]] = true
	}
	delete(named, "help")
	for _, cmd := range (&cli{}).root().Commands() {
		if name := cmd.Name(); !named[name] && !slices.Contains([]string{"completion", "help", "version"}, name) {
			t.Errorf("README.md does not say what nudge %s is for", name)
		}
		delete(named, cmd.Name())
	}
	for name := range named {
		t.Errorf("README.md names nudge %s, which is no command", name)
	}
}
