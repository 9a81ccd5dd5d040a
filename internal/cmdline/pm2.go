package cmdline

import (
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/pm2"
)

// The method translate replaces a command of PM2 by the command of clusterctl with the same meaning. It also finds a command
// that follows flags.
func (a *App) translate(args []string) []string {
	at := a.wordAt(args)
	switch {
	case at < 0:
		return args
	case args[at] == "start" && a.startsProgram(args[at+1:]):
		return slices.Concat(args[:at], []string{"install"}, args[at+1:])
	case a.Command(args[at]) != nil:
		return args
	}
	if is, _ := pm2.Lookup(pm2.Command, args[at]); is.Same != nil {
		return slices.Concat(args[:at], is.Same, args[at+1:])
	}
	return args
}

// startsProgram reports whether the command "start WORDS" installs a program. Otherwise, the command starts an installed
// app.
func (a *App) startsProgram(words []string) bool {
	install := a.Command("install")
	if install == nil || a.StartsProgram == nil {
		return false
	}
	_, operands := splitFlags(slices.Concat(install.Flags, a.Flags), words, false)
	return len(operands) > 0 && a.StartsProgram(operands)
}

// ourCommand returns the name of the clusterctl command with the same meaning as a command of PM2. It returns any other word
// unchanged.
func (a *App) ourCommand(word string) string {
	if is, _ := pm2.Lookup(pm2.Command, word); a.Command(word) == nil && is.Same != nil {
		return is.Same[0]
	}
	return word
}

// readPM2Flag replaces a flag of PM2 by the flag of clusterctl with the same meaning, if the list known contains the flag of
// clusterctl.
func readPM2Flag(known []Flag, arg string) (flagWord, bool) {
	name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if name == "gid" {
		// joinGroup replaces this flag, because --run-as also needs the user.
		return flagWord{words: []string{arg}, wantsValue: !joined && findFlag(known, "run-as") != nil}, true
	}
	is, _ := pm2.Lookup(pm2.Flag, name)
	if is.Same == nil {
		return flagWord{}, false
	}
	f := findFlag(known, is.Same[0])
	if f == nil {
		return flagWord{}, false
	}
	long := "--" + f.Name
	switch {
	case len(is.Same) > 1:
		return flagWord{words: []string{long + "=" + is.Same[1]}}, !joined
	case !joined:
		return flagWord{words: []string{long}, wantsValue: f.wantsValue(), convert: is.Convert}, true
	case is.Convert != nil:
		var ok bool
		if value, ok = is.Convert(value); !ok {
			return flagWord{}, false
		}
	}
	return flagWord{words: []string{long + "=" + value}}, true
}

// joinGroup replaces "--run-as USER --gid GROUP" by "--run-as=USER:GROUP". PM2 has two flags for the user and the group.
func joinGroup(known []Flag, flags []string) []string {
	var user, group string
	var rest []string
	for i := 0; i < len(flags); i++ {
		name, value, joined := strings.Cut(flags[i], "=")
		words := flags[i : i+1]
		if !joined && i+1 < len(flags) && (name == "--gid" || wantsValue(known, name)) {
			value, words = flags[i+1], flags[i:i+2]
			i++
		}
		switch name {
		case "--run-as":
			user = value
		case "--gid":
			group = value
		default:
			rest = append(rest, words...)
		}
	}
	if user == "" || group == "" || strings.Contains(user, ":") {
		return flags
	}
	return append(rest, "--run-as="+user+":"+group)
}
