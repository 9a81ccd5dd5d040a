// Package pid1 asks the service manager, over its private socket, for the little that the shim needs of it: to cancel the
// start job of a restart.
//
// A restart after short runs waits before the program, and a program may never get ready. While the start job of such a
// restart is there, everything that is ordered after the unit waits, and so does the end of the boot: PID 1 has finished
// its start only at a moment without any job (core/manager.c, manager_check_finished). systemd itself has queued that job.
// When the job is canceled, the unit goes on starting, with the same timeouts. A client whose own job has become one with it
// must look at the state of the unit: package control does.
//
// The package speaks the few words of D-Bus that this takes by itself: the shim starts with every worker and stays small,
// and the private socket needs no message bus.
package pid1
