package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// call is a call of a function by its full name, "os.Exit".
type call struct {
	name string
	node ast.Node
}

// calls are the calls PACKAGE.FUNCTION of a file, whatever the import is called there.
func calls(file *ast.File) []call {
	imports := map[string]string{}
	for _, im := range file.Imports {
		p := strings.Trim(im.Path.Value, `"`)
		name := p[strings.LastIndexByte(p, '/')+1:]
		if im.Name != nil {
			name = im.Name.Name
		}
		imports[name] = p
	}
	var out []call
	ast.Inspect(file, func(n ast.Node) bool {
		// Not only calls: a function value may be called anywhere.
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && imports[x.Name] != "" {
				out = append(out, call{imports[x.Name] + "." + sel.Sel.Name, n})
			}
		}
		return true
	})
	return out
}

// exits lists where a process may end outside of a package main, each with its reason.
var exits = map[string]string{
	"internal/lab/lab.go": "a copy of the test binary becomes the keeper of a machine, and must not run the tests",
}

func TestExit(t *testing.T) {
	used := map[string]bool{}
	for _, s := range files(t) {
		for _, c := range calls(s.file) {
			ends := c.name == "os.Exit" || c.name == "syscall.Exit" || c.name == "golang.org/x/sys/unix.Exit" ||
				strings.HasPrefix(c.name, "log.Fatal") || strings.HasPrefix(c.name, "log.Panic")
			if !ends || s.file.Name.Name == "main" {
				continue
			}
			used[s.path] = true
			if exits[s.path] == "" {
				t.Errorf("%s:%d: %s ends the process, which only main may", s.path, s.line(c.node), c.name)
			}
		}
	}
	for path := range exits {
		if !used[path] {
			t.Errorf("%s needs no exception any more", path)
		}
	}
}

// TestNoInit: what runs before main cannot be tested, ordered or left out.
func TestNoInit(t *testing.T) {
	for _, s := range files(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: func init", s.path, s.line(f))
			}
		}
	}
}

const maxFile, maxFunc = 350, 70

// large lists files and functions beyond the bounds, each with its reason: "path" or "path:Function".
var large = map[string]string{}

func TestSize(t *testing.T) {
	used := map[string]bool{}
	check := func(what string, lines, most int) {
		if lines <= most {
			return
		}
		used[what] = true
		if large[what] == "" {
			t.Errorf("%s has %d lines, the bound is %d", what, lines, most)
		}
	}
	for _, s := range files(t) {
		check(s.path, s.fset.File(s.file.Pos()).LineCount(), maxFile)
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				check(s.path+":"+f.Name.Name, s.fset.Position(f.End()).Line-s.line(f)+1, maxFunc)
			}
		}
	}
	for what := range large {
		if !used[what] {
			t.Errorf("%s needs no exception any more", what)
		}
	}
}

// variables lists package variables that are more than a constant which Go cannot write as one, each with its reason.
var variables = map[string]string{
	"cmd/clusterctl/version.go:version": "set by the linker",
	"internal/lab/lab.go:global":        "the machines that the tests of a process share; only lab.Main ends them",
}

// TestNoVariables: a package variable is an error value, a compiled table, or what is embedded, and nothing ever writes
// to it.
func TestNoVariables(t *testing.T) {
	used := map[string]bool{}
	dirs := map[string][]source{}
	for _, s := range files(t) {
		dirs[s.dir] = append(dirs[s.dir], s)
	}
	for _, s := range files(t) {
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					key := s.path + ":" + name.Name
					why := ""
					switch {
					case name.Name == "_":
						continue
					case len(v.Values) == 0 && !embedded(g, v):
						why = "has no value, so something has to write it"
					case len(v.Values) > 0 && !constant(v.Values[min(i, len(v.Values)-1)]):
						why = "is not an error value or a table"
					default:
						why = written(dirs[s.dir], name.Name)
					}
					if why == "" {
						continue
					}
					used[key] = true
					if variables[key] == "" {
						t.Errorf("%s:%d: the package variable %s %s", s.path, s.line(name), name.Name, why)
					}
				}
			}
		}
	}
	for key := range variables {
		if !used[key] {
			t.Errorf("%s needs no exception any more", key)
		}
	}
}

func embedded(g *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

// constant: a literal, another package's value (an alias), or the result of a function that makes an immutable value.
func constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit, *ast.CompositeLit, *ast.SelectorExpr, *ast.BinaryExpr:
		return true
	case *ast.CallExpr:
		if a, ok := e.Fun.(*ast.ArrayType); ok {
			return a.Len == nil // []byte("…")
		}
		sel, ok := e.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		x, ok := sel.X.(*ast.Ident)
		return ok && slices.Contains([]string{
			"errors.New", "fmt.Errorf", "regexp.MustCompile", "strings.NewReplacer", "template.Must", "sync.OnceValue", "sync.OnceValues",
			"netip.MustParseAddr", "netip.MustParsePrefix",
		}, x.Name+"."+sel.Sel.Name)
	}
	return false
}

// written says where a package assigns to one of its variables, to a part of it, or takes its address, by its name:
// a local of that name counts as well, which costs at most another name.
func written(all []source, name string) string {
	why := ""
	base := func(e ast.Expr) string {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.Ident:
				return x.Name
			default:
				return ""
			}
		}
	}
	for _, s := range all {
		ast.Inspect(s.file, func(n ast.Node) bool {
			var targets []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					targets = n.Lhs
				}
			case *ast.IncDecStmt:
				targets = []ast.Expr{n.X}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					targets = []ast.Expr{n.X}
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") {
					targets = n.Args[:1]
				}
			}
			for _, e := range targets {
				if base(e) == name {
					why = "is written to in " + s.path
				}
			}
			return true
		})
	}
	return why
}

// TestDocs: every package says what it is for, and every exported name what it does.
func TestDocs(t *testing.T) {
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, s := range files(t) {
		seen[s.dir] = true
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil
		if s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s:%d: %s has no comment", s.path, s.line(d), name)
			}
		}
	}
	for dir := range seen {
		if !documented[dir] {
			t.Errorf("%s: the package has no comment", dir)
		}
	}
}

// wellKnown are methods that say all in their name and signature.
var wellKnown = []string{"Error", "String", "Unwrap", "Is", "Close", "Len", "Less", "Swap", "Read", "Write", "Addr",
	"Network", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText"}

func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		exported := d.Name.IsExported()
		if d.Recv != nil {
			exported = exported && ast.IsExported(receiver(d)) && !slices.Contains(wellKnown, d.Name.Name)
		}
		if exported && d.Doc == nil {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				// In a group the comment of the group, or one on the line, is enough.
				if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil && !d.Lparen.IsValid() {
					names = append(names, spec.Names[0].Name)
				}
			}
		}
		return names
	}
	return nil
}

func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
