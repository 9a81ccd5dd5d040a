package cmdline

import (
	"slices"
	"strings"
)

// normalise moves all flags behind the command and in front of its operands, so that users may type flags anywhere before
// "--" ("install app.js -i 4", "-i 4 install app.js"). The library cli v2 does not parse flags after the first operand.
//
// normalise also replaces short flags (-i4, -qy) and flags of PM2 by the names that cli knows. It keeps an unknown flag, so
// that cli reports the flag. It may omit the operands if cli returns an error for the flags anyway. If the line has a flag
// for the help or the version, normalise returns only the command "help" or "version".
func (a *App) normalise(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	at := a.wordAt(args)
	if at < 0 || a.Command(args[at]) == nil {
		flags, rest := splitFlags(a.Flags, args[1:], true)
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
	flags, operands := splitFlags(known, slices.Concat(args[1:at], args[at+1:]), false)
	flags = joinGroup(known, flags)
	if hasFlag(known, flags, "help", "h") {
		return []string{args[0], "help", cmd.Name}
	}
	if findFlag(cmd.Flags, "version") == nil && hasFlag(known, flags, "version") {
		return []string{args[0], "version"}
	}
	out := slices.Concat(args[:1], args[at:at+1], flags)
	// If the last flag lacks its value, omit "--" and the operands: cli would use "--" as the value, and would not report
	// the missing value.
	if len(operands) > 0 && !lacksValue(known, flags) {
		out = append(append(out, "--"), operands...)
	}
	return out
}

// wordAt returns the index of the first word that is neither a flag nor the value of a flag, or -1. It knows the flags of
// all commands, because flags may precede the command.
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

// hasFlag reports whether flags contains a flag with one of the names.
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

// splitFlags separates flags and their values from operands. If the parameter stopAtOperand is true, it stops at the first
// operand, and the result rest contains all words from there.
func splitFlags(known []Flag, args []string, stopAtOperand bool) (flags, rest []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !isFlag(arg) {
			if stopAtOperand {
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

// flagWord is the result of readFlag for a word that begins with a dash. The field words contains the words that replace it
// for cli.
type flagWord struct {
	words []string
	// wantsValue means that the next word of the command line is the value of the last flag in words. If the function
	// convert is not nil, it converts this value.
	wantsValue bool
	convert    func(string) (string, bool)
}

// readFlag parses --name, --name=value, -n, -n=value, -nvalue, -qy, and flags of PM2 that have the same meaning as one of
// our flags.
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

// readLetters parses several short flags behind one dash, such as -qy or -qi4. Only the last flag may have a value.
// readLetters returns false for a word that resembles the long name of a flag, because the user has probably forgotten the
// second dash.
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

// isFlag reports whether a word is a flag. A single dash and a negative number ("scale app -1") are operands.
func isFlag(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] < '0' || arg[1] > '9')
}

// wantsValue reports whether word names a flag whose value is the next word.
func wantsValue(known []Flag, word string) bool {
	f := findFlag(known, word)
	return f != nil && !strings.Contains(word, "=") && f.wantsValue()
}
