package cmdline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The help is at most maxWidth columns wide, also on a wider terminal: longer lines are hard to read. Below minWidth nothing
// gets better by wrapping.
const maxWidth, minWidth = 80, 40

// help prints the help of a command, or of the program if it is nil.
func (a *App) help(cmd *Command) error {
	p := printer{width: maxWidth}
	if width := a.Width(); width > 0 {
		p.width = max(min(width, maxWidth), minWidth)
	}
	if cmd == nil {
		a.programHelp(&p)
	} else {
		a.commandHelp(&p, cmd)
	}
	_, err := fmt.Fprint(a.Stdout, p.out.String())
	return err
}

func (a *App) programHelp(p *printer) {
	p.wrap("", "", a.Usage+".")
	p.heading("USAGE")
	p.wrap("  ", "      ", a.Name+" COMMAND [FLAGS] [-- PROGRAM ARGS...]")
	p.heading("DESCRIPTION")
	p.paragraphs(a.Description...)
	commands := section{heading: "COMMANDS"}
	for _, cmd := range a.Commands {
		if !cmd.Hidden {
			commands.rows = append(commands.rows, [2]string{strings.Join(cmd.names(), ", "), cmd.Usage})
		}
	}
	p.sections(append([]section{commands}, flagSections(a.Flags, "FLAGS OF EVERY COMMAND")...)...)
}

func (a *App) commandHelp(p *printer, cmd *Command) {
	p.wrap("", "", cmd.Usage+".")
	p.heading("USAGE")
	p.wrap("  ", "      ", a.usageLine(cmd))
	if len(cmd.Aliases) > 0 {
		p.heading("OTHER NAMES")
		p.paragraphs(strings.Join(cmd.Aliases, ", "))
	}
	if len(cmd.Description) > 0 {
		p.heading("DESCRIPTION")
		p.paragraphs(cmd.Description...)
	}
	p.heading("EXAMPLES")
	for _, e := range cmd.Examples {
		p.command(e)
	}
	last := "FLAGS"
	if slices.ContainsFunc(cmd.Flags, func(f Flag) bool { return f.Group != "" }) {
		last = "OTHER FLAGS"
	}
	p.sections(flagSections(cmd.Flags, last)...)
}

// printer lays out a help text.
type printer struct {
	out   strings.Builder
	width int
}

func (p *printer) heading(s string) {
	if p.out.Len() > 0 {
		p.out.WriteByte('\n')
	}
	p.out.WriteString(s + ":\n")
}

// paragraphs prints paragraphs with an empty line between them.
func (p *printer) paragraphs(all ...string) {
	for i, s := range all {
		if i > 0 {
			p.out.WriteByte('\n')
		}
		p.wrap("  ", "  ", s)
	}
}

// wrap prints a text behind first, and the lines that follow behind rest.
func (p *printer) wrap(first, rest, s string) {
	line, empty := first, true
	for _, word := range strings.Fields(s) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > p.width {
			p.out.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	p.out.WriteString(strings.TrimRight(line, " ") + "\n")
}

// command prints a command line. Lines that go on end in a backslash, so that they can be pasted into a shell.
func (p *printer) command(s string) {
	narrow := printer{width: p.width - len(" \\")}
	narrow.wrap("  ", "      ", s)
	p.out.WriteString(strings.ReplaceAll(strings.TrimSuffix(narrow.out.String(), "\n"), "\n", " \\\n") + "\n")
}

// section is a heading and rows of two cells.
type section struct {
	heading string
	rows    [][2]string
}

// sections prints rows in two columns, which are equally wide in all sections. A first cell that is too long for its column
// gets its own line.
func (p *printer) sections(all ...section) {
	column := 0
	for _, s := range all {
		for _, r := range s.rows {
			if n := len(r[0]); n <= p.width/3 {
				column = max(column, n)
			}
		}
	}
	indent := strings.Repeat(" ", column+4)
	for _, s := range all {
		p.heading(s.heading)
		for _, r := range s.rows {
			first := fmt.Sprintf("  %-*s  ", column, r[0])
			if len(r[0]) > column {
				p.out.WriteString(strings.TrimRight(first, " ") + "\n")
				first = indent
			}
			p.wrap(first, indent, r[1])
		}
	}
}

// flagSections returns flags by their groups, in the order of the flags. Flags without a group come under the heading last,
// with --help.
func flagSections(flags []Flag, last string) []section {
	var all []section
	for _, f := range append(slices.Clone(flags), Flag{Name: "help", Short: "h", Usage: "show this help"}) {
		heading := cmp.Or(f.Group, last)
		i := slices.IndexFunc(all, func(s section) bool { return s.heading == heading })
		if i < 0 {
			i, all = len(all), append(all, section{heading: heading})
		}
		all[i].rows = append(all[i].rows, f.row())
	}
	return all
}

// row returns the flag and its description as the help shows them.
func (f Flag) row() [2]string {
	name, about := "    --"+f.Name, f.Usage
	if f.Short != "" {
		name = "-" + f.Short + ", --" + f.Name
	}
	switch {
	case f.wantsValue():
		name += " " + string(f.Takes)
	case f.Takes != "":
		name += "[=" + string(f.Takes) + "]"
	}
	if f.repeats() {
		about += "; may repeat"
	}
	if s := f.fallback(); s != "" {
		about += " (default: " + s + ")"
	}
	return [2]string{name, about}
}
