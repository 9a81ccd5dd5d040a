package report

const intro = `Each figure of clusterctl is compared with a figure of another way to run the same program. Both figures are
measured on the same machine, one right after the other. A ratio over 1 is better for clusterctl. clusterctl is "ahead" if it
is better in at least three of four pairs, and "behind" if the other side is better in at least three of four pairs. All
other results are "even", whatever the median is.
`

const method = `## How it is measured

- ` + "`make bench`" + ` boots a private Debian 12 in a container (systemd-nspawn, package ` + "`internal/lab`" + `) for each
  group of comparisons, with Node.js, PM2, autocannon, nginx and wrk. All sides run in this machine, with the same Node, the
  same program and the same load. The network is the loopback interface. The journal and PM2's log files are in memory.
- **Pairs.** The sides are measured in turn, A B A B. If both sides can run at the same time, both run, and one side is idle
  while the other is measured. The ratio is computed for each pair, and the result is the median of these ratios, which can
  differ from the quotient of the two medians. Five pairs are enough to show a difference of ten percent, but not of two
  percent.
- **Defaults.** Each side is started as its manual describes: ` + "`clusterctl install FILE -i N`" + `,
  ` + "`pm2 start FILE -i N`" + `. By default, our workers run as their own user in a sandbox, behind the shim, and PM2's
  workers run as root. Additional flags are named below. nginx has its best configuration (kept connections to the workers,
  ` + "`least_conn`" + `, no access log).
- **The program** is an ordinary HTTP server in Node that responds with six bytes (` + "`bench/apps/hello.js`" + `). Before
  the measurement, all sides must return the same bytes.
- **Load** comes from wrk (one thread) on the same CPUs as the servers, so on a machine with two CPUs the client uses a large
  part of both CPUs. If a comparison counts failures, the client is ` + "`internal/lab/load`" + `, which never repeats a
  request. A program inside the machine (` + "`bench/inside`" + `) measures the times of commands and latencies.
- **CPU time** is the time that the scheduler has counted for all processes of a side, including PM2's daemon, our shims and
  the kernel's work for these processes. **Memory** is the proportional set size.
- This page also lists the comparisons that failed, or that did not fit into the time of the run.
`

// explanation returns the explanation of a comparison. The parameter name is the name of the comparison without its variant:
// for "herd/8", it is "herd".
func explanation(name string) string {
	for _, t := range texts {
		if t.name == name {
			return t.about
		}
	}
	return ""
}

// reasonAhead returns the known reason why the other side is ahead.
func reasonAhead(name string) string {
	for _, t := range texts {
		if t.name == name {
			return t.behind
		}
	}
	return ""
}

