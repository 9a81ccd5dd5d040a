package units

import (
	"slices"
	"strings"
	"time"
)

// Probe is the unit that runs an app's program once, as the user and in the sandbox of its instances, to see what it
// listens on (clusterctl-shim probe).
type Probe struct {
	// Unit is its file; it belongs into /run/systemd/system, where no boot finds it.
	Unit File
	// Report is the file into which the unit writes what it found, as JSON. The caller makes it.
	Report string
}

// probeMargin is what the unit may take beyond the time of the probe itself.
const probeMargin = 30 * time.Second

// RenderProbe gives the unit that probes the app; of its listeners, only the Unix sockets matter. The probe ends at the latest
// after the timeout, and earlier if the program listens on nothing and has done nothing for the time idle, unless that is 0.
func RenderProbe(a App, t Target, timeout, idle time.Duration) (Probe, error) {
	a = a.Unprobed()
	if err := a.Validate(); err != nil {
		return Probe{}, err
	}
	source, err := plain("source", t.Source)
	if err != nil {
		return Probe{}, err
	}
	r := renderer{app: a, target: t, source: source}
	name := a.Name.probe()
	report := "/run/clusterctl/" + string(a.Name) + "/probe.json"

	v := r.instance()
	v.header = r.header(name)
	v.Report = fixed(report)
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
		return Probe{}, r.err
	}
	return Probe{Unit: r.files[0], Report: report}, nil
}

// probe names the unit of RenderProbe. Two dashes cannot come out of Socket or Slice.
func (n Name) probe() string { return "clusterctl--probe-" + string(n) + ".service" }
