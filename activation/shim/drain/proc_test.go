package drain_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// The function await waits until the condition is true. If the wait takes too long, await fails the test.
func await(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience.For(60 * time.Second)); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatal("the condition did not become true in time")
}

// The function links returns the targets of the file descriptors of the process.
func links(t *testing.T, pid int) []string {
	t.Helper()
	names, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, name := range names {
		if link, err := os.Readlink(name); err == nil {
			list = append(list, link)
		}
	}
	return list
}

// acceptedCount returns the number of sockets that the process has open, without the listener at descriptor 3.
func acceptedCount(t *testing.T, pid int) int {
	n := 0
	listener, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/3")
	for _, link := range links(t, pid) {
		if strings.HasPrefix(link, "socket:") && link != listener {
			n++
		}
	}
	return n
}

// listenerEntries returns the number of entries of the listener at descriptor 3 in all epoll instances of the process.
func listenerEntries(t *testing.T, pid int) int {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	link, err := os.Readlink(dir + "/fd/3")
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(strings.Trim(link, "socket:[]"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	infos, _ := filepath.Glob(dir + "/fdinfo/*")
	n := 0
	for _, info := range infos {
		text, _ := os.ReadFile(info)
		n += strings.Count(string(text), " ino:"+strconv.FormatUint(number, 16)+" ")
	}
	return n
}

// states returns the state letter of each thread of the process, such as "R".
func states(pid int) []string {
	var list []string
	stats, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	for _, stat := range stats {
		text, _ := os.ReadFile(stat)
		if _, after, found := strings.Cut(string(text), ") "); found {
			list = append(list, after[:1])
		}
	}
	return list
}
