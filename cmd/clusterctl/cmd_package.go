package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/packaging/apppkg"
	"github.com/clusterctl/clusterctl/packaging/apppkg/deb"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

type packageOptions struct {
	output, version, maintainer, arch string
	include, depends                  []string
	systemd, cpus                     int
	asJSON                            bool
}

func packageCommand(e *env) *cmdline.Command {
	o := packageOptions{output: "."}
	return &cmdline.Command{
		Name: "package", Usage: "Make a Debian package of an app, with its files and units",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Name, cmdline.File}}},
		Description: []string{
			"Makes a .deb of an installed app, or of each app in a clusterctl.yaml. The package holds the directory and " +
				"the program of the app, its units, and scripts that enable and start the app. If the app has a user, the " +
				"package creates this user. An upgrade of the package replaces one instance after the other, and rolls " +
				"back if the new version fails. The target machine needs clusterctl only if the shim adopts the program.",
			"Everyone can read a package. Files that look like secrets, such as .env, are omitted and printed; --include adds them. A " +
				"variable that looks like a secret is an error.",
		},
		Examples: []string{"clusterctl package shop", "clusterctl package ./clusterctl.yaml --package-version 1.4.0 --output dist"},
		Flags: []cmdline.Flag{
			{Name: "output", Short: "o", To: &o.output, Takes: cmdline.Dir, Usage: "directory for the packages"},
			{Name: "package-version", To: &o.version, Takes: "VERSION", Usage: "version (default: from package.json, or the newest file)"},
			{Name: "maintainer", To: &o.maintainer, Takes: "NAME <EMAIL>", Usage: "maintainer (default: $DEBFULLNAME and $DEBEMAIL)"},
			{Name: "arch", To: &o.arch, Takes: "ARCH", Words: []string{"amd64", "arm64", "all"},
				Usage: "amd64, arm64 or all (default: from the programs in the package)"},
			{Name: "include", To: &o.include, Takes: cmdline.Path, Usage: "add this path to the package"},
			{Name: "depends", To: &o.depends, Takes: "PACKAGE", Usage: "package that the app needs, such as \"nodejs (>= 18)\""},
			{Name: "systemd-version", To: &o.systemd, Takes: "VERSION",
				Usage: "oldest systemd version of the targets (default: of this machine)"},
			cpusFlag(&o.cpus), jsonFlag(&o.asJSON),
		},
		Run: bind(e, &o, runPackage),
	}
}

func runPackage(ctx context.Context, e *env, o packageOptions, in cmdline.Input) error {
	what := in.Args[0]
	if err := o.check(); err != nil {
		return err
	}
	apps, err := e.appsOf(what)
	if err != nil {
		return err
	}
	if o.systemd == 0 {
		o.systemd = e.systemdVersion(ctx)
	}
	results := []deb.Result{}
	for _, a := range apps {
		r, err := e.packApp(ctx, a, o)
		if err != nil {
			return fmt.Errorf("packaging %s: %w", a.Name, err)
		}
		if !o.asJSON {
			fmt.Fprintln(e.stdout, r.Path)
		}
		results = append(results, r)
	}
	if o.asJSON {
		return e.printList(list{Packages: results})
	}
	e.note("install with: sudo apt-get install %s", text.Shell(installable(results[0].Path)))
	return nil
}

func (o *packageOptions) check() error {
	if err := checkTarget(o.cpus, cmp.Or(o.systemd, units.OldestSystemd)); err != nil {
		return err
	}
	for _, f := range []struct {
		name, value string
		check       func(string) error
	}{
		{"package-version", o.version, apppkg.CheckVersion}, {"maintainer", o.maintainer, apppkg.CheckMaintainer},
		{"arch", o.arch, apppkg.CheckArch},
	} {
		if f.value == "" {
			continue
		}
		if err := f.check(f.value); err != nil {
			return fault.Usagef("--%s: %v", f.name, err)
		}
	}
	for _, d := range o.depends {
		if err := apppkg.CheckDepends(d); err != nil {
			return fault.Usagef("--depends: %v", err)
		}
	}
	return nil
}

// installable returns a path that apt reads as a file, and not as the name of a package.
func installable(p string) string {
	if filepath.IsAbs(p) || strings.HasPrefix(p, "../") {
		return p
	}
	return "./" + strings.TrimPrefix(p, "./")
}

// appsOf returns the apps to package. The argument is the path of a file, the path of a directory with a clusterctl.yaml, or
// the name of an installed app. If a file and an app have this name, appsOf returns the apps in the file.
func (e *env) appsOf(argument string) ([]units.App, error) {
	path := argument
	if info, err := e.stat(argument); err == nil && info.IsDir() {
		path = filepath.Join(argument, "clusterctl.yaml")
	}
	data, err := e.readFile(path)
	switch {
	case err == nil:
		return config.Parse(path, data, nil)
	case !errors.Is(err, fs.ErrNotExist) || strings.ContainsAny(argument, "/"):
		return nil, fmt.Errorf("reading %q: %w", path, fault.Cause(err))
	}
	n, err := units.ParseName(argument)
	if err != nil {
		return nil, err
	}
	a, err := e.store.Load(n)
	return []units.App{a}, err
}

// systemdVersion returns the version of systemd on this machine. Without systemd, it returns the version in Debian 12.
func (e *env) systemdVersion(ctx context.Context) int {
	const bookworm = 252
	conn, err := e.dial(ctx)
	if err == nil {
		defer conn.Close()
		if v, err := conn.Version(ctx); err == nil {
			return v
		}
	}
	e.note("systemd: %d, as in Debian 12 (systemd does not run here; --systemd-version chooses another)", bookworm)
	return bookworm
}

// packApp makes the package of one app, and prints its contents.
func (e *env) packApp(ctx context.Context, a units.App, o packageOptions) (deb.Result, error) {
	r := deb.Request{
		App: a, Output: o.output, Version: o.version, Maintainer: o.maintainer, Arch: o.arch, Depends: o.depends,
		Systemd: o.systemd, CPUs: o.cpus,
	}
	for _, p := range o.include {
		full, err := e.resolver().Absolute(p)
		if err != nil {
			return deb.Result{}, err
		}
		r.Include = append(r.Include, full)
	}
	m := deb.Maker{LookPath: e.lookPath, Getenv: e.getenv, Note: e.note}
	p, err := m.Prepare(ctx, r)
	if err != nil {
		return deb.Result{}, err
	}
	defer p.Close()
	e.notePackage(a, p.Result, p.Roots)
	return p.Result, p.Build(ctx)
}

// notePackage prints notes about the contents of a package, and about the files that the package omits.
func (e *env) notePackage(a units.App, r deb.Result, roots []apppkg.Root) {
	// File names may contain control characters.
	say := func(format string, args ...any) {
		e.note("%s: %s", a.Name, text.Printable(fmt.Sprintf(format, args...)))
	}
	for _, root := range roots {
		say("%s becomes %s", root.From, root.To)
	}
	say("%d files, %s; depends on %s", r.Files, text.Size(r.Size), strings.Join(r.Depends, ", "))
	for _, s := range r.LeftOut {
		say("omitted, because it looks like a secret: %s (--include %[1]s adds it, and everyone can read it)", text.Shell(s))
	}
	for _, n := range r.Notes {
		say("%s", n)
	}
}
