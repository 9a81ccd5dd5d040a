package vm

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/image"
)

// kernelPackage is a package that depends on the package of the newest kernel for virtual machines.
const kernelPackage = "linux-image-cloud-amd64"

// modules returns the kernel modules that the machine needs, in the order in which they are loaded. These modules provide
// sock_diag(7) for TCP. All other drivers are built into the kernel, including serial ports, cgroups, seccomp and Yama.
func modules() []string { return []string{"inet_diag", "tcp_diag"} }

// installTools installs qemu if it is missing.
func installTools(ctx context.Context, log io.Writer) error {
	if _, err := exec.LookPath(qemu); err == nil {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s is missing on this host; install qemu-system-x86 as root", qemu)
	}
	fmt.Fprintln(log, "vm: installing qemu-system-x86")
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "qemu-system-x86"}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// kernel returns a directory in the cache with vmlinuz and the modules (NAME.ko). If the cache has no kernel, the function
// downloads and unpacks the package with the apt of the host.
func kernel(ctx context.Context, log io.Writer) (string, error) {
	root := filepath.Join(image.CacheDir(), "vm")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("creating the cache of kernels: %w", err)
	}
	lock, err := image.Lock(filepath.Join(root, "kernel.lock"), unix.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	cached, err := filepath.Glob(filepath.Join(root, "linux-image-*"))
	if err != nil {
		return "", err
	}
	if len(cached) > 0 {
		return cached[len(cached)-1], nil
	}
	tmp := filepath.Join(root, ".tmp") // only the process with the lock uses it
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o755)); err != nil {
		return "", fmt.Errorf("fetching a kernel: %w", err)
	}
	defer os.RemoveAll(tmp)
	name, err := kernelName(ctx)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(log, "vm: fetching %s\n", name)
	if err := fetchKernel(ctx, name, tmp); err != nil {
		return "", fmt.Errorf("fetching the kernel %s: %w", name, err)
	}
	dir := filepath.Join(root, name)
	if err := os.Rename(filepath.Join(tmp, "kernel"), dir); err != nil {
		return "", fmt.Errorf("publishing the kernel: %w", err)
	}
	return dir, nil
}

func kernelName(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "depends", kernelPackage).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w (run apt-get update first)", kernelPackage, err)
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(name, "linux-image-") {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s does not depend on a package linux-image-*", kernelPackage)
}

// fetchKernel downloads the package into tmp, and extracts the kernel and the modules into tmp/kernel.
func fetchKernel(ctx context.Context, name, tmp string) error {
	get := exec.CommandContext(ctx, "apt-get", "download", name)
	get.Dir = tmp
	if out, err := get.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download: %w\n%s", err, out)
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download wrote the packages %q, want one: %w", debs, err)
	}
	dir := filepath.Join(tmp, "kernel")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	unpack := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", debs[0])
	var msg bytes.Buffer
	unpack.Stderr = &msg
	out, err := unpack.StdoutPipe()
	if err != nil {
		return err
	}
	if err := unpack.Start(); err != nil {
		return err
	}
	err = extract(out, dir)
	if err := errors.Join(err, unpack.Wait()); err != nil {
		return fmt.Errorf("unpacking %s: %w\n%s", filepath.Base(debs[0]), err, &msg)
	}
	return nil
}

// The function extract writes the kernel and the modules in a tar archive to dir. It reads the archive to its end.
func extract(r io.Reader, dir string) error {
	missing := append(modules(), "vmlinuz")
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		base := path.Base(h.Name)
		name, isModule := strings.CutSuffix(base, ".ko")
		if strings.HasPrefix(base, "vmlinuz-") {
			name, base = "vmlinuz", "vmlinuz"
		} else if !isModule {
			continue
		}
		i := slices.Index(missing, name)
		if i < 0 {
			continue
		}
		missing = slices.Delete(missing, i, i+1)
		if err := write(filepath.Join(dir, base), t); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the package does not contain %s", strings.Join(missing, " and "))
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

func write(name string, r io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}
