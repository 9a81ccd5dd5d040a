package journald

import (
	"os"
	"strings"
)

// socketPath is where journald listens. With LogNamespace= another journald stands behind it.
const socketPath = "/run/systemd/journal/socket"

// Connected says whether stderr goes to journald.
func Connected() bool { return streamIs(os.Getenv("JOURNAL_STREAM"), os.Stderr) }

// identity names the unit that this process runs in, for journald: of a process that has ended before its message is read,
// journald cannot find it out any more. It is empty for what is no instance of an app of clusterctl.
func identity(cgroup string) []byte {
	for line := range strings.Lines(cgroup) {
		// "0::/path", and "1:name=systemd:/path" on machines with cgroup v1.
		parts := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(parts) != 3 || parts[1] != "" && parts[1] != "name=systemd" {
			continue
		}
		_, inside, ok := strings.Cut(parts[2], "/clusterctl-")
		if !ok {
			continue
		}
		for part := range strings.SplitSeq(inside, "/") {
			app, instance, ok := strings.Cut(strings.TrimSuffix(part, ".service"), "@")
			if !ok || !strings.HasSuffix(part, ".service") {
				continue
			}
			b := appendField(nil, "CLUSTERCTL_APP", app)
			b = appendField(b, "CLUSTERCTL_INSTANCE", instance)
			return appendField(b, "CLUSTERCTL_SENDER", "worker")
		}
	}
	return nil
}
