// Command guest runs in the virtual machine of package vm. Guest is the first init, the program that runs the checks, and a
// worker that can exceed its memory limit.
//
//	/init          as PID 1: prepares the machine and becomes systemd
//	vm-guest check makes the checks, one line of JSON for each on /dev/ttyS1
//	vm-guest hog   serves HTTP on port 8090; on SIGUSR1 it stops serving and allocates memory until it is killed
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	var err error
	switch {
	case os.Getpid() == 1:
		err = boot()
	case len(os.Args) == 2 && os.Args[1] == "check":
		err = check()
	case len(os.Args) == 2 && os.Args[1] == "hog":
		err = hog()
	default:
		err = errors.New("usage: vm-guest check | hog")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm-guest:", err)
		os.Exit(1)
	}
}
