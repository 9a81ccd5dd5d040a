package units

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// probeMargin is what the unit may take beyond the time of the probe itself.
const probeMargin = 30 * time.Second

// RenderProbe returns the unit that runs an app's program once, as the user and in the sandbox of its instances, to see what it
// listens on (clusterctl-shim probe). Of the app's listeners, only the Unix sockets matter. The probe ends at the latest
// after the timeout, and earlier if the program listens on nothing and has done nothing for the time idle, unless that is 0.
//
// The file belongs into /run/systemd/system, where no boot finds it. The unit writes a [contract.Report] to the file
// [contract.ReportPath], which the caller makes.
func RenderProbe(a App, t Target, timeout, idle time.Duration) (File, error) {
	a = a.Unprobed()
	if err := a.Validate(); err != nil {
		return File{}, err
	}
	source, err := plain("source", t.Source)
	if err != nil {
		return File{}, err
	}
	r := renderer{app: a, target: t, source: source}
	name := a.Name.probe()
	v := r.instance()
	v.header = r.header(name)
	v.Report = fixed(path.Join(contract.RunDirectory, contract.ReportPath(string(a.Name))))
	v.Credentials, v.EncryptedCredentials = r.credentials()
	v.TimeoutStart = seconds(timeout, 0, probeMargin)
	words := []string{t.shim(), "probe", "--timeout=" + timeout.String(), "--idle=" + idle.String(), "--instance=1"}
	if a.confined() {
		words = append(words, "--confine")
	}
	for _, e := range a.Shim.Increment {
		words = append(words, "--increment="+e.Name)
	}
	words = append(words, r.envFileWords()...)
	words = append(words, a.secretWords()...)
	for _, p := range slices.Concat(a.SocketFiles(), t.Sockets) {
		words = append(words, string(r.must(word("listen", "--own="+p))))
	}
	words = append(words, "--")
	for _, arg := range a.Command {
		words = append(words, string(r.must(word("command", arg))))
	}
	v.Exec = fixed(strings.Join(words, " "))
	// The prober is an ancestor of all that it reads, and needs no capability; the program must have none.
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

// probe names the unit of RenderProbe. Two dashes cannot come out of Socket or Slice.
func (n Name) probe() string { return "clusterctl--probe-" + string(n) + ".service" }
