package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// MirrorEnv overrides the Debian mirror (a URI as in sources.list(5)). Without
// it the mirror is the one from which the host itself gets Debian.
const MirrorEnv = "CLUSTERCTL_LAB_MIRROR"

// debianKeyring verifies every release: the keyring of Debian 12 and later
// holds the keys of 11, 12, 13 and those that sign unstable.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// mirror finds where Debian comes from. It asks apt rather than reading
// sources.list, which has two formats and several directories.
func mirror(ctx context.Context) (string, error) {
	if m := os.Getenv(MirrorEnv); m != "" {
		return m, nil
	}
	const format = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)"
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", format).Output()
	if err != nil {
		return "", fmt.Errorf("asking apt for its mirrors: %w", err)
	}
	if m := pickMirror(string(out)); m != "" {
		return m, nil
	}
	return "", fmt.Errorf("the host's apt has no Debian mirror configured; set %s", MirrorEnv)
}

// pickMirror returns the first repository that serves the main component of a
// whole Debian release: not -security, -updates or -backports, which live
// elsewhere or hold only a part.
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

// aptOptions returns the host's own ways of reaching its mirror (proxies,
// certificates, retries) in the syntax of apt.conf(5). mmdebstrap itself does
// not read the host's configuration.
func aptOptions(ctx context.Context, suite string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "Acquire", "--empty=no").Output()
	if err != nil {
		return "", fmt.Errorf("reading the host's apt configuration: %w", err)
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
		// A mirror that follows unstable slowly serves a Release file past its
		// date, which matters for security, not for a test bed.
		b.WriteString("Acquire::Check-Valid-Until \"false\";\n")
	}
	return b.String(), nil
}

var uri = regexp.MustCompile(`\b(https?|ftp|file|copy|cdrom|tor\+https?|mirror\+\w+):\S+`)

// redact removes addresses, and the host given: the mirror may be private and
// its address may carry a password.
func redact(s, host string) string {
	s = uri.ReplaceAllString(s, "<uri>")
	if host != "" {
		s = strings.ReplaceAll(s, host, "<mirror>")
	}
	return s
}
