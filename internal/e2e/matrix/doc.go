// Package matrix tests that programs which know nothing of clusterctl run as N workers of one port, unmodified, on a
// booted systemd: it installs them as people do, sends them load that never retries, restarts and kills them, and looks
// at what is left when they are gone. It holds tests alone, behind the build tag lab (package lab):
//
//	go test -tags lab ./internal/e2e/matrix/
//
// testdata holds the programs as their authors would have written them; packaging/examples/cluster-2021 is used as it
// is. Each answers "hello from PATH by PID", so that an answer says whether it is right and who gave it.
//
// Where a test says how long something took, it is logged and never asserted.
package matrix
