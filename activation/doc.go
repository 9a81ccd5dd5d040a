// Package activation makes a Go program a worker of systemd. It takes the listeners
// that systemd passes, reports the state of the program to systemd, and serves HTTP so
// that a stop does not lose a request. Without systemd, for example on a laptop, the
// same program uses an ordinary listener. The example is a complete worker.
//
// # Guarantees
//
// After the first call of [Listeners], [PacketConns], [Files] or a Listen function,
// LISTEN_* is unset and all passed descriptors are close-on-exec. Call one of these
// functions early in main, before the program starts a child. You can call these functions
// often and from several goroutines: the package takes over the descriptors once, and each
// call returns the same listeners.
//
// The package never clears O_NONBLOCK. The flag belongs to the open file description, which
// PID 1 and all workers share, so clearing the flag would make accept(2) block in the other
// workers. Do not call Fd on the file that File of a listener returns: Fd clears the flag
// for all workers. Take the descriptor from [Files] instead.
//
// The package never calls shutdown(2) on a listener, because that would stop the listener
// for all workers.
//
// [Serve] answers each request on each connection that it has accepted. If DrainTimeout or
// a second signal ends the drain earlier, the error contains the number of connections that
// Serve cut. A connection that Serve has not accepted stays in the queue of the shared
// socket, and another worker accepts the connection.
//
// No function logs, exits or panics. Without systemd, the functions that send a message to
// systemd do nothing and return nil.
//
// # Closing
//
// The caller can close a listener or a packet connection that systemd has passed. Closing
// ends accepting in this process only, because systemd keeps the socket open. Each call
// returns the same listeners, so a closed listener is closed for all callers in the
// process. [Files] returns new duplicates at each call, and closing a duplicate does not
// close the listener. [Serve] always closes its listeners.
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
// FileDescriptorName= sets the name of a listener. The default in units of clusterctl is
// "http" for stream sockets and "udp" for datagram sockets. Do not rely on the position of
// a descriptor, because systemd does not define an order of socket units. Each unit that
// inherits the socket needs NonBlocking=yes. Without NonBlocking=yes, systemd clears
// O_NONBLOCK for all workers whenever one worker starts. Then accept blocks in the kernel,
// and a draining worker cannot interrupt this call. TimeoutStopSec= should be longer than
// DrainTimeout. Serve also asks systemd to wait for DrainTimeout and five seconds more
// (EXTEND_TIMEOUT_USEC=, since systemd 236). With WatchdogSec=, Serve sends WATCHDOG=1 at
// half the interval.
//
// # Imports
//
// The package imports only the standard library and golang.org/x/sys.
package activation
