package guard

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Link is a symbolic link on the way to a file. At is its path and To its target, both without links in their parent
// directories.
type Link struct{ At, To string }

// Follow returns the path behind all symbolic links, and these links in their order. A missing part of the path counts as a
// directory.
func Follow(p string) (at string, links []Link) {
	at = "/"
	rest := strings.Split(filepath.Clean(p), "/")
	for steps := 0; len(rest) > 0; steps++ {
		part := rest[0]
		rest = rest[1:]
		if part == "" {
			continue
		}
		next := filepath.Join(at, part) // without links in at, ".." is the parent directory
		to, err := os.Readlink(next)
		if err != nil || steps > 255 {
			at = next
			continue
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(at, to)
		}
		links = append(links, Link{At: next, To: to})
		at = "/"
		rest = append(strings.Split(filepath.Clean(to), "/"), rest...)
	}
	return at, links
}

// Inside reports whether p is below dir.
func Inside(p, dir string) bool { return strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") }

// InHome reports whether a path is in one of the directories that ProtectHome= hides.
func InHome(p string) bool {
	return IsHome(p) || Inside(p, "/home") || Inside(p, "/root") || Inside(p, "/run/user")
}

// IsHome reports whether a path is a home directory or contains all home directories.
func IsHome(p string) bool {
	return p == "/root" || p == "/home" || p == "/run/user" || filepath.Dir(p) == "/home" || filepath.Dir(p) == "/run/user"
}

// Shebang returns the interpreter in the first line of a file and its argument, without env(1).
func Shebang(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	buf := make([]byte, 256)
	n, _ := f.Read(buf)
	line, _, _ := strings.Cut(string(buf[:n]), "\n")
	line, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return nil
	}
	words := strings.Fields(line)
	if len(words) > 1 && filepath.Base(words[0]) == "env" {
		words = slices.DeleteFunc(words[1:], func(s string) bool { return s == "-S" })
	}
	return words
}
