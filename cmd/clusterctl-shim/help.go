package main

import "os"

const help = `usage: clusterctl-shim run [flags] -- /path/to/program [arguments]

Becomes the program. Called by units that clusterctl writes; see clusterctl(1).

  --adopt                  answer the program's binds with the sockets of the unit
  --map KEY=KIND:PORT      the bind that a socket answers, when it is not its own port;
                           KEY: descriptor name, name/K or number from 0;
                           KIND: tcp, tcp4, tcp6, udp, udp4, udp6; or unix:/PATH
  --accept hold            let a drain hold accept(2), for programs without epoll
  --own-ptrace             keep CAP_SYS_PTRACE for the shim, from the program
  --confine                no signals to processes that are not the program's own
                           (Landlock, from Linux 6.12 on)
  --instance N             set INSTANCE=N and NODE_APP_INSTANCE=N-1
  --env-file [-]FILE       read variables as EnvironmentFile= does; "-": it may be missing
  --env-comments-continue  as before systemd 254: "\" at the end of a comment continues it
  --increment VAR          add N-1 to the number in the variable VAR
  --pin                    run on one CPU, the (N-1)th of those allowed
  --node-preload PATH      add --require PATH to NODE_OPTIONS
  --sigpipe default|ignore disposition of SIGPIPE in the program (ignore, as systemd has it)
  --state PATH             where root keeps what it remembers of the instance
  --backoff                wait before a restart, longer each time, after short runs
  --min-uptime DURATION    a run of this length is not short (10s)
  --max-restarts N         give up with status 252 after N restarts of short runs

usage: clusterctl-shim probe [flags] -- /path/to/program [arguments]

Runs the program until it listens, kills it and prints what it bound, as JSON.

  --timeout DURATION       of the whole probe (1m)
  --settle DURATION        silence after the last listen (500ms)
  --idle DURATION          end when the program listens on nothing and has done nothing
                           for so long (10s); 0: never
  --own PATH               a Unix socket that the app listens on already, or is to listen on
  --output FILE            for the report, instead of stdout
  --confine, --instance, --env-file, --increment, --node-preload as above

Other subcommands: drain, wait, own, stopping, stopped, version, help
`

func helpCommand([]string) (int, error) {
	_, err := os.Stdout.WriteString(help)
	return 0, err
}
