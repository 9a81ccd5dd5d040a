package report

const intro = `Every figure of clusterctl stands beside one of another way to run the same program, taken right
after it on the same machine. A ratio over 1 is better for clusterctl. "Ahead" and "behind" mean in three of four pairs;
everything else is "even", whatever the median says.
`

const method = `## How it is measured

- ` + "`make bench`" + ` boots a private Debian 12 in a container (systemd-nspawn, package ` + "`internal/lab`" + `) for each group of
  comparisons, with Node.js, PM2, autocannon, nginx and wrk in it. All sides run in that one machine, with the same Node, the
  same program and the same load. The network is the loopback interface; the disk is in memory, for the journal as for PM2's
  log files.
- **Pairs.** The sides are measured in turn, A B A B. Where both can stand beside each other they do, and the one that is not
  measured is idle. The ratio is computed for each pair, and the median of these ratios is what counts; it need not be the
  quotient of the two medians. Five pairs show a difference of some ten per cent, and not one of two per cent.
- **Defaults.** Each side is started as its manual says: ` + "`clusterctl install FILE -i N`" + `, ` + "`pm2 start FILE -i N`" + `. So our workers
  run as an own user in a sandbox, behind the shim, and PM2's as root. Where a flag was needed, it is named below.
  nginx is set up at its best (kept connections to the workers, ` + "`least_conn`" + `, no access log).
- **The program** is an ordinary HTTP server of Node that answers six bytes (` + "`bench/apps/hello.js`" + `). Before anything is measured,
  all sides have to give the same bytes.
- **Load** comes from wrk (one thread) on the same CPUs as the servers, so on a machine with two of them the client takes a good
  part of what there is. Where failures are counted, the client is ` + "`internal/lab/load`" + `, which never sends a request again.
  Commands and latencies are timed by a program inside the machine (` + "`bench/inside`" + `).
- **CPU time** is what the scheduler has counted for all processes of a side, PM2's daemon and our shims included, and the kernel's
  work on their behalf. **Memory** is the proportional set size.
- What failed, or did not fit into the time of the run, is listed as such.
`

// about returns the text for a comparison, by its name without the variant.
func about(name string) string {
	for _, t := range texts {
		if t.name == name {
			return t.about
		}
	}
	return ""
}

// aheadBecause returns the known reason why the other side is ahead.
func aheadBecause(name string) string {
	for _, t := range texts {
		if t.name == name {
			return t.behind
		}
	}
	return ""
}

