// Package image builds the root file systems that package lab boots. mmdebstrap builds Debian releases from the mirror of
// the host. The images are in a cache outside of the source tree.
//
// An image is a directory that is never changed. An image is built under a temporary name and then renamed, so that an image
// with its final name is always complete. The name contains a hash of the recipe, so a changed recipe creates a new image.
package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Release is the name of an image: a Debian release, or a variant of one with more packages.
type Release string

// The releases on which clusterctl is tested, with their versions of systemd.
const (
	Bullseye Release = "bullseye" // Debian 11, systemd 247
	Bookworm Release = "bookworm" // Debian 12, systemd 252
	Trixie   Release = "trixie"   // Debian 13, systemd 257
	Sid      Release = "sid"      // Debian unstable, systemd 262 when this was written

	// Workers is Bookworm with languages and servers that real applications use: gunicorn, uvicorn, aiohttp, ruby, php,
	// nginx, gcc, and express, bun and deno under /opt/npm/node_modules.
	Workers Release = "workers"

	// Operators is Bookworm with polkit, for tests with users other than root. OperatorsTrixie and OperatorsSid are Trixie
	// and Sid with polkit, because systemd 257 and newer versions check more calls with polkit.
	Operators       Release = "operators"
	OperatorsTrixie Release = "operatorstrixie"
	OperatorsSid    Release = "operatorssid"

	// Bench is Bookworm with load generators and with other process managers and servers for comparison: PM2 and autocannon
	// under /opt/npm/node_modules, nginx, wrk, gunicorn and uvicorn.
	Bench Release = "bench"
)

// All returns the four releases of Debian, oldest first.
func All() []Release { return []Release{Bullseye, Bookworm, Trixie, Sid} }

// recipeVersion is part of the hash in the name of each image. Increase it when the code that builds images changes.
const recipeVersion = 1

type recipe struct {
	suite    string
	packages []string
	npm      []string // packages for installNPM
	hook     string   // shell script that runs on the host; $1 is the image's root
}

// hook removes the settings of the host from the image. hook also masks or disables units that slow down a boot: login
// prompts, timers that need a network, and nginx, which the tests start themselves.
const hook = `set -eu
cd "$1"
rm -f etc/apt/sources.list etc/apt/sources.list.d/* etc/apt/apt.conf.d/99mmdebstrap etc/resolv.conf
rm -f etc/systemd/system/multi-user.target.wants/nginx.service
rm -f etc/systemd/system/timers.target.wants/*
for u in console-getty.service getty.target systemd-firstboot.service systemd-networkd-wait-online.service; do
	ln -sf /dev/null "etc/systemd/system/$u"
done
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' > etc/hosts
mkdir -p var/log/journal
`

func recipeOf(r Release) (recipe, error) {
	base := []string{
		"systemd", "systemd-sysv", "dbus", "libpam-systemd", "iproute2", "procps",
		"ca-certificates", "curl", "nodejs", "python3",
	}
	switch r {
	case Bullseye, Bookworm, Trixie, Sid:
		return recipe{suite: string(r), packages: base, hook: hook}, nil
	case Operators, OperatorsTrixie, OperatorsSid:
		suite := map[Release]Release{Operators: Bookworm, OperatorsTrixie: Trixie, OperatorsSid: Sid}[r]
		return recipe{suite: string(suite), packages: append(base, "polkitd"), hook: hook}, nil
	case Workers:
		return recipe{
			suite: string(Bookworm),
			packages: append(base, "gunicorn", "uvicorn", "python3-aiohttp", "ruby", "puma", "php-cli", "php-fpm",
				"nginx-light", "gcc", "libc6-dev", "bash-completion"),
			npm:  []string{"express@5", "bun@1", "deno@2"},
			hook: hook + "rm -f etc/systemd/system/multi-user.target.wants/php*-fpm.service\n",
		}, nil
	case Bench:
		return recipe{
			suite:    string(Bookworm),
			packages: append(base, "nginx-light", "wrk", "gunicorn", "uvicorn"),
			npm:      []string{"pm2@7", "autocannon@9"},
			hook:     hook,
		}, nil
	}
	return recipe{}, fmt.Errorf("unknown lab release %q", r)
}

// name returns the directory name of an image in the cache.
func (r recipe) name(rel Release) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%s\x00%s\x00%s", recipeVersion, r.suite,
		strings.Join(r.packages, ","), strings.Join(r.npm, ","), r.hook, strings.Join(dpkgOptions(), ","))
	return string(rel) + "-" + hex.EncodeToString(h.Sum(nil))[:12]
}

// dpkgOptions returns options that omit documentation and translations. The options also disable the fsync of each file,
// because the whole image is synced before it is renamed.
func dpkgOptions() []string {
	return []string{
		"force-unsafe-io",
		"path-exclude=/usr/share/man/*",
		"path-exclude=/usr/share/locale/*",
		"path-exclude=/usr/share/doc/*",
		"path-exclude=/usr/share/info/*",
	}
}
