package apppkg

import (
	"path"
	"slices"
	"strings"
)

// junkDirs are omitted without a note: version history and caches, which the running app does not need.
var junkDirs = []string{".git", ".hg", ".svn", "node_modules/.cache", "__pycache__"}

// secretNames and secretSuffixes are names of files that look like secrets. Everyone can read the files of a package.
var (
	secretNames = []string{".env", ".npmrc", ".netrc", ".pgpass", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
		"credentials.json", ".htpasswd",
		".git-credentials", ".pypirc", ".my.cnf"}
	secretSuffixes = []string{".env", ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore"}
)

// Junk reports whether a package omits a file or directory. rel is its path in the directory of the app. The package has
// another clusterctl.yaml, because the one of the app may describe other apps, too.
func Junk(rel string) bool {
	return rel == "clusterctl.yaml" ||
		slices.ContainsFunc(junkDirs, func(d string) bool { return rel == d || strings.HasSuffix(rel, "/"+d) })
}

// Secret reports whether the name of a file looks like a secret. Files of libraries do not count: they are mostly
// certificates of test suites.
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
