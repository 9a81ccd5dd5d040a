package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/envfile"
)

// environment returns the environment of the program: env, with the variables that the flags set. With --adopt, environment
// removes LISTEN_FDS and the related variables, because the notifier uses the sockets of the unit.
func environment(env []string, o *runOptions) ([]string, error) {
	if o.adopt {
		env = withoutVariables(env, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
	}
	if o.instance > 0 {
		env = withVariable(env, contract.InstanceVariable, strconv.Itoa(o.instance))
		env = withVariable(env, contract.NodeInstanceVariable, strconv.Itoa(o.instance-1))
	}
	for _, name := range o.increment {
		value, ok := valueOf(env, name)
		if !ok {
			return nil, fmt.Errorf("--increment %s: the variable is not set", name)
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("--increment %s: its value %q is not a number", name, value)
		}
		env = withVariable(env, name, strconv.Itoa(n+o.instance-1))
	}
	for _, name := range o.secretEnv {
		value, err := credential(env, name)
		if err != nil {
			return nil, fmt.Errorf("--secret-env %s: %w", name, err)
		}
		env = withVariable(env, name, value)
	}
	if o.nodePreload != "" {
		value, _ := valueOf(env, "NODE_OPTIONS")
		env = withVariable(env, "NODE_OPTIONS", strings.TrimLeft(value+" --require "+nodeQuote(o.nodePreload), " "))
	}
	return env, nil
}

// credential returns the value of a credential that the unit loads (LoadCredential= in systemd.exec(5)). Errors must not
// contain the value.
func credential(env []string, name string) (string, error) {
	dir, ok := valueOf(env, "CREDENTIALS_DIRECTORY")
	if !ok || strings.ContainsAny(name, "/=") || name == "" {
		return "", errors.New("the unit does not load a credential with this name")
	}
	value, err := os.ReadFile(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("the unit does not load a credential with this name")
	case err != nil:
		return "", err
	case bytes.IndexByte(value, 0) >= 0:
		return "", errors.New("the value contains NUL, which is not possible in a variable")
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

// valueOf returns the value of a variable. The result ok is false if the variable is not set.
func valueOf(env []string, name string) (value string, ok bool) {
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// withVariable returns env with the variable name=value.
func withVariable(env []string, name, value string) []string {
	return envfile.Merge(env, []string{name + "=" + value})
}

// withoutVariables returns the variables of env, except those whose names are in the list names.
func withoutVariables(env []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(names, name)
	})
}

// The function pin restricts this thread to one of its allowed CPUs. The program inherits the restriction.
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

// nthCPU returns a set that contains only the n-th allowed CPU, counted from 0. After the last CPU, nthCPU continues with
// the first CPU.
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
