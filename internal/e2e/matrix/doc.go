// Package matrix contains end-to-end tests of unmodified programs. The tests install a program as N workers on one port
// on a booted systemd, send requests that the client never repeats, restart and kill workers, and check that no file or
// process remains. The tests boot machines with package lab. This command runs the tests:
//
//	go test -tags lab ./internal/e2e/matrix/
//
// The programs are in testdata and in packaging/examples/cluster-2021. The programs do not use clusterctl. The response
// of each program in testdata is "hello from PATH by PID", so a test can check the response, and knows which process has
// sent it.
//
// The tests log durations, but no test fails because of a duration.
package matrix
