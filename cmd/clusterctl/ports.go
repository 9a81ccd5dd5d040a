package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// checkListeners tries each listener before anything is written, so that a taken port is one clear error that names its
// holder. It cannot promise anything: the start of the socket unit decides.
func (e *env) checkListeners(ctx context.Context, a units.App) error {
	var errs []error
	for _, l := range a.Listen {
		if err := e.checkListener(ctx, l); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (e *env) checkListener(ctx context.Context, l units.Listener) error {
	err := tryBind(ctx, l)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		holder := e.holder(l)
		return fault.WithHint(fmt.Errorf("%s is taken%s", describeListener(l), holder), "choose another: --listen %s", otherPort(l))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		// FreeBind= lets systemd bind an address that is not there yet, which is right for one that comes later.
		e.note("%s: the address is not on this machine (yet)", describeListener(l))
		return nil
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return nil
	}
	return fmt.Errorf("%s cannot be bound: %w", describeListener(l), fault.Cause(err))
}

// tryBind binds and lets go at once. A Unix socket is connected to instead: binding would leave a file behind.
func tryBind(ctx context.Context, l units.Listener) error {
	var lc net.ListenConfig
	host := ""
	if l.Host.IsValid() {
		host = l.Host.String()
	}
	addr := net.JoinHostPort(host, strconv.Itoa(int(l.Port)))
	switch l.Network {
	case units.Unix:
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", l.Path)
		if err != nil {
			return nil
		}
		_ = c.Close()
		return syscall.EADDRINUSE
	case units.UDP:
		c, err := lc.ListenPacket(ctx, "udp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	c, err := lc.Listen(ctx, "tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err
}

func describeListener(l units.Listener) string {
	if l.Network == units.Unix {
		return "socket " + l.Path
	}
	if !l.Host.IsValid() {
		return fmt.Sprintf("%s port %d", l.Network, l.Port)
	}
	return fmt.Sprintf("%s address %s", l.Network, l.Address())
}

// otherPort proposes the same listener one port higher.
func otherPort(l units.Listener) string {
	if l.Network == units.Unix {
		l.Path += "2"
	} else if l.Port < 65535 {
		l.Port++
	}
	return l.String()
}

// holder says who has the port: another app of ours, or the first process found with the socket.
func (e *env) holder(l units.Listener) string {
	names, _ := e.store.Apps()
	for _, n := range names {
		other, err := e.store.Load(n)
		if err != nil {
			continue
		}
		for _, m := range other.Listen {
			if m.Network == l.Network && m.Port == l.Port && m.Path == l.Path {
				return fmt.Sprintf(" by the app %q", n)
			}
		}
	}
	if l.Network == units.Unix {
		return ""
	}
	for _, inode := range listeningInodes(l) {
		if pid, comm := processWith("socket:[" + inode + "]"); pid == 1 {
			return " by a socket unit (systemctl list-sockets)"
		} else if pid > 0 {
			return fmt.Sprintf(" by %s (pid %d)", comm, pid)
		}
	}
	return ""
}

// listeningInodes reads /proc/net: sockets with this local port that listen (state 0A), or any UDP socket on it.
func listeningInodes(l units.Listener) []string {
	var inodes []string
	for _, suffix := range []string{"", "6"} {
		f, err := os.Open("/proc/net/" + l.Network.String() + suffix)
		if err != nil {
			continue
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			fields := strings.Fields(s.Text())
			if len(fields) < 10 || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", l.Port)) {
				continue
			}
			if l.Network == units.UDP || fields[3] == "0A" {
				inodes = append(inodes, fields[9])
			}
		}
		_ = f.Close()
	}
	return inodes
}

// processWith finds a process that has the socket open; a worker is preferred to PID 1, which holds it for others.
func processWith(link string) (pid int, comm string) {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if got, err := os.Readlink(fd); err != nil || got != link {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		n, _ := strconv.Atoi(filepath.Base(dir))
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		if pid == 0 || n != 1 {
			pid, comm = n, strings.TrimSpace(string(name))
		}
		if pid != 1 {
			break
		}
	}
	return pid, comm
}