var texts = []struct{ name, about, behind string }{
	{"cli-startup", `The time that a user waits for a command that does almost nothing. clusterctl is one static binary; pm2
is a Node program that sends a request to its daemon.`, ""},
	{"crash-to-ready", `The only worker is killed with SIGKILL. With clusterctl, a request that arrives before the restart
waits in the socket and is answered first. With PM2, such a request is refused, and the client of this test tries again every
half millisecond. After a run of less than a second, both sides delay the restart (clusterctl with
` + "`--min-uptime 1s`" + `). The pause before each kill is longer than a second.`,
		`according to systemd's debug log, ExecStopPost= takes 25 to 30 ms because PID 1 forks, and runs the shim, which
records the crash. Then systemd waits for RestartSec=. On systemd 252, RestartSec= is 10 ms, but the timer has an accuracy of
250 ms (core/service.c, sd_event_add_time(3)), and on an idle machine nothing else wakes PID 1 earlier. So the wait takes 10
to 260 ms. Since systemd 254, RestartSec= is 0.1 ms and grows with RestartSteps=, and the wait takes 2 to 3 ms (bare-257). On
systemd 252, a shorter RestartSec= would let systemd try 600 starts a second if PID 1 itself cannot start a unit, for example
because its user or the environment file is missing. Last, systemd creates the sandbox in 45 to 65 ms (bare-257-sandbox-off
has no sandbox); no single setting takes more than a tenth of this time. PM2's daemon forks a worker from a running process,
without backoff and sandbox. The program without a supervisor is always faster, so the goal is a ratio slightly below 1. If
an app has other workers, these workers accept the requests during the restart.`},
	{"new-connections-rps", `The kernel passes each connection directly to a worker. In PM2's cluster mode and in Node's
cluster module, the primary process accepts each connection and passes it to a worker. Workers without a supervisor, each
with its own listener (SO_REUSEPORT), are the upper limit. Such workers share nothing, and no supervisor restarts them. If a
worker dies, the connections in its queue are lost.`,
		`with SO_REUSEPORT, the workers do not compete for a shared queue. In return, if a worker dies or is replaced, the
connections in its queue are lost.`},
	{"keepalive-rps", `No supervisor takes part in a request on a kept connection, so all sides should be even. The remaining
differences come from the shim's filter, and from how evenly the 16 connections are spread over the workers.`,
		`a few connections that are spread unevenly give one worker more than its share; see balance.`},
	{"light-p99-while-blocked", `A blocked worker does not accept connections. With a shared socket, the other workers accept
the connections. A primary that assigns connections in turn also assigns connections to a blocked worker.`, ""},
	{"reload-failed-requests", `Both sides replace all workers, one after the other, while requests arrive. The program has
no code for reloads and no signal handlers.`, ""},
	{"list-latency", `The commands list processes that do nothing, as a table and as JSON. clusterctl measures the CPU use of
the processes over 200 ms, and queries systemd during this time. ` + "`--no-cpu`" + ` omits the measurement.`,
		`PM2's daemon has the list in memory. clusterctl makes one call to systemd for each instance, because it does not
keep a copy of the state that could be outdated.`},
	{"start-100", "The commands start a hundred processes and remove them.", `each process of clusterctl gets a sandbox and
its own user (mounts, system call filters), which takes 45 to 65 ms of CPU time. PID 1 also forks once before each start, for
the command that waits after a crash, and once after each end, for the command that records the end. PM2 forks from a running
process. sandbox-off shows the times without the sandbox. By default, clusterctl also waits for a second to check that all
processes stay alive.`},
	{"scale-up", `The workers themselves report when they listen. On two CPUs, the start of six Node processes takes most of
the time on both sides.`, `our command returns when all new workers listen and have stayed alive for a second
(` + "`--settle`" + `). PM2's command returns before any new worker listens.`},
	{"memory", `Besides the workers, clusterctl keeps one shim running for each unmodified worker. A worker that uses the
inherited listener itself has no shim. PM2 adds its own code to the process of each worker.`, ""},
	{"log-throughput", `A worker writes lines as fast as it can. The measurement ends when the last line can be read from the
journal, or from PM2's file. The journal stores each line with some twenty fields, and indexes the fields. With PM2, the
worker itself appends the text to a file. The app has --log-rate off: by default, an instance may write some 200,000 lines in
half a minute, and the journal drops and counts further lines.`,
		`the journal does more for each line than an append to a file: it stores and indexes fields, and records the sender
as the kernel reports it.`},
	{"log-follow-latency", `The latency is the time from the request that makes the worker write a single line until the line
is on the terminal. Then the worker writes a burst of lines, and the missing lines are counted.`,
		`journald stores a line at once, but informs its readers only a quarter of a second later that the journal has grown,
and the timer for this may be late by another quarter. This is the latency of journalctl -f. clusterctl logs makes journalctl
check every 50 ms, which determines its latency. Neither side loses a line. PM2's daemon passes each line to the reader
without such a delay.`},
	{"balance", `With a shared listener, the worker that wakes up first accepts a connection, and an idle worker may accept
several before the others wake up. A primary process that assigns connections in turn gives each worker the same number, but
each connection passes through the primary process. To spread connections evenly with clusterctl, use nginx with least_conn
in front of the workers; new-connections-rps/2-nginx shows the cost. Delaying accept(2) in the shim cost 20 to 45 % of the
rate of new connections in a measurement, so clusterctl does not offer this.`,
		`a primary process assigns the same number of connections to each worker. With a shared listener, the worker that
wakes up first accepts the connection, and after a rolling reload, the clients with kept connections reconnect to the worker
that has restarted first. The numbers become more even as connections come and go. This matters most for few connections that
are kept for a long time.`},
	{"herd", `In each idle worker, libuv waits for the listener without EPOLLEXCLUSIVE, so a new connection wakes more
workers than the one that gets it. The other workers find no connection and sleep again, which takes CPU time if there are
many idle workers. PM2's primary process passes each connection to one worker only, which also takes CPU time.`,
		`with many idle workers, each new connection wakes several workers. With one worker per CPU (--instances max), the
effect is small.`},
	{"syscall-overhead", `Both sides are clusterctl: an unmodified worker that calls bind(2), with the shim's seccomp filter
on its system calls, and a worker that uses the inherited listener itself. The shim handles only bind and listen. For all
other calls, the kernel only runs a few instructions of the filter.`,
		`the filter is not the reason: the CPU time per request is the same, and with a single worker on each side the rate
was the same, too (ratios of 1.11 and 0.98 in a separate run). With two workers, sixteen kept connections are spread over the
workers differently; see balance.`},
	{"kept-connections", `One worker of the same program runs on each side: with the shared listener, and with its own
listener. Options that a program sets on its own socket before bind(2), such as TCP_NODELAY in gunicorn, are set on the
shared listener, and the connections inherit them.`,
		`clusterctl does not take part in a request, so a ratio below the noise of the machine would mean that an option was
lost.`},
}
