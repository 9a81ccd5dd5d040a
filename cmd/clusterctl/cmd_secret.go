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

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// secretInfo describes one secret in the output of "secret ls --json" (schema 1). It does not contain the value.
type secretInfo struct {
	Name string `json:"name"`
	// Size is the size of the stored file in bytes. An encrypted file is larger than the value.
	Size      int64     `json:"size"`
	Set       time.Time `json:"set"`
	Encrypted bool      `json:"encrypted"`
	// Variable means that the app gets the secret in a variable (--secret-env).
	Variable bool `json:"variable"`
}

func secretCommand(e *env) *cmdline.Command {
	var asJSON bool
	return &cmdline.Command{
		Name: "secret", Usage: "Set, list or remove secrets of an app",
		Operands: []cmdline.Operand{
			{Forms: []cmdline.Form{"set", "ls", "rm"}}, {Forms: []cmdline.Form{cmdline.Name}},
			{Forms: []cmdline.Form{cmdline.Secret}, Optional: true},
		},
		Description: []string{
			"Stores passwords and keys for the workers of an app. \"set\" reads the value from standard input, or asks for it on a " +
				"terminal. The value is never in a command line, a unit, a listing or a log. Only root can read the stored file; systemd " +
				"250 and newer encrypt it with the key of this machine.",
			"A worker reads a secret from the file $CREDENTIALS_DIRECTORY/SECRET. For a program that needs a variable, install the app " +
				"with --secret-env SECRET.",
			"\"set\" works before and after the install. Workers get a new value when they restart. \"uninstall\" removes the secrets of " +
				"the app, \"rollback\" does not change them.",
		},
		Examples: []string{
			"sudo clusterctl secret set shop DB_PASSWORD < password.txt",
			"sudo clusterctl secret ls shop",
			"sudo clusterctl secret rm shop DB_PASSWORD",
		},
		Flags: []cmdline.Flag{{Name: "json", To: &asJSON, Usage: "print the list of secrets as JSON"}},
		Run:   bind(e, &asJSON, runSecret),
	}
}

func runSecret(ctx context.Context, e *env, asJSON bool, in cmdline.Input) error {
	args := in.Args
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
		return fault.WithHint(fault.Usagef("secret %s: the value must not be on the command line, where other users see it", verb),
			"sudo clusterctl secret set %s %s < FILE", n, text.Shell(name))
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
	m, closeConn, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	s, err := m.Open(ctx, n)
	if err != nil {
		return err
	}
	defer s.Close()
	if verb == "rm" {
		return s.RemoveSecret(ctx, args[2])
	}
	return s.SetSecret(ctx, args[2], value)
}

// listSecrets prints the secrets of an app without their values.
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
		infos = append(infos, secretInfo{Name: s.Name, Size: s.Size, Set: s.Set, Encrypted: s.Encrypted,
			Variable: slices.Contains(a.SecretEnv, s.Name)})
	}
	if asJSON {
		return e.printList(list{Name: n, Secrets: infos})
	}
	if len(infos) == 0 {
		e.note("%s has no secrets", n)
		return nil
	}
	rows := make([][]string, 0, len(infos))
	yes := map[bool]string{true: "yes", false: "no"}
	for _, s := range infos {
		rows = append(rows, []string{s.Name, strconv.FormatInt(s.Size, 10), s.Set.Local().Format(time.DateTime),
			yes[s.Encrypted], yes[s.Variable]})
	}
	return text.Table(e.stdout, []string{"SECRET", "BYTES", "SET", "ENCRYPTED", "VARIABLE"}, rows)
}

// maxSecret is half of the 1 MiB that systemd allows for all credentials of a service (systemd.exec(5)). Encryption makes
// the stored value larger.
const maxSecret = 512 << 10

// readSecret reads a value from standard input. On a terminal it asks for the value.
func (e *env) readSecret(name string) ([]byte, error) {
	var value []byte
	var err error
	if e.stdinTTY {
		fmt.Fprintf(e.stderr, "value of %s (not shown): ", name)
		value, err = e.password()
		fmt.Fprintln(e.stderr)
	} else {
		value, err = io.ReadAll(io.LimitReader(e.stdin, maxSecret+2))
		// Remove the newline that echo(1) adds to one line. Do not change a value of several lines, such as a key.
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
		return nil, fault.WithHint(fmt.Errorf("the value of %s is empty", name), "sudo clusterctl secret set NAME %s < FILE",
			text.Shell(name))
	}
	return value, nil
}

// secretNames returns the names of the secrets that an app has or needs, as candidates for the completion. The parameter
// operands contains the verb and the name of the app.
func (e *env) secretNames(operands []string) []string {
	if len(operands) < 2 || operands[0] == "ls" {
		return nil
	}
	n, err := units.ParseName(operands[1])
	if err != nil {
		return nil
	}
	var names []string
	loaded, _ := e.store.LoadedSecrets(n)
	for _, s := range loaded {
		names = append(names, s.Name)
	}
	if a, err := e.store.Load(n); err == nil && operands[0] == "set" {
		names = append(names, a.SecretEnv...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
