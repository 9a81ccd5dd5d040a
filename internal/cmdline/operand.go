package cmdline

import (
	"slices"
	"strings"
)

// Form is the kind of an operand or of the value of a flag, as the help shows it. Completion offers candidates for it. A
// form in lower case, such as "all", is a literal word.
type Form string

// These are the forms for which completion has candidates.
const (
	Name        Form = "NAME"
	Instance    Form = "NAME@N"
	Glob        Form = "GLOB"
	All         Form = "all"
	File        Form = "FILE"
	Path        Form = "PATH"
	Directory   Form = "DIRECTORY"
	Dir         Form = "DIR"
	Program     Form = "PROGRAM"
	User        Form = "USER"
	UserGroup   Form = "USER[:GROUP]"
	GroupName   Form = "GROUP"
	Secret      Form = "SECRET"
	Signal      Form = "SIGNAL"
	CommandName Form = "COMMAND"
)

// Operand is an argument that is not a flag.
type Operand struct {
	// Forms are the kinds of arguments that the operand accepts.
	Forms             []Form
	Optional, Repeats bool
}

// Apps returns an operand that accepts apps and instances, and may repeat.
func Apps() Operand {
	return Operand{Forms: []Form{Name, Instance, Glob, All}, Repeats: true}
}

// OptionalApps returns the operand of [Apps] for commands that apply to all apps if the operand is missing.
func OptionalApps() Operand {
	o := Apps()
	o.Optional = true
	return o
}

// Presence determines whether a program and its arguments may or must follow "--".
type Presence int

const (
	Never Presence = iota
	May
	Must
)

// String returns the operand as usage lines show it: "[NAME|all...]".
func (o Operand) String() string {
	s := join(o.Forms, "|")
	if o.Repeats {
		s += "..."
	}
	if o.Optional {
		s = "[" + s + "]"
	}
	return s
}

func join(forms []Form, separator string) string {
	var words []string
	for _, f := range forms {
		words = append(words, string(f))
	}
	return strings.Join(words, separator)
}

// alternatives returns the forms of the operand for a sentence: "FILE, DIRECTORY or NAME".
func (o Operand) alternatives() string {
	last := len(o.Forms) - 1
	if last == 0 {
		return string(o.Forms[0])
	}
	return join(o.Forms[:last], ", ") + " or " + string(o.Forms[last])
}

// usageLine returns the syntax of a command: "clusterctl cat NAME [FLAGS]".
func (a *App) usageLine(cmd *Command) string {
	words := []string{a.Name, cmd.Name}
	for _, o := range cmd.Operands {
		words = append(words, o.String())
	}
	if len(cmd.Flags) > 0 {
		words = append(words, "[FLAGS]")
	}
	switch cmd.Program {
	case May:
		words = append(words, "[-- PROGRAM ARGS...]")
	case Must:
		words = append(words, "-- PROGRAM ARGS...")
	}
	return strings.Join(words, " ")
}

// formsOf returns the forms of argument n, counted from 0. After an operand that repeats, the argument may be the same
// operand or one of the operands that follow.
func formsOf(operands []Operand, n int) []Form {
	last := n + 1
	if i := slices.IndexFunc(operands, func(o Operand) bool { return o.Repeats }); i >= 0 && n > i {
		n, last = i, len(operands)
	}
	if n >= len(operands) {
		return nil
	}
	var forms []Form
	for _, o := range operands[n:last] {
		forms = append(forms, o.Forms...)
	}
	return forms
}
