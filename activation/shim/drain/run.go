package drain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain/httpclose"
	"github.com/clusterctl/clusterctl/activation/shim/sockdiag"
)

// Short names for types of package sockdiag.
type (
	socket  = sockdiag.Socket
	tcpInfo = sockdiag.TCPInfo
)

// The type drain is the state of a call of Run.
type drain struct {
	opt         Options
	diag        *sockdiag.Conn
	main        int // pidfd of the main process
	self        string
	shared      map[uint64]socket // shared listeners, by inode
	procs       []process
	notified    map[int]bool // process ids
	pidfds      pidfds
	epollCaches map[epollKey]epollCache
	tracker     tracker
	start       time.Time
	result      Result

	rewriter    *httpclose.Rewriter // nil until the first use
	rewriterErr error               // why the rewriter cannot be used
}

// Run drains the instance, and returns when all connections are done, when the main process has ended, or when a time limit
// is reached. Run returns an error only if the drain had no effect. In all cases the caller must stop the instance
// afterwards. Run needs root, or the right to ptrace the processes of the instance.
func Run(ctx context.Context, opt Options) (Result, error) {
	if opt.MainPID <= 0 {
		return Result{Reason: "the main process has ended"}, nil
	}
	main, err := unix.PidfdOpen(opt.MainPID, 0)
	if errors.Is(err, unix.ESRCH) {
		return Result{Reason: "the main process has ended"}, nil
	}
	if err != nil {
		return Result{}, fmt.Errorf("pidfd_open of process %d: %w", opt.MainPID, err)
	}
	defer unix.Close(main)
	if opt.Cgroup == "" {
		if opt.Cgroup, err = cgroupOf("self"); err != nil {
			return Result{}, fmt.Errorf("%w: drain only works in ExecStop=", err)
		}
	}
	if opt.Manager == 0 {
		opt.Manager = os.Getppid()
	}
	link, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return Result{}, err
	}
	sock, err := sockdiag.Open()
	if err != nil {
		return Result{}, err
	}
	defer sock.Close()
	if opt.RequestAge == 0 {
		opt.RequestAge = min(2*opt.Idle, opt.Timeout)
	}
	if opt.StreamAge == 0 {
		opt.StreamAge = opt.Timeout
	}
	d := &drain{opt: opt, diag: sock, main: main, self: baseName(link), notified: make(map[int]bool), pidfds: make(pidfds),
		start: time.Now()}
	defer d.pidfds.close()
	defer d.closeRewriter()
	ctx, cancel := context.WithTimeout(ctx, opt.Timeout)
	defer cancel()
	err = d.run(ctx)
	d.result.Waited = time.Since(d.start)
	return d.result, err
}

func (d *drain) run(ctx context.Context) error {
	if err := d.readProcesses(); err != nil {
		return err
	}
	if err := d.findListeners(); err != nil {
		return err
	}
	if len(d.shared) == 0 {
		d.result.Reason = "the instance has no listener"
		return nil
	}
	err := d.stopAccepting(ctx)
	if err != nil {
		return err
	}
	switch {
	case d.result.Removed+d.result.Held > 0:
		return d.wait(ctx)
	case ctx.Err() != nil:
		d.result.Reason = "time is up before the listener was removed from epoll"
	default:
		d.result.Reason = d.noDrainReason()
	}
	return nil
}

// readProcesses reads the processes of the instance. The drain calls readProcesses repeatedly, because a master process
// may start workers.
func (d *drain) readProcesses() error {
	pids, err := d.pidfds.update(func() ([]int, error) { return members(d.opt.Cgroup) })
	if err != nil {
		return err
	}
	d.procs, err = readProcesses(pids, d.pidfds)
	d.result.Processes = len(d.procs)
	return err
}

// findListeners stores the listeners to drain: the sockets that both the instance and the manager have open. If the manager
// has no listener of the instance open (the socket unit was changed or has failed), or its files cannot be read, the drain
// uses all listeners of the instance.
func (d *drain) findListeners() error {
	all, err := d.diag.Listening()
	if err != nil {
		return err
	}
	manager, err := readProcess(d.opt.Manager)
	if err != nil {
		manager.sockets = nil // the drain may not read the files of the manager
	}
	own := make(map[uint64]socket)
	d.shared = make(map[uint64]socket)
	for _, p := range d.procs {
		for ino := range p.sockets {
			s, listens := all[ino]
			if !listens {
				continue
			}
			own[ino] = s
			if manager.hasSocket(ino) {
				d.shared[ino] = s
			}
		}
	}
	if len(d.shared) == 0 {
		d.shared = own
	}
	d.result.Listeners = len(d.shared)
	return nil
}

// stopAccepting makes the instance accept no more connections, and notifies each process once. The drain calls stopAccepting
// repeatedly, because a program may start a worker, or add its listener to epoll again (nginx with accept_mutex).
func (d *drain) stopAccepting(ctx context.Context) error {
	n, err := removeEntries(ctx, d.sharedEntries(ctx), d.procs)
	d.result.Removed += n
	if n > 0 {
		d.tracker.acceptsDone = false
	}
	for _, p := range d.procs {
		if d.notified[p.pid] {
			continue
		}
		d.notified[p.pid] = true
		err = errors.Join(err, d.notify(p))
	}
	if d.result.Removed+d.result.Held > 0 {
		return nil // ignore the errors, because the drain has had an effect on other processes
	}
	return err
}

func (d *drain) notify(p process) error {
	if p.preload {
		ok, err := p.signal(PreloadSignal, func(pid int) bool {
			again, err := readProcess(pid)
			return err == nil && again.preload && catches(pid, PreloadSignal)
		})
		if ok {
			d.result.Notified++
		}
		return err
	}
	if d.opt.Mode != ModeAccept {
		return nil
	}
	ok, err := p.signal(NotifierSignal, func(pid int) bool { return isNotifier(pid, d.self) })
	if ok {
		d.result.Held++
	}
	return err
}

// noDrainReason returns the reason why the instance cannot be made to stop accepting connections.
func (d *drain) noDrainReason() string {
	var epoll, uring bool
	for _, p := range d.procs {
		epoll = epoll || len(p.epolls) > 0
		uring = uring || p.uring
	}
	switch {
	case uring:
		// Only the program itself can remove the listener from an io_uring.
		return "stopping without a drain: the program accepts by io_uring; hint: SystemCallFilter=~io_uring_setup, as in the " +
			"default sandbox, makes programs use epoll"
	case d.opt.Mode == ModeAccept:
		return "stopping without a drain: found no notifier that holds accept"
	case epoll:
		return "stopping without a drain: no epoll instance of the program has the listener"
	}
	return "stopping without a drain: the program does not use epoll (--drain accept would work)"
}
