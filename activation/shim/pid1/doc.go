// Package pid1 cancels the start job of a restart, over the private socket of the service manager.
//
// A restart after short runs waits before it executes the program, and the program may never become ready. As long as the
// start job of such a restart exists, all units that are ordered after this unit wait, and the boot does not finish: PID 1
// finishes it only when no job is left (core/manager.c, manager_check_finished). systemd has queued this job itself.
// After the job is canceled, the unit continues to start, with the same timeouts. If systemd has merged the job of a client
// into it, the client must look at the state of the unit, as package control does.
//
// The package implements the small part of D-Bus that it needs: the shim starts with every worker and must stay small. The
// private socket works without a message bus.
package pid1
