package adopt

import (
	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// The type owner decides which tasks (threads of the program and of its children) can get a listener. Such a task must be
// in the user, mount and network namespaces of the main process, and must have the same user as the main process, or
// root. For any other task, the kernel runs the bind as it does without the shim. Such a task must not get a listener,
// because a program may run a child as another user to protect itself from the child.
//
// The decision applies to bind only. Every task that has inherited a listener can call listen and accept, for example a
// worker whose master process runs as root.
type owner struct {
	known bool
	// The field firstIdentity holds the identity that the main process had when a task first bound the address of a listener.
	// Tasks with the user of this identity can get a listener even after the main process has changed its user.
	firstIdentity, now, task target.Identity
}

// canGetListener reports whether task tid can get a listener. It returns false if the identity of the task cannot be read.
func (n *notifier) canGetListener(tid uint32) bool {
	o := &n.owner
	if e := n.r.Identity(tid, &o.task); e != 0 {
		n.logUnreadable(tid, e)
		return false
	}
	present := n.r.Identity(uint32(n.main), &o.now) == 0
	if !o.known {
		o.firstIdentity = o.now
		if !present {
			// The main process has ended. The notifier, which is a fork of that process, has the same identity.
			self, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
			if n.r.Identity(uint32(self), &o.firstIdentity) != 0 {
				return false
			}
		}
		o.known = true
	}
	if o.mayGetListener(present) {
		return true
	}
	n.notOwner(tid)
	return false
}

// mayGetListener reports whether the task can get a listener. The parameter present is true if o.now holds the present
// identity of the main process. If the main process has changed its user, tasks with the new user can get a listener,
// too.
func (o *owner) mayGetListener(present bool) bool {
	uid := o.task.UID
	if !o.task.Same(&o.firstIdentity) {
		return false
	}
	return uid == 0 || uid == o.firstIdentity.UID || present && uid == o.now.UID
}
