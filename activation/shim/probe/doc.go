// Package probe runs a program until it listens, and reports the addresses that it binds. "clusterctl install" writes the
// ListenStream= lines from this report.
//
// The program does not serve requests during the probe. The prober uses the seccomp filter of package adopt to replace each
// socket that the program binds by a decoy: a socket on loopback that drops every packet. So the program does not conflict
// with a running instance, no client can connect, and the program continues as in production.
//
// The prober is the parent of the program and the subreaper of its descendants, so Yama allows the prober to read the
// memory of all these processes. The prober kills all these processes at the end.
package probe
