// Package e2e tests clusterctl as its users meet it: the real binary on a booted systemd, real workers, real load. It
// holds tests alone, all behind the build tag lab, since each boots machines ("make e2e", package lab):
//
//	go test -tags lab ./internal/e2e/
//
// A test looks at systemd with systemctl, at files with their names, at requests with package load, and never into
// clusterctl: what an administrator cannot see is not promised.
//
// Tests of one release share a machine. Each test has separate app names and ports and must leave nothing behind.
package e2e
