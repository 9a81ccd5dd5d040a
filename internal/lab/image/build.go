package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// CacheEnv is the environment variable that sets the directory of images and running machines.
const CacheEnv = "CLUSTERCTL_LAB_CACHE"

// CacheDir returns $CLUSTERCTL_LAB_CACHE, by default /var/cache/clusterctl-lab.
func CacheDir() string {
	if d := os.Getenv(CacheEnv); d != "" {
		return d
	}
	return "/var/cache/clusterctl-lab"
}

// Image is a root file system in the cache. No program may change the files in Dir.
type Image struct {
	Release Release
	Dir     string
	// InUse is a file with a shared flock. The lock lasts until this process and all processes that inherited the file have
	// closed it. A locked image is not removed.
	InUse *os.File
}

// Ensure returns the image of a release. Ensure builds the image if the image is missing or its recipe has changed. If
// another process builds the same image, Ensure waits for that build. Ensure writes one line per step to log.
func Ensure(ctx context.Context, rel Release, log io.Writer) (*Image, error) {
	rec, err := recipeOf(rel)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(CacheDir(), "images")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("creating the image cache: %w", err)
	}
	dir := filepath.Join(root, rec.name(rel))
	img, err := open(rel, dir)
	if !errors.Is(err, os.ErrNotExist) {
		return img, err
	}
	lock, err := Lock(filepath.Join(root, string(rel)+".build.lock"), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	img, err = open(rel, dir) // another process may have built the image during the wait
	if !errors.Is(err, os.ErrNotExist) {
		return img, err
	}
	if err := build(ctx, rel, rec, dir, log); err != nil {
		return nil, fmt.Errorf("building the lab image %s: %w", rel, err)
	}
	removeOutdated(root, rel, dir)
	return open(rel, dir)
}

// The function open opens an image. It locks the image before it checks whether the image exists, so that no process removes
// the image after the check.
func open(rel Release, dir string) (*Image, error) {
	lock, err := Lock(dir+".lock", unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		lock.Close()
		return nil, fmt.Errorf("opening the lab image %s: %w", rel, err)
	}
	return &Image{Release: rel, Dir: dir, InUse: lock}, nil
}

// Lock opens a file, creates the file if it is missing, and locks it with flock(2). The lock ends when all processes that
// inherited the file have closed it.
func Lock(path string, how int) (*os.File, error) { return lock(path, os.O_CREATE, how) }

// LockExisting does the same as Lock, but returns an error if the file does not exist.
func LockExisting(path string, how int) (*os.File, error) { return lock(path, 0, how) }

func lock(path string, create, how int) (*os.File, error) {
	f, err := os.OpenFile(path, create|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening lock: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}

// The function build builds the image under a temporary name and renames it. The caller holds the build lock, so existing
// temporary directories are from builds that were killed.
func build(ctx context.Context, rel Release, rec recipe, dir string, log io.Writer) error {
	parent := filepath.Dir(dir)
	stale, err := filepath.Glob(filepath.Join(parent, ".tmp-"+string(rel)+"-*"))
	if err != nil {
		return err
	}
	for _, s := range stale {
		if err := os.RemoveAll(s); err != nil {
			return fmt.Errorf("removing an unfinished image: %w", err)
		}
	}
	tmp, err := os.MkdirTemp(parent, ".tmp-"+string(rel)+"-")
	if err != nil {
		return fmt.Errorf("creating a build directory: %w", err)
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(log, "lab: building the image %s (Debian %s), which takes about a minute\n", rel, rec.suite)
	root := filepath.Join(tmp, "root")
	b := &builder{log: log}
	if err := b.bootstrap(ctx, rec, tmp, root); err != nil {
		return err
	}
	if err := b.installNPM(ctx, rec, root); err != nil {
		return err
	}
	if err := b.run(ctx, "", "sh", "-c", rec.hook, "hook", root); err != nil {
		return err
	}
	if err := syncfs(root); err != nil {
		return err
	}
	if err := os.Rename(root, dir); err != nil {
		return fmt.Errorf("publishing the image: %w", err)
	}
	fmt.Fprintf(log, "lab: image %s is ready\n", rel)
	return nil
}

func (b *builder) bootstrap(ctx context.Context, rec recipe, tmp, root string) error {
	uri, err := mirror(ctx)
	if err != nil {
		return err
	}
	if u, err := url.Parse(uri); err == nil {
		b.hide = u.Hostname()
	}
	opts, err := aptOptions(ctx, rec.suite)
	if err != nil {
		return err
	}
	optFile := filepath.Join(tmp, "apt.conf")
	if err := os.WriteFile(optFile, []byte(opts), 0o600); err != nil {
		return fmt.Errorf("writing apt options: %w", err)
	}
	args := []string{
		"mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase",
		"--keyring=" + debianKeyring, "--aptopt=" + optFile,
		"--include=" + strings.Join(rec.packages, ","),
	}
	for _, o := range dpkgOptions() {
		args = append(args, "--dpkgopt="+o)
	}
	// "-" passes the sources through stdin: they may contain a password, and all users can read command lines.
	args = append(args, rec.suite, root, "-")
	return b.run(ctx, fmt.Sprintf("deb %s %s main\n", uri, rec.suite), args...)
}

// installNPM installs packages into /opt/npm with the npm of the host. An npm in the image would need about a hundred more
// packages, and a network, which a machine does not have.
func (b *builder) installNPM(ctx context.Context, rec recipe, root string) error {
	if len(rec.npm) == 0 {
		return nil
	}
	fmt.Fprintf(b.log, "lab: npm install %s\n", strings.Join(rec.npm, " "))
	dir := filepath.Join(root, "opt/npm")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating /opt/npm: %w", err)
	}
	args := append([]string{"npm", "install", "--prefix", dir, "--no-audit", "--no-fund"}, rec.npm...)
	if err := b.run(ctx, "", args...); err != nil {
		return err
	}
	for _, name := range []string{"bun", "deno", "pm2", "autocannon"} {
		if _, err := os.Lstat(filepath.Join(dir, "node_modules/.bin", name)); err != nil {
			continue // the recipe does not install this program
		}
		if err := os.Symlink("/opt/npm/node_modules/.bin/"+name, filepath.Join(root, "usr/local/bin", name)); err != nil {
			return fmt.Errorf("linking %s: %w", name, err)
		}
	}
	return nil
}

func syncfs(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing the image: %w", err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncing the image: %w", err)
	}
	return nil
}

// removeOutdated removes the images of earlier recipes, except images that a machine uses. removeOutdated ignores errors,
// because a later call repeats the removal.
func removeOutdated(root string, rel Release, current string) {
	old, err := filepath.Glob(filepath.Join(root, string(rel)+"-????????????"))
	if err != nil {
		return
	}
	for _, dir := range old {
		if dir == current {
			continue
		}
		lock, err := Lock(dir+".lock", unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue
		}
		removed := filepath.Join(root, ".tmp-"+filepath.Base(dir))
		if os.Rename(dir, removed) == nil && os.RemoveAll(removed) == nil {
			os.Remove(dir + ".lock")
		}
		lock.Close()
	}
}
