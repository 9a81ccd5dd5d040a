// Package scale500 measures the cost of commands as the number of instances grows: the time and the method calls to
// systemd for 10, 100 and 500 instances of a worker that sleeps.
//
//	go test -tags lab -run '^$' -bench . -benchtime 1x ./bench/scale500
//
// The times depend on the machine. A test in internal/e2e checks that the number of calls grows at most linearly.
package scale500
