// Command bench measures clusterctl against PM2, Node's cluster module, nginx and the bare program, on one booted machine,
// and writes down all of it: bench/results/DATE.json, docs/benchmarks.md and its plots. "make bench" runs it.
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
	// root is the source tree, bin the directory of the built programs.
	root, bin string
	// docs and results are where it is written; from the kind of run, if not given.
	docs, results string
	// render makes the document from a file of results, and measures nothing.
	render string
	budget time.Duration
	// slow multiplies every bound.
	slow int
}

// The time of a run, if no other is given. A smoke run with its first boot takes less than four minutes.
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
	f.BoolVar(&o.quick, "quick", false, "a smoke run: few pairs, short ones; proves nothing, and leaves docs/ alone")
	f.StringVar(&o.only, "only", "", "only comparisons whose name contains one of these `TEXTS`, separated by commas; leaves docs/ alone")
	f.StringVar(&o.root, "root", ".", "the source `DIR`ectory")
	f.StringVar(&o.bin, "bin", "bin", "`DIR`ectory of clusterctl, clusterctl-shim and inside")
	f.StringVar(&o.results, "results", "", "`DIR`ectory of the results (bench/results)")
	f.StringVar(&o.docs, "docs", "", "`DIR`ectory of benchmarks.md and its plots (docs; beside the results for a smoke run)")
	f.StringVar(&o.render, "render", "", "make the document from this `FILE`, and measure nothing")
	f.DurationVar(&o.budget, "budget", 0,
		"`TIME` of the whole run; what does not fit has failed, in a smoke run it is skipped (27m, quick 210s)")
	f.IntVar(&o.slow, "slow", 1, "multiply all bounds on time by `N`: to try things out where much else runs")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.slow < 1 {
		return o, fmt.Errorf("-slow %d is less than 1", o.slow)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q is too much", f.Arg(0))
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

// tally counts what became of the comparisons.
func tally(f result.File) string {
	n := map[result.Status]int{}
	for _, c := range f.Comparisons {
		n[c.Status]++
	}
	return fmt.Sprintf("%d comparisons: %d measured, %d skipped, %d failed", len(f.Comparisons), n[result.OK],
		n[result.LeftOut], n[result.Failed])
}

// failures is an error that names what could not be measured. It comes after all is written.
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
