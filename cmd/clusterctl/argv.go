package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// splitCommand separates the command of the user's program, which follows the first "--", from our own arguments.
func splitCommand(args []string) (own, command []string, found bool) {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i], args[i+1:], true
	}
	return args, nil, false
}

// normalise puts flags in front of operands, so that flags may stand anywhere before "--", as people type them
// ("install app.js -i 4", "-i 4 install app.js"). cli v2 stops at the first operand and silently takes the rest as
// operands too.
//
// Only the order changes, and flags get their first name (-i4, -qy, and those of PM2), since cli refuses both forms in
// one command line, even of a flag that may repeat. An unknown flag stays one, for cli to complain about. Operands are
// left out in front of an error that cli is sure to find. Who asks for help or the version gets it, whatever else is on
// the line.
func normalise(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return nil
	}
	at := commandAt(app, args)
	if at < 0 {
		flags, rest := takeFlags(app.Flags, args[1:], true)
		if asksFor(app.Flags, flags, "help", "h") {
			return []string{args[0], "help"}
		}
		if asksFor(app.Flags, flags, "version") {
			return []string{args[0], "version"}
		}
		return slices.Concat(args[:1], flags, rest)
	}
	cmd := app.Command(args[at])
	known := slices.Concat(cmd.Flags, app.Flags)
	flags, operands := takeFlags(known, slices.Concat(args[1:at], args[at+1:]), false)
	flags = joinGroup(known, flags)
	if asksFor(known, flags, "help", "h") {
		return []string{args[0], "help", cmd.Name}
	}
	if findFlag(cmd.Flags, "version") == nil && asksFor(known, flags, "version") {
		return []string{args[0], "version"}
	}
	// cli wants global flags in front of the command.
	global, own := partition(app.Flags, cmd.Flags, flags)
	out := slices.Concat(args[:1], global, args[at:at+1], own)
	// A last flag without its value would take the "--" for it. cli complains about such a flag at the end alone.
	if len(operands) > 0 && !lacksValue(known, own) {
		out = append(append(out, "--"), operands...)
	}
	return out
}

// commandAt is where the command stands, or -1.
func commandAt(app *cli.App, args []string) int {
	if at := wordAt(app, args); at >= 0 && app.Command(args[at]) != nil {
		return at
	}
	return -1
}

// wordAt is where the first word stands that is no flag nor the value of one, or -1. Flags in front of a command may be
// its own.
func wordAt(app *cli.App, args []string) int {
	known := slices.Clone(app.Flags)
	for _, cmd := range app.Commands {
		known = append(known, cmd.Flags...)
	}
	for i := 1; i < len(args); i++ {
		switch {
		case !isFlag(args[i]):
			return i
		case readFlag(known, args[i]).wantsValue:
			i++
		}
	}
	return -1
}

// asksFor finds flags that are answered whatever else there is. Of -h and --help, cli knows only those behind a command,
// and takes the operand after it for a topic.
func asksFor(known []cli.Flag, flags []string, names ...string) bool {
	for i := 0; i < len(flags); i++ {
		if slices.Contains(names, strings.TrimLeft(flags[i], "-")) {
			return true
		}
		if takesValue(known, flags[i]) {
			i++
		}
	}
	return false
}

// lacksValue says whether the last flag has no value, and needs one.
func lacksValue(known []cli.Flag, flags []string) bool {
	for i := 0; i < len(flags); i++ {
		if takesValue(known, flags[i]) {
			i++
		}
		if i == len(flags) {
			return true
		}
	}
	return false
}

// takeFlags separates flags with their values from operands. With first, it stops at the first operand.
func takeFlags(known []cli.Flag, args []string, first bool) (flags, rest []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !isFlag(arg) {
			if first {
				return flags, args[i:]
			}
			rest = append(rest, arg)
			continue
		}
		f := readFlag(known, arg)
		if !f.wantsValue || i+1 == len(args) {
			flags = append(flags, f.words...)
			continue
		}
		i++
		if f.convert == nil {
			flags = append(append(flags, f.words...), args[i])
		} else if value, ok := f.convert(args[i]); ok {
			flags = append(append(flags, f.words...), value)
		} else {
			flags = append(flags, arg, args[i])
		}
	}
	return flags, rest
}

