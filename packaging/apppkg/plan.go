package apppkg

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// Input describes an app and its files on this machine, and the package to make.
type Input struct {
	App units.App
	// Target has the version of systemd and the number of instances.
	Target      units.Target
	Roots       []Root
	Files       []File
	Version     string
	Arch        string
	Maintainer  string
	Description string
	// Depends contains the dependencies other than systemd and clusterctl.
	Depends []string
}

// File is a file, directory or link. Path is a path on this machine in [Input], and on the target in [Package].
type File struct {
	Path string
	// Mode is the type and the permissions.
	Mode fs.FileMode
	// Source is the path on this machine from which the content is read. It is empty if the content is in Data or Link.
	Source string
	Data   []byte
	Link   string
	Size   int64
	// Digest is the SHA-256 of the content, in hexadecimal.
	Digest string
	// Included is true if --include names the file. Outside of the roots, an included file has the same path on the
	// target.
	Included bool
}

// Package is a planned package.
type Package struct {
	Name, Version, Arch string
	Release             string
	Depends             []string
	// Files contains the files that dpkg unpacks, sorted by path. Control contains the files in DEBIAN/.
	Files, Control []File
	// Conffiles contains the paths of configuration files. On an upgrade, dpkg keeps the changes of the administrator in
	// these files.
	Conffiles []string
	// Notes contains messages for the person who makes the package.
	Notes []string
}

// FileName returns the name of the .deb file.
func (p Package) FileName() string {
	return fmt.Sprintf("%s_%s_%s.deb", p.Name, p.Version, p.Arch)
}

