package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/urfave/cli/v2"
)

// The scripts are our own: those of cli evaluate the words on the command line, $(…) included, whenever TAB is pressed.
//
//go:embed completion/clusterctl.bash
var bashScript string

//go:embed completion/clusterctl.zsh
var zshScript string

//go:embed completion/clusterctl.fish
var fishScript string

func completionCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "Print the completion script of a shell",
		UsageText: "completion bash|zsh|fish",
		Description: "Completes commands, flags and their values, apps and instances. The packages of clusterctl have it in place.\n" +
			"Nothing that stands on the command line is evaluated.\n\n" +
			"EXAMPLES:\n" +
			"   source <(clusterctl completion bash)\n" +
			"   clusterctl completion zsh > ~/.zfunc/_clusterctl\n" +
			"   clusterctl completion fish > ~/.config/fish/completions/clusterctl.fish",
		Action: func(c *cli.Context) error {
			args, err := operands(c, 1, 1, "the SHELL")
			if err != nil {
				return err
			}
			script := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[args[0]]
			if script != "" {
				fmt.Fprint(e.stdout, script)
				return nil
			}
			bad := fault.Usagef("there is no completion for %q", args[0])
			if like := text.Nearest(args[0], shells()); like != "" {
				return fault.WithHint(bad, "did you mean \"clusterctl completion %s\"?", like)
			}
			return fault.WithHint(bad, "clusterctl completion %s", strings.Join(shells(), ", or "))
		},
	}
}

func shells() []string { return []string{"bash", "zsh", "fish"} }

// completeCommand is what the scripts call: "clusterctl __complete -- WORDS…", the last of which is being typed. The first
// line of the answer says what else the shell is to offer (words: nothing, files, dirs), then come candidates, with a
// tab in front of what they are. It never fails, asks no daemon, and offers what can be read.
func completeCommand(e *env) *cli.Command {
	return &cli.Command{
		Name: "__complete", Hidden: true,
		Usage: "Answer the completion scripts", UsageText: "__complete -- WORDS...",
		Action: func(c *cli.Context) error {
			kind, all := e.complete(c.App, e.command)
			fmt.Fprintln(e.stdout, kind)
			for _, a := range all {
				fmt.Fprintf(e.stdout, "%s\t%s\n", text.Printable(a.value), text.Printable(a.about))
			}
			return nil
		},
	}
}

// candidate is a word to offer and what it is.
type candidate struct{ value, about string }

// What a shell is to offer beside the candidates.
const (
	offerWords = "words"
	offerFiles = "files"
	offerDirs  = "dirs"
)

func (e *env) complete(app *cli.App, words []string) (kind string, all []candidate) {
	var current string
	var before []string
	for i, w := range words {
		if i == len(words)-1 {
			current = strings.TrimLeft(w, `'"`)
		} else {
			before = append(before, unquoted(w))
		}
	}
	if i := slices.Index(before, "--"); i >= 0 {
		if i == len(before)-1 {
			return offerFiles, startingWith(e.programs(current), current)
		}
		return offerFiles, nil
	}
	line := append([]string{app.Name}, before...)
	known := app.Flags
	var cmd *cli.Command
	at := wordAt(app, line)
	if at >= 0 {
		name := line[at]
		if is := pm2Equivalent(name); is != nil {
			name = is[0]
		}
		if cmd = app.Command(name); cmd == nil {
			return offerWords, nil
		}
		known = slices.Concat(cmd.Flags, app.Flags)
		before = slices.Concat(line[1:at], line[at+1:])
	}
	given, operands, pending := readLine(known, before)
	switch name, value, joined := strings.Cut(current, "="); {
	case pending != nil:
		kind, all = e.flagValues(pending, current)
	case joined && isFlag(current) && findFlag(known, name) != nil:
		kind, all = e.flagValues(findFlag(known, name), value)
		for i := range all {
			all[i].value = name + "=" + all[i].value
		}
	case strings.HasPrefix(current, "-") && !isNumber(current):
		kind, all = offerWords, flagNames(known, given)
	case cmd == nil:
		kind, all = offerWords, commandNames(app, current)
	default:
		kind, all = e.operandValues(app, cmd, operands, current)
	}
	return kind, startingWith(all, current)
}

func isNumber(s string) bool { return len(s) > 1 && !isFlag(s) }

// unquoted takes one pair of quotes from a word that was typed in them. It is no shell: what else is in it stays as it is.
func unquoted(w string) string {
	if len(w) > 1 && (w[0] == '\'' || w[0] == '"') && w[len(w)-1] == w[0] {
		return w[1 : len(w)-1]
	}
	return w
}

func startingWith(all []candidate, prefix string) []candidate {
	return slices.DeleteFunc(all, func(c candidate) bool { return !strings.HasPrefix(c.value, prefix) })
}

// readLine separates the words before the current one: the first names of flags, the operands, and the flag whose value
// comes next, or nil.
func readLine(known []cli.Flag, before []string) (given, operands []string, pending cli.Flag) {
	for _, w := range before {
		switch {
		case pending != nil:
			pending = nil
		case !isFlag(w):
			operands = append(operands, w)
		default:
			f := readFlag(known, w)
			for _, word := range f.words {
				name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				given = append(given, name)
			}
			if f.wantsValue {
				pending = findFlag(known, given[len(given)-1])
			}
		}
	}
	return given, operands, pending
}

// flagNames are the flags that may still be given.
func flagNames(known []cli.Flag, given []string) []candidate {
	var all []candidate
	for _, f := range known {
		name := f.Names()[0]
		if _, repeats := f.(*cli.StringSliceFlag); repeats || !slices.Contains(given, name) {
			all = append(all, candidate{"--" + name, aboutFlag(f)})
		}
	}
	if !slices.Contains(given, "help") {
		all = append(all, candidate{"--help", "show the help"})
	}
	return all
}

// aboutFlag is the first part of a flag's usage: a list of candidates has no room for more.
func aboutFlag(f cli.Flag) string {
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	text, _, _ := strings.Cut(strings.ReplaceAll(doc.GetUsage(), "`", ""), ";")
	if i := strings.IndexByte(text, ':'); i > 20 {
		text = text[:i]
	}
	return text
}

// commandNames are the commands, and other names of them where only those fit.
func commandNames(app *cli.App, current string) []candidate {
	var names, aliases []candidate
	for _, cmd := range app.Commands {
		if cmd.Hidden {
			continue
		}
		names = append(names, candidate{cmd.Name, cmd.Usage})
		for _, alias := range cmd.Aliases {
			aliases = append(aliases, candidate{alias, cmd.Usage})
		}
	}
	if fit := startingWith(names, current); len(fit) > 0 {
		return fit
	}
	return aliases
}
