package cmdline

import (
	"slices"
	"strings"
)

// Form is what an operand, or the value of a flag, may be. It is the word for it in the help, and completion offers what
// fits. A form in small letters, such as "all", is itself what is typed.
type Form string

// The forms for which completion has candidates.
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
	// Forms are the alternatives for an argument.
	Forms             []Form
	Optional, Repeats bool
}

// Apps returns the operand of commands that work on apps and instances.
func Apps() Operand {
	return Operand{Forms: []Form{Name, Instance, Glob, All}, Repeats: true}
}

// OptionalApps returns the operand of commands that work on all apps if none is named.
func OptionalApps() Operand {
	o := Apps()
	o.Optional = true
	return o
}

// Presence says whether something may or must be there.
type Presence int

const (
	// Never is the zero value.
	Never Presence = iota
	// May be there, or not.
	May
	// Must be there.
	Must
)

// String writes the operand as usage lines do.
func (o Operand) String() string {
	s := o.join("|")
	if o.Repeats {
		s += "..."
	}
	if o.Optional {
		s = "[" + s + "]"
	}
	return s
}

func (o Operand) join(separator string) string {
	var words []string
	for _, f := range o.Forms {
		words = append(words, string(f))
	}
	return strings.Join(words, separator)
}

// alternatives writes the forms of the operand in a sentence: "FILE, DIRECTORY or NAME".
func (o Operand) alternatives() string {
	last := Operand{Forms: o.Forms[len(o.Forms)-1:]}.join("")
	if len(o.Forms) == 1 {
		return last
	}
	return Operand{Forms: o.Forms[:len(o.Forms)-1]}.join(", ") + " or " + last
}

// usageLine returns the command line of a command in its general form.
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

// formsOf returns the forms of argument n, counted from 0. An operand that repeats may stand again, and the operands behind
// it may stand instead.
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
