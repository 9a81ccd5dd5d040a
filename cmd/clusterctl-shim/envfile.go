package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/activation/shim/envfile"
)

// readEnvFiles adds the variables of the files to env. A variable of a file replaces one of env, as with EnvironmentFile=.
func (o *runOptions) readEnvFiles(env []string) ([]string, error) {
	for _, path := range o.envFiles {
		path, optional := strings.CutPrefix(path, "-")
		vars, err := readEnvFile(path, o.envSyntax)
		switch {
		case err != nil && optional:
			continue // "-" of EnvironmentFile= forgives every error
		case err != nil:
			return nil, &failure{code: exitFailed, err: errors.New("reading the environment file: " + err.Error()),
				hint: "the user of the unit must be able to read " + path}
		}
		env = envfile.Merge(env, vars)
	}
	return env, nil
}

// maxEnvFile is more than the kernel takes as an environment.
const maxEnvFile = 4 << 20

// readEnvFile reads an environment file as the user of the workers: they may have put a symbolic link in its place, and PID 1
// would follow it as root. It returns the variables as NAME=VALUE and does not wait for the writer of a FIFO.
func readEnvFile(path string, s envfile.Syntax) ([]string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New(path + " is not a file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxEnvFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxEnvFile)
	}
	vars, faults := envfile.Parse(string(data), s)
	for _, f := range faults {
		if f.Whole {
			return nil, errors.New(path + ": " + f.Error())
		}
	}
	return vars, nil
}
