// Package deb makes the Debian package of an app: it collects the files on this machine, plans the package with
// [apppkg.Plan], and builds it with dpkg-deb.
package deb

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/packaging/apppkg"
	"github.com/clusterctl/clusterctl/units"
)

// Maker makes packages.
type Maker struct {
	LookPath func(string) (string, error)
	Getenv   func(string) string
	Note     func(format string, args ...any)
}

// Request describes one package. If Version, Maintainer or Arch is empty, Prepare uses a default.
type Request struct {
	App                       units.App
	Output                    string // directory
	Version, Maintainer, Arch string
	Include, Depends          []string // Include contains absolute paths
	Systemd, CPUs             int
}

// Result describes a package in the output of "package --json".
type Result struct {
	Path         string   `json:"path"`
	App          string   `json:"app"`
	Package      string   `json:"package"`
	Version      string   `json:"version"`
	Architecture string   `json:"architecture"`
	Release      string   `json:"release"`
	Depends      []string `json:"depends"`
	Files        int      `json:"files"`
	Size         int64    `json:"size"`
	LeftOut      []string `json:"leftOut"`
	Notes        []string `json:"notes"`
}

// Prepared is a package that is ready to be built. Its directories are open.
type Prepared struct {
	Result Result
	// Roots contains the directories and files of the app, and their paths on the target.
	Roots []apppkg.Root
	maker *Maker
	plan  apppkg.Package
	files *collection
}

// Prepare collects the files and plans the package. The caller must close the result.
func (m *Maker) Prepare(ctx context.Context, r Request) (_ *Prepared, err error) {
	a := r.App
	if a.Directory != "" {
		a.Directory = filepath.Clean(a.Directory)
	}
	roots, err := apppkg.Roots(a, func(p string) bool {
		info, err := os.Stat(p)
		return err == nil && info.Mode().IsRegular()
	})
	if err != nil {
		return nil, err
	}
	if err := publicEnv(a.Env, a.Name); err != nil {
		return nil, err
	}
	c, err := collect(ctx, roots, r.Include)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	in := apppkg.Input{
		App: a, Roots: roots, Files: c.files, Arch: r.Arch, Version: cmp.Or(r.Version, c.version()), Description: c.npm.Description,
		Maintainer: cmp.Or(r.Maintainer, m.maintainer()), Depends: r.Depends,
		Target: units.Target{Systemd: r.Systemd, Sizing: a.Instances.Resolve(units.CPUs{Affinity: r.CPUs})},
	}
	if in.Arch == "" {
		if in.Arch, err = c.arch(); err != nil {
			return nil, err
		}
	}
	if owner := m.ownerOf(ctx, a.Command[0], roots); owner != "" {
		in.Depends = append(in.Depends, owner)
	}
	p, err := apppkg.Plan(in)
	if err != nil {
		return nil, err
	}
	done := &Prepared{Roots: roots, maker: m, plan: p, files: c}
	done.Result = Result{
		App: string(a.Name), Package: p.Name, Version: p.Version, Architecture: p.Arch, Release: p.Release, Depends: p.Depends,
		Path: filepath.Join(r.Output, p.FileName()), Files: len(p.Files), LeftOut: c.leftOut, Notes: append(c.notes, p.Notes...),
	}
	for _, f := range p.Files {
		done.Result.Size += f.Size
	}
	return done, nil
}

// Build writes the .deb file.
func (p *Prepared) Build(ctx context.Context) error {
	return p.maker.build(ctx, p.plan, p.files.newest, p.files.content, p.Result.Path)
}

// Close closes the directories of the app.
func (p *Prepared) Close() { p.files.close() }

// publicEnv returns an error if variables look secret, because everyone can read a package.
func publicEnv(vars []units.EnvVar, app units.Name) error {
	var secret []string
	for _, v := range vars {
		if _, masked := mask.Value(v.Name, v.Value); masked {
			secret = append(secret, v.Name)
		}
	}
	if len(secret) == 0 {
		return nil
	}
	return fault.WithHint(fmt.Errorf("env: %s would be public: everyone can read a package", strings.Join(secret, ", ")),
		"put it into a file on the target, mode 0600, and write into the app: env-files: [%s]", apppkg.EnvFile(app))
}

// The function maintainer returns the default maintainer from the variables that Debian's tools use.
func (m *Maker) maintainer() string {
	user := cmp.Or(m.Getenv("SUDO_USER"), m.Getenv("USER"), "root")
	host, _ := os.Hostname() // empty after an error
	mail := cmp.Or(m.Getenv("DEBEMAIL"), user+"@"+cmp.Or(host, "localhost"))
	return fmt.Sprintf("%s <%s>", cmp.Or(m.Getenv("DEBFULLNAME"), user), mail)
}

// The method tool runs a program of dpkg with additional variables, and returns its stdout.
func (m *Maker) tool(ctx context.Context, vars []string, argv ...string) (string, error) {
	path, err := m.LookPath(argv[0])
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("%s is not in $PATH", argv[0]),
			"apt-get install dpkg; other systems also have a package dpkg")
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Env = append(os.Environ(), vars...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), errors.Join(ctx.Err(), fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(stderr.String())))
	}
	return stdout.String(), nil
}
