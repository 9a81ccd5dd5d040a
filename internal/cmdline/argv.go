package cmdline

import (
	"slices"
	"strings"
)

// normalise puts flags between the command and its operands, so that flags may stand anywhere before "--", as people type them
// ("install app.js -i 4", "-i 4 install app.js"). cli v2 stops at the first operand and takes the rest as operands too.
//
// Only the order changes, and flags get their first name (-i4, -qy, and flags of PM2). An unknown flag stays as it is, for
// cli to report. If cli is sure to report an error, operands may be missing. A flag for the help or the version wins over
// everything else on the line.
func (a *App) normalise(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	at := a.wordAt(args)
	if at < 0 || a.Command(args[at]) == nil {
		flags, rest := takeFlags(a.Flags, args[1:], true)
		if hasFlag(a.Flags, flags, "help", "h") {
			return []string{args[0], "help"}
		}
		if hasFlag(a.Flags, flags, "version") {
			return []string{args[0], "version"}
		}
		return slices.Concat(args[:1], flags, rest)
	}
	cmd := a.Command(args[at])
	known := a.flagsOf(cmd)
	flags, operands := takeFlags(known, slices.Concat(args[1:at], args[at+1:]), false)
	flags = joinGroup(known, flags)
	if hasFlag(known, flags, "help", "h") {
		return []string{args[0], "help", cmd.Name}
	}
	if findFlag(cmd.Flags, "version") == nil && hasFlag(known, flags, "version") {
		return []string{args[0], "version"}
	}
	out := slices.Concat(args[:1], args[at:at+1], flags)
	// A last flag without its value would take the "--" for it. cli reports such a flag only at the end of the line.
	if len(operands) > 0 && !lacksValue(known, flags) {
		out = append(append(out, "--"), operands...)
	}
	return out
}

// wordAt returns the index of the first word that is neither a flag nor the value of one, or -1. Flags of a command may
// precede the command.
func (a *App) wordAt(args []string) int {
	known := slices.Clone(a.Flags)
	for _, cmd := range a.Commands {
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

// hasFlag reports whether one of the named flags is among flags.
func hasFlag(known []Flag, flags []string, names ...string) bool {
	for i := 0; i < len(flags); i++ {
		if slices.Contains(names, strings.TrimLeft(flags[i], "-")) {
			return true
		}
		if wantsValue(known, flags[i]) {
			i++
		}
	}
	return false
}

// lacksValue reports whether the last flag needs a value and has none.
func lacksValue(known []Flag, flags []string) bool {
	for i := 0; i < len(flags); i++ {
		if wantsValue(known, flags[i]) {
			i++
		}
		if i == len(flags) {
			return true
		}
	}
	return false
}

// takeFlags separates flags with their values from operands. With first, it stops at the first operand.
func takeFlags(known []Flag, args []string, first bool) (flags, rest []string) {
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

// flagWord is a word of the command line that begins with a dash, in the form that cli gets.
type flagWord struct {
	words []string
	// wantsValue: the next word of the command line is the value of the last of words. convert changes that value.
	wantsValue bool
	convert    func(string) (string, bool)
}

// readFlag reads --name, --name=value, -n, -n=value, -nvalue, -qy, and flags of PM2 that mean the same as ours.
func readFlag(known []Flag, arg string) flagWord {
	if strings.HasPrefix(arg, "---") {
		return flagWord{words: []string{arg}}
	}
	if f := findFlag(known, arg); f != nil {
		if _, value, joined := strings.Cut(arg, "="); joined {
			return flagWord{words: []string{"--" + f.Name + "=" + value}}
		}
		return flagWord{words: []string{"--" + f.Name}, wantsValue: f.wantsValue()}
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
// value attached. A word that is nearly the name of a flag is one dash short, and is not taken apart.
func readLetters(known []Flag, arg string) (flagWord, bool) {
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
		case !f.wantsValue():
			if strings.HasPrefix(rest, "=") {
				return flagWord{}, false
			}
			w.words = append(w.words, "--"+f.Name)
		case rest == "":
			w.words, w.wantsValue = append(w.words, "--"+f.Name), true
		default:
			w.words = append(w.words, "--"+f.Name+"="+strings.TrimPrefix(rest, "="))
			return w, true
		}
	}
	return w, true
}

// isFlag reports whether a word is a flag. A lone dash is an operand, and so is a negative number ("scale app -1").
func isFlag(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && !isNegative(arg)
}

func isNegative(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && arg[1] >= '0' && arg[1] <= '9'
}

// wantsValue reports whether the next argument is the value of the flag that a word names.
func wantsValue(known []Flag, word string) bool {
	f := findFlag(known, word)
	return f != nil && !strings.Contains(word, "=") && f.wantsValue()
}
