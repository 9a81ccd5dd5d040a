package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// hogArgs are those of an install of the hog. It is one of ours to clusterctl, which would take it for native.
func hogArgs(first ...string) []string {
	return append(first, "--activation", "adopt", "--listen", hogPort, "--no-probe", "--", "/usr/bin/vm-guest", "hog")
}

// memory limits one of two instances, makes it ask for more, and looks at what the kernel and systemd make of it.
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
		return fmt.Errorf("it is not back:\n%s", out)
	case report.Failed() > 0:
		return errors.New("the siblings have lost requests")
	}
	return r.explained(victim)
}

// awaitOther waits until somebody answers who is not in the set. It looks at what this process counts anyway: asking
// systemd again and again would be the most expensive part of the check.
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

// explained: it was the OOM killer, only that instance was restarted, it answers, and the journal knows why it was.
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
	// Its service forgets the result with the next start; the journal does not.
	why, err := r.run("journalctl", "--no-pager", "-q", "-o", "cat", "UNIT="+victim, "UNIT_RESULT=oom-kill")
	r.note("%s", why)
	if err == nil && why == "" {
		err = fmt.Errorf("the journal has no oom-kill of %s", victim)
	}
	return err
}
