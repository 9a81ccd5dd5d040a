package seccomp

import "runtime"

// Native is the machine that this binary runs on; ok is false where adoption is
// not built for it.
func Native() (m Machine, ok bool) {
	switch runtime.GOARCH {
	case "amd64":
		return AMD64(), true
	case "arm64":
		return ARM64(), true
	}
	return Machine{}, false
}
