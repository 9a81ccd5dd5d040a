package resolve

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/clusterctl/clusterctl/units"
)

// readiness returns ReadyNotify for a worker that sends READY=1: a program that is built with the activation package,
// gunicorn or puma. It returns ReadyExec for other programs.
func readiness(a units.App, withActivation bool) units.Ready {
	if a.Activation != units.Native {
		return units.ReadyExec
	}
	for _, arg := range a.Command[:min(len(a.Command), 3)] {
		if base := filepath.Base(arg); base == "gunicorn" || base == "puma" {
			return units.ReadyNotify
		}
	}
	if withActivation {
		return units.ReadyNotify
	}
	return units.ReadyExec
}

// builtWithActivation reports whether a Go program is built with our activation package. A program that only uses
// activation/journald does not take listeners or send READY=1, so the module is not enough: the program must contain names
// of functions of the package. A stripped Go program still contains them.
func builtWithActivation(program string) bool {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return false
	}
	const ours = "github.com/clusterctl/clusterctl"
	built := info.Main.Path == ours || slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == ours })
	return built && fileContains(program, ours+"/activation.")
}

func fileContains(path, text string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	buffer, kept := make([]byte, 1<<20), 0
	for {
		n, err := f.Read(buffer[kept:])
		if bytes.Contains(buffer[:kept+n], []byte(text)) {
			return true
		}
		if err != nil {
			return false
		}
		// The text may begin in this part and end in the next.
		kept = copy(buffer, buffer[max(0, kept+n-len(text)+1):kept+n])
	}
}
