package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
)

func onOwnThread(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f()
}

// InstallTools installs the missing tools of the lab on the host: systemd-nspawn, mmdebstrap, nsenter, unshare, ip and the
// archive keyring. InstallTools returns an error if a tool is missing and the caller is not root.
func InstallTools(ctx context.Context, log io.Writer) error {
	var missing []string
	for _, t := range []struct{ program, pkg string }{
		{"systemd-nspawn", "systemd-container"},
		{"mmdebstrap", "mmdebstrap"},
		{"nsenter", "util-linux"},
		{"ip", "iproute2"},
	} {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, t.pkg)
		}
	}
	if _, err := os.Stat(debianKeyring); err != nil {
		missing = append(missing, "debian-archive-keyring")
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing on this host: %v; install them as root", missing)
	}
	fmt.Fprintf(log, "lab: installing %v\n", missing)
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	return apt(ctx, append([]string{"install", "-y", "--no-install-recommends"}, missing...)...)
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, redact(tail(string(out), 20), ""))
	}
	return nil
}
