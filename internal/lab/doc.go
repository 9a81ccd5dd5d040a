// Package lab boots real systemd for tests: Debian 11, 12, 13 and unstable (systemd 247, 252, 257, 262). Each machine is a
// container of systemd-nspawn with its own cgroup, network and temporary file system. A boot takes about a second after the
// image has been built.
//
// A package that uses lab has one TestMain:
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
// No process that a test starts outlives the test. Each machine belongs to a keeper, a copy of the test binary. The keeper
// is PID 1 of a PID namespace that contains the whole machine, and a mount namespace contains the machine's mounts. When the
// test process ends for any reason, a pipe closes: the keeper then ends the machine and removes its cgroups and its
// directory. If the keeper is killed, the kernel ends the machine and the mounts, and the next boot of any test removes the
// empty cgroups and directories.
//
// Images are never changed: the changes of a machine go to a tmpfs above the image.
//
// # Limits
//
// A machine shares the host's kernel. If the host uses cgroup v1 controllers, MemoryMax=, CPUQuota= and TasksMax= are
// accepted in the machine but have no effect. Yama has the host's settings. Tests of these features need a virtual machine
// (package vm).
//
// The network is only a loopback interface.
//
// In the machines of tests, but not of benchmarks and Open, systemd's generators are masked: no test needs them, and on
// Debian 11 and 12 they take a third of the time of a daemon-reload.
package lab
