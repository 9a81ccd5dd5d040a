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

// RenderProbe returns the unit that runs an app's program once to find out on which addresses the program listens
// (clusterctl-shim probe). The program runs as the user and in the sandbox of the instances. The unit does not use the app's
// listeners, but passes the paths of the Unix sockets to the probe. The probe ends after the timeout, or earlier if the
// program does not listen and has been idle for the given time. If this time is 0, the probe does not end earlier.
//
// The caller writes the unit to /run/systemd/system, so that a reboot removes the unit. The caller also creates the file
// [contract.ReportPath], to which the unit writes a [contract.Report].
func RenderProbe(a App, t Target, timeout, idle time.Duration) (File, error) {
	a = a.Unprobed()
	if err := a.Validate(); err != nil {
		return File{}, err
	}
	r := renderer{app: a, target: t}
	r.source = r.must(lineText("source", t.Source))
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
	// Yama lets a process read the memory of its descendants, so the probe needs no capability. The program must not have a
	// capability.
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

// The method probe returns the name of the unit of RenderProbe. No other unit of an app has this name, because Socket and
// Slice do not return a name that begins with "clusterctl--".
func (n Name) probe() string { return "clusterctl--probe-" + string(n) + ".service" }
