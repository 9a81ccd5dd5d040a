package cmdline

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
)

// These scripts replace the scripts of cli. When the user presses TAB, the scripts of cli evaluate the words on the command
// line, including $(…).
//
//go:embed completion/clusterctl.bash
var bashScript string

//go:embed completion/clusterctl.zsh
var zshScript string

//go:embed completion/clusterctl.fish
var fishScript string

func completionCommand(stdout io.Writer) *Command {
	scripts := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}
	shells := []string{"bash", "zsh", "fish"}
	return &Command{
		Name: "completion", Usage: "Print the completion script of a shell",
		Operands: []Operand{{Forms: []Form{"bash", "zsh", "fish"}}},
		Description: []string{"The script completes commands, flags and their values, apps and instances. The packages of " +
			"clusterctl install the script. It never evaluates words of the command line."},
		Examples: []string{
			"source <(clusterctl completion bash)",
			"clusterctl completion zsh > ~/.zfunc/_clusterctl",
			"clusterctl completion fish > ~/.config/fish/completions/clusterctl.fish",
		},
		Run: func(_ context.Context, in Input) error {
			shell := in.Args[0]
			if script := scripts[shell]; script != "" {
				_, err := io.WriteString(stdout, script)
				return err
			}
			bad := fault.Usagef("completion: unknown shell %q", shell)
			if like := text.Nearest(shell, shells); like != "" {
				return fault.WithHint(bad, "did you mean \"clusterctl completion %s\"?", like)
			}
			return fault.WithHint(bad, "clusterctl completion %s", strings.Join(shells, ", or "))
		},
	}
}

// completeCommand returns the command that the scripts call: "clusterctl __complete -- WORDS…". The last word is the word
// under the cursor. The first line of the output is "words", "files" or "dirs". With "files" or "dirs", the shell also
// offers files or directories. Each further line is a candidate, a tab, and a description. The command never fails, and
// connects to no daemon. It omits candidates that it cannot read.
func (a *App) completeCommand() *Command {
	return &Command{
		Name: "__complete", Hidden: true, Usage: "Answer the completion scripts", Program: Must,
		Run: func(_ context.Context, in Input) error {
			kind, all := a.complete(in.Program)
			fmt.Fprintln(a.Stdout, kind)
			for _, c := range all {
				fmt.Fprintf(a.Stdout, "%s\t%s\n", text.Printable(c.value), text.Printable(c.about))
			}
			return nil
		},
	}
}

// A candidate is a word that completion offers, with its description.
type candidate struct{ value, about string }

// These are the values of the first line of the output. The value determines whether the shell also offers files or
// directories.
const (
	offerWords = "words"
	offerFiles = "files"
	offerDirs  = "dirs"
)

func (a *App) complete(words []string) (kind string, all []candidate) {
	var current string
	var before []string
	for i, w := range words {
		if i == len(words)-1 {
			current = strings.TrimLeft(w, `'"`)
		} else {
			before = append(before, unquote(w))
		}
	}
	if i := slices.Index(before, "--"); i >= 0 {
		if i == len(before)-1 {
			return offerFiles, startingWith(programs(a.Machine.Path(), current), current)
		}
		return offerFiles, nil
	}
	line := append([]string{a.Name}, before...)
	known := a.Flags
	var cmd *Command
	at := a.wordAt(line)
	if at >= 0 {
		if cmd = a.Command(a.ourCommand(line[at])); cmd == nil {
			return offerWords, nil
		}
		known = a.flagsOf(cmd)
		before = slices.Concat(line[1:at], line[at+1:])
	}
	given, operands, pending := readLine(known, before)
	switch name, value, joined := strings.Cut(current, "="); {
	case pending != nil:
		kind, all = a.flagValues(*pending, current)
	case joined && isFlag(current) && findFlag(known, name) != nil:
		kind, all = a.flagValues(*findFlag(known, name), value)
		for i := range all {
			all[i].value = name + "=" + all[i].value
		}
	case current == "-" || isFlag(current):
		kind, all = offerWords, flagNames(known, given)
	case cmd == nil:
		kind, all = offerWords, a.commandNames(current)
	default:
		kind, all = a.operandValues(cmd, operands, current)
	}
	return kind, startingWith(all, current)
}

// unquote removes one pair of quotes around a word. It does not remove quotes or backslashes inside the word, as a shell
// would.
func unquote(w string) string {
	if len(w) > 1 && (w[0] == '\'' || w[0] == '"') && w[len(w)-1] == w[0] {
		return w[1 : len(w)-1]
	}
	return w
}

func startingWith(all []candidate, prefix string) []candidate {
	return slices.DeleteFunc(all, func(c candidate) bool { return !strings.HasPrefix(c.value, prefix) })
}

// readLine parses the words in front of the word under the cursor. It returns the long names of the flags, the operands, and
// pending: the flag whose value is the word under the cursor, or nil.
func readLine(known []Flag, before []string) (given, operands []string, pending *Flag) {
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
