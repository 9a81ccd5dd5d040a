package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/text"
)

func signalCommand(e *env) *cmdline.Command {
	var all bool
	return &cmdline.Command{
		Name: "signal", Usage: "Send a signal to the instances of apps",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Signal}}, cmdline.Apps()},
		Description: []string{"SIGNAL is a name or a number: HUP, SIGHUP or 1. The signal goes to the main process of each " +
			"running instance. If the signal ends the process, systemd starts the instance again. To stop or restart " +
			"instances, use \"stop\" or \"restart\", which drain them first."},
		Examples: []string{"sudo clusterctl signal USR2 shop"},
		Flags:    []cmdline.Flag{{Name: "all", To: &all, Usage: "signal every process of the instances, not only the main one"}},
		Run:      bind(e, &all, runSignal),
	}
}

func runSignal(ctx context.Context, e *env, all bool, in cmdline.Input) error {
	sig, err := parseSignal(in.Args[0])
	if err != nil {
		return err
	}
	_, err = e.actOnEach(withoutHangup(ctx), in.Args[1:], false, func(ctx context.Context, s *manage.Session, t target) error {
		return e.signal(ctx, s, t, sig, all)
	})
	return err
}

// The method signal sends a signal to the running instances of the target.
func (e *env) signal(ctx context.Context, s *manage.Session, t target, sig syscall.Signal, all bool) error {
	sent, total, err := s.Signal(ctx, t.instance, sig, all)
	switch {
	case err != nil:
		return err
	case sent == 0 && t.implied:
		e.note("%s: skipped, because it is not running", t)
	case sent == 0:
		return fault.WithHint(fmt.Errorf("%s is not running, so %s cannot be sent", t, signalName(sig)),
			"sudo clusterctl start %s", t)
	case t.instance > 0:
		e.note("%s: %s sent", t, signalName(sig))
	default:
		e.note("%s: %s sent to %d of %d instances", t, signalName(sig), sent, total)
	}
	return nil
}

// These are the numbers of SIGRTMIN and SIGRTMAX in kill(1) and systemd. The kernel also has the signals 32 and 33, but
// glibc reserves them.
const (
	firstRealTime = 34
	lastRealTime  = 64
)

// parseSignal parses "HUP", "SIGHUP", "1" or "RTMIN+3".
func parseSignal(s string) (syscall.Signal, error) {
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	unknown := fault.Usagef("signal: unknown signal %q", s)
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > lastRealTime {
			return 0, fault.WithHint(unknown, "use a number from 1 to %d, or a name such as HUP", lastRealTime)
		}
		return syscall.Signal(n), nil
	}
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return n, nil
	}
	if n, ok := realTime(name); ok {
		return n, nil
	}
	var names []string
	for n := 1; n < firstRealTime; n++ {
		if known := unix.SignalName(syscall.Signal(n)); known != "" {
			names = append(names, strings.TrimPrefix(known, "SIG"))
		}
	}
	if like := text.Nearest(name, names); like != "" {
		return 0, fault.WithHint(unknown, "did you mean %s?", like)
	}
	return 0, fault.WithHint(unknown, "the signal comes before the apps: clusterctl signal HUP NAME")
}

// realTime parses RTMIN, RTMIN+3, RTMAX or RTMAX-3.
func realTime(name string) (syscall.Signal, bool) {
	base, sign := firstRealTime, "+"
	offset, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = lastRealTime, "-"
		if offset, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if offset != "" {
		n, err := strconv.Atoi(offset)
		if err != nil || !strings.HasPrefix(offset, sign) {
			return 0, false
		}
		base += n
	}
	return syscall.Signal(base), base >= firstRealTime && base <= lastRealTime
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	if s >= firstRealTime {
		return fmt.Sprintf("SIGRTMIN+%d", s-firstRealTime)
	}
	return fmt.Sprintf("signal %d", int(s))
}
