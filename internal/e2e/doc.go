// Package e2e contains end-to-end tests, which run the clusterctl binary on a booted systemd with workers and requests.
// The tests need the build tag lab, because they boot machines with package lab. "make e2e" runs the tests. This command
// runs only this package:
//
//	go test -tags lab ./internal/e2e/
//
// A test checks units with systemctl or on the bus, files by their paths, and requests with package load. A test does
// not use internals of clusterctl, because users can only see its behaviour. The tests call an app native if its workers
// use the listener that they inherit from systemd. They call an app adopted if the shim gives the listener to an
// unmodified program.
//
// Most tests of one release share a machine. Each test uses its own app names and ports, and must remove its apps and
// files.
package e2e
