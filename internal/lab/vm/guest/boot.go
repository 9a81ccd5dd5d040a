package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The function boot loads the kernel modules, because the machine has no udev and no kmod, and then executes systemd.
func boot() error {
	files, err := filepath.Glob("/lib-vm/*.ko") // in alphabetical order
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := loadModule(f); err != nil {
			return fmt.Errorf("loading %s: %w", f, err)
		}
	}
	if err := moveRoot(); err != nil {
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

// moveRoot makes a bind mount of the root directory the new root. systemd calls pivot_root(2) for each sandbox, which fails
// if the root is the initramfs.
func moveRoot() error {
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
