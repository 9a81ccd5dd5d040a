// Package logs measures how fast "clusterctl logs" is, on a booted systemd 252:
//
//	go test -tags lab -run '^$' -bench . -benchtime 1x ./bench/logs
//
// BenchmarkLatency writes single lines and reports the median and the 99th percentile of the time until a following
// command prints them, for clusterctl and for journalctl --follow. BenchmarkRead reads a million lines with clusterctl and
// with journalctl -o export, and reports both times, their ratio and the peak memory.
package logs
