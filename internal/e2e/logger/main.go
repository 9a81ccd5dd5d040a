// Command logger is a worker for tests that logs with fields. Each instance reads commands from a FIFO, one word per
// line. The path of the FIFO is the first argument of the command, a dot and the number of the instance.
//
//	fields    logs a message with attributes
//	big       logs a message of 2 MiB with newlines
//	die       logs a message and exits immediately
package main

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/activation/journald"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "logger:", err)
		os.Exit(1)
	}
}

func run() error {
	path := os.Args[1] + "." + os.Getenv("INSTANCE")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	// The FIFO is also opened for writing, because a read without a writer would return the end of the file.
	fifo, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	log := slog.New(journald.NewHandler(&slog.HandlerOptions{AddSource: true}))
	log.Info("ready " + os.Getenv("INSTANCE"))
	for s := bufio.NewScanner(fifo); s.Scan(); {
		switch s.Text() {
		case "fields":
			log.Error("payment failed", "user_id", 17, slog.Group("card", "reason", "declined\nby the bank"))
		case "big":
			log.Warn(strings.Repeat("x\n", 1<<20) + "the end")
		case "die":
			log.Error("last words")
			os.Exit(3)
		}
	}
	return nil
}
