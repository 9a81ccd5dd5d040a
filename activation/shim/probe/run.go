package probe

import (
	"errors"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
)

// Config configures Run.
type Config struct {
	Argv    []string // Argv[0] is the absolute path of the program
	Env     []string
	Timeout time.Duration // limit of the whole probe, without the time to stop the program
	Settle  time.Duration // how long after the last bind(2) or listen(2) the probe ends
	Idle    time.Duration // how long a program that does not listen may be idle; 0 means Timeout
	// Child holds the first words of the command line with which this binary calls the function Child. The words of Argv
	// follow.
	Child []string
	// Own holds the paths of Unix sockets on which the app listens already, or will listen.
	Own []string
}

// Run runs the program until the probe ends, and reports the binds of the program. The probe ends when the program listens
// and makes no further bind(2) or listen(2), when the program has ended or is idle, or at the time limit. Then Run kills
// the program and all its descendants. The output of the program goes to stderr. The caller must have called
// runtime.LockOSThread, and must not have other children. Run returns an error of package seccomp if a probe is impossible
// on this machine.
func Run(c Config) (*contract.Report, error) {
	if err := seccomp.Check(); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, errors.New("becoming the subreaper: " + err.Error())
	}
	began := time.Now()
	s, err := start(c)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := s.receive(); err != nil {
		return nil, err
	}
	r := contract.Report{Version: 1}
	if err := s.watch(c, &r); err != nil {
		return nil, err
	}
	r.TookMS = time.Since(began).Milliseconds()
	pids, _, _ := tree(&s.p.r)
	if s.ended {
		for _, pid := range pids {
			r.Left = append(r.Left, string(s.p.r.Name(uint32(pid))))
		}
	}
	set := watchedInodes(pids)
	r.Binds = s.p.finish(func(inode uint64) bool { return set[inode] })
	r.NonBlocking, r.HoldAccept = nonBlockingUnits(r.Binds), holdAccept(r.Binds)
	r.Exited, r.Status = s.ended, s.status
	return &r, nil
}

// session is one run of the program.
type session struct {
	p      prober
	pid    int
	pidfd  int
	pair   int
	ended  bool // the program has ended; its descendants may still run
	status contract.Exit
}

func start(c Config) (*session, error) {
	machine, _ := seccomp.Native()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, errors.New("making a socket pair: " + err.Error())
	}
	defer unix.Close(pair[1])
	argv := append(append([]string{}, c.Child...), c.Argv...)
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env:   c.Env,
		Files: []uintptr{0, 2, 2, uintptr(pair[1])},
		// If the prober is killed, the program must end, too.
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		unix.Close(pair[0])
		return nil, errors.New("starting the program: " + err.Error())
	}
	s := &session{p: prober{machine: machine, fd: -1, own: c.Own}, pid: pid, pidfd: -1, pair: pair[0]}
	if err := s.guard(); err != nil {
		s.end()
		return nil, err
	}
	if s.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		s.end()
		return nil, errors.New("opening a pidfd: " + err.Error())
	}
	return s, nil
}

// maxOutput is larger than any report.
const maxOutput = 1 << 20

// The method guard protects the file of the report from the program, which runs as the same user. After this call, the
// program cannot duplicate the descriptors of this process, and this process cannot write a file larger than maxOutput.
func (s *session) guard() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return errors.New("protecting the prober from the program: " + err.Error())
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: maxOutput, Max: maxOutput}); err != nil {
		return errors.New("limiting the size of the report: " + err.Error())
	}
	return nil
}

// The method receive receives the notification descriptor of the filter from the child. A child that does not send the
// descriptor has printed the reason to stderr.
func (s *session) receive() error {
	var data [1]byte
	var control [64]byte
	n, cn, _, _, err := unix.Recvmsg(s.pair, data[:], control[:], unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return errors.New("receiving the notification descriptor: " + err.Error())
	}
	if n != 1 {
		return errors.New("the program could not be started under the filter")
	}
	if e := results()[min(int(data[0]), len(results())-1)]; e != nil {
		return e
	}
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil || len(messages) != 1 {
		return errors.New("receiving the notification descriptor: missing descriptor")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return errors.New("receiving the notification descriptor: missing descriptor")
	}
	s.p.fd = seccomp.FD(fds[0])
	return nil
}

