// Command bench compares clusterctl with PM2, Node's cluster module, nginx and the plain program on one booted machine. It
// writes the results to bench/results/DATE.json, docs/benchmarks.md and its plots. "make bench" runs this command.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// options are the flags.
type options struct {
	quick bool
	only  string
	// root is the source tree. bin is the directory of the built programs.
	root, bin string
	// docs and results are the directories for the output. If docs or results is empty, the default depends on the kind of
	// run.
	docs, results string
	// render is a file of results. If render is set, bench writes the document from this file and does not measure.
	render string
	budget time.Duration
	// slow multiplies all time limits.
	slow int
}

// The default time budgets of a run. A smoke run with its first boot takes less than four minutes.
const (
	fullBudget  = 27 * time.Minute
	quickBudget = 210 * time.Second
)

func main() {
	lab.Reexec()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, o)
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "smoke run with few and short pairs; its figures prove nothing; does not change docs/")
	f.StringVar(&o.only, "only", "", "only comparisons whose name contains one of the comma-separated `TEXTS`; does not change docs/")
	f.StringVar(&o.root, "root", ".", "the source `DIR`ectory")
	f.StringVar(&o.bin, "bin", "bin", "`DIR`ectory of clusterctl, clusterctl-shim and inside")
	f.StringVar(&o.results, "results", "", "`DIR`ectory of the results (bench/results)")
	f.StringVar(&o.docs, "docs", "", "`DIR`ectory of benchmarks.md and its plots (docs; for a smoke run a directory next to the results)")
	f.StringVar(&o.render, "render", "", "write the document from this `FILE` of results without measuring")
	f.DurationVar(&o.budget, "budget", 0,
		"`TIME` budget of the run; comparisons beyond it fail, or are skipped in a smoke run (27m, quick 210s)")
	f.IntVar(&o.slow, "slow", 1, "multiply all time limits by `N`, for busy machines")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.slow < 1 {
		return o, fmt.Errorf("-slow must be at least 1, not %d", o.slow)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.budget <= 0 {
		o.budget = fullBudget
		if o.quick {
			o.budget = quickBudget
		}
	}
	o.budget *= time.Duration(o.slow)
	return o, nil
}

func run(ctx context.Context, o options) error {
	if o.render != "" {
		in, err := os.Open(o.render)
		if err != nil {
			return err
		}
		defer in.Close()
		f, err := result.Decode(in)
		if err != nil {
			return fmt.Errorf("%s: %w", o.render, err)
		}
		return o.document(f)
	}
	f, err := measure(ctx, o)
	if err != nil {
		return err
	}
	path, err := o.save(f)
	if err != nil {
		return err
	}
	fmt.Println(path)
	if err := o.document(f); err != nil {
		return err
	}
	fmt.Println(tally(f))
	return failures(f)
}

// tally returns a line with the numbers of measured, skipped and failed comparisons.
func tally(f result.File) string {
	n := map[result.Status]int{}
	for _, c := range f.Comparisons {
		n[c.Status]++
	}
	return fmt.Sprintf("%d comparisons: %d measured, %d skipped, %d failed", len(f.Comparisons), n[result.OK],
		n[result.LeftOut], n[result.Failed])
}

// failures returns an error that names the failed comparisons. failures must be called after all results are written.
func failures(f result.File) error {
	var errs []error
	for _, c := range f.Comparisons {
		if c.Status == result.Failed {
			errs = append(errs, fmt.Errorf("%s: %s", c.Name, c.Why))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d comparisons failed:\n%w", len(errs), len(f.Comparisons), errors.Join(errs...))
}
