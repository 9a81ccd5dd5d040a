package main

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"golang.org/x/sys/unix"
)

// environment returns the environment of the program: env without the variables for the shim, and with the variables of the
// flags.
func environment(env []string, o *runOptions) ([]string, error) {
	out := make([]string, 0, len(env)+3)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID":
			if o.adopt {
				continue
			}
		}
		out = append(out, kv)
	}
	if o.instance > 0 {
		out = set(out, contract.InstanceVariable, strconv.Itoa(o.instance))
		out = set(out, contract.NodeInstanceVariable, strconv.Itoa(o.instance-1))
	}
	for _, name := range o.increment {
		value, ok := get(out, name)
		if !ok {
			return nil, errors.New("--increment " + name + ": the variable is not set")
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, errors.New("--increment " + name + ": its value " + strconv.Quote(value) + " is not a number")
		}
		out = set(out, name, strconv.Itoa(n+o.instance-1))
	}
	for _, name := range o.secretEnv {
		value, err := credential(out, name)
		if err != nil {
			return nil, err
		}
		out = set(out, name, value)
	}
	if o.nodePreload != "" {
		value, _ := get(out, "NODE_OPTIONS")
		out = set(out, "NODE_OPTIONS", strings.TrimLeft(value+" --require "+nodeQuote(o.nodePreload), " "))
	}
	return out, nil
}

// envFlags defines the flags of "run" and "probe" for environment files.
func (o *runOptions) envFlags(f *flag.FlagSet) {
	f.Func("env-file", "", func(s string) error { o.envFiles = append(o.envFiles, s); return nil })
	f.BoolVar(&o.envSyntax.CommentsContinue, "env-comments-continue", false, "")
}

// credential returns a secret that PID 1 has put into $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=). An error
// never contains the value.
func credential(env []string, name string) (string, error) {
	dir, ok := get(env, "CREDENTIALS_DIRECTORY")
	if !ok || strings.ContainsAny(name, "/=") || name == "" {
		return "", errors.New("--secret-env " + name + ": the unit loads no credential of that name")
	}
	value, err := os.ReadFile(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("--secret-env " + name + ": the unit loads no credential of that name")
	case err != nil:
		return "", errors.New("--secret-env " + name + ": " + err.Error())
	case bytes.IndexByte(value, 0) >= 0:
		return "", errors.New("--secret-env " + name + ": the value contains NUL, which no variable can hold")
	}
	return string(value), nil
}

// nodeQuote quotes one word of NODE_OPTIONS. Node splits at spaces and accepts double quotes with backslash escapes
// (node(1), NODE_OPTIONS).
func nodeQuote(s string) string {
	if !strings.ContainsAny(s, " \"\\") {
		return s
	}
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

func get(env []string, name string) (string, bool) {
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// set returns env with the variable, replaced at its position or appended.
func set(env []string, name, value string) []string {
	for i, kv := range env {
		if k, _, ok := strings.Cut(kv, "="); ok && k == name {
			env[i] = name + "=" + value
			return env
		}
	}
	return append(env, name+"="+value)
}

// pin restricts this thread, and so the program, to one of its allowed CPUs.
func pin(instance int) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return err
	}
	one, err := nthCPU(&allowed, instance-1)
	if err != nil {
		return err
	}
	return unix.SchedSetaffinity(0, one)
}

// nthCPU returns the set with the n-th allowed CPU, where n is taken modulo the number of allowed CPUs.
func nthCPU(allowed *unix.CPUSet, n int) (*unix.CPUSet, error) {
	count := allowed.Count()
	if count == 0 {
		return nil, errors.New("no CPU is allowed")
	}
	n %= count
	for cpu := 0; ; cpu++ {
		if !allowed.IsSet(cpu) {
			continue
		}
		if n == 0 {
			one := new(unix.CPUSet)
			one.Set(cpu)
			return one, nil
		}
		n--
	}
}
