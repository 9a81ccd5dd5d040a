// Package matrix tests that unmodified programs run as N workers on one port, on a booted systemd. It installs them as users
// do, sends them load that never retries, restarts and kills them, and checks that nothing is left behind. It holds only
// tests, behind the build tag lab (package lab):
//
//	go test -tags lab ./internal/e2e/matrix/
//
// testdata holds the programs as their authors would have written them; packaging/examples/cluster-2021 is used unchanged.
// Each program answers "hello from PATH by PID", so that an answer shows whether it is right and which process sent it.
//
// The tests log how long things take, and never assert it.
package matrix
