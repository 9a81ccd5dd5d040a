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

// socketDirectory contains the sockets of journald. A namespace has its own directory, with ".NAMESPACE" appended.
const socketDirectory = "/run/systemd/journal"

// identifier is the name under which clusterctl itself writes to the journal.
const identifier = "clusterctl"

// settleTimeout is how long settle waits for its own line. A journal may not store the line (MaxLevelStore=, journald.conf(5)).
const settleTimeout = 8 * time.Second

// settle returns when a journald has stored all lines that other processes had written to their stdout before the call.
// An empty namespace means the journald of the machine.
//
// journalctl --sync is not enough before systemd 258: journald answers before it has read the lines that wait in its
// sockets (seen on 247: an error without the last words of the worker). There is no event for this either. But journald
// reads its streams in the order in which they have data, so it stores a line on our own new stream after the lines that
// were there before. If something fails here, lines may be missing, but nothing else goes wrong.
func settle(ctx context.Context, unit, namespace string) {
	if os.Geteuid() != 0 {
		return // another user may not be able to read the journal, and would wait in vain
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

// writeLine sends one line to journald like the stdout of a service (systemd-cat(1)).
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
	// Identifier, no unit, priority info, no priorities in the lines, no forwarding to syslog, kmsg or the console
	// (sd_journal_stream_fd(3)).
	const priority = 6
	if _, err := fmt.Fprintf(c, "%s\n\n%d\n0\n0\n0\n0\n%s\n", identifier, priority, line); err != nil {
		return fmt.Errorf("writing to journald: %w", err)
	}
	return nil
}

// followAgain is the time after which awaitLine restarts journalctl. A journalctl that started before the directory of a
// namespace existed never reads that directory: process_inotify_event in sd-journal.c knows new directories only by the
// machine ID.
const followAgain = 2 * time.Second

// awaitLine follows the journal until it contains the line.
func awaitLine(ctx context.Context, line, namespace string) {
	for ctx.Err() == nil && !follow(ctx, line, namespace) {
	}
}

// follow runs one journalctl for awaitLine.
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
