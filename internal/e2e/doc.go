// Package e2e contains end-to-end tests: they run the clusterctl binary on a booted systemd, with workers and requests.
// The tests boot machines with package lab, so they need the build tag lab. "make e2e" runs them, or:
//
//	go test -tags lab ./internal/e2e/
//
// A test checks units with systemctl or on the bus, files by their paths, and requests with package load. It does not
// check internals of clusterctl, because users rely only on the behaviour that an administrator can see.
//
// Most tests of one release share a machine. Each test uses its own app names and ports, and must remove its apps and
// files.
package e2e
