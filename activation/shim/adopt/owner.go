package adopt

import (
	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// owner decides whose binds are answered: tasks of the user of the main process, or of root, in the user, mount and network
// namespaces of the main process. A program may run a child as another user to protect itself from the child. The kernel
// runs the bind of such a child, as it does without the shim.
//
// This applies to bind only. listen and accept work for every task that has a listener, such as the workers of a master that
// stays root.
type owner struct {
	known bool
	// first is the identity of the main process at the first bind of a listener's address. Its user keeps the right to bind
	// after the main process has dropped its privileges.
	first, now, task target.Identity
}

// owned reports whether a bind of task tid may be answered. It returns false for a task that cannot be read.
func (n *notifier) owned(tid uint32) bool {
	o := &n.owner
	if e := n.r.Identity(tid, &o.task); e != 0 {
		n.unreadable(tid, e)
		return false
	}
	present := n.r.Identity(uint32(n.main), &o.now) == 0
	if !o.known {
		o.first = o.now
		if !present {
			// The main process has ended. The notifier, which is a fork of that process, has the same identity.
			self, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
			if n.r.Identity(uint32(self), &o.first) != 0 {
				return false
			}
		}
		o.known = true
	}
	if o.allows(present) {
		return true
	}
	n.foreign(tid)
	return false
}

// allows reports whether the identity of the task permits its bind. If the main process has changed its user, tasks of the
// new user may bind, too.
func (o *owner) allows(present bool) bool {
	uid := o.task.UID
	if !o.task.Same(&o.first) {
		return false
	}
	return uid == 0 || uid == o.first.UID || present && uid == o.now.UID
}
