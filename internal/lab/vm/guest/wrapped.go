package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// checkWrapped installs a package whose start script runs the program as a child of a shell. This child binds the
// port. The child does not inherit PR_SET_PTRACER, with which the shim may read the memory of a process. With ptrace_scope
// 1, the install must work, or fail with a hint to use --own-ptrace. With this flag, the install must work, also in a user
// namespace.
func (r *reporter) checkWrapped() error {
	const manifest = `{"name": "wrapped", "scripts": {"start": "node server.js; echo it has ended"}}`
	if err := os.WriteFile("/srv/wrapped/package.json", []byte(manifest), 0o644); err != nil {
		return err
	}
	if err := restrictPtrace(); err != nil {
		return err
	}
	out, code := r.install("/srv/wrapped", "-i", "1")
	r.note("ptrace_scope 1: status %d\n%s", code, out)
	if code == 0 {
		return r.wrappedAnswers()
	}
	if !strings.Contains(out, "ptrace_scope") || !strings.Contains(out, "--own-ptrace") {
		return errors.New("the install failed without an explanation")
	}
	for _, private := range []bool{false, true} {
		if err := r.privateUsers("wrapped@.service", private); err != nil {
			return err
		}
		if err := r.mustInstall("/srv/wrapped", "-i", "1", "--own-ptrace"); err != nil {
			return fmt.Errorf("with --own-ptrace, PrivateUsers %v: %w", private, err)
		}
		if err := errors.Join(r.wrappedAnswers(), r.uninstall("wrapped")); err != nil {
			return fmt.Errorf("with --own-ptrace, PrivateUsers %v: %w", private, err)
		}
	}
	return nil
}

// privateUsers writes a drop-in with PrivateUsers= for a template. In a user namespace, a capability has no effect on
// processes outside of that namespace.
func (r *reporter) privateUsers(template string, private bool) error {
	dir := "/etc/systemd/system/" + template + ".d"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := "[Service]\nPrivateUsers=" + map[bool]string{true: "yes", false: "no"}[private] + "\n"
	if err := os.WriteFile(dir+"/users.conf", []byte(text), 0o644); err != nil {
		return err
	}
	_, err := r.run("systemctl", "daemon-reload")
	return err
}

// wrappedAnswers returns an error unless the child of the shell answers requests and has no capability.
func (r *reporter) wrappedAnswers() error {
	report, err := answers("http://127.0.0.1:8080/", load.Options{Requests: 50, Conns: 2})
	if err != nil {
		return err
	}
	r.note("%v", report)
	for pid := range report.Workers {
		b, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			name, set, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			switch name {
			case "CapInh", "CapPrm", "CapEff", "CapAmb":
				if strings.Trim(set, "0") != "" {
					return fmt.Errorf("the program has capabilities: %s", line)
				}
			}
		}
	}
	return nil
}
