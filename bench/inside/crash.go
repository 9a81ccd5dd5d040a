package main

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"
)

// crashCommand kills the only worker of a port with SIGKILL, and measures the time until another worker responds: crash
// -port 8080 -n 3 -pause 300ms. crashCommand pauses before each kill.
func crashCommand(args []string) (any, error) {
	f := flags("crash")
	port := f.Int("port", 0, "")
	n := f.Int("n", 1, "")
	pause := f.Duration("pause", 0, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var t timings
	for range *n {
		time.Sleep(*pause)
		a, err := getOnce(*port, "/", time.Now().Add(10*time.Second))
		if err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(a.Worker)
		if err != nil || pid <= 1 {
			return nil, fmt.Errorf("%q is not the PID of a worker", a.Worker)
		}
		begin := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return nil, err
		}
		at, err := firstAnswer(*port, "/", begin.Add(20*time.Second), func(b answer) bool { return b.Worker != a.Worker })
		if err != nil {
			return nil, err
		}
		t.MS = append(t.MS, ms(at.Sub(begin)))
	}
	return t, nil
}

// bareCommand starts a program without a supervisor and measures the time until it responds: bare -port 8080 -n 3 -- node
// hello.js. A supervisor cannot restart the program faster.
func bareCommand(args []string) (any, error) {
	f := flags("bare")
	port := f.Int("port", 0, "")
	n := f.Int("n", 1, "")
	pause := f.Duration("pause", 0, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var t timings
	for range *n {
		time.Sleep(*pause)
		cmd, done, err := prepare(f.Args())
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			return nil, done(err)
		}
		at, err := firstAnswer(*port, "/", begin.Add(20*time.Second),
			func(a answer) bool { return a.Worker == strconv.Itoa(cmd.Process.Pid) })
		kill := errors.Join(cmd.Process.Kill(), done(nil))
		_ = cmd.Wait() // killed
		if err := errors.Join(err, kill); err != nil {
			return nil, err
		}
		t.MS = append(t.MS, ms(at.Sub(begin)))
	}
	return t, nil
}