// Plan returns the package for the input.
func Plan(in Input) (Package, error) {
	for _, check := range []func() error{in.check, in.checkNames, in.checkWritable} {
		if err := check(); err != nil {
			return Package{}, err
		}
	}
	local := in.App
	a, notes, err := relocate(in.App, in.Roots)
	if err != nil {
		return Package{}, err
	}
	in.App = a
	in.Target.Source, in.Target.SplitAggregate = current(a.Name)+"/clusterctl.yaml", true
	set, err := units.Render(a, in.Target)
	if err != nil {
		return Package{}, err
	}
	p := Package{Name: DebName(a.Name), Version: in.Version, Arch: in.Arch, Depends: in.dependencies(), Notes: notes}
	release := in.payload(local)
	links := in.addUnits(&release, &p, set)
	release = append(release,
		content("clusterctl.yaml", config.Encode(a)),
		content("instances", []byte(instanceList(in.Target.Sizing.Listed))))
	p.Notes = append(p.Notes, in.fileNotes(local)...)
	p.Release = releaseID(in.Version, release)
	for _, f := range release {
		f.Path = dist(a.Name) + "/" + f.Path
		p.Files = append(p.Files, f)
	}
	p.Files = append(p.Files, links...)
	in.addIncluded(local, &p)
	if !a.RunAs.Dynamic() && !isNumber(a.RunAs.User) && a.RunAs.User != "root" {
		p.Files = append(p.Files, content("/usr/lib/sysusers.d/"+p.Name+".conf", []byte(in.sysusers())))
	}
	slices.SortFunc(p.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	for i := 1; i < len(p.Files); i++ {
		if p.Files[i].Path == p.Files[i-1].Path {
			return Package{}, fmt.Errorf("%s would be in the package twice", p.Files[i].Path)
		}
	}
	return p, in.addControl(local, &p)
}

func content(p string, data []byte) File {
	return File{Path: p, Mode: 0o644, Data: data, Size: int64(len(data))}
}

func link(p, to string) File { return File{Path: p, Mode: fs.ModeSymlink | 0o777, Link: to} }

// payload returns the files of the roots, with their paths relative to the release, and with the permissions of a
// package.
func (in Input) payload(local units.App) []File {
	var out []File
	state := in.stateLinks(local)
	for _, f := range in.Files {
		root, rel, ok := rootOf(f.Path, in.Roots)
		if !ok || hasEnvFile(local, f.Path) || slices.ContainsFunc(state, func(s string) bool { return isBelow(rel, s) }) {
			continue
		}
		for _, r := range in.Roots {
			// An absolute link into a root becomes a link into the release.
			f.Link = replacePath(f.Link, r.From, r.To)
		}
		f.Path = path.Join(strings.TrimPrefix(root.To, current(in.App.Name)+"/"), rel)
		out = append(out, normalize(f))
	}
	return out
}

// normalize returns a file with the permissions of a package: everyone can read the file, and setuid and
// setgid are removed.
func normalize(f File) File {
	switch {
	case f.Mode&fs.ModeSymlink != 0:
		f.Mode = fs.ModeSymlink | 0o777
	case f.Mode.IsDir():
		f.Mode = fs.ModeDir | 0o755
	case f.Mode.Perm()&0o111 != 0:
		f.Mode = 0o755
	default:
		f.Mode = 0o644
	}
	return f
}

func hasEnvFile(a units.App, p string) bool {
	return slices.ContainsFunc(a.EnvFiles, func(f units.EnvFile) bool { return path.Clean(f.Path) == p })
}

// addIncluded adds the included files that are not in a root, and all included environment files, which only root can
// read. Files in /etc become conffiles.
func (in Input) addIncluded(local units.App, p *Package) {
	for _, f := range in.Files {
		variables := hasEnvFile(local, f.Path)
		if !f.Included || Contains(in.Roots, f.Path) && !variables {
			continue
		}
		f = normalize(f)
		if variables {
			if Contains(in.Roots, f.Path) {
				f.Path = envFilePath(in.App.Name, f.Path)
			}
			f.Mode = 0o600
		}
		if isBelow(f.Path, "/etc") && f.Mode.IsRegular() {
			p.Conffiles = append(p.Conffiles, f.Path)
		}
		p.Files = append(p.Files, f)
	}
}

// releaseID returns the version and a hash of the content, because two builds of one version can have different content.
func releaseID(version string, files []File) string {
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range files {
		digest := f.Digest
		if f.Data != nil {
			sum := sha256.Sum256(f.Data)
			digest = hex.EncodeToString(sum[:])
		}
		fmt.Fprintf(h, "%s\x00%o\x00%s\x00%s\x00", f.Path, f.Mode, f.Link, digest)
	}
	return version + "-" + hex.EncodeToString(h.Sum(nil))[:8]
}

func instanceList(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// sysusers returns the sysusers.d(5) file that creates the user and the group.
func (in Input) sysusers() string {
	s := fmt.Sprintf("u %s - %q %s /usr/sbin/nologin\n", in.App.RunAs.User, in.gecos(), home(in.App.Name))
	if g := in.App.RunAs.Group; g != "" && g != in.App.RunAs.User && !isNumber(g) {
		s = fmt.Sprintf("g %s -\n", g) + s
	}
	return s
}

// madeBy is the prefix of the mark of users and directories that a package has created. A purge removes only users and
// directories with this mark.
const madeBy = "made by the package "

func (in Input) gecos() string { return madeBy + DebName(in.App.Name) }

const journaldDir = "/etc/systemd/"

// addUnits adds the units to the release. It returns the links to these units in the unit directory of systemd, and the
// files of the parameter set that do not belong to a release.
func (in Input) addUnits(release *[]File, p *Package, set units.Set) []File {
	var links []File
	n, dir := in.App.Name, in.unitDir()
	for _, f := range set {
		data := f.Data
		if f.Path == n.JournalConf() {
			// journald reads this file only in /etc, so it is a conffile, which the administrator may change.
			p.Conffiles = append(p.Conffiles, journaldDir+f.Path)
			links = append(links, content(journaldDir+f.Path, data))
			continue
		}
		switch f.Path {
		case n.Service():
			links = append(links, content(path.Join(dir, f.Path), units.Unseal(data)))
			continue
		case n.ReleaseDropIn():
			data = units.Unseal(data)
		}
		*release = append(*release, content("units/"+f.Path, data))
		links = append(links, link(path.Join(dir, f.Path), current(n)+"/units/"+f.Path))
	}
	return links
}
