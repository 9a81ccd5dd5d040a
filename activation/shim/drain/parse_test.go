package drain

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseEpoll(t *testing.T) {
	const text = "pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t1033\n" +
		"tfd:        8 events:       19 data:                8  pos:0 ino:61ef sdev:9\n" +
		"tfd:       10 events: 80000019 data: ffffffffffffffff  pos:0 ino:f1 sdev:9\n" +
		"tfd:       -1 events:       19 data:                8  pos:0 ino:61ef sdev:9\n" +
		"tfd:       11 events:       19 data:                8\n" + // before Linux 4.13
		"tfd:       12 events:       19 data:                8  pos:0 ino:zz sdev:9\n" +
		"tfd:\ntfd: x ino:1\nnapi: 3\n"
	want := []entry{{8, 0x61ef}, {10, 0xf1}}
	if got := parseEpoll([]byte(text)); !reflect.DeepEqual(got, want) {
		t.Errorf("parseEpoll returned %v, want %v", got, want)
	}
}

func TestCgroupDir(t *testing.T) {
	const (
		unified   = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		hybrid    = "31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
		legacy    = "32 30 0:28 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n"
		memory    = "33 30 0:29 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n"
		container = "34 30 0:26 /docker/0a1b /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
		spaced    = "30 23 0:26 / /mnt/my\\040groups rw - cgroup2 cgroup2 rw\n"
		path      = "/system.slice/shop.slice/shop@1.service"
	)
	for _, c := range []struct{ name, membership, mounts, want string }{
		{"v2", "0::" + path + "\n", unified, "/sys/fs/cgroup" + path},
		{"v2 with Delegate=", "0::" + path + "/.control\n", unified, "/sys/fs/cgroup" + path},
		{"hybrid", "9:memory:/\n1:name=systemd:" + path + "\n0::" + path + "\n", memory + hybrid + legacy, "/sys/fs/cgroup/unified" + path},
		{"v1", "9:memory:/x\n1:name=systemd:" + path + "\n", memory + legacy, "/sys/fs/cgroup/systemd" + path},
		{"systemd uses v1, and v2 is mounted", "1:name=systemd:" + path + "\n0::/\n", hybrid + legacy, "/sys/fs/cgroup/systemd" + path},
		{"container without a cgroup namespace", "0::/docker/0a1b" + path + "\n", container, "/sys/fs/cgroup" + path},
		{"mount of another container", "0::/docker/0a1bc" + path + "\n", container, ""},
		{"colons in the name", "0::/a:b.slice/c\n", unified, "/sys/fs/cgroup/a:b.slice/c"},
		{"spaces in the mount", "0::" + path + "\n", spaced, "/mnt/my groups" + path},
		{"root", "0::/\n", unified, ""},
		{"root of the container", "0::/docker/0a1b\n", container, ""},
		{"control processes in the root", "0::/.control\n", unified, ""},
		{"no mount of the hierarchy", "0::" + path + "\n", memory, ""},
		{"empty", "", "", ""},
	} {
		got, err := cgroupDir([]byte(c.membership), []byte(c.mounts))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: cgroupDir returned %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestParseSchedstat(t *testing.T) {
	for _, c := range []struct {
		text string
		want cpuUsage
		ok   bool
	}{
		{"82345678 1200 41\n", cpuUsage{82345678, 41}, true},
		{"0 0 0\n", cpuUsage{}, false},
		{"82345678 1200\n", cpuUsage{}, false},
		{"x 1200 41\n", cpuUsage{}, false},
		{"", cpuUsage{}, false},
	} {
		if got, ok := parseSchedstat([]byte(c.text)); ok != c.ok || ok && got != c.want {
			t.Errorf("parseSchedstat(%q) = %+v, %v, want %+v, %v", c.text, got, ok, c.want, c.ok)
		}
	}
}

func TestParsePids(t *testing.T) {
	if got := parsePids([]byte("12\n0\n7\n\nx\n-3\n8")); !slices.Equal(got, []int{12, 7, 8}) {
		t.Errorf("parsePids returned %v, want 12, 7, 8", got)
	}
}

// FuzzParse checks that the parsers of /proc do not panic for any text, and that their results are in range.
func FuzzParse(f *testing.F) {
	f.Add([]byte("tfd:        8 events:       19 data:                8  pos:0 ino:61ef sdev:9\n"))
	f.Add([]byte("0::/system.slice/a@1.service/.control\n"))
	f.Add([]byte("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"))
	f.Add([]byte("82345678 1200 41\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, w := range parseEpoll(b) {
			if w.fd < 0 {
				t.Errorf("parseEpoll returned descriptor %d", w.fd)
			}
		}
		if r, ok := parseSchedstat(b); ok && (r.time <= 0 || r.times <= 0) {
			t.Errorf("parseSchedstat returned %+v", r)
		}
		for _, pid := range parsePids(b) {
			if pid <= 0 {
				t.Errorf("parsePids returned %d", pid)
			}
		}
		if dir, err := cgroupDir(b, b); err == nil && !strings.HasPrefix(dir, "/") && dir == "" {
			t.Errorf("cgroupDir returned %q", dir)
		}
	})
}
