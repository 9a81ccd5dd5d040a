package cmdline

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Machine contains the functions through which completion reads names from the machine. They omit names that they cannot
// read, and return no errors.
type Machine struct {
	Apps func() []string
	// Instances returns the instances of an app.
	Instances func(app string) []string
	// Secrets returns the names of secrets that may follow operands.
	Secrets func(operands []string) []string
	// Path returns $PATH.
	Path func() string
}

// operandValues returns the candidates for the operand that follows the operands of the command line. The result kind is one
// of the constants offerWords, offerFiles and offerDirs.
func (a *App) operandValues(cmd *Command, operands []string, current string) (kind string, all []candidate) {
	kind = offerWords
	for _, form := range formsOf(cmd.Operands, len(operands)) {
		switch form {
		case File, Directory:
			kind = offerFiles
		case Secret:
			all = append(all, namedCandidates(a.Machine.Secrets(operands), "secret")...)
		case CommandName:
			all = append(all, a.commandNames(current)...)
		case Name:
			// If an operand may be FILE or NAME, NAME is the name of a new app, so installed apps are not candidates.
			if kind == offerFiles {
				continue
			}
			fallthrough
		default:
			_, more := a.Machine.values(form, current)
			all = append(all, more...)
		}
	}
	return kind, all
}

// flagValues returns the candidates for the value of a flag. The result kind is one of the constants offerWords, offerFiles
// and offerDirs.
func (a *App) flagValues(f Flag, current string) (kind string, all []candidate) {
	kind, all = a.Machine.values(f.Takes, current)
	return kind, append(namedCandidates(f.Words, ""), all...)
}

// The method values returns the candidates for a form. The result kind is one of the constants offerWords, offerFiles and
// offerDirs.
func (m Machine) values(form Form, current string) (kind string, all []candidate) {
	switch form {
	case File, Path:
		return offerFiles, nil
	case Dir:
		return offerDirs, nil
	case Program:
		return offerFiles, programs(m.Path(), current)
	case Name:
		return offerWords, namedCandidates(m.Apps(), "app")
	case Instance:
		if app, _, found := strings.Cut(current, "@"); found {
			return offerWords, namedCandidates(m.Instances(app), "instance")
		}
	case User, UserGroup:
		return offerWords, namedCandidates(accounts("/etc/passwd"), "user")
	case GroupName:
		return offerWords, namedCandidates(accounts("/etc/group"), "group")
	case Signal:
		return offerWords, namedCandidates([]string{"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "WINCH"}, "")
	default:
		if string(form) == strings.ToLower(string(form)) {
			return offerWords, namedCandidates([]string{string(form)}, "")
		}
	}
	return offerWords, nil
}

func namedCandidates(words []string, about string) []candidate {
	all := make([]candidate, 0, len(words))
	for _, w := range words {
		all = append(all, candidate{w, about})
	}
	return all
}

// The function programs returns the executables in a $PATH whose names begin with prefix. It returns nil for an empty
// prefix, which would match thousands of programs.
func programs(path, prefix string) []candidate {
	if prefix == "" || strings.Contains(prefix, "/") {
		return nil
	}
	var names []string
	for _, dir := range filepath.SplitList(path) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), prefix) {
				continue
			}
			if info, err := os.Stat(filepath.Join(dir, entry.Name())); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				names = append(names, entry.Name())
			}
		}
	}
	slices.Sort(names)
	return namedCandidates(slices.Compact(names), "")
}

// accounts returns the names of users or groups in a file such as /etc/passwd. It does not find users and groups that are
// stored elsewhere, for example in LDAP.
func accounts(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			all = append(all, name)
		}
	}
	return all
}

// flagNames returns the flags that are not yet on the command line, and the flags that may repeat.
func flagNames(known []Flag, given []string) []candidate {
	var all []candidate
	for _, f := range known {
		if f.isRepeatable() || !slices.Contains(given, f.Name) {
			all = append(all, candidate{"--" + f.Name, f.Usage})
		}
	}
	if !slices.Contains(given, "help") {
		all = append(all, candidate{"--help", "show the help"})
	}
	return all
}

// commandNames returns the commands whose names begin with current. If there are no such commands, it returns all aliases.
func (a *App) commandNames(current string) []candidate {
	var names, aliases []candidate
	for _, cmd := range a.Commands {
		if cmd.Hidden {
			continue
		}
		names = append(names, candidate{cmd.Name, cmd.Usage})
		aliases = append(aliases, namedCandidates(cmd.Aliases, cmd.Usage)...)
	}
	if fit := startingWith(names, current); len(fit) > 0 {
		return fit
	}
	return aliases
}
