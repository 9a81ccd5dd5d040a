package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
)

// tool runs one of Debian's own programs and gives what it printed. Only "package" does, and filter for "secret": everything else that clusterctl
// asks of the machine goes over D-Bus, or to journalctl by way of package journal.
func (e *env) tool(ctx context.Context, vars []string, argv ...string) (string, error) {
	path, err := e.lookPath(argv[0])
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("%s is not in $PATH", argv[0]), "apt-get install dpkg, or on other systems the package of that name")
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Env = append(os.Environ(), vars...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), errors.Join(ctx.Err(), fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(stderr.String())))
	}
	return stdout.String(), nil
}

// filter runs a program with the bytes as its standard input, and returns its standard output.
func (e *env) filter(ctx context.Context, input []byte, argv ...string) ([]byte, error) {
	path, err := e.lookPath(argv[0])
	if err != nil {
		return nil, fmt.Errorf("%s is not in $PATH", argv[0])
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(ctx.Err(), fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(stderr.String())))
	}
	return stdout.Bytes(), nil
}
