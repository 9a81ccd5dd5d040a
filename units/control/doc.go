// Package control talks to systemd over D-Bus: it queues jobs and waits for their results, and it reads and watches the
// states of units.
//
// It is the only package that uses D-Bus, and it exports no object paths, no signatures and no names of D-Bus errors. Begin
// with [Dial]. Commands use [Conn.StartApp] and [Conn.StopApp], listings use [Conn.States].
//
// # Invariants
//
//   - [Conn.Do] returns when each job has ended, or with an error. Signals report the end of a job; Do does not poll for
//     it.
//   - No wait hangs on a lost connection. When PID 1 re-executes itself or the bus ends, the package makes a new connection
//     and reads the states again.
//   - The context bounds every call, because godbus has no timeouts.
//   - Results are in the order of the arguments.
//
// # Why godbus and not the connection of go-systemd
//
// A connection of go-systemd opens two sockets, never reconnects and drops signals. It enqueues jobs one by one under a
// lock that stays locked forever if a reader has gone away. When PID 1 re-executes itself, waiters on its private socket
// get no answer, and the first call there may hang forever (see authenticate). This package uses one godbus connection,
// which returns everything in the order in which PID 1 sends it.
package control
