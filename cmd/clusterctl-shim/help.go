package main

import "os"

const help = `usage: clusterctl-shim run [flags] -- /path/to/program [arguments]

Becomes the program. The units of clusterctl call it; see clusterctl(1).

  --adopt                  answer binds of the program with sockets of the unit
  --map KEY=KIND:PORT      the bind that a socket answers, if its port differs
                           KEY: descriptor name, name/K or number from 0
                           KIND: tcp, tcp4, tcp6, udp, udp4, udp6; or unix:/PATH
  --accept hold            let a drain hold accept(2) of programs without epoll
  --own-ptrace             keep CAP_SYS_PTRACE in the shim, not in the program
  --confine                forbid signals to processes of other programs
                           (Landlock, Linux 6.12 or later)
  --instance N             set INSTANCE=N and NODE_APP_INSTANCE=N-1
  --env-file [-]FILE       read variables as EnvironmentFile= does
                           -: FILE may be missing
  --env-comments-continue  "\" at the end of a comment continues it,
                           as before systemd 254
  --increment VAR          add N-1 to the number in the variable VAR
  --pin                    run on one CPU only: the N-th allowed CPU
  --node-preload PATH      add --require PATH to NODE_OPTIONS
  --sigpipe default|ignore action for SIGPIPE (ignore, as in systemd)
  --state PATH             path of the files with the state of the instance
  --backoff                wait before a restart after short runs
  --min-uptime DURATION    a run is short if it ends earlier (10s)
  --max-restarts N         exit with status 252 after N restarts of short runs

usage: clusterctl-shim probe [flags] -- /path/to/program [arguments]

Runs the program until it listens, kills it and prints its binds as JSON.

  --timeout DURATION       limit of the whole probe (1m)
  --settle DURATION        silence after the last listen (500ms)
  --idle DURATION          end if the program is idle and does not listen
                           for so long (10s); 0: never
  --own PATH               Unix socket on which the app listens, or will listen
  --output FILE            write the report to FILE instead of stdout
  --confine, --instance, --env-file, --increment, --node-preload: as above

Other subcommands: drain, wait, own, stopping, stopped, version, help
`

func helpCommand([]string) (int, error) {
	_, err := os.Stdout.WriteString(help)
	return 0, err
}
