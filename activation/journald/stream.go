package journald

import (
	"os"
	"strings"
)

// socketPath is the socket of journald. In a unit with LogNamespace=, it belongs to the journald of the namespace.
const socketPath = "/run/systemd/journal/socket"

// Connected reports whether stderr is connected to the journal.
func Connected() bool { return streamIs(os.Getenv("JOURNAL_STREAM"), os.Stderr) }

// identity returns fields with the app and the instance of this process. If the process ends before journald has read a
// message, journald cannot find the unit any longer. identity returns nil if the process is not an instance of an app.
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
