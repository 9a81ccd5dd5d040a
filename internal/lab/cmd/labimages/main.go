// Labimages builds the images that the end-to-end tests boot:
//
//	go run ./internal/lab/cmd/labimages [-quiet] [release…]
//
// Without arguments, Labimages builds all images. As root, it also installs missing tools on the host. With -quiet, it
// prints only errors. The exit status is 1 after an error.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	quiet := flag.Bool("quiet", false, "print only errors")
	flag.Parse()
	var log io.Writer = os.Stderr
	if *quiet {
		log = io.Discard
	}
	err := run(ctx, flag.Args(), log)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "labimages: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	if err := image.InstallTools(ctx, log); err != nil {
		return err
	}
	releases := append(image.All(), image.Workers, image.Operators, image.OperatorsTrixie, image.OperatorsSid)
	if len(args) > 0 {
		releases = releases[:0]
		for _, a := range args {
			releases = append(releases, image.Release(a))
		}
	}
	for _, r := range releases {
		start := time.Now()
		img, err := image.Ensure(ctx, r, log)
		if err != nil {
			return err
		}
		img.InUse.Close()
		fmt.Fprintf(log, "%s\t%s\t%s\n", r, img.Dir, time.Since(start).Round(time.Millisecond))
	}
	return nil
}
