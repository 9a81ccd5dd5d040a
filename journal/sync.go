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

// socketDirectory contains the sockets of journald. The directory of a namespace has the suffix ".NAMESPACE".
const socketDirectory = "/run/systemd/journal"

// identifier is the name under which clusterctl itself writes to the journal.
const identifier = "clusterctl"

// syncTimeout limits the time for which syncJournald waits for its own line. Without a limit, it could wait forever,
// because MaxLevelStore= of journald.conf(5) can exclude the line.
const syncTimeout = 8 * time.Second

// syncJournald returns when the journald of a namespace has stored all lines that other processes wrote to their stdout
// before the call. An empty namespace means the journald of the machine. If something fails, syncJournald returns early,
// and some lines may be missing.
//
// Before systemd 258, "journalctl --sync" returns before journald has read the lines in its sockets. So syncJournald
// writes a line to a new stream of its own, and waits until the journal contains this line. journald reads its streams in
// the order in which data arrived, so the lines of other processes are stored first.
func syncJournald(ctx context.Context, unit, namespace string) {
	if os.Geteuid() != 0 {
		return // another user may not be able to read the journal, and would wait until the timeout
	}
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	mark := fmt.Sprintf("reading the log of %s (%d.%d)", unit, os.Getpid(), time.Now().UnixNano())
	dir := socketDirectory
	if namespace != "" {
		dir += "." + namespace
	}
	if writeLine(ctx, filepath.Join(dir, "stdout"), mark) == nil {
		for ctx.Err() == nil && !follow(ctx, mark, namespace) {
		}
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
	// The header has the identifier, no unit, the priority info, no level prefix, and no forwarding to syslog, kmsg and
	// the console (sd_journal_stream_fd(3)).
	const priority = 6
	if _, err := fmt.Fprintf(c, "%s\n\n%d\n0\n0\n0\n0\n%s\n", identifier, priority, line); err != nil {
		return fmt.Errorf("writing to journald: %w", err)
	}
	return nil
}

// followAgain is the time after which syncJournald restarts journalctl. If the directory of a namespace is created after
// journalctl has started, journalctl does not read it: process_inotify_event in sd-journal.c accepts a new directory only
// if its name is the machine ID.
const followAgain = 2 * time.Second

// The function follow runs journalctl once, for at most followAgain, and reports whether journalctl printed the line.
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
