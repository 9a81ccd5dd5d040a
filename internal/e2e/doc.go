// Package e2e tests clusterctl from its users' point of view: the real binary on a booted systemd, with real workers and
// real load. It holds only tests, all behind the build tag lab, because each of them boots machines ("make e2e", package
// lab):
//
//	go test -tags lab ./internal/e2e/
//
// A test looks at systemd with systemctl, at files by their names, and at requests with package load. It never looks into
// clusterctl, because only what an administrator can see is promised.
//
// Tests of one release share a machine. Each test uses its own app names and ports, and must leave nothing behind.
package e2e
