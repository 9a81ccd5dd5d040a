package units

import (
	"path"
	"slices"
	"strings"
)

// configFile is the name of the file next to the program that describes apps.
const configFile = "clusterctl.yaml"

// Programs returns the paths of the files that the command runs: the program, and the script if the program is a known
// interpreter. Programs does not check that the files exist.
func (a App) Programs() []string {
	if len(a.Command) == 0 {
		return nil
	}
	files := []string{path.Clean(a.Command[0])}
	base := strings.TrimRight(path.Base(a.Command[0]), "0123456789.")
	i := slices.IndexFunc(interpreters(), func(i interpreter) bool { return slices.Contains(i.names, base) })
	if i < 0 {
		return files
	}
	script := interpreters()[i].script(a.Command[1:])
	if script == "" {
		return files
	}
	if !path.IsAbs(script) {
		script = path.Join("/", a.Directory, script)
	}
	return append(files, path.Clean(script))
}

// ownFiles returns files that a worker must not change even if it may write to their directory: the programs of the app, and
// files that root or the shim reads. A file that is itself in Writable is omitted.
func (a App) ownFiles() []string {
	files := a.Programs()
	if a.Directory != "" {
		files = append(files, path.Join(a.Directory, configFile), path.Join(a.Directory, ".env"))
	}
	for _, f := range a.EnvFiles {
		files = append(files, path.Clean(f.Path))
	}
	return slices.DeleteFunc(files, func(p string) bool { return slices.Contains(a.Writable, p) })
}

// The method protect returns the files that must be read-only although they are below a writable path. It also returns the
// directories between the writable path and such a file. Each file and directory becomes a mount point, because the worker
// cannot rename anything over a mount point.
func (a App) protect(writable []string) (readOnly, pinned []string) {
	add := func(list []string, p string) []string {
		if slices.Contains(list, p) {
			return list
		}
		return append(list, p)
	}
	for _, f := range a.ownFiles() {
		tree := ""
		for _, w := range writable {
			if w = path.Clean(w); len(w) > len(tree) && strings.HasPrefix(f, w+"/") {
				tree = w
			}
		}
		if tree == "" {
			continue // the worker cannot write to the file
		}
		if _, err := pathWord("read-only", f); err != nil {
			continue // a unit file cannot contain the path
		}
		readOnly = add(readOnly, f)
		for dir := path.Dir(f); dir != tree; dir = path.Dir(dir) {
			if !strings.ContainsRune(dir, ':') { // BindPaths= would split the path at the colon
				pinned = add(pinned, dir)
			}
		}
	}
	slices.Sort(pinned)
	return readOnly, pinned
}

// optionalPaths returns paths as words with the prefix "-", with which systemd ignores a missing path.
func (r *renderer) optionalPaths(paths []string) value {
	return fixed(strings.Join(r.words("read-only", "-", paths), " "))
}

// The type interpreter describes programs whose first argument that is not an option is a script. The fields code, value and
// attached contain one-letter options, which can be combined, as in "-ec".
type interpreter struct {
	// The field names contains the names of the programs, without a version at the end.
	names []string
	// The field code contains options with which the program is on the command line, in a module or in standard input. With
	// such an option, no argument is a script.
	code string
	// The field value contains options whose value is the rest of the word or the next word. The field attached contains
	// options whose value is always the rest of the word.
	value, attached string
	// The field long contains the multi-letter options that can take the next word as their value, such as --require. The
	// field longCode contains the long forms of the options in code.
	long, longCode []string
	// The field verb is a subcommand that may come before the script, as in "bun run".
	verb string
}

// The function interpreters returns the known interpreters, with their options that take a value (node(1), python(1),
// bash(1), perlrun(1), ruby(1), php(1)).
func interpreters() []interpreter {
	return []interpreter{
		{
			names: []string{"node", "nodejs", "tsx", "ts-node", "coffee", "lsc"}, code: "ep", value: "rCPO",
			longCode: []string{"--eval", "--print"},
			long: []string{
				"--require", "--import", "--loader", "--experimental-loader", "--env-file", "--env-file-if-exists", "--conditions",
				"--input-type", "--title", "--watch-path", "--icu-data-dir", "--openssl-config", "--disable-warning",
				"--redirect-warnings", "--diagnostic-dir", "--unhandled-rejections", "--dns-result-order", "--tls-cipher-list",
				"--max-http-header-size", "--trace-event-categories", "--tsconfig", "--project", "--compiler-options",
			},
		},
		{
			names: []string{"bun"}, code: "ep", value: "rc", longCode: []string{"--eval", "--print"}, verb: "run",
			long: []string{"--preload", "--require", "--import", "--env-file", "--cwd", "--config", "--conditions"},
		},
		{
			names: []string{"deno"}, value: "cL", attached: "r", verb: "run",
			long: []string{"--config", "--import-map", "--preload", "--lock", "--cert", "--location", "--seed", "--log-level"},
		},
		{names: []string{"python", "pypy"}, code: "cm", value: "WX", long: []string{"--check-hash-based-pycs"}},
		{names: []string{"ruby"}, code: "e", value: "IrCE", attached: "FKTWix0", long: []string{"--encoding"}},
		{names: []string{"perl"}, code: "eE", value: "I", attached: "MmCDFVixl0"},
		{
			names: []string{"php"}, code: "rRBE", value: "cdzSt", longCode: []string{"--run"},
			long: []string{"--php-ini", "--define", "--zend-extension", "--server", "--docroot"},
		},
		{names: []string{"sh", "bash", "dash"}, code: "cs", value: "oO", long: []string{"--rcfile", "--init-file"}},
	}
}

// The method script returns the first argument that is not an option, not the value of an option, and not the verb. It
// returns "" if the arguments contain no script.
func (i interpreter) script(args []string) string {
	for n := 0; n < len(args); n++ {
		arg := args[n]
		switch {
		case arg == "-" || slices.Contains(i.longCode, arg):
			return ""
		case arg == "" || arg == i.verb:
		case arg == "--":
			return strings.Join(args[n+1:min(n+2, len(args))], "")
		case strings.HasPrefix(arg, "--"):
			if slices.Contains(i.long, arg) {
				n++
			}
		case strings.HasPrefix(arg, "-") || arg[0] == '+' && slices.Contains(i.names, "sh"):
			code, next := i.letters(arg[1:])
			if code {
				return ""
			}
			if next {
				n++
			}
		default:
			return arg
		}
	}
	return ""
}

// The method letters parses the combined one-letter options of a word. It returns whether an option is in i.code, and
// whether the next word is the value of the last option.
func (i interpreter) letters(word string) (code, next bool) {
	for n, l := range word {
		switch {
		case strings.ContainsRune(i.code, l):
			return true, false
		case strings.ContainsRune(i.attached, l):
			return false, false
		case strings.ContainsRune(i.value, l):
			return false, n == len(word)-1
		}
	}
	return false, false
}
