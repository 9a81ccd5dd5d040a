package vm

import (
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// guestFiles are the files that are added to the files of the image.
type guestFiles struct {
	guest   string            // path of the program guest on the host
	install map[string]string // maps absolute paths in the guest to paths on the host; mode 0755
}

// pack writes the archive with the files of the image and the files of g.
func pack(w io.Writer, imageDir, kernelDir string, g guestFiles) error {
	a := newArchive(w)
	a.tree(imageDir, isOmitted)
	a.copy("init", g.guest, 0o755)
	a.link("usr/bin/vm-guest", "/init")
	a.dir("lib-vm")
	for i, m := range modules() {
		a.copy(fmt.Sprintf("lib-vm/%d-%s.ko", i, m), filepath.Join(kernelDir, m+".ko"), 0o644)
	}
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(g.install)) {
		a.parents(name, made)
		a.copy(strings.TrimPrefix(name, "/"), g.install[name], 0o755)
	}
	// Without a machine-id, systemd would treat the boot as a first boot.
	a.file("etc/machine-id", "6d0c1a5e3f9b4e0f8a7c2b1d0e9f8a7c\n", 0o444)
	a.file("etc/systemd/system/vm-checks.service", checksUnit, 0o644)
	return a.close()
}

// checksUnit is the unit that runs the checks. The machine powers off when the unit ends, also after a failure.
const checksUnit = `[Unit]
Description=Checks of clusterctl in a virtual machine
Wants=dbus.service
After=dbus.service
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/usr/bin/vm-guest check
StandardOutput=journal+console
TimeoutStartSec=infinity
`

// isOmitted reports whether a file of the image is not added to the archive. The root file system is in memory,
// and no program in the machine reads these files.
func isOmitted(name string) bool {
	switch name {
	case "boot", "usr/share/perl", "usr/lib/x86_64-linux-gnu/perl", "usr/lib/x86_64-linux-gnu/gconv", "usr/share/zoneinfo",
		"usr/share/nodejs/@types", "usr/include", "usr/share/locale", "usr/share/doc", "usr/share/man", "usr/share/info",
		"var/cache", "var/lib/apt", "var/lib/dpkg", "usr/lib/python3", "usr/lib/python3.11", "usr/bin/python3.11", "usr/bin/perl",
		"usr/bin/perl5.36.0":
		return true
	}
	ok, _ := path.Match("usr/lib/x86_64-linux-gnu/libperl.so.*", name)
	return ok
}
