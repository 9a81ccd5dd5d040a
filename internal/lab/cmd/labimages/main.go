// Labimages prepares the images that the end-to-end tests boot, so that the
// first test does not have to wait for them:
//
//	go run ./internal/lab/cmd/labimages [release…]
//
// Without arguments it prepares all of them. As root it also installs the
// host's tools when they are missing. Exit status: 0 done, 1 failed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "labimages: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if err := image.InstallTools(ctx, os.Stderr); err != nil {
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
		img, err := image.Ensure(ctx, r, os.Stderr)
		if err != nil {
			return err
		}
		img.InUse.Close()
		fmt.Printf("%s\t%s\t%s\n", r, img.Dir, time.Since(start).Round(time.Millisecond))
	}
	return nil
}
