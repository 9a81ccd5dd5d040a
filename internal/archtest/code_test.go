package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// The type call describes one use of a function: its full name, for example "os.Exit", and its place in the file.
type call struct {
	name string
	node ast.Node
}

// The function calls returns the uses of PACKAGE.FUNCTION in a file. PACKAGE is the import path, also if the file renames
// the import.
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
		// The expression may also be a function that is used as a value.
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && imports[x.Name] != "" {
				out = append(out, call{imports[x.Name] + "." + sel.Sel.Name, n})
			}
		}
		return true
	})
	return out
}

// The table exits lists files outside of package main that may end the process, each with the reason.
var exits = map[string]string{
	"internal/lab/lab.go": "in the keeper of a machine, which is a process of the test binary, no test may run",
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
				t.Errorf("%s:%d: %s ends the process, which is allowed only in package main", s.path, s.line(c.node), c.name)
			}
		}
	}
	for path := range exits {
		if !used[path] {
			t.Errorf("%s no longer needs its exception", path)
		}
	}
}

// TestNoInit checks that no package has a func init. A test cannot control when such code runs.
func TestNoInit(t *testing.T) {
	for _, s := range files(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: func init is not allowed", s.path, s.line(f))
			}
		}
	}
}

const maxFile, maxFunc = 350, 70

// allowedSizes lists files ("path") and functions ("path:Function") that may exceed the limits, each with the reason.
var allowedSizes = map[string]string{}

func TestSize(t *testing.T) {
	used := map[string]bool{}
	check := func(what string, lines, most int) {
		if lines <= most {
			return
		}
		used[what] = true
		if allowedSizes[what] == "" {
			t.Errorf("%s has %d lines, the limit is %d", what, lines, most)
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
	for what := range allowedSizes {
		if !used[what] {
			t.Errorf("%s no longer needs its exception", what)
		}
	}
}

// allowedVariables maps each package variable that TestNoVariables allows to the reason.
var allowedVariables = map[string]string{
	"cmd/clusterctl/cmd_version.go:version": "set by the linker",
	"internal/lab/lab.go:global":            "the tests of a package can share a machine only through a variable",
}

// TestNoVariables checks that each package variable is an error value, a table or embedded data, and that no code changes
// the variable.
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
					case len(v.Values) == 0 && !isEmbedded(g, v):
						why = "has no initial value, so the code must write to it"
					case len(v.Values) > 0 && !constant(v.Values[min(i, len(v.Values)-1)]):
						why = "is not an error value or a table"
					default:
						why = assignmentOf(dirs[s.dir], name.Name)
					}
					if why == "" {
						continue
					}
					used[key] = true
					if allowedVariables[key] == "" {
						t.Errorf("%s:%d: the package variable %s %s", s.path, s.line(name), name.Name, why)
					}
				}
			}
		}
	}
	for key := range allowedVariables {
		if !used[key] {
			t.Errorf("%s no longer needs its exception", key)
		}
	}
}

func isEmbedded(g *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

// The function constant reports whether an expression is a literal, a value of another package, or the result of a function
// that returns an immutable value.
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

// assignmentOf returns a message if a package assigns to the variable or to a part of the variable, or takes its
// address, and otherwise "". assignmentOf compares only names, so no local variable of the package may have the same
// name.
func assignmentOf(all []source, name string) string {
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

// TestDocs checks that each package and each exported name has a comment.
func TestDocs(t *testing.T) {
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, s := range files(t) {
		seen[s.dir] = true
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil
		if s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumentedNames(d) {
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

// wellKnown contains methods that need no comment, because Go programmers know what they do.
var wellKnown = []string{"Error", "String", "Unwrap", "Is", "Close", "Hint", "Len", "Less", "Swap", "Read", "Write", "Addr",
	"Network", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText"}

func undocumentedNames(d ast.Decl) []string {
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
				// In a group, a comment above the group or at the end of the line is enough.
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
