package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// hogArgs returns the arguments of "clusterctl install" for the hog. Without --activation, clusterctl would treat this Go
// program as a native worker.
func hogArgs(first ...string) []string {
	return append(first, "--activation", "adopt", "--listen", hogPort, "--no-probe", "--", "/usr/bin/vm-guest", "hog")
}

// The method memory sets a memory limit for one of two instances, and makes this instance exceed the limit. The kernel must
// kill this instance, systemd must restart it, and no request may fail.
func (r *reporter) memory() error {
	if err := r.mustInstall(hogArgs("hog", "-i", strconv.Itoa(instances))...); err != nil {
		return err
	}
	const victim = "hog@2.service"
	if _, err := r.run("systemctl", "set-property", victim, "MemoryMax=40M"); err != nil {
		return err
	}
	before := map[string]bool{}
	for i := 1; i <= instances; i++ {
		pid, err := r.property(fmt.Sprintf("hog@%d.service", i), "MainPID")
		if err != nil {
			return err
		}
		before[pid] = true
	}
	run, err := load.Begin(load.Host(), load.Options{URL: "http://127.0.0.1:" + hogPort + "/", Conns: 4, Rate: 10, Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer run.Stop()
	if _, err := r.run("systemctl", "kill", "--kill-who=main", "-s", "USR1", victim); err != nil {
		return err
	}
	back := awaitOther(run, before)
	report := run.Stop()
	r.note("%v", report)
	switch {
	case !back:
		out, _ := r.try("systemctl", "--no-pager", "status", "--", victim)
		return fmt.Errorf("the killed instance does not answer requests:\n%s", out)
	case report.Failed() > 0:
		return errors.New("requests failed, want no failure")
	}
	return r.checkOOM(victim)
}

// awaitOther waits until a worker that is not in the list known has answered a request. awaitOther polls the counters of the
// run, because repeated calls of systemctl would be slow in an emulated machine.
func awaitOther(run *load.Run, known map[string]bool) bool {
	for deadline := time.Now().Add(commandTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for pid := range run.Snapshot().Workers {
			if !known[pid] {
				return true
			}
		}
	}
	return false
}

// checkOOM returns an error unless the OOM killer killed the victim, only the victim was restarted, both instances answer
// requests, and the journal has an entry about the kill.
func (r *reporter) checkOOM(victim string) error {
	log, err := r.run("journalctl", "-k", "--no-pager", "-o", "cat", "-g", "memory cgroup out of memory")
	if err != nil {
		return err
	}
	r.note("%s", log)
	for i, want := range []string{"0", "1"} {
		unit := fmt.Sprintf("hog@%d.service", i+1)
		if n, err := r.property(unit, "NRestarts"); err != nil || n != want {
			return errors.Join(err, fmt.Errorf("%s was restarted %s times, want %s", unit, n, want))
		}
	}
	show, err := r.run(clusterctl, "show", "hog")
	if err != nil {
		return err
	}
	r.note("%s", show)
	report, err := answers("http://127.0.0.1:"+hogPort+"/", load.Options{Requests: 50, Conns: 4})
	if err == nil {
		err = r.wantBoth("hog", report)
	}
	if err != nil {
		return err
	}
	// The next start of the service resets its property Result, so read the result in the journal.
	why, err := r.run("journalctl", "--no-pager", "-q", "-o", "cat", "UNIT="+victim, "UNIT_RESULT=oom-kill")
	r.note("%s", why)
	if err == nil && why == "" {
		err = fmt.Errorf("the journal has no entry about an oom-kill of %s", victim)
	}
	return err
}
