// Package backoff calculates the delay before the next start of a worker that ends repeatedly. The package works with every
// systemd version.
//
// systemd restarts a worker at once: RestartSec= is 10 ms or less, and the start limit is off, because a worker that
// reaches the limit would close the shared socket for all workers. The shim waits before it executes the program. The delay
// is 0 after the first short run, then 100 ms, and grows by half each time up to 30 s. A run of at least MinUptime ends
// the series of short runs: the next delay is 0 again.
//
// # Files
//
// Each instance has a small file, "/run/clusterctl/APP/N.backoff", which the next boot removes. Only root can write to the
// file and its directory: a worker could fill /run, and systemd cannot work when /run is full. The file is replaced by
// rename, so a kill at any instruction leaves the old file or the new one. A file that cannot be read is ignored, so it
// never prevents a start.
//
//   - ExecStop= records whether the service manager stops the service or the program has ended by itself (Stopping). Only
//     in the first case, $MAINPID is set.
//   - ExecStopPost= decides whether the run was short (Ended), by $SERVICE_RESULT, $EXIT_CODE and $EXIT_STATUS
//     (systemd.exec(5), since systemd 232), and records when the delay before the next run ends. The duration of the next
//     run counts from this time.
//   - The command "run" of the shim only reads the file, and waits.
//   - The command "wait" of the shim is ExecStartPre= of apps for which "run" does not wait. This command waits, and also
//     records when the run begins (Started) and whether the instance gives up.
//
// A stop or restart by hand also ends the series of short runs, so the next start is not delayed. Giving up ends the
// series, too: RestartPreventExitStatus= makes systemd wait for a manual start.
package backoff
