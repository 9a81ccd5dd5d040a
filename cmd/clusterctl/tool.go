package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

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
