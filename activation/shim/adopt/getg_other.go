//go:build !amd64 && !arm64

package adopt

import "unsafe"

// getg: adoption is not built for this architecture; see seccomp.Native.
func getg() unsafe.Pointer { return nil }
