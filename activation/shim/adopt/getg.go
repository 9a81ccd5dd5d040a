//go:build amd64 || arm64

package adopt

import "unsafe"

// getg is the address of the running goroutine's descriptor.
func getg() unsafe.Pointer
