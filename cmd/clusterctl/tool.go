package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tool runs one of Debian's own programs and gives what it printed. Only "package" does: everything else that clusterctl
// asks of the machine goes over D-Bus, or to journalctl by way of package journal.
func (e *env) tool(ctx context.Context, vars []string, argv ...string) (string, error) {
	path, err := e.lookPath(argv[0])
	if err != nil {
		return "", withHint(fmt.Errorf("%s is not in $PATH", argv[0]), "apt-get install dpkg, or on other systems the package of that name")
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
