package apppkg

import (
	"path"
	"slices"
	"strings"
)

// junkDirs are left out without a word: history and caches, which no program reads where it runs.
var junkDirs = []string{".git", ".hg", ".svn", "node_modules/.cache", "__pycache__"}

// secretNames and secretSuffixes make a file look like a secret. A package lies about on servers and in caches, and its
// files can be read by everybody.
var (
	secretNames = []string{".env", ".npmrc", ".netrc", ".pgpass", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
		"credentials.json", ".htpasswd",
		".git-credentials", ".pypirc", ".my.cnf"}
	secretSuffixes = []string{".env", ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore"}
)

// Junk reports whether a directory or a file is left out as a whole, by its path below the app's directory. The package has
// its own clusterctl.yaml; the file beside the program may describe other apps, too.
func Junk(rel string) bool {
	return rel == "clusterctl.yaml" ||
		slices.ContainsFunc(junkDirs, func(d string) bool { return rel == d || strings.HasSuffix(rel, "/"+d) })
}

// Secret says whether a file looks like a secret by its name. What comes with a library (certificates of test suites, for
// the most part) is none.
func Secret(rel string) bool {
	if below("/"+rel, "/node_modules") || strings.Contains(rel, "/node_modules/") || strings.Contains(rel, "/site-packages/") {
		return false
	}
	base := path.Base(rel)
	if strings.HasSuffix(base, ".example") || strings.HasSuffix(base, ".sample") || base == "example.env" || base == "sample.env" {
		return false
	}
	return slices.Contains(secretNames, base) || strings.HasPrefix(base, ".env.") ||
		slices.ContainsFunc(secretSuffixes, func(s string) bool { return strings.HasSuffix(base, s) })
}
