package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// builder runs the steps of one build.
type builder struct {
	log  io.Writer
	hide string // the mirror's host, for redact
}

// The method run executes one step of a build in its own PID namespace. If a build is cancelled or its process is killed,
// the first process of the namespace ends. The kernel then ends all processes in the namespace, such as apt and dpkg.
func (b *builder) run(ctx context.Context, stdin string, argv ...string) error {
	args := append([]string{"--pid", "--mount", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--"}, argv...)
	cmd := exec.CommandContext(ctx, "unshare", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out := &progress{log: b.log, hide: b.hide}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	// The kernel sends Pdeathsig when the thread that forked ends. onOwnThread locks this thread until Run returns.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := onOwnThread(cmd.Run); err != nil {
		return fmt.Errorf("%s: %w\n%s", argv[0], err, redact(tail(out.all.String(), 40), b.hide))
	}
	return nil
}

// progress stores all output for error messages, and writes the lines of mmdebstrap that begin with "I: " to log, without
// addresses.
type progress struct {
	log  io.Writer
	hide string
	all  bytes.Buffer
	line []byte
}

func (p *progress) Write(b []byte) (int, error) {
	p.all.Write(b)
	for _, c := range b {
		p.line = append(p.line, c)
		if c != '\n' {
			continue
		}
		if s, ok := strings.CutPrefix(string(p.line), "I: "); ok {
			fmt.Fprintf(p.log, "lab:   %s", redact(s, p.hide))
		}
		p.line = p.line[:0]
	}
	return len(b), nil
}

func tail(s string, lines int) string {
	l := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(l[max(0, len(l)-lines):], "\n")
}