// The method watch responds to the calls of the program until the probe ends. It sets TimedOut and Idle of the report.
func (s *session) watch(c Config, r *contract.Report) error {
	now := time.Now()
	deadline, look := now.Add(c.Timeout), now.Add(c.Settle)
	rest := idle{limit: c.Idle, since: now}
	var ticks uint64
	listens, gone := false, false
	for {
		before := s.p.calls()
		alive, err := s.step(slices.MinFunc([]time.Time{deadline, look}, time.Time.Compare))
		if err != nil || !alive {
			return err
		}
		now = time.Now()
		switch {
		case s.ended && !gone:
			// Give the other processes of the program a moment to end, too.
			gone, look = true, now.Add(c.Settle)
		case s.p.listenCalls > 0 && s.p.calls() != before && !gone:
			// After a bind(2), wait again, too: on a busy machine, the listen(2) may follow late.
			listens, look = true, now.Add(c.Settle)
			_, ticks, _ = tree(&s.p.r)
		case !now.Before(deadline):
			r.TimedOut = !listens || look.After(deadline)
			return nil
		case now.Before(look):
		case gone:
			return nil
		case listens:
			_, t, active := tree(&s.p.r)
			if !active && !busy(t-min(t, ticks), c.Settle) {
				return nil
			}
			// The program is still loading, or waits for a CPU, so another socket may follow.
			look, ticks = now.Add(c.Settle), t
		default:
			if rest.idleTooLong(&s.p.r, now, deadline, c.Settle) {
				r.Idle = true
				return nil
			}
			look = now.Add(c.Settle)
		}
	}
}

// The function busy reports whether the CPU time in ticks is more than a fifth of the period.
func busy(ticks uint64, period time.Duration) bool {
	const perSecond = 100 // USER_HZ, which is 100 on all architectures
	return time.Duration(ticks)*time.Second/perSecond > period/5
}

// The method step waits for one event, at most until the given time, and handles it. It reports whether any process of
// the program still runs.
func (s *session) step(until time.Time) (alive bool, err error) {
	fds := []unix.PollFd{{Fd: int32(s.p.fd), Events: unix.POLLIN}, {Fd: int32(s.pidfd), Events: unix.POLLIN}}
	if s.ended {
		fds = fds[:1]
	}
	ts := unix.NsecToTimespec(int64(max(time.Until(until), 0)))
	_, err = unix.Ppoll(fds, &ts, nil)
	if err == unix.EINTR {
		return true, nil
	}
	if err != nil {
		return false, errors.New("waiting for the program: " + err.Error())
	}
	if fds[0].Revents&unix.POLLIN != 0 {
		return true, s.p.answer()
	}
	hungUp := fds[0].Revents != 0
	if len(fds) > 1 && (hungUp || fds[1].Revents != 0) {
		s.storeStatus() // POLLHUP: all processes with the filter have ended
	}
	return !hungUp, nil
}

// storeStatus stores the exit status of the program.
func (s *session) storeStatus() {
	var w unix.WaitStatus
	for err := error(unix.EINTR); err == unix.EINTR; {
		_, err = unix.Wait4(s.pid, &w, 0, nil)
	}
	s.ended = true
	switch {
	case w.Exited():
		s.status = contract.Exit{Code: "exited", Status: strconv.Itoa(w.ExitStatus())}
	case w.Signaled():
		s.status = contract.Exit{Code: "killed", Status: unix.SignalName(w.Signal())}
	}
}

// The method end sends SIGTERM, so that the program can remove its temporary files, and then kills all its processes.
func (s *session) end() {
	defer unix.Close(s.pair)
	if s.p.fd >= 0 && !s.ended {
		_ = unix.PidfdSendSignal(s.pidfd, unix.SIGTERM, nil, 0)
		for until := time.Now().Add(grace); !s.ended && time.Now().Before(until); {
			if alive, err := s.step(until); err != nil || !alive {
				break
			}
		}
	}
	if s.pidfd >= 0 {
		unix.Close(s.pidfd)
	}
	if s.p.fd >= 0 {
		defer unix.Close(int(s.p.fd))
	}
	killAll(s)
}

// killAll kills all descendants. The children of a killed process become children of this process, the subreaper, so
// killAll continues until there are none.
func killAll(s *session) {
	for {
		pids, _, _ := tree(&s.p.r)
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_, err := unix.Wait4(-1, nil, 0, nil)
		if err != nil && err != unix.EINTR {
			return
		}
	}
}
