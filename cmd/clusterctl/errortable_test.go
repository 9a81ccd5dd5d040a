package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/cmdline"
)

// TestErrorTableIsComplete checks that the table of errors in internal/e2e contains an error for every command, and an error
// for every flag that takes a value.
func TestErrorTableIsComplete(t *testing.T) {
	data, err := os.ReadFile("../../internal/e2e/testdata/cli-errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	var typed []string
	for _, m := range regexp.MustCompile(`(?m)^[a-z-]+\$ clusterctl (.*)$`).FindAllStringSubmatch(string(data), -1) {
		typed = append(typed, m[1])
	}
	app := newApp(&env{})
	for _, cmd := range app.Commands {
		if cmd.Hidden {
			continue
		}
		mine := strings.Builder{}
		for _, line := range typed {
			if line == cmd.Name || strings.HasPrefix(line, cmd.Name+" ") {
				mine.WriteString(line + "\n")
			}
		}
		if mine.Len() == 0 {
			t.Errorf("the table has no error for %s", cmd.Name)
		}
		for _, f := range cmd.Flags {
			if f.Takes == "" {
				continue
			}
			// For a flag that several commands have, one entry is enough.
			if !regexp.MustCompile(`(?m)(^|\s)(` + dashedNames(f) + `)([= ]|$)`).MatchString(strings.Join(typed, "\n")) {
				t.Errorf("the table has no invalid value for %s --%s", cmd.Name, f.Name)
			}
		}
	}
}

func dashedNames(f cmdline.Flag) string {
	if f.Short != "" {
		return "--" + f.Name + "|-" + f.Short
	}
	return "--" + f.Name
}