// flagWord is a word of the command line that begins with a dash, in the form that cli is given.
type flagWord struct {
	words []string
	// wantsValue says that the next word of the command line belongs to the last of words, and convert what becomes of it.
	wantsValue bool
	convert    func(string) (string, bool)
}

// readFlag understands --name, --name=value, -n, -n=value, -nvalue, -qy, and the flags of PM2 that mean the same.
func readFlag(known []cli.Flag, arg string) flagWord {
	if strings.HasPrefix(arg, "---") {
		return flagWord{words: []string{arg}}
	}
	name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if f := findFlag(known, name); f != nil {
		if joined {
			return flagWord{words: []string{"--" + f.Names()[0] + "=" + value}}
		}
		return flagWord{words: []string{"--" + f.Names()[0]}, wantsValue: takesValue(known, name)}
	}
	if w, ok := readPM2Flag(known, arg); ok {
		return w
	}
	if w, ok := readLetters(known, arg); ok {
		return w
	}
	return flagWord{words: []string{arg}}
}

// readLetters reads letters behind one dash: any number of flags without a value, and at the end one that may have its
// value attached. A word that is nearly a flag with one dash missing is not taken apart.
func readLetters(known []cli.Flag, arg string) (flagWord, bool) {
	letters := arg[1:]
	if strings.HasPrefix(arg, "--") || len(letters) < 2 || nearFlag(letters, known) != "" {
		return flagWord{}, false
	}
	var w flagWord
	for i := range len(letters) {
		letter, rest := letters[i:i+1], letters[i+1:]
		f := findFlag(known, letter)
		switch {
		case f == nil && letter == "h":
			w.words = append(w.words, "--help")
		case f == nil:
			return flagWord{}, false
		case !takesValue(known, letter):
			if strings.HasPrefix(rest, "=") {
				return flagWord{}, false
			}
			w.words = append(w.words, "--"+f.Names()[0])
		case rest == "":
			w.words, w.wantsValue = append(w.words, "--"+f.Names()[0]), true
		default:
			w.words = append(w.words, "--"+f.Names()[0]+"="+strings.TrimPrefix(rest, "="))
			return w, true
		}
	}
	return w, true
}

// partition picks the flags that only the whole program knows.
func partition(global, own []cli.Flag, flags []string) (forApp, forCommand []string) {
	for i := 0; i < len(flags); i++ {
		dst := &forCommand
		if findFlag(own, flags[i]) == nil && findFlag(global, flags[i]) != nil {
			dst = &forApp
		}
		*dst = append(*dst, flags[i])
		if takesValue(slices.Concat(own, global), flags[i]) && i+1 < len(flags) {
			i++
			*dst = append(*dst, flags[i])
		}
	}
	return forApp, forCommand
}

// isFlag: a lone dash is an operand, and so is a negative number ("scale app -1").
func isFlag(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && !(arg[1] >= '0' && arg[1] <= '9')
}

func findFlag(known []cli.Flag, arg string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, f := range known {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// takesValue says whether the next argument belongs to this flag.
func takesValue(known []cli.Flag, arg string) bool {
	if strings.Contains(arg, "=") {
		return false
	}
	f := findFlag(known, arg)
	if g, ok := f.(*cli.GenericFlag); ok {
		if _, optional := g.Value.(*optionalValue); optional {
			return false
		}
	}
	doc, ok := f.(cli.DocGenerationFlag)
	return ok && doc.TakesValue()
}

// optionalValue is the value of a flag that may stand alone, --boot, or with a value behind "=", --boot=-1.
type optionalValue struct {
	given bool
	value string
}

// Set takes the value; package flag gives "true" for none.
func (o *optionalValue) Set(s string) error {
	o.given, o.value = true, s
	if s == "true" {
		o.value = ""
	}
	return nil
}

// String gives the value.
func (o *optionalValue) String() string { return o.value }

// Get gives the value, for cli.
func (o *optionalValue) Get() any { return o.value }

// IsBoolFlag tells package flag that the next argument is not the value.
func (o *optionalValue) IsBoolFlag() bool { return true }
