package adopt

import (
	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// owner is whose binds are answered: tasks of the user of the main process, or of root, in the user, mount and network
// namespace of the main process. A program that gives a child to another user, to protect itself from the child, keeps that
// protection: the child's bind goes to the kernel, as it does without the shim.
//
// This concerns bind alone. listen and accept work for every task that has been handed a listener, as the workers of a
// master do that keeps root for itself.
type owner struct {
	known bool
	// first is the main process at the first bind of a listener's address. Its user keeps the right to bind, also after
	// the main process has dropped its privileges.
	first, now, task target.Identity
}

// owned reports whether a bind of task tid may be answered. A task that cannot be looked at may not.
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
			// The main process has ended already. The notifier is a fork of what became the program.
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

// allows compares the task with the main process. One that has changed its user since is followed: its children have the
// new user.
func (o *owner) allows(present bool) bool {
	uid := o.task.UID
	if !o.task.Same(&o.first) {
		return false
	}
	return uid == 0 || uid == o.first.UID || present && uid == o.now.UID
}
