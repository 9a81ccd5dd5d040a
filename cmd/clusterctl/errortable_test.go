package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/cmdline"
)

// TestErrorTableIsComplete: the table of errors, which internal/e2e runs through the real binary, has every command, and every
// flag that takes a value.
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
			t.Errorf("no error of %s is in the table", cmd.Name)
		}
		for _, f := range cmd.Flags {
			if f.Takes == "" {
				continue
			}
			// Flags that commands share need one entry among all of them.
			if !regexp.MustCompile(`(?m)(^|\s)(` + dashedNames(f) + `)([= ]|$)`).MatchString(strings.Join(typed, "\n")) {
				t.Errorf("no bad value of %s --%s is in the table", cmd.Name, f.Name)
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
