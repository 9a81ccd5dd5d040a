package deb

import (
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/packaging/apppkg"
)

// A collection contains the files of this machine that a package needs.
type collection struct {
	files   []apppkg.File
	leftOut []string
	notes   []string
	arches  []string
	newest  time.Time
	npm     struct{ Version, Description string }
	// The trees are open until the method close is called. The keys of seen are the paths of the regular files in the
	// trees.
	trees []*tree
	seen  map[string]fs.FileInfo
}

// The function collect returns the files of the app and the included files. The caller must close the collection.
func collect(ctx context.Context, roots []apppkg.Root, include []string) (_ *collection, err error) {
	c := &collection{leftOut: []string{}, notes: []string{}, seen: map[string]fs.FileInfo{}}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for _, r := range roots {
		if err := c.walk(ctx, r.From, include, false); err != nil {
			return nil, err
		}
		c.readNPM(r.From)
	}
	for _, p := range include {
		if _, err := os.Lstat(p); err != nil {
			return nil, fault.WithHint(fmt.Errorf("--include %q: %w", p, fault.Cause(err)), "ls -l %s", text.Shell(filepath.Dir(p)))
		}
		if !apppkg.Contains(roots, p) {
			if err := c.walk(ctx, p, include, true); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// readNPM reads the version and the description from a package.json.
func (c *collection) readNPM(dir string) {
	p := filepath.Join(dir, "package.json")
	if _, ok := c.seen[p]; !ok || c.npm.Version != "" {
		return
	}
	f, err := c.open(p)
	if err != nil {
		return
	}
	defer f.Close()
	const most = 1 << 20
	if data, err := io.ReadAll(io.LimitReader(f, most)); err == nil {
		_ = json.Unmarshal(data, &c.npm)
	}
}

// The method walk adds the file top, or all files in top if top is a directory.
func (c *collection) walk(ctx context.Context, top string, include []string, included bool) error {
	t, err := openTree(top, !included)
	if err != nil {
		return err
	}
	c.trees = append(c.trees, t)
	return t.walk(ctx, func(p string, d fs.DirEntry) error {
		rel := strings.TrimPrefix(strings.TrimPrefix(p, top), "/")
		switch {
		case isIncluded(include, p):
		case d.IsDir() && apppkg.Junk(rel):
			return filepath.SkipDir
		case apppkg.Junk(rel):
			return nil
		case !d.IsDir() && rel != "" && apppkg.Secret(rel):
			c.leftOut = append(c.leftOut, p)
			return nil
		}
		return c.add(p, included || isIncluded(include, p))
	})
}

// The method add adds one file with its type and digest.
func (c *collection) add(p string, included bool) error {
	t, rel, err := c.treeOf(p)
	if err != nil {
		return err
	}
	info, err := t.root.Lstat(rel)
	if err != nil {
		return err
	}
	f := apppkg.File{Path: p, Mode: info.Mode(), Included: included}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if f.Link, err = t.root.Readlink(rel); err != nil {
			return err
		}
	case info.IsDir():
	case info.Mode().IsRegular():
		if info.ModTime().After(c.newest) {
			c.newest = info.ModTime()
		}
		f.Source, f.Size = p, info.Size()
		c.seen[p] = info
		if f.Digest, err = c.read(p); err != nil {
			return err
		}
	default:
		c.notes = append(c.notes, fmt.Sprintf("omitted: %s is not a file, a directory or a link", p))
		return nil
	}
	c.files = append(c.files, f)
	return nil
}

// The method read returns the SHA-256 of a file. If the file is an ELF program, read also adds its architecture to
// c.arches.
func (c *collection) read(p string) (string, error) {
	f, err := c.open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if program, err := elf.NewFile(f); err == nil {
		arch := debianArch(program.Machine)
		if !slices.Contains(c.arches, arch) {
			c.arches = append(c.arches, arch)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// debianArch returns Debian's name of an architecture.
func debianArch(m elf.Machine) string {
	names := map[elf.Machine]string{
		elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "i386", elf.EM_ARM: "armhf", elf.EM_RISCV: "riscv64",
		elf.EM_S390: "s390x", elf.EM_PPC64: "ppc64el",
	}
	return cmp.Or(names[m], strings.ToLower(strings.TrimPrefix(m.String(), "EM_")))
}

// The method arch returns the architecture of the ELF programs of the app, or "all" if there are none.
func (c *collection) arch() (string, error) {
	switch len(c.arches) {
	case 0:
		return "all", nil
	case 1:
		return c.arches[0], nil
	}
	if slices.Contains(c.arches, runtime.GOARCH) {
		// An npm module may contain programs for several architectures, and choose one at run time.
		c.notes = append(c.notes, fmt.Sprintf("architecture: %s (the programs are for %s)", runtime.GOARCH, strings.Join(c.arches, ", ")))
		return runtime.GOARCH, nil
	}
	err := fmt.Errorf("architecture: the programs are for %s", strings.Join(c.arches, " and "))
	return "", fault.WithHint(err, "--arch %s", c.arches[0])
}

// The method version returns the default version of a package: the version in package.json, or else the time of the
// newest file. This time increases with each change of a file.
func (c *collection) version() string {
	if c.npm.Version != "" {
		return apppkg.DebVersion(c.npm.Version)
	}
	return c.newest.UTC().Format("20060102.150405")
}

// ownerOf returns the name of the Debian package that contains a program. It returns "" if the program is in a root, or
// if no package contains it.
func (m *Maker) ownerOf(ctx context.Context, program string, roots []apppkg.Root) string {
	if apppkg.Contains(roots, program) {
		return ""
	}
	paths := []string{program}
	if target, err := filepath.EvalSymlinks(program); err == nil && target != program {
		paths = append(paths, target)
	}
	for _, p := range paths {
		// dpkg finds a file by its path in the package. This path may be /bin/NAME although /bin is now a link to
		// /usr/bin.
		for _, p := range []string{p, strings.TrimPrefix(p, "/usr"), "/usr" + p} {
			out, err := m.tool(ctx, nil, "dpkg-query", "-S", p)
			if err != nil {
				continue
			}
			for line := range strings.Lines(out) {
				owner, _, found := strings.Cut(line, ":")
				if found && !strings.ContainsAny(owner, " ,") { // the file is not diverted, and only one package contains it
					// python3-minimal contains only the interpreter. The app also needs the standard library, which
					// python3 depends on.
					return strings.TrimSuffix(owner, "-minimal")
				}
			}
		}
	}
	m.Note("%s is not from a Debian package: install it on the target, or name its package with --depends", text.Printable(program))
	return ""
}
