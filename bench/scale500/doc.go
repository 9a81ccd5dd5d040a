// Package scale500 measures what commands cost as the number of instances grows: time, and method calls to systemd, for
// 10, 100 and 500 instances of a worker that sleeps.
//
//	go test -tags lab -run '^$' -bench . -benchtime 1x ./bench/scale500
//
// The times are those of the machine that it runs on; that the calls grow at most linearly is asserted in internal/e2e.
package scale500
