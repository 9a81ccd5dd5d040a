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

// readiness returns whether a native worker will say READY=1: one built with our activation package does, and so do two
// well-known servers. For all others, being executed has to be enough.
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

// builtWithActivation reports whether a Go program is built with our activation package. One that takes only the handler of
// activation/journald from ours gets no listeners and says no READY=1, so the names of functions decide,
// which a Go program keeps even when it is stripped.
func builtWithActivation(program string) bool {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return false
	}
	const ours = "github.com/clusterctl/clusterctl"
	built := info.Main.Path == ours || slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == ours })
	return built && fileContains(program, ours+"/activation.")
}

// fileContains reports whether a text is anywhere in a file.
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
		// It may begin in this part and end in the next.
		kept = copy(buffer, buffer[max(0, kept+n-len(text)+1):kept+n])
	}
}
