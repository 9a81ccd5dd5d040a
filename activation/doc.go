// Package activation makes a Go program a worker of systemd. It takes the listeners
// that systemd passes, reports the state of the program to systemd, and serves HTTP so
// that a stop does not lose a request. Without systemd, for example on a laptop, the
// same program uses an ordinary listener. The example is a complete worker.
//
// # Guarantees
//
// After the first call of [Listeners], [PacketConns], [Files] or a Listen function,
// LISTEN_* is unset and all passed descriptors are close-on-exec. Call one of these
// functions early in main, before the program starts a child. You can call them often and
// from several goroutines: the package takes over the descriptors once, and each call
// returns the same listeners.
//
// The package never clears O_NONBLOCK. The flag belongs to the open file description,
// which PID 1 and all workers share, so clearing it would make the accept(2) of the other
// workers block. The package sets the flag, which is harmless. Do not call Fd on the
// result of a listener's File method: that call clears the flag for all workers. Take the
// descriptor from [Files] instead.
//
// The package never calls shutdown(2) on a listener, because that would stop the listener
// for all workers.
//
// [Serve] answers each request on each connection that it has accepted. If it is stopped
// earlier (DrainTimeout, a second signal), it returns how many connections it cut. A
// connection that it has not accepted stays in the queue of the shared socket, and another
// worker accepts it.
//
// No function logs, exits or panics. Without systemd, a message to systemd does nothing
// and is not an error.
//
// # Closing
//
// Passed listeners and packet connections belong to the caller, who can close them. That
// ends accepting only in this process: systemd holds the socket. Each call returns the
// same listeners, so closing one closes it for all callers in the process. Files are
// duplicates, a new set for each call, and closing them does not close anything else. Serve
// always closes the listeners that it was given.
//
// # The units
//
// The units that clusterctl writes have these settings. In your own units, set them
// yourself (systemd.service(5), systemd.socket(5)):
//
//	[Socket]                    [Service]
//	ListenStream=8080           Type=notify
//	FileDescriptorName=http     Sockets=hello.socket
//	Service=hello.service       NonBlocking=yes
//	                            TimeoutStopSec=35
//
// FileDescriptorName= sets the name of a listener (in units of clusterctl "http" for
// streams and "udp" for datagrams by default). The position of a descriptor has no
// meaning, because systemd does not define an order between socket units. Each unit that
// inherits the socket needs NonBlocking=yes. Without it, systemd clears O_NONBLOCK for all
// workers whenever one starts; then accept blocks in the kernel, and nothing can wake a
// draining worker from it. TimeoutStopSec= should be longer than DrainTimeout, but Serve
// also asks for the time that it needs (EXTEND_TIMEOUT_USEC=, since systemd 236). With
// WatchdogSec=, Serve sends WATCHDOG=1 at half the interval.
//
// # Imports
//
// The package imports only the standard library and golang.org/x/sys. A test checks this.
// Serve needs net/http.
package activation
