// Command demo boots a private systemd in a container and installs the example apps there. It sends requests to the apps
// while it kills workers and reloads the apps. The host is not changed. "make demo" runs the demo.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// bound is the time limit of the demo on an idle host.
const bound = 5 * time.Minute

func main() {
	lab.Reexec()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := patience.WithTimeout(ctx, bound)
	err := run(ctx)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	begin := time.Now()
	fmt.Println("booting Debian 12 (systemd 252) in a container; this machine is not changed")
	m, err := lab.Open(ctx, lab.Bookworm, os.Stderr)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := m.Close(); err == nil {
			err = closeErr
		}
	}()
	d := &demo{ctx: ctx, m: m}
	if err := d.prepare(); err != nil {
		return err
	}
	for _, action := range []func(){d.installHello, d.crashOne, d.crashAll, d.rollingReload, d.brokenRelease,
		d.showUnmodified, d.otherWorkers, d.cleanUp} {
		if action(); d.err != nil {
			return d.err
		}
	}
	return summary(os.Stdout, d.apps, d.actions, time.Since(begin))
}
