package deb

import (
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

// collection is what was found on this machine for a package.
type collection struct {
	files   []apppkg.File
	leftOut []string
	notes   []string
	arches  []string
	newest  time.Time
	npm     struct{ Version, Description string }
	// trees are open until close; seen are the regular files in them.
	trees []*tree
	seen  map[string]fs.FileInfo
}

// collect collects the files of the app, and the files that were asked for. The caller closes the collection.
func collect(ctx context.Context, roots []apppkg.Root, include []string) (*collection, error) {
	c := &collection{leftOut: []string{}, notes: []string{}, seen: map[string]fs.FileInfo{}}
	if err := c.collect(ctx, roots, include); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *collection) collect(ctx context.Context, roots []apppkg.Root, asked []string) error {
	for _, r := range roots {
		if err := c.walk(ctx, r.From, asked, false); err != nil {
			return err
		}
		c.readNPM(r.From)
	}
	for _, p := range asked {
		inRoot := slices.ContainsFunc(roots, func(r apppkg.Root) bool { return p == r.From || strings.HasPrefix(p, r.From+"/") })
		if _, err := os.Lstat(p); err != nil {
			return fault.WithHint(fmt.Errorf("--include %q: %w", p, fault.Cause(err)), "ls -l %s", text.Shell(filepath.Dir(p)))
		}
		if !inRoot {
			if err := c.walk(ctx, p, asked, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// readNPM reads the version and the description in a package.json.
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

// walk adds a file, or all files of a directory.
func (c *collection) walk(ctx context.Context, top string, asked []string, included bool) error {
	t, err := openTree(top, !included)
	if err != nil {
		return err
	}
	c.trees = append(c.trees, t)
	return t.walk(ctx, func(p string, d fs.DirEntry) error {
		rel := strings.TrimPrefix(strings.TrimPrefix(p, top), "/")
		switch {
		case isAsked(asked, p):
		case d.IsDir() && apppkg.Junk(rel):
			return filepath.SkipDir
		case apppkg.Junk(rel):
			return nil
		case !d.IsDir() && rel != "" && apppkg.Secret(rel):
			c.leftOut = append(c.leftOut, p)
			return nil
		}
		return c.add(p, included || isAsked(asked, p))
	})
}

// add adds one file with its type, time and digest.
func (c *collection) add(p string, included bool) error {
	t, rel, err := c.in(p)
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
		c.notes = append(c.notes, fmt.Sprintf("left out: %s is neither a file nor a directory nor a link", p))
		return nil
	}
	c.files = append(c.files, f)
	return nil
}

// read returns the digest of a file, and adds the architecture of a program to the collection.
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

// debianArch names a machine as dpkg does.
func debianArch(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_386:
		return "i386"
	case elf.EM_ARM:
		return "armhf"
	case elf.EM_RISCV:
		return "riscv64"
	case elf.EM_S390:
		return "s390x"
	case elf.EM_PPC64:
		return "ppc64el"
	}
	return strings.ToLower(strings.TrimPrefix(m.String(), "EM_"))
}

// arch returns the architecture of the programs of the app, or "all" without programs.
func (c *collection) arch() (string, error) {
	switch len(c.arches) {
	case 0:
		return "all", nil
	case 1:
		return c.arches[0], nil
	}
	if slices.Contains(c.arches, runtime.GOARCH) {
		// A module of npm brings builds for several machines and picks one where it runs.
		c.notes = append(c.notes, fmt.Sprintf("architecture: %s (there are programs for %s)", runtime.GOARCH, strings.Join(c.arches, ", ")))
		return runtime.GOARCH, nil
	}
	return "", fault.WithHint(fmt.Errorf("there are programs for %s", strings.Join(c.arches, " and ")), "--arch %s", c.arches[0])
}

// version returns the version of a package that was given none: npm's, or the time of the newest file. It grows with each
// change, and the same files have the same version.
func (c *collection) version() string {
	if c.npm.Version != "" {
		return apppkg.DebVersion(c.npm.Version)
	}
	return c.newest.UTC().Format("20060102.150405")
}

// ownerOf returns the Debian package of the program, or "" if the program is part of the app or of no package.
func (m *Maker) ownerOf(ctx context.Context, program string, roots []apppkg.Root) string {
	if slices.ContainsFunc(roots, func(r apppkg.Root) bool { return program == r.From || strings.HasPrefix(program, r.From+"/") }) {
		return ""
	}
	paths := []string{program}
	if target, err := filepath.EvalSymlinks(program); err == nil && target != program {
		paths = append(paths, target)
	}
	for _, p := range paths {
		// dpkg knows a file by the path in its package, which may be the one from before /bin became a link.
		for _, p := range []string{p, strings.TrimPrefix(p, "/usr"), "/usr" + p} {
			out, err := m.tool(ctx, nil, "dpkg-query", "-S", p)
			if err != nil {
				continue
			}
			for line := range strings.Lines(out) {
				owner, _, found := strings.Cut(line, ":")
				if found && !strings.ContainsAny(owner, " ,") { // neither diverted, nor of several
					// The interpreter alone is in python3-minimal, its library in python3.
					return strings.TrimSuffix(owner, "-minimal")
				}
			}
		}
	}
	m.Note("%s comes from no package; it has to be on the target, or give --depends", text.Printable(program))
	return ""
}
