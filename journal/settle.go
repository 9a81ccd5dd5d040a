package journal

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// socketDirectory is where journald listens; that of a namespace has the name of it behind a dot.
const socketDirectory = "/run/systemd/journal"

// identifier is under which name clusterctl itself writes to the journal.
const identifier = "clusterctl"

// settleTimeout bounds the wait, for a journal that stores no line of ours (MaxLevelStore=, journald.conf(5)).
const settleTimeout = 8 * time.Second

// settle returns when the journald of a namespace, or that of the machine for "", has stored what other processes had
// written to their stdout before the call.
//
// journalctl --sync does not say that before systemd 258: journald answers it ahead of the lines that wait in its sockets
// (seen on 247: an error without the last words of the worker). There is no event for it either. But journald reads its
// streams in the order in which they have something to say, so a line of our own, on a stream of our own, is stored
// behind what was there before. What goes wrong costs completeness and nothing else.
func settle(ctx context.Context, unit, namespace string) {
	if os.Geteuid() != 0 {
		return // who may not read the system's journal would wait in vain
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	mark := fmt.Sprintf("reading the log of %s (%d.%d)", unit, os.Getpid(), time.Now().UnixNano())
	dir := socketDirectory
	if namespace != "" {
		dir += "." + namespace
	}
	if writeLine(ctx, filepath.Join(dir, "stdout"), mark) == nil {
		awaitLine(ctx, mark, namespace)
	}
}

// writeLine sends one line to journald as a service's stdout would (systemd-cat(1)).
func writeLine(ctx context.Context, socket, line string) error {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("connecting to journald: %w", err)
	}
	defer c.Close()
	if until, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(until)
	}
	// Identifier, no unit, priority info, no priorities in the lines, not forwarded to syslog, kmsg or the console
	// (sd_journal_stream_fd(3)).
	const priority = 6
	if _, err := fmt.Fprintf(c, "%s\n\n%d\n0\n0\n0\n0\n%s\n", identifier, priority, line); err != nil {
		return fmt.Errorf("writing to journald: %w", err)
	}
	return nil
}

// followAgain is after how long a journalctl is replaced: one that began to follow before the directory of a namespace
// was made never looks into it (sd-journal.c, process_inotify_event, knows new directories by a machine's id alone).
const followAgain = 2 * time.Second

// awaitLine follows the journal until a line of ours is there.
func awaitLine(ctx context.Context, line, namespace string) {
	for ctx.Err() == nil && !follow(ctx, line, namespace) {
	}
}

// follow is one journalctl of awaitLine.
func follow(ctx context.Context, line, namespace string) (found bool) {
	ctx, cancel := context.WithTimeout(ctx, followAgain)
	defer cancel()
	args := append(namespaceArgument(namespace), "--follow", "--lines=all", fmt.Sprintf("--since=@%d", time.Now().Add(-time.Minute).Unix()),
		"--identifier="+identifier, "--output=cat", "--no-pager", "--quiet")
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		<-ctx.Done()
		return false
	}
	for s := bufio.NewScanner(out); !found && s.Scan(); {
		found = strings.Contains(s.Text(), line)
	}
	cancel()
	_ = cmd.Wait() // killed
	return found
}
