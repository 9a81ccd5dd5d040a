// Package lab boots real systemd for tests: Debian 11, 12, 13 and unstable
// (systemd 247, 252, 257, 262), each machine a container of systemd-nspawn with
// a cgroup, a network and a throw-away file system of its own. A boot takes
// about a second once the image is there.
//
// A package that uses it has one TestMain:
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
//	func TestInstall(t *testing.T) {
//		for _, release := range lab.All() {
//			t.Run(string(release), func(t *testing.T) {
//				m := lab.Boot(t, release) // or lab.Shared(t, release): one per process
//				m.CopyIn(t, lab.Build(t, "./cmd/clusterctl"), "/usr/bin/clusterctl")
//				m.WriteFile(t, "/srv/app.js", app, 0o644)
//				m.Sh(t, "clusterctl install web --instances 3 --listen 8080 -- /usr/bin/node /srv/app.js")
//				if r := m.Try("curl -fsS http://127.0.0.1:8080/"); r.Code != 0 {
//					t.Error(r)
//				}
//				m.Reboot(t)
//			})
//		}
//	}
//
// # Invariants
//
// Nothing that a test starts outlives it. Each machine belongs to a keeper, a
// copy of the test binary that is PID 1 of a PID namespace around the whole
// machine and holds its mounts in a mount namespace. When the test process
// ends in whatever way, a pipe closes, the keeper ends the machine and removes
// its cgroups and its directory. When the keeper itself is killed, the kernel
// ends the machine and the mounts with it; the empty cgroups and directories that then
// remain are removed by the next boot of anyone.
//
// Images are never written to: a machine's changes go to a tmpfs above it.
//
// # What a machine is not
//
// It shares the host's kernel. Where the host has cgroup v1 controllers mounted,
// MemoryMax=, CPUQuota= and TasksMax= are accepted inside and do nothing, and
// Yama is the host's. Tests of those need a virtual machine, which would be
// another way to make a Machine: everything but Root, HostPID and package load
// reaches the machine through Command alone.
//
// The network is a loopback interface and nothing else.
//
// In the machines of tests, not in those of benchmarks and of Open, systemd's generators are masked: they find nothing that a
// test needs, and on Debian 11 and 12 they are a third of the time of a daemon-reload.
package lab
