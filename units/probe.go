package units

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// probeMargin is added to the timeout of the probe, to get the timeout of its unit.
const probeMargin = 30 * time.Second

// RenderProbe returns the unit that runs an app's program once to find out what it listens on (clusterctl-shim probe). The
// program runs as the user and in the sandbox of the instances. Of the app's listeners, only the Unix sockets are used. The
// probe ends after the timeout at the latest. It ends earlier if the program does not listen and has been idle for the
// duration idle; an idle of 0 disables this.
//
// The file must be in /run/systemd/system, which is empty after a boot. The unit writes a [contract.Report] to the file
// [contract.ReportPath]. The caller must create this file.
func RenderProbe(a App, t Target, timeout, idle time.Duration) (File, error) {
	a = a.Unprobed()
	if err := a.Validate(); err != nil {
		return File{}, err
	}
	r := renderer{app: a, target: t}
	r.source = r.must(plain("source", t.Source))
	name := a.Name.probe()
	v := r.instance()
	v.header = r.header(name)
	v.Report = fixed(path.Join(contract.RunDirectory, contract.ReportPath(string(a.Name))))
	v.Credentials, v.EncryptedCredentials = r.credentials()
	v.TimeoutStart = seconds(timeout+probeMargin, 0)
	words := []string{t.shim(), "probe", "--timeout=" + timeout.String(), "--idle=" + idle.String()}
	words = append(words, r.programWords("1")...)
	words = append(words, r.words("listen", "--own=", slices.Concat(a.SocketFiles(), t.Sockets))...)
	words = append(append(words, "--"), r.words("command", "", a.Command)...)
	v.Exec = fixed(strings.Join(words, " "))
	// The prober is an ancestor of all processes that it reads, so it needs no capability. The program must not have one.
	v.Capabilities = ""
	r.add(name, "probe.service.tmpl", v)
	if a.Sandbox != SandboxOff {
		s := r.sandbox()
		s.Seccomp = "seccomp pidfd_getfd"
		s.Capabilities = ""
		r.add(name, "sandbox.tmpl", s)
	}
	if r.err != nil {
		return File{}, r.err
	}
	return r.files[0], nil
}

// probe returns the name of the unit of RenderProbe. Socket and Slice never return a name with two dashes in this place.
func (n Name) probe() string { return "clusterctl--probe-" + string(n) + ".service" }
