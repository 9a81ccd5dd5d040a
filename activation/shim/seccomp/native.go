package seccomp

import "runtime"

// Native returns the machine of this binary; ok is false if adoption does not support it.
func Native() (m Machine, ok bool) {
	switch runtime.GOARCH {
	case "amd64":
		return AMD64(), true
	case "arm64":
		return ARM64(), true
	}
	return Machine{}, false
}
