// Command demo boots a private systemd in a container, installs the example apps as a user would, and shows them
// working under load, through kill -9 and a rolling reload. It never touches the units of the host. "make demo" runs it.
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

// bound is the longest that a demo may take on an idle host.
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
	fmt.Println("booting a private Debian 12 (systemd 252); nothing of this machine is touched")
	m, err := lab.Open(ctx, lab.Bookworm, os.Stderr)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := m.Close(); err == nil {
			err = closeErr
		}
	}()
	s := &stage{ctx: ctx, m: m}
	if err := s.prepare(); err != nil {
		return err
	}
	for _, act := range []func(){s.installHello, s.crashOne, s.crashAll, s.rollingReload, s.brokenRelease, s.unmodified,
		s.others, s.cleanUp} {
		if act(); s.err != nil {
			return s.err
		}
	}
	return summary(os.Stdout, s.apps, s.acts, time.Since(begin))
}
