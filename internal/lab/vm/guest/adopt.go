package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// instances is the number of instances of every app in the machine: one per CPU.
const instances = 2

const clusterctl = "/usr/bin/clusterctl"

// The function check runs all checks, also after a check has failed.
func check() error {
	r, err := openResults()
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		app  string // the app that the check installs
		f    func() error
	}{
		{"yama 1: node", "hello", r.node},
		{"yama 1: below a shell", "wrapped", r.checkWrapped},
		{"sandbox", "hog", r.sandbox},
		{"MemoryMax=", "hog", r.memory},
		{"end", "", func() error { return nil }},
	} {
		r.check(c.name, func() error { return errors.Join(c.f(), r.uninstall(c.app)) })
	}
	return nil
}

// restrictPtrace sets ptrace_scope to 1. A process may then read the memory of another process only if the other process is
// a descendant or has called PR_SET_PTRACER.
func restrictPtrace() error {
	return os.WriteFile("/proc/sys/kernel/yama/ptrace_scope", []byte("1"), 0)
}

// node installs a server, and reloads it under load. The shim reads the memory of the program at bind(2), and copies
// descriptors of the program before the stop.
func (r *reporter) node() error {
	if err := restrictPtrace(); err != nil {
		return err
	}
	if err := r.installNode(); err != nil {
		return err
	}
	return r.reload()
}

// installNode installs the server without --listen. The probe must find the port, and both instances must answer requests.
func (r *reporter) installNode() error {
	if err := r.mustInstall("/srv/hello/server.js", "--name", "hello", "-i", strconv.Itoa(instances)); err != nil {
		return err
	}
	user, err := r.property("hello@1.service", "DynamicUser")
	if err != nil || user != "yes" {
		return errors.Join(err, fmt.Errorf("got DynamicUser=%s, want yes", user))
	}
	report, err := answers("http://127.0.0.1:8080/", load.Options{Requests: 50, Conns: 4})
	if err != nil {
		return err
	}
	return r.wantBoth("hello", report)
}

// The function answers sends requests with the options, and returns an error if a request fails.
func answers(url string, o load.Options) (load.Report, error) {
	o.URL, o.Timeout = url, time.Minute
	run, err := load.Begin(load.Host(), o)
	if err != nil {
		return load.Report{}, err
	}
	report := run.Wait()
	if report.Failed() > 0 || report.OK == 0 {
		return report, errors.New(report.String())
	}
	return report, nil
}

// wantBoth returns an error unless the report has responses from the main process of each instance.
func (r *reporter) wantBoth(app string, report load.Report) error {
	for i := 1; i <= instances; i++ {
		pid, err := r.property(fmt.Sprintf("%s@%d.service", app, i), "MainPID")
		if err != nil {
			return err
		}
		if report.Workers[pid] == 0 {
			return fmt.Errorf("instance %d (pid %s) has not answered any request: %v", i, pid, report)
		}
		r.note("instance %d (pid %s): %d responses", i, pid, report.Workers[pid])
	}
	return nil
}

// The method reload reloads the app under a small load, on new connections and on keep-alive connections.
func (r *reporter) reload() error {
	var runs []*load.Run
	for _, keep := range []bool{false, true} {
		run, err := load.Begin(load.Host(), load.Options{
			URL: "http://127.0.0.1:8080/", Conns: 2, Rate: 8, KeepAlive: keep, Timeout: time.Minute,
		})
		if err != nil {
			return err
		}
		defer run.Stop()
		runs = append(runs, run)
	}
	start := time.Now()
	if _, err := r.run("systemctl", "reload", "hello.service"); err != nil {
		log, _ := r.try("journalctl", "--no-pager", "-b", "-o", "short-monotonic", "-n", "60")
		return fmt.Errorf("%w\n%s", err, log)
	}
	r.note("reload in %v", time.Since(start).Round(time.Millisecond))
	var errs []error
	workers := map[string]bool{}
	for _, run := range runs {
		report := run.Stop()
		r.note("%v", report)
		if report.Failed() > 0 || report.OK == 0 {
			errs = append(errs, errors.New("not every request was answered"))
		}
		// When a worker is replaced, its client must open a connection to another worker.
		if len(report.Workers) < 2 {
			errs = append(errs, errors.New("all responses are from one worker"))
		}
		for pid := range report.Workers {
			workers[pid] = true
		}
	}
	if len(workers) <= instances {
		errs = append(errs, errors.New("no instance was replaced under load"))
	}
	return errors.Join(errs...)
}

func (r *reporter) uninstall(app string) error {
	if _, err := os.Stat("/etc/clusterctl/" + app + ".yaml"); err != nil {
		return nil
	}
	_, err := r.run(clusterctl, "uninstall", "--yes", app)
	return err
}
