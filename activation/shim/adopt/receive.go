package adopt

import "github.com/clusterctl/clusterctl/activation/internal/sd"

// ErrNoSockets is the error of Receive when systemd has passed no socket.
var ErrNoSockets = sd.ErrNotActivated

// Receive returns the descriptors that systemd has passed to this process (sd_listen_fds(3)), makes them close-on-exec and
// unsets LISTEN_*. The notifier keeps the descriptors; the program gets none.
func Receive() ([]Passed, error) {
	received, err := sd.Receive(sd.System())
	if err != nil {
		return nil, err
	}
	passed := make([]Passed, len(received))
	for i, r := range received {
		passed[i] = Passed{FD: r.FD, Name: r.Name}
	}
	return passed, nil
}

// Notify sends lines to NOTIFY_SOCKET, sd_notify(3), if it is set.
func Notify(lines ...string) error { return sd.Notify(sd.System(), lines...) }
