package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/activation/shim/envfile"
)

// readEnvFiles returns env with the variables of the environment files. As with EnvironmentFile=, the variables of the files
// replace variables of env with the same name.
func (o *runOptions) readEnvFiles(env []string) ([]string, error) {
	for _, path := range o.envFiles {
		path, optional := strings.CutPrefix(path, "-")
		vars, err := readEnvFile(path, o.envSyntax)
		switch {
		case err != nil && optional:
			continue // EnvironmentFile=-PATH ignores every error too
		case err != nil:
			return nil, &failure{code: exitFailed, err: fmt.Errorf("reading the environment file: %w", err),
				hint: "the user of the unit must be able to read " + path}
		}
		env = envfile.Merge(env, vars)
	}
	return env, nil
}

// maxEnvFile is larger than any environment that the kernel accepts.
const maxEnvFile = 4 << 20

// readEnvFile returns the variables of an environment file as NAME=VALUE. The shim reads the file with the rights of the
// user of the workers, because this user may have replaced the file by a symbolic link. If the file is a FIFO, readEnvFile
// returns an error and does not wait for a writer.
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
		return nil, fmt.Errorf("%s is not a file", path)
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
			return nil, fmt.Errorf("%s: %w", path, f)
		}
	}
	return vars, nil
}
