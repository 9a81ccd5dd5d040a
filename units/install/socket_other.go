//go:build !linux

package install

// RemoveSocket does nothing on systems without systemd.
func RemoveSocket(string) error { return nil }
