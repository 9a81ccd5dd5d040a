// Package probe runs a program until it listens and reports its binds, so that "install" can write the ListenStream= lines
// without being told.
//
// The program does not serve requests during the probe. With the seccomp filter of package adopt, each socket that it binds
// to a port is replaced by a decoy: a socket on loopback with a packet filter that drops every packet. So the program does
// not conflict with a running instance, no client can connect, and the program continues as in production.
//
// The prober is the parent of the program and the subreaper of its descendants: Yama allows it to read all of them, and it
// kills all of them at the end.
package probe
