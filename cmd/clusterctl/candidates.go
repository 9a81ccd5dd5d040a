package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/units"
)

// operandValues offers what a command's usage says that it takes, so a new command has it without a list of its own:
// "NAME|NAME@N|GLOB|all..." are apps and instances, FILE and DIRECTORY files, words in small letters themselves.
func (e *env) operandValues(app *cli.App, cmd *cli.Command, before []string, current string) (string, []candidate) {
	kind := offerWords
	var all []candidate
	for _, form := range operandForm(cmd.UsageText, len(before)) {
		switch {
		case form == "FILE" || form == "DIRECTORY":
			kind = offerFiles
		case form == "NAME" && kind != offerFiles:
			all = append(all, e.appNames()...)
		case form == "NAME@N":
			all = append(all, e.instanceNames(current)...)
		case form == "SECRET":
			all = append(all, e.secretNames(before)...)
		case form == "COMMAND":
			all = append(all, commandNames(app, current)...)
		case form == "SIGNAL":
			all = append(all, words("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "WINCH")...)
		case form != "" && form == strings.ToLower(form):
			all = append(all, words(form)...)
		}
	}
	if cmd.Name == "start" {
		// It takes a program as well.
		kind = offerFiles
	}
	return kind, all
}

// operandForm are the forms of the operand n of a usage, counted from 0. One that ends in "..." may come again, and what
// stands behind it may come instead.
func operandForm(usage string, n int) []string {
	usage, _, _ = strings.Cut(usage, " [-- ")
	usage, _, _ = strings.Cut(usage, " -- ")
	usage = regexp.MustCompile(`\[-[^\]]*\]`).ReplaceAllString(usage, "")
	fields := slices.DeleteFunc(strings.Fields(usage)[1:], func(s string) bool { return s == "[FLAGS]" })
	repeats := slices.IndexFunc(fields, func(f string) bool { return strings.HasSuffix(strings.Trim(f, "[]"), "...") })
	last := n + 1
	if repeats >= 0 && n > repeats {
		n, last = repeats, len(fields)
	}
	if n >= len(fields) {
		return nil
	}
	var forms []string
	for _, f := range fields[n:last] {
		forms = append(forms, strings.Split(strings.TrimSuffix(strings.Trim(f, "[]"), "..."), "|")...)
	}
	return forms
}

// flagValues offers values of a flag: the words that it takes, and what the name of its value says.
func (e *env) flagValues(f cli.Flag, current string) (string, []candidate) {
	all := words(valuesOf(f.Names()[0])...)
	kind := offerWords
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return kind, all
	}
	_, rest, _ := strings.Cut(doc.GetUsage(), "`")
	placeholder, _, _ := strings.Cut(rest, "`")
	switch {
	case placeholder == "FILE" || placeholder == "PATH":
		kind = offerFiles
	case placeholder == "DIR":
		kind = offerDirs
	case placeholder == "PROGRAM":
		kind, all = offerFiles, append(all, e.programs(current)...)
	case strings.HasPrefix(placeholder, "USER"):
		all = append(all, users()...)
	case placeholder == "GROUP":
		all = append(all, groups()...)
	}
	return kind, all
}

func words(list ...string) []candidate {
	all := make([]candidate, 0, len(list))
	for _, w := range list {
		all = append(all, candidate{value: w})
	}
	return all
}

func (e *env) appNames() []candidate {
	names, err := e.store.Apps()
	if err != nil {
		return nil
	}
	var all []candidate
	for _, n := range names {
		all = append(all, candidate{string(n), "app"})
	}
	return all
}

// instanceNames are the instances of the app that stands in front of the "@", if there is one.
func (e *env) instanceNames(current string) []candidate {
	name, _, found := strings.Cut(current, "@")
	n, err := units.ParseName(name)
	if !found || err != nil {
		return nil
	}
	listed, err := e.listed(n)
	if err != nil {
		return nil
	}
	var all []candidate
	for i := range listed {
		all = append(all, candidate{operand{name: n, instance: i + 1}.String(), "instance"})
	}
	return all
}

// programs are the executables in $PATH that begin so; all of them would be thousands.
func (e *env) programs(prefix string) []candidate {
	if prefix == "" || strings.Contains(prefix, "/") {
		return nil
	}
	var names []string
	for _, dir := range filepath.SplitList(e.getenv("PATH")) {
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
	return words(slices.Compact(names)...)
}

// users are those of this machine's own file; others may be given as well.
func users() []candidate { return accounts("/etc/passwd", "user") }

// groups offers the groups of this machine's own file.
func groups() []candidate { return accounts("/etc/group", "group") }

// accounts are the first fields of the lines of a file.
func accounts(path, kind string) []candidate {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var all []candidate
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			all = append(all, candidate{name, kind})
		}
	}
	return all
}
