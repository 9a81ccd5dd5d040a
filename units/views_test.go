package units

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestViews: a template can use only texts of the type value, so that no unescaped text gets into a unit.
func TestViews(t *testing.T) {
	checked := map[string]bool{}
	for _, v := range []any{aggregateView{}, instancesView{}, instanceView{}, sandboxView{}, secretsView{}, socketView{},
		journalView{}, header{}} {
		checkView(t, reflect.TypeOf(v))
		checked[reflect.TypeOf(v).Name()] = true
	}
	for _, name := range viewTypes(t) {
		if !checked[name] {
			t.Errorf("the view %s is not checked by this test", name)
		}
	}
}

// viewTypes returns the types of the package whose names end in View, so that TestViews also checks new types.
func viewTypes(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && strings.HasSuffix(spec.Name.Name, "View") {
				names = append(names, spec.Name.Name)
			}
			return true
		})
	}
	if len(names) == 0 {
		t.Fatal("the package has no view")
	}
	return names
}

func checkView(t *testing.T, view reflect.Type) {
	t.Helper()
	if view.NumMethod() > 0 || reflect.PointerTo(view).NumMethod() > 0 {
		t.Errorf("%s has methods, which a template could call", view)
	}
	for i := range view.NumField() {
		f := view.Field(i)
		switch f.Type {
		case reflect.TypeFor[value](), reflect.TypeFor[[]value](), reflect.TypeFor[bool](), reflect.TypeFor[int]():
		case reflect.TypeFor[header]():
			if !f.Anonymous {
				t.Errorf("%s.%s: the header must be embedded", view, f.Name)
			}
		default:
			t.Errorf("%s.%s is a %s: a view may have only fields of type value, []value, bool, int and header", view, f.Name, f.Type)
		}
	}
}
