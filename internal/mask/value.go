package mask

import (
	"regexp"
	"strings"
)

// secretName matches the names of variables with a secret value.
var secretName = regexp.MustCompile(`(?i)(^|_)(pass(word|wd|phrase)?|secrets?|tokens?|` +
	`(api|access|private|secret|signing|encryption|license)?_?keys?|credentials?|auth|cookie|salt|dsn)(_|$)|` +
	`_pwd(_|$)|password|passwd|secret|apikey`)

// looksSecret reports whether the name of a variable suggests a secret. CREDENTIALS_DIRECTORY and SSH_AUTH_SOCK are paths.
func looksSecret(name string) bool {
	return secretName.MatchString(name) && !strings.HasSuffix(name, "_DIRECTORY") && !strings.HasSuffix(name, "_SOCK")
}

// urlPassword matches the password in a URL, such as postgres://user:password@host/.
var urlPassword = regexp.MustCompile(`(://[^/?#@\s:]*:)([^/?#@\s]+)(@)`)

// Stars replaces a secret value.
const Stars = "********"

// Value returns the value of a variable with secrets masked: the whole value for a secret name, otherwise a password in a
// URL.
func Value(name, value string) (shown string, masked bool) {
	switch {
	case value == "":
	case looksSecret(name):
		return Stars, true
	case urlPassword.MatchString(value):
		return urlPassword.ReplaceAllString(value, "${1}"+Stars+"${3}"), true
	}
	return value, false
}
