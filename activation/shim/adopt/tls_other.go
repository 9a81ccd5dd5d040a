//go:build !amd64

package adopt

// threadLocal: arm64 keeps the goroutine in a register.
func threadLocal() (span, bool) { return span{}, true }
