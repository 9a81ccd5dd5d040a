// Package control controls systemd over D-Bus: it queues jobs and waits for their results, and it reads and watches the
// states of units.
//
// No other package of this program uses D-Bus, and this package exports no object paths, signatures or names of D-Bus
// errors. [Dial] returns a connection. Commands use [Conn.StartApp] and [Conn.StopApp]. Lists of apps use [Conn.States]. The
// unit NAME.service, which starts the sockets and the instances of an app, is called the aggregate of the app.
//
// # Invariants
//
// [Conn.Do] returns when every job has ended, or with an error. [Conn.Do] waits for signals and does not poll.
//
// A function that waits does not hang if the connection is lost. When PID 1 re-executes itself or the bus ends, the package
// makes a new connection and reads the states again.
//
// godbus has no timeouts, so every function that calls systemd takes a context and returns when the context ends. Results
// are in the order of the arguments.
//
// # Why godbus and not the connection of go-systemd
//
// A connection of go-systemd opens two sockets, does not reconnect, and drops signals. Such a connection queues jobs one
// after another under a lock. The lock stays locked forever if the code that waits for a result stops waiting. When PID 1
// re-executes itself, calls on its private socket get no reply, and the first call on that socket may hang forever (see
// authenticate). This package uses one connection of godbus, which returns replies and signals in the order in which PID 1
// sends them.
package control
