// Package lab boots real systemd for tests: Debian 11, 12, 13 and unstable (systemd 247, 252, 257, 262). Each machine is a
// container of systemd-nspawn with its own cgroup, network and temporary file system. A boot takes about a second if the
// image of the release exists.
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
// A machine does not outlive its test process. Each machine has a keeper, a process of the test binary. The keeper is PID 1
// of a PID namespace that contains all processes of the machine. The keeper also has a mount namespace with the mounts of
// the machine. When the test process ends for any reason, a pipe to the keeper closes. The keeper then ends the machine, and
// removes its cgroups and its directory. If the keeper is killed, the kernel ends all processes and mounts of the machine,
// and the next boot of any machine removes the empty cgroups and the directory.
//
// Images are never changed. A machine writes its changes to a tmpfs, which is the upper layer of an overlay.
//
// # Limits
//
// A machine uses the kernel of the host. If the host uses cgroup v1 controllers, MemoryMax=, CPUQuota= and TasksMax= have no
// effect in the machine. The settings of Yama are the settings of the host. Tests of these limits, or with another setting
// of Yama, use a virtual machine (package vm).
//
// A machine has only a loopback interface.
//
// In the machines of tests, systemd's generators are masked: no test needs them, and on Debian 11 and 12 they take a third
// of the time of a daemon-reload. In benchmarks, and in machines that Open has booted, the generators are not masked.
package lab
