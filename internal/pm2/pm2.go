// Package pm2 lists the commands and flags of PM2 7 and their equivalents in clusterctl.
package pm2

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Kind is the kind of word that [Lookup] looks for.
type Kind int

const (
	// Command is a command of PM2, such as "jlist".
	Command Kind = iota
	// Flag is a flag of PM2 without its dashes, such as "kill-timeout" or "k".
	Flag
)

// Entry is the meaning of a word of PM2 in clusterctl. A word with the same meaning in both programs has no entry.
type Entry struct {
	// Names are the word and its aliases in PM2.
	Names []string
	// Same are our words with the same meaning: a command and its flags, or a flag. If our flag takes a value and PM2's
	// flag does not, the value follows. Same is empty if clusterctl has no equivalent.
	Same []string
	// Hint is what to do where Same does not apply.
	Hint string
	// Convert converts the value of PM2's flag into the value of ours. It returns false if our flag has no equivalent
	// value.
	Convert func(string) (string, bool)
}

// Lookup returns the entry of a word of PM2.
func Lookup(kind Kind, name string) (Entry, bool) {
	for _, e := range Entries(kind) {
		if slices.Contains(e.Names, name) {
			return e, true
		}
	}
	return Entry{}, false
}

// Entries returns all entries of a kind. The manual lists them under COMING FROM PM2.
func Entries(kind Kind) []Entry {
	if kind == Command {
		return commands()
	}
	return slices.Concat(processFlags(), logFlags(), otherFlags())
}

// DescribesApps reports whether a file is named like a file in which PM2 describes apps. Node can run some of these files,
// but they are not programs.
func DescribesApps(path string) bool {
	base := strings.ToLower(filepath.Base(path))
	for _, suffix := range []string{".config.js", ".config.cjs", ".config.mjs", ".json"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return strings.HasPrefix(base, "ecosystem.") || strings.HasPrefix(base, "pm2.")
}

// milliseconds adds "ms" to a number without a unit, which PM2 reads as milliseconds.
func milliseconds(s string) (string, bool) {
	if _, err := strconv.ParseUint(s, 10, 32); err == nil {
		return s + "ms", true
	}
	return s, true
}

// stopExitCodes converts the exit codes after which PM2 does not restart a worker. Our equivalent, --restart on-failure,
// covers only code 0.
func stopExitCodes(s string) (string, bool) { return "on-failure", s == "0" }
