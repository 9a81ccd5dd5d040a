package main

import (
	"fmt"
	"strings"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// cluster installs the example of 2021, master and children, as it is. The children die within 20 s, and with them what
// they are about to answer, so the requests are sent one by one, until two have been answered.
func (r *reporter) cluster(scope int) error {
	if err := setScope(scope); err != nil {
		return err
	}
	// Of one instance: it is a cluster already, and each process takes seconds to start where the machine is emulated.
	if err := r.mustInstall("/srv/cluster-2021/master.js", "-i", "1"); err != nil {
		return err
	}
	master, err := r.property("master@1.service", "MainPID")
	if err != nil {
		return err
	}
	answered := 0
	for tries := 0; answered < 2; tries++ {
		if tries == 60 {
			return fmt.Errorf("%d of %d requests have been answered", answered, tries)
		}
		report, err := answers("http://127.0.0.1:8080/", load.Options{Requests: 1, Conns: 1})
		if err != nil {
			r.note("%v", err)
			continue
		}
		for body := range report.Workers {
			pid, _, _ := strings.Cut(body, ":")
			if pid == master {
				return fmt.Errorf("the master (pid %s) has answered, not a child", pid)
			}
			r.note("answered by %s, a child of %s", body, master)
			answered++
		}
	}
	return nil
}
