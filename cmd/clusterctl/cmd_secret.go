package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// secretInfo is one secret, as "secret ls --json" prints it (schema 1). The value is never in it.
type secretInfo struct {
	Name string `json:"name"`
	// Size is the size of the stored file; encryption makes it larger.
	Size      int64     `json:"size"`
	Set       time.Time `json:"set"`
	Encrypted bool      `json:"encrypted"`
	// Variable: the app asks for it in a variable (--secret-env).
	Variable bool `json:"variable"`
}

const secretDescription = `Keeps passwords and keys for the workers of an app. A value is read from standard input, or asked for on a terminal; it is
never on a command line, in a unit, in a listing or in a log. It is stored for root alone, encrypted with the key of this
machine where systemd can do that (250 and newer), and a worker reads it from the file $CREDENTIALS_DIRECTORY/SECRET. A program
that needs a variable gets it by --secret-env SECRET at the install.

"set" may come before the install. Workers get a new value when they are restarted, as by "reload". "uninstall" removes the
secrets of the app, "rollback" does not touch them. The newline after a value of one line is not part of it; everything else
is kept byte for byte.

EXAMPLES:
   sudo clusterctl secret set shop DB_PASSWORD < password.txt
   sudo clusterctl secret ls shop
   sudo clusterctl secret rm shop DB_PASSWORD`

func secretCommand(e *env) *cli.Command {
	var asJSON bool
	return &cli.Command{
		Name: "secret", Usage: "Set, list or remove secrets of an app",
		UsageText: "secret set|ls|rm NAME [SECRET] [--json]", Description: secretDescription,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "for programs: {\"schema\": 1, \"name\": …, \"secrets\": […]}, with ls", Destination: &asJSON}},
		Action: func(c *cli.Context) error {
			args, err := operands(c, 2, 3, "set, ls or rm with the NAME of an app")
			if err != nil {
				return err
			}
			return runSecret(c.Context, e, args, asJSON)
		},
	}
}

func runSecret(ctx context.Context, e *env, args []string, asJSON bool) error {
	verb := args[0]
	if !slices.Contains([]string{"set", "ls", "rm"}, verb) {
		return fault.WithHint(fault.Usagef("secret: unexpected argument %q", verb), "clusterctl secret set|ls|rm NAME [SECRET]")
	}
	n, err := units.ParseName(args[1])
	if err != nil {
		return err
	}
	switch {
	case verb == "ls" && len(args) > 2:
		return fault.WithHint(fault.Usagef("secret ls: unexpected argument %q", args[2]), "clusterctl secret ls %s", n)
	case verb != "ls" && len(args) < 3:
		return fault.WithHint(fault.Usagef("secret %s: missing argument: SECRET", verb), "clusterctl secret %s %s DB_PASSWORD", verb, n)
	case verb != "ls" && strings.Contains(args[2], "="):
		name, _, _ := strings.Cut(args[2], "=")
		return fault.WithHint(fault.Usagef("secret %s: the value must not be on the command line, where other users see it", verb), "sudo clusterctl secret set %s %s < FILE", n, text.Shell(name))
	case asJSON && verb != "ls":
		return fault.WithHint(fault.Usagef("--json is only for secret ls"), "clusterctl secret ls %s --json", n)
	}
	if verb == "ls" {
		return e.listSecrets(n, asJSON)
	}
	if err := e.needRoot(); err != nil {
		return err
	}
	if err := units.CheckSecretName(args[2]); err != nil {
		return err
	}
	var value []byte
	if verb == "set" {
		if value, err = e.readSecret(args[2]); err != nil {
			return err
		}
	}
	return e.changeSecret(ctx, n, args[2], value, verb == "rm")
}

// listSecrets prints names, never values.
func (e *env) listSecrets(n units.Name, asJSON bool) error {
	stored, err := e.store.Secrets(n)
	if err != nil {
		return err
	}
	a, err := e.store.Load(n)
	if err != nil && len(stored) == 0 {
		return err
	}
	infos := make([]secretInfo, 0, len(stored))
	for _, s := range stored {
		infos = append(infos, secretInfo{Name: s.Name, Size: s.Size, Set: s.Set, Encrypted: s.Encrypted, Variable: slices.Contains(a.SecretEnv, s.Name)})
	}
	if asJSON {
		return e.printJSON(struct {
			Schema  int          `json:"schema"`
			Name    units.Name   `json:"name"`
			Secrets []secretInfo `json:"secrets"`
		}{status.SchemaVersion, n, infos})
	}
	if len(infos) == 0 {
		e.note("%s has no secrets", n)
		return nil
	}
	rows := make([][]string, 0, len(infos))
	yes := map[bool]string{true: "yes", false: "no"}
	for _, s := range infos {
		rows = append(rows, []string{s.Name, strconv.FormatInt(s.Size, 10), s.Set.Local().Format(time.DateTime), yes[s.Encrypted], yes[s.Variable]})
	}
	return text.Table(e.stdout, []string{"SECRET", "BYTES", "SET", "ENCRYPTED", "VARIABLE"}, rows)
}

// maxSecret is what systemd takes for all credentials of a service (systemd.exec(5)), less what encryption adds.
const maxSecret = 512 << 10

// readSecret reads a value from standard input, or asks for it.
func (e *env) readSecret(name string) ([]byte, error) {
	var value []byte
	var err error
	if e.stdinTTY {
		fmt.Fprintf(e.stderr, "value of %s (not shown): ", name)
		value, err = e.password()
		fmt.Fprintln(e.stderr)
	} else {
		value, err = io.ReadAll(io.LimitReader(e.stdin, maxSecret+2))
		// The end of the line that echo wrote. Keys and files of several lines stay as they are.
		if line, ok := bytes.CutSuffix(value, []byte("\n")); ok && !bytes.Contains(line, []byte("\n")) && utf8.Valid(line) {
			value = bytes.TrimSuffix(line, []byte("\r"))
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the value of %s: %w", name, err)
	case len(value) > maxSecret:
		return nil, fmt.Errorf("the value of %s is larger than %d bytes", name, maxSecret)
	case len(value) == 0:
		return nil, fault.WithHint(fmt.Errorf("the value of %s is empty", name), "sudo clusterctl secret set NAME %s < FILE", text.Shell(name))
	}
	return value, nil
}

// secretNames returns, for completion, the secrets that the app has or needs. The app is the operand before.
func (e *env) secretNames(before []string) []candidate {
	if len(before) < 2 || before[0] == "ls" {
		return nil
	}
	n, err := units.ParseName(before[1])
	if err != nil {
		return nil
	}
	var names []string
	loaded, _ := e.store.LoadedSecrets(n)
	for _, s := range loaded {
		names = append(names, s.Name)
	}
	if a, err := e.store.Load(n); err == nil && before[0] == "set" {
		names = append(names, a.SecretEnv...)
	}
	slices.Sort(names)
	var all []candidate
	for _, name := range slices.Compact(names) {
		all = append(all, candidate{name, "secret"})
	}
	return all
}
