package config_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestGolden runs every case in testdata. A case has a description, an input, and either an output file for each app or the
// expected errors.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := parseArchive(data)
			prose, _, _ := strings.Cut(string(c.prose), "\n")
			if prose == "" {
				t.Error("the case has no description")
			}
			t.Log(prose)
			if len(c.files) < 2 || c.files[0].name != "clusterctl.yaml" {
				t.Fatal("the first file is not clusterctl.yaml, or there is only one file")
			}
			input, want := c.files[0], c.files[1:]
			got := outcome(t, input)
			if *update {
				c.files = append([]file{input}, got...)
				if err := os.WriteFile(path, c.format(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compare(t, got, want)
		})
	}
}

// The function outcome parses the input and encodes each app, and checks that an output does not change when it is parsed
// and encoded again.
func outcome(t *testing.T, input file) []file {
	t.Helper()
	apps, err := config.Parse(input.name, input.data, nil)
	if err != nil {
		return []file{{"errors", []byte(report(t, err))}}
	}
	var files []file
	for _, a := range apps {
		data := config.Encode(a)
		again, err := config.Parse("again.yaml", data, nil)
		if err != nil || len(again) != 1 || !bytes.Equal(config.Encode(again[0]), data) {
			t.Errorf("%s: the output changes when it is parsed and encoded again: %v\n%s", a.Name, err, data)
		}
		files = append(files, file{string(a.Name) + ".yaml", data})
	}
	return files
}

// The function report returns one line for each error, and one line for its hint.
func report(t *testing.T, err error) string {
	t.Helper()
	errs, ok := errors.AsType[config.Errors](err)
	if !ok {
		t.Fatalf("%T is not config.Errors: %v", err, err)
	}
	var b strings.Builder
	for _, e := range errs {
		b.WriteString(e.Error() + "\n")
		if e.Hint() != "" {
			b.WriteString("  hint: " + e.Hint() + "\n")
		}
	}
	return b.String()
}

func compare(t *testing.T, got, want []file) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s is missing", want[i].name)
		case i >= len(want):
			t.Errorf("%s is not expected:\n%s", got[i].name, got[i].data)
		case got[i].name != want[i].name || !bytes.Equal(got[i].data, want[i].data):
			t.Errorf("got %s:\n%s\nwant %s:\n%s", got[i].name, got[i].data, want[i].name, want[i].data)
		}
	}
}

func TestResolve(t *testing.T) {
	input := []byte("name: shop\ncommand: [node, server.js]\ndirectory: app\n")
	apps, err := config.Parse("clusterctl.yaml", input, func(a *units.App) error {
		a.Command[0] = "/usr/bin/" + a.Command[0]
		a.Directory = "/srv/" + a.Directory
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := apps[0]; a.Command[0] != "/usr/bin/node" || a.Directory != "/srv/app" {
		t.Errorf("got %+v, want the paths that resolve has set", a)
	}
	_, err = config.Parse("clusterctl.yaml", input, func(a *units.App) error {
		return errors.Join(&units.FieldError{Key: "command", Message: `"node" is not in PATH`}, errors.New("no home"))
	})
	const want = `clusterctl.yaml:1: no home
clusterctl.yaml:2: command: "node" is not in PATH
clusterctl.yaml:2: command: the program "node" is not an absolute path
clusterctl.yaml:3: directory: "app" is not an absolute path`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
