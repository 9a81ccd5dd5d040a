package cmdline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxWidth is the maximum width of the help in columns. On a wider terminal, lines have maxWidth columns, because longer
// lines are hard to read. On a terminal with fewer than minWidth columns, lines have minWidth columns.
const maxWidth, minWidth = 80, 40

// The method help prints the help of a command, or of the program if cmd is nil.
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

// The method wrap prints the text s with line breaks. The parameter firstPrefix is the prefix of the first line, and
// restPrefix is the prefix of all other lines.
func (p *printer) wrap(firstPrefix, restPrefix, s string) {
	line, empty := firstPrefix, true
	for _, word := range strings.Fields(s) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > p.width {
			p.out.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = restPrefix, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	p.out.WriteString(strings.TrimRight(line, " ") + "\n")
}

// The method command prints a command line. It puts a backslash in front of each line break, so that users can paste the
// command into a shell.
func (p *printer) command(s string) {
	narrow := printer{width: p.width - len(" \\")}
	narrow.wrap("  ", "      ", s)
	p.out.WriteString(strings.ReplaceAll(strings.TrimSuffix(narrow.out.String(), "\n"), "\n", " \\\n") + "\n")
}

// A section has a heading and rows of two cells.
type section struct {
	heading string
	rows    [][2]string
}

// The method sections prints the rows of all sections in two columns. All sections have the same column widths. A first cell
// that is too long for its column is printed on its own line.
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

// flagSections returns one section for each group of flags, in the order of the flags. Flags without a group and --help are
// in one section, whose heading is the parameter last.
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

// row returns the two cells of the flag in the help.
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
	if f.isRepeatable() {
		about += "; may repeat"
	}
	if s := f.fallback(); s != "" {
		about += " (default: " + s + ")"
	}
	return [2]string{name, about}
}
