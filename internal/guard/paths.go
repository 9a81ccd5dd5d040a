package guard

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Link is a symbolic link on the way to a file. The field At has the path of the link, and the field To has its target. The
// parent directories of the link are not links.
type Link struct{ At, To string }

// Follow follows all symbolic links of a path. It returns the new path, and the links in the order in which it has followed
// them. If a part of the path does not exist, Follow keeps this part.
func Follow(p string) (at string, links []Link) {
	at = "/"
	rest := strings.Split(filepath.Clean(p), "/")
	for steps := 0; len(rest) > 0; steps++ {
		part := rest[0]
		rest = rest[1:]
		if part == "" {
			continue
		}
		next := filepath.Join(at, part) // for "..", this is the parent directory, because the path so far has no links
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

// InHome reports whether a path is one of the directories that ProtectHome= hides, or below one of them.
func InHome(p string) bool {
	return IsHome(p) || Inside(p, "/home") || Inside(p, "/root") || Inside(p, "/run/user")
}

// IsHome reports whether a path is a home directory or a directory of all home directories.
func IsHome(p string) bool {
	return p == "/root" || p == "/home" || p == "/run/user" || filepath.Dir(p) == "/home" || filepath.Dir(p) == "/run/user"
}

// Shebang returns the words of the "#!" line of a file: the interpreter and its arguments. Shebang omits the command env(1)
// and its option -S.
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
