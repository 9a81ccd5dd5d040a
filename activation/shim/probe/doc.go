// Package probe runs a program until it listens and tells what it binds, so that
// "install" can write the ListenStream= lines by itself.
//
// The program never serves anybody. Each socket that it binds to a port is
// replaced, through the same seccomp filter as in package adopt, by a decoy: a
// socket on loopback with a filter that drops every packet. So
// nothing collides with an instance that is running, nobody can connect, and the
// program goes on as far as it would in earnest.
//
// The prober is the parent of the program and its subreaper: Yama lets it read all
// of the tree, and nothing of the tree outlives it.
package probe
