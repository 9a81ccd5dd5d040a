package archtest

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// module is the module path in go.mod. In the tables of this package, paths of packages omit the module path.
const module = "github.com/clusterctl/clusterctl"

// root is the top directory of the tree, relative to the directory of this package.
const root = "../.."

// pkg is a package in the output of go list. The imports of its tests are not included.
type pkg struct {
	ImportPath, Name string
	Imports, Deps    []string
	DepOnly          bool
	Standard         bool
}

// The method path returns the package's path in the module.
func (p pkg) path() string { return inModule(p.ImportPath) }

func inModule(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func isOurs(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// The function in list runs "go list" once for all tests. go list omits files for other systems, but the function files
// returns them.
var list = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-e=false", "-json=ImportPath,Name,Imports,Deps,Standard", "./...")
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

// packages returns all packages of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("go list printed %d packages, want at least 5", len(all))
	}
	return all
}

// source is one parsed file that is not a test.
type source struct {
	path string // relative to the root of the tree
	dir  string
	fset *token.FileSet
	file *ast.File
}

func (s source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

var sources = sync.OnceValues(func() ([]source, error) {
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (name[0] == '.' || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, source{path: filepath.ToSlash(rel), dir: filepath.ToSlash(filepath.Dir(rel)), fset: fset, file: file})
		return nil
	})
	return all, err
})

// The function files returns all Go files of the tree except tests and test data.
func files(t *testing.T) []source {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d Go files, want at least 20", len(all))
	}
	return all
}
