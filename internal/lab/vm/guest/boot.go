package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// boot loads the modules and becomes systemd. A machine without udev and kmod loads none by itself.
func boot() error {
	files, err := filepath.Glob("/lib-vm/*.ko") // in the order of their names
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := loadModule(f); err != nil {
			return fmt.Errorf("loading %s: %w", f, err)
		}
	}
	if err := unroot(); err != nil {
		return fmt.Errorf("mounting the root directory on itself: %w", err)
	}
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"}
	return syscall.Exec("/usr/lib/systemd/systemd", []string{"/sbin/init"}, env)
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// unroot puts a mount over the kernel's first root, which pivot_root(2) cannot leave: each sandbox of systemd calls it.
func unroot() error {
	if err := unix.Mount("/", "/mnt", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Chdir("/mnt"); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	return unix.Chroot(".")
}
