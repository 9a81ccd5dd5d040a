// Package backoff decides how long a worker that keeps dying waits before its
// next start, on every systemd version.
//
// systemd restarts at once (RestartSec= of 10 ms or less, no start limits, since a limit
// on one worker would close the shared socket for all). The next run begins with the
// wait, before the program is executed: nothing after the first short run,
// then 100 ms, growing by half each time up to 30 s. A run of at least MinUptime
// ends the series.
//
// # Who writes what
//
// One small file per instance, "/run/clusterctl/APP/N.backoff", which the next boot removes.
// Only root can write to the file and its directory: a worker that can write to /run can fill
// it, and then systemd cannot work. The file is replaced by rename, so a kill at any
// instruction leaves the old file or the new one. A file that cannot be read is ignored: it
// never stops a start.
//
//   - ExecStop= notes whether the service manager asked for the stop (Stopping):
//     $MAINPID is set then, and empty when the program ended by itself.
//   - ExecStopPost= judges the run (Ended) by $SERVICE_RESULT, $EXIT_CODE and
//     $EXIT_STATUS (systemd.exec(5), since 232), and notes when the next run is due.
//     The next run counts from then.
//   - "run" only reads it, and waits.
//   - "wait", ExecStartPre= of the apps whose launcher does not wait, also notes when the
//     run begins (Started), and that the instance gives up.
//
// A stop or restart by hand clears the series, so the start that follows is never
// delayed; so does giving up, since RestartPreventExitStatus= lets only a manual
// start follow it.
package backoff
