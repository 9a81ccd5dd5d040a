package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// wrapped is a package whose start script leaves a shell in front of the program: the process that binds is a child of
// the unit's main process, and PR_SET_PTRACER, which lets the shim read that one, is not inherited. Under ptrace_scope
// 1 the install works all the same, or says what the matter is; with --own-ptrace and the capability it works.
func (r *reporter) wrapped() error {
	const manifest = `{"name": "wrapped", "scripts": {"start": "node server.js; echo it has ended"}}`
	if err := os.WriteFile("/srv/wrapped/package.json", []byte(manifest), 0o644); err != nil {
		return err
	}
	if err := setScope(1); err != nil {
		return err
	}
	out, code := r.install("/srv/wrapped", "-i", "1")
	r.note("ptrace_scope 1: status %d\n%s", code, out)
	if code == 0 {
		return r.wrappedAnswers()
	}
	if !strings.Contains(out, "ptrace_scope") {
		return errors.New("it is not installed, and nothing says why")
	}
	args := []string{"/srv/wrapped", "-i", "1", "--listen", "8080", "--no-probe"}
	if err := r.ownPtrace("wrapped@.service", args); err != nil {
		return err
	}
	if err := r.mustInstall(args...); err != nil {
		return fmt.Errorf("with --own-ptrace: %w", err)
	}
	return r.wrappedAnswers()
}

// ownPtrace makes the drop-in that gives the instances of a template the capability, and tells the shim to keep it from
// the program. args are those of the install to come.
func (r *reporter) ownPtrace(template string, args []string) error {
	units, err := r.run(append([]string{clusterctl, "install", "--dry-run"}, args...)...)
	if err != nil {
		return err
	}
	_, line, ok := strings.Cut(units, "\nExecStart=:/usr/lib/clusterctl/")
	line, _, _ = strings.Cut(line, "\n")
	before, after, ok2 := strings.Cut(line, " --adopt ")
	if !ok || !ok2 {
		return fmt.Errorf("%s adopts nothing: %s", template, line)
	}
	dir := "/etc/systemd/system/" + template + ".d"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := "[Service]\nCapabilityBoundingSet=CAP_SYS_PTRACE\nAmbientCapabilities=CAP_SYS_PTRACE\nExecStart=\nExecStart=:/usr/lib/clusterctl/" +
		before + " --adopt --own-ptrace " + after + "\n"
	if err := os.WriteFile(dir+"/ptrace.conf", []byte(text), 0o644); err != nil {
		return err
	}
	_, err = r.run("systemctl", "daemon-reload")
	return err
}

// wrappedAnswers: the child of the shell answers, and has no capability.
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