var texts = []struct{ name, about, behind string }{
	{"cli-startup", `What is waited for before a command has done anything. clusterctl is one static binary; pm2 is a Node program that asks
its daemon.`, ""},
	{"crash-to-ready", `The only worker is killed with SIGKILL. With clusterctl a request that comes meanwhile waits in the socket and
is the first to be answered; with PM2 it is refused, and tried again every half millisecond here. The pause before each kill is
longer than what either side calls a short run, so that neither holds the restart back (` + "`--min-uptime 1s`" + ` for ours).`,
		`by systemd's debug log, 25 to 30 ms go by until the end is noted for the backoff (ExecStopPost=: a fork of PID 1, and the
shim). Then comes the wait of RestartSec=. On systemd 252 it is 10 ms, of which an accuracy of 250 ms makes 10 to 260 (core/service.c,
sd_event_add_time(3)): on an idle machine nothing else wakes PID 1 up before. From 254 on it is 0.1 ms, growing with RestartSteps=, which
takes 2 to 3 ms (bare-257). On 252 a shorter one is not to be had: a unit that PID 1 itself cannot start, for want of a user or a file of
variables, would be tried 600 times a second. At last the sandbox is made, 45 to 65 ms (bare-257-sandbox-off has none); no setting
has more than a tenth of that to itself. PM2's daemon forks a worker from a process that is already there, without either. Against the
bare program, a ratio a little under 1 is the goal, not a defect. While an app has other workers, they take the requests meanwhile.`},
	{"new-connections-rps", `The kernel hands each connection to a worker directly. In PM2's cluster mode and in Node's, the primary process
accepts every connection and passes it on. The workers alone, with a listener each (SO_REUSEPORT), are the limit: nothing shares, nobody
supervises, and a worker that dies takes its queue along.`,
		`SO_REUSEPORT spares the workers the race for the shared queue; its price is that a connection in the queue of a worker that
dies, or is replaced, is lost.`},
	{"keepalive-rps", `On a kept connection no supervisor has a part any more, so all sides should be even; what remains is how evenly the
16 connections were spread over the workers, and the shim's filter.`,
		`a few connections, spread unevenly, leave one worker with more than its share; see balance.`},
	{"light-p99-while-blocked", `A worker that is blocked does not accept: with a shared socket, its siblings take the next connection. A
primary that deals round robin goes on giving each worker its turn.`, ""},
	{"reload-failed-requests", `Both sides replace every worker, one after the other, while requests come. The program knows nothing of
reloads, and has no handler for signals.`, ""},
	{"list-latency", `Processes that do nothing, as one table, and as JSON with every process in it. Of our time, 200 ms are the interval over
which the CPU use is measured (` + "`--no-cpu`" + ` leaves it out); systemd is asked meanwhile.`, `PM2's daemon has what it lists in its memory. We ask systemd
for each instance, a call each, since nobody of ours keeps a copy that could be wrong.`},
	{"start-100", "A hundred processes from nothing, and away again.", `each process of ours gets a sandbox and a user of its own (mounts,
system call filters), 45 to 65 ms of CPU, and PID 1 forks for the wait of the backoff before it, and for what is noted when it ends; PM2
forks from a process that is already there. sandbox-off shows what that makes of it. Our defaults also wait for a
second to see that all stay alive.`},
	{"scale-up", `The workers say by themselves when they listen. On two CPUs, six starting Node processes are what takes the time, on
either side.`, `our command comes back when all new workers listen and have stayed alive for a second (` + "`--settle`" + `); PM2's comes back before
any of them listens.`},
	{"memory", `Nothing of ours stays but the shim of each adopted worker; a native one has none. Per worker, PM2 adds its own code to the
program's process.`, ""},
	{"log-throughput", `Where the lines are kept, and can be read from, after a worker has written as fast as it can. The journal stores each
with some twenty fields and indexes them; PM2's worker appends the text to a file by itself. The app has --log-rate off: by
default an instance may write some 200,000 lines in half a minute, and the journal drops and counts the rest.`,
		`the journal does more for each line than an append to a file: it is structured, indexed, and knows who wrote it by the kernel's word.`},
	{"log-follow-latency", "One line at a time, from the request that makes the worker write it to the terminal; then a burst.",
		`journald stores a line at once, and tells its followers that the journal has grown a quarter of a second later, with as much
again for its timer to be late: that is what journalctl -f shows. clusterctl logs makes journalctl look every 50 ms, which is where the
figure comes from. Nothing is lost by either. PM2's daemon passes each line on by itself.`},
	{"balance", `Who takes a connection from a shared listener is decided by who is awake first: an idle worker may take several before its
siblings wake up. Round robin in a primary is even by construction, at the price of that primary. What makes it even here is nginx
with least_conn before the workers, which costs what new-connections-rps/2-nginx shows; holding back accept(2) in the shim was measured
to cost 20 to 45 % of the rate of new connections, and is not offered for that.`,
		`a primary that deals every connection out is even by construction. A shared listener is not: kernel and event loop let the worker take
the connection that is awake first, and after a rolling reload those clients that kept a connection meet the worker that came back first.
It evens out as connections come and go; it matters most where few connections are kept for long.`},
	{"herd", `libuv waits for the listener in every idle worker, without EPOLLEXCLUSIVE, so a new connection wakes up more than the one that
gets it. The others find nothing and sleep again, which costs CPU time where there are many idle workers. PM2's primary passes each connection
on once, whatever the number, and pays for the passing.`,
		`with many idle workers, each new connection wakes several of them. Run as many as there are CPUs (--instances max) and the effect is small.`},
	{"syscall-overhead", `Both sides are ours: a worker that binds as ever, with the shim's seccomp filter on its system calls, and one that takes
the listener by itself. Only bind and listen are ever answered by the shim; all others pass a few instructions of the filter.`,
		`it is not the filter: the CPU time for a request is the same, and with a single worker on either side so was the rate (1.11
and 0.98 in a run of its own). What differs with two is how sixteen kept connections are spread over them; see balance.`},
	{"kept-connections", `The same program behind the shared listener and with a listener of its own, one worker each. What a program sets on its own
socket before bind(2), such as TCP_NODELAY in gunicorn, is set on the shared listener, and the connections inherit it.`,
		`nothing of ours is on the way of a request, so a ratio below the noise of the machine would be an option that got lost.`},
}
