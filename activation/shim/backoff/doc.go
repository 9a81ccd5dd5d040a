// Package backoff decides how long a worker that keeps dying waits before its
// next start, on every systemd version.
//
// systemd restarts at once (RestartSec= of 10 ms or less, no start limits, since a limit
// on one worker would close the shared socket for all). The launcher of the next run does
// the waiting, before it executes the program: nothing after the first short run,
// then 100 ms, growing by half each time up to 30 s. A run of at least MinUptime
// ends the series.
//
// # Who writes what
//
// One small file per instance, "backoff" in its RuntimeDirectory=, which the unit
// keeps over restarts (RuntimeDirectoryPreserve=yes) and the machine's next boot
// removes. It is replaced by rename, so a kill at any instruction leaves the old or
// the new one, and a file that cannot be read counts as none: it never stops a start.
//
//   - "run" writes it before the program starts (Begin).
//   - ExecStop= notes whether the service manager asked for the stop (Stopping):
//     $MAINPID is set then, and empty when the program ended by itself.
//   - ExecStopPost= judges the run (Ended) by $SERVICE_RESULT, $EXIT_CODE and
//     $EXIT_STATUS (systemd.exec(5), since 232).
//
// A stop or restart by hand clears the series, so the start that follows is never
// delayed; so does giving up, since RestartPreventExitStatus= lets only a manual
// start follow it.
package backoff
