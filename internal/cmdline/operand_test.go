package cmdline

import (
	"fmt"
	"strings"
	"testing"
)

func TestOperands(t *testing.T) {
	repeated := Operand{Forms: []Form{Name}, Repeats: true}
	number := Operand{Forms: []Form{"N", "+N", "-N", "max"}}
	app := &App{Name: "x"}
	for _, c := range []struct {
		cmd   Command
		usage string
		// The field forms contains the forms of the first, the second and the fifth argument.
		forms string
		// The field accepted contains the numbers from 0 to 4 that are valid numbers of arguments.
		accepted string
	}{
		{Command{}, "x do", "[] [] []", "0"},
		{Command{Program: May}, "x do [-- PROGRAM ARGS...]", "[] [] []", "0"},
		{Command{Operands: []Operand{{Forms: []Form{Name}}}, Program: Must}, "x do NAME -- PROGRAM ARGS...", "[NAME] [] []", "1"},
		{Command{Operands: []Operand{Apps()}}, "x do NAME|NAME@N|GLOB|all...",
			"[NAME NAME@N GLOB all] [NAME NAME@N GLOB all] [NAME NAME@N GLOB all]", "1234"},
		{Command{Operands: []Operand{OptionalApps()}}, "x do [NAME|NAME@N|GLOB|all...]",
			"[NAME NAME@N GLOB all] [NAME NAME@N GLOB all] [NAME NAME@N GLOB all]", "01234"},
		{Command{Operands: []Operand{repeated, number}, Flags: make([]Flag, 1)}, "x do NAME... N|+N|-N|max [FLAGS]",
			"[NAME] [NAME N +N -N max] [NAME N +N -N max]", "234"},
		{Command{Operands: []Operand{{Forms: []Form{Signal}}, repeated}}, "x do SIGNAL NAME...", "[SIGNAL] [NAME] [NAME]", "234"},
		{Command{Operands: []Operand{{Forms: []Form{Name}}, {Forms: []Form{"REVISION"}, Optional: true}}}, "x do NAME [REVISION]",
			"[NAME] [REVISION] []", "12"},
	} {
		c.cmd.Name = "do"
		forms := fmt.Sprint(formsOf(c.cmd.Operands, 0), formsOf(c.cmd.Operands, 1), formsOf(c.cmd.Operands, 4))
		accepted := ""
		for n := range 5 {
			if err := app.checkOperands(&c.cmd, strings.Fields(strings.Repeat("a ", n))); err == nil {
				accepted += fmt.Sprint(n)
			}
		}
		if got := app.usageLine(&c.cmd); got != c.usage || forms != c.forms || accepted != c.accepted {
			t.Errorf("got %q, %s, %s, want\n%q, %s, %s", got, forms, accepted, c.usage, c.forms, c.accepted)
		}
	}
}

func TestAlternatives(t *testing.T) {
	for want, forms := range map[string][]Form{
		"NAME": {Name}, "NAME or FILE": {Name, File}, "FILE, DIRECTORY or NAME": {File, Directory, Name},
	} {
		if got := (Operand{Forms: forms}).alternatives(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
