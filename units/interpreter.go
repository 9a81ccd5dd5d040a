package units

import (
	"slices"
	"strings"
)

// interpreter describes programs whose first argument that is not an option is a script. Fields that contain letters list
// options of one letter, which may be combined: "-ec".
type interpreter struct {
	// names are the names of the programs, without a version at the end.
	names []string
	// code lists options that take the program from the command line, from a module or from standard input. With such an
	// option, no argument is a script.
	code string
	// value lists options whose value is the rest of the word or the next word. For options in attached, it is only the rest
	// of the word.
	value, attached string
	// long are options of several letters whose value may be the next word. longCode are long options with code.
	long, longCode []string
	// verb is a subcommand that may come before the script, as in "bun run".
	verb string
}

// interpreters returns the known interpreters, with their options that take a value (node(1), python(1), bash(1),
// perlrun(1), ruby(1), php(1)).
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

// script returns the first argument that is not an option, the value of an option or the verb. It returns "" if there is
// none.
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

// letters reports whether the combined options of a word include one with code, and whether the next word is the value of
// the last option.
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
