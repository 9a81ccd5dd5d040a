// Package image prepares the root file systems that package lab boots:
// Debian releases built by mmdebstrap from the host's own mirror into a
// cache outside of the source tree.
//
// An image is a directory that nobody writes to. It appears by rename, so a
// build that is killed leaves nothing that could be taken for an image, and
// its name holds a hash of its recipe, so a changed recipe is a new image.
package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Release names an image: a Debian release, or a richer variant of one.
type Release string

// The releases that clusterctl is tested on, by the systemd that they carry.
const (
	Bullseye Release = "bullseye" // Debian 11, systemd 247
	Bookworm Release = "bookworm" // Debian 12, systemd 252
	Trixie   Release = "trixie"   // Debian 13, systemd 257
	Sid      Release = "sid"      // Debian unstable, systemd 262 when this was written

	// Workers is Bookworm with what real applications are written in: gunicorn,
	// uvicorn, aiohttp, ruby, php, nginx, gcc, and express, bun and deno
	// under /opt/npm/node_modules.
	Workers Release = "workers"

	// Operators is Bookworm with polkit, for what people may do who are not root. The other two are Trixie and Sid with
	// polkit: systemd asks polkit about more calls from 257 on.
	Operators       Release = "operators"
	OperatorsTrixie Release = "operatorstrixie"
	OperatorsSid    Release = "operatorssid"

	// Bench is Bookworm with what clusterctl is measured against, and what measures: PM2 and autocannon under
	// /opt/npm/node_modules, nginx, wrk, gunicorn and uvicorn.
	Bench Release = "bench"
)

// All lists the four releases of Debian, oldest first.
func All() []Release { return []Release{Bullseye, Bookworm, Trixie, Sid} }

// recipeVersion is part of every image's hash. Raise it when the way in which
// images are built changes in a manner that the recipe itself does not show.
const recipeVersion = 1

type recipe struct {
	suite    string
	packages []string
	npm      []string // installed by the host's npm, see installNPM
	hook     string   // shell, run in the host with $1 = the image's root
}

// hook leaves nothing of the build host in the image and takes away what
// would only slow a boot: a login prompt nobody sees, timers that want a
// network. nginx and php are there to be started by tests, not by the boot.
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

// name is the directory of an image in the cache.
func (r recipe) name(rel Release) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%s\x00%s\x00%s", recipeVersion, r.suite,
		strings.Join(r.packages, ","), strings.Join(r.npm, ","), r.hook, strings.Join(dpkgOptions(), ","))
	return string(rel) + "-" + hex.EncodeToString(h.Sum(nil))[:12]
}

// dpkgOptions keep out of the image what no test reads, and skip the fsync
// of each unpacked file: the image is synced once, before its rename.
func dpkgOptions() []string {
	return []string{
		"force-unsafe-io",
		"path-exclude=/usr/share/man/*",
		"path-exclude=/usr/share/locale/*",
		"path-exclude=/usr/share/doc/*",
		"path-exclude=/usr/share/info/*",
	}
}
