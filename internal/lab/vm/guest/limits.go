package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// hogArgs returns the arguments of an install of the hog. They set --activation, because clusterctl would take our Go
// program for a native worker.
func hogArgs(first ...string) []string {
	return append(first, "--activation", "adopt", "--listen", hogPort, "--no-probe", "--", "/usr/bin/vm-guest", "hog")
}

// memory limits the memory of one of two instances, makes that instance exceed the limit, and checks what the kernel and
// systemd do.
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
		return fmt.Errorf("the killed instance has not come back:\n%s", out)
	case report.Failed() > 0:
		return errors.New("the other instances have lost requests")
	}
	return r.explained(victim)
}

// awaitOther waits until a worker answers that is not in known. It polls the counters of the load in this process, because
// repeated calls of systemctl would take most of the time of this check.
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

// explained returns an error unless the OOM killer ended the victim, only the victim was restarted, both instances answer,
// and the journal has the reason.
func (r *reporter) explained(victim string) error {
	log, err := r.run("journalctl", "-k", "--no-pager", "-o", "cat", "-g", "memory cgroup out of memory")
	if err != nil {
		return err
	}
	r.note("%s", log)
	for i, want := range []string{"0", "1"} {
		unit := fmt.Sprintf("hog@%d.service", i+1)
		if n, err := r.property(unit, "NRestarts"); err != nil || n != want {
			return errors.Join(err, fmt.Errorf("%s has been restarted %s times", unit, n))
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
	// The service loses its result at the next start, but the journal keeps it.
	why, err := r.run("journalctl", "--no-pager", "-q", "-o", "cat", "UNIT="+victim, "UNIT_RESULT=oom-kill")
	r.note("%s", why)
	if err == nil && why == "" {
		err = fmt.Errorf("the journal has no entry about an oom-kill of %s", victim)
	}
	return err
}
