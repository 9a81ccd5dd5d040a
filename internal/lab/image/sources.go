package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// MirrorEnv is the environment variable that sets the Debian mirror (a URI as in sources.list(5)). By default, the host's
// own mirror is used.
const MirrorEnv = "CLUSTERCTL_LAB_MIRROR"

// debianKeyring is a keyring with the keys of all releases. In Debian 12 and later, this keyring contains the keys of 11,
// 12, 13 and unstable.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// mirror returns the URI of the host's Debian mirror. mirror gets the URI from apt, because sources.list has two formats and
// several directories.
func mirror(ctx context.Context) (string, error) {
	if m := os.Getenv(MirrorEnv); m != "" {
		return m, nil
	}
	const format = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)"
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", format).Output()
	if err != nil {
		return "", fmt.Errorf("cannot get the mirrors of apt: %w", err)
	}
	if m := pickMirror(string(out)); m != "" {
		return m, nil
	}
	return "", fmt.Errorf("apt on this host has no Debian mirror; set %s", MirrorEnv)
}

// pickMirror returns the first repository with the main component of a complete Debian release. pickMirror ignores
// -security, -updates and -backports, which are on other servers or contain only some packages.
func pickMirror(targets string) string {
	for line := range strings.Lines(targets) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 4 || f[2] != "main" || f[3] != "Packages" {
			continue
		}
		switch f[1] {
		case "bullseye", "bookworm", "trixie", "forky", "sid", "unstable", "testing", "stable", "oldstable":
			return f[0]
		}
	}
	return ""
}

// aptOptions returns the host's settings for reaching its mirror (proxies, certificates, retries) in the syntax of
// apt.conf(5). mmdebstrap does not read the host's configuration.
func aptOptions(ctx context.Context, suite string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "Acquire", "--empty=no").Output()
	if err != nil {
		return "", fmt.Errorf("cannot read the apt configuration of the host: %w", err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(out)) {
		for _, prefix := range []string{"Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::Check-"} {
			if strings.HasPrefix(line, prefix) {
				b.WriteString(line)
				break
			}
		}
	}
	if suite == string(Sid) {
		// A slow mirror of unstable may have an expired Release file, which is not a risk for tests.
		b.WriteString("Acquire::Check-Valid-Until \"false\";\n")
	}
	return b.String(), nil
}

var uri = regexp.MustCompile(`\b(https?|ftp|file|copy|cdrom|tor\+https?|mirror\+\w+):\S+`)

// redact replaces all addresses and the given host in s, because the mirror may be private, and its address may contain a
// password.
func redact(s, host string) string {
	s = uri.ReplaceAllString(s, "<uri>")
	if host != "" {
		s = strings.ReplaceAll(s, host, "<mirror>")
	}
	return s
}
