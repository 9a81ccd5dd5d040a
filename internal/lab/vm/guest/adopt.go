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

// check makes the checks one after the other, and continues after a check that has failed.
func check() error {
	r, err := openResults()
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		app  string // that the check installs
		f    func() error
	}{
		{"yama 1: node", "hello", r.node},
		{"yama 1: below a shell", "wrapped", r.wrapped},
		{"sandbox", "hog", r.sandbox},
		{"MemoryMax=", "hog", r.memory},
		{"end", "", func() error { return nil }},
	} {
		r.check(c.name, func() error { return errors.Join(c.f(), r.uninstall(c.app)) })
	}
	return nil
}

// restrictPtrace sets ptrace_scope to 1: a process may read only the memory of its descendants, and of processes that allow
// it.
func restrictPtrace() error {
	return os.WriteFile("/proc/sys/kernel/yama/ptrace_scope", []byte("1"), 0)
}

// node installs a server, and replaces its instances under load. The notifier reads the program's memory, and the drain
// takes descriptors out of it.
func (r *reporter) node() error {
	if err := restrictPtrace(); err != nil {
		return err
	}
	if err := r.installNode(); err != nil {
		return err
	}
	return r.reload()
}

// installNode installs a file without further flags. The probe must find the port, and both instances must answer.
func (r *reporter) installNode() error {
	if err := r.mustInstall("/srv/hello/server.js", "--name", "hello", "-i", strconv.Itoa(instances)); err != nil {
		return err
	}
	user, err := r.property("hello@1.service", "DynamicUser")
	if err != nil || user != "yes" {
		return errors.Join(err, fmt.Errorf("DynamicUser=%s", user))
	}
	report, err := answers("http://127.0.0.1:8080/", load.Options{Requests: 50, Conns: 4})
	if err != nil {
		return err
	}
	return r.wantBoth("hello", report)
}

// answers sends requests with the options, and returns an error when a request fails.
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

// wantBoth returns an error unless the main process of each instance has answered.
func (r *reporter) wantBoth(app string, report load.Report) error {
	for i := 1; i <= instances; i++ {
		pid, err := r.property(fmt.Sprintf("%s@%d.service", app, i), "MainPID")
		if err != nil {
			return err
		}
		if report.Workers[pid] == 0 {
			return fmt.Errorf("instance %d (pid %s) has not answered any request: %v", i, pid, report)
		}
		r.note("instance %d (pid %s): %d answers", i, pid, report.Workers[pid])
	}
	return nil
}

// reload replaces both instances under a small load on new connections and on kept connections.
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
		// A kept connection must also move when its worker is replaced.
		if len(report.Workers) < 2 {
			errs = append(errs, errors.New("no connection has moved to a new worker"))
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
