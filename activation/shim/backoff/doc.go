// Package backoff decides how long a worker that ends again and again waits before its next start. It works with every
// systemd version.
//
// systemd restarts a worker at once: RestartSec= is 10 ms or less, and the start limit is off, since a limit on one worker
// would close the shared socket for all. The shim waits before it executes the program. The delay is 0 after the first short
// run, then 100 ms, and grows by half each time up to 30 s. A run of at least MinUptime ends the series.
//
// # Files
//
// Each instance has a small file, "/run/clusterctl/APP/N.backoff", which the next boot removes. Only root can write to the
// file and its directory: a worker that can write to /run can fill it, and then systemd cannot work. The file is replaced by
// rename, so a kill at any instruction leaves the old file or the new one. A file that cannot be read is ignored, so it
// never prevents a start.
//
//   - ExecStop= records whether the service manager stops the service (Stopping): then $MAINPID is set. It is empty if the
//     program has ended by itself.
//   - ExecStopPost= judges the run (Ended) by $SERVICE_RESULT, $EXIT_CODE and $EXIT_STATUS (systemd.exec(5), since 232), and
//     records when the delay before the next run ends. The duration of the next run counts from this time.
//   - "run" only reads the file, and waits.
//   - "wait" is ExecStartPre= of apps whose launcher does not wait. It waits, and also records when the run begins (Started)
//     and whether the instance gives up.
//
// A stop or restart by hand ends the series, so the next start is not delayed. Giving up ends the series too:
// RestartPreventExitStatus= makes systemd wait for a manual start.
package backoff
