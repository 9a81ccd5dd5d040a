// Package control speaks D-Bus with systemd: jobs and their results, states of units, changes as they happen.
//
// It is the only package that does, and no word of that language leaves it: no object path, no signature, no error name.
// Begin with [Dial]; [Conn.StartApp] and [Conn.StopApp] are what a command needs, [Conn.States] is what a listing needs.
//
// # Invariants
//
//   - [Conn.Do] returns only when each job has ended, or with an error; it never looks twice to see whether it has.
//   - A wait never outlives its connection: when PID 1 re-executes itself, or the bus goes, the connection is made anew and
//     what was waited for is read again.
//   - Everything is bounded by the context; godbus has no time limit of its own.
//   - Results are in the order of the arguments.
//
// # Why godbus, and of go-systemd only the small things
//
// The go-systemd connection opens two sockets, never reconnects, enqueues jobs one by one under a lock that a reader who
// has gone keeps for ever, and drops signals. A re-executed PID 1 on its private socket leaves its waiters without an
// answer, and its first call there may hang for ever (auth.go has the reason). Here one godbus connection does it all, in
// the order in which PID 1 speaks.
package control
