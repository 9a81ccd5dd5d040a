package control

import (
	"fmt"
	"strconv"
	"syscall"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"golang.org/x/sys/unix"
)

// exitMeaning explains the exit statuses of processes that systemd could not execute (systemd.exec(5), Process Exit Codes).
var exitMeaning = map[int]string{
	200: "the working directory cannot be entered (does WorkingDirectory= exist, and may the user enter it?)",
	201: "the scheduling priority could not be set",
	202: "file descriptors could not be passed on",
	203: "the program cannot be executed (does it exist, and may the user execute it?)",
	204: "out of memory while preparing the program",
	205: "a resource limit could not be set (Limit…=)",
	206: "the OOM score could not be set",
	207: "the signal mask could not be set",
	208: "standard input could not be set up",
	209: "standard output could not be set up",
	210: "the root directory could not be changed (RootDirectory=)",
	211: "the I/O priority could not be set",
	212: "the timer slack could not be set",
	213: "the secure bits could not be set",
	214: "the CPU scheduling policy could not be set",
	215: "the CPU affinity could not be set",
	216: "the group cannot be used (does Group= exist?)",
	217: "the user or the user namespace cannot be used (does User= exist? does PrivateUsers= work here?)",
	218: "capabilities could not be set",
	219: "the control group could not be set up",
	220: "the process could not become a session leader",
	221: "the execution was canceled by the user",
	222: "standard error could not be set up",
	224: "the PAM session could not be set up",
	225: "the network namespace could not be set up",
	226: "the sandbox could not be set up (does each path of ReadWritePaths= exist?)",
	227: "NoNewPrivileges= could not be set",
	228: "the system call filter could not be installed",
	229: "the SELinux context could not be set",
	230: "the execution domain could not be set (Personality=)",
	231: "the AppArmor profile could not be set",
	232: "the address families could not be restricted",
	233: "the runtime directory could not be created",
	235: "the owner of a socket could not be changed",
	236: "the SMACK label could not be set",
	237: "the kernel keyring could not be set up",
	238: "the state directory could not be created",
	239: "the cache directory could not be created",
	240: "the log directory could not be created",
	241: "the configuration directory could not be created",
	242: "the NUMA policy could not be set",
	243: "credentials could not be set up (LoadCredential=)",
	245: "the BPF programs could not be set up",
	// The statuses of clusterctl-shim are larger than the statuses of systemd.
	contract.StatusUsage:       "clusterctl-shim did not understand its flags (is it older than the units?)",
	contract.StatusUnavailable: "clusterctl-shim cannot adopt the program on this machine",
	contract.StatusGaveUp:      "gave up after too many short runs; type \"clusterctl reset\", then start it",
}

// Explain returns the reason why a unit is down. If systemd has restarted the unit automatically, Explain returns the reason
// why the last run ended. Explain returns "" if there is nothing to explain.
func Explain(s State) string {
	switch s.Load {
	case NotFound:
		return "there is no such unit"
	case Masked:
		return "it is masked"
	case BadSetting, LoadError:
		return "its unit file cannot be loaded"
	}
	switch s.Result {
	case "exit-code", "signal", "core-dump":
		if s.ExecMainCode == 0 {
			return beforeMain(s)
		}
		return exitReason(s.ExecMainCode, s.ExecMainStatus)
	case "timeout":
		return timedOut(s)
	case "oom-kill":
		return "killed by the OOM killer: out of memory"
	case "watchdog":
		return "no WATCHDOG=1 within WatchdogSec=, killed"
	case "protocol":
		return protocol(s)
	case "start-limit-hit", "trigger-limit-hit", "service-start-limit-hit":
		return "started too often in too short a time; systemd has given up"
	case "resources":
		if s.Listen != nil {
			return "it could not listen (is the address in use, or not an address of this machine?)"
		}
		return "systemd lacked the resources to start it"
	case "exec-condition":
		return "skipped by ExecCondition="
	}
	if s.Skipped() {
		return "skipped: a condition is not met"
	}
	// The Result is "success", so the unit ended as intended. Explain such an end only if the unit must stay up.
	if s.WaitsForRestart() || s.Active == Inactive && s.ExecMainCode != 0 {
		return exitReason(s.ExecMainCode, s.ExecMainStatus)
	}
	return ""
}

// beforeMain explains the failure of a command before or after the main process, which leaves no exit status of the main
// process. If systemd could not set up that command, for example could not enter its working directory, systemd could not
// have set up the program either. The explanation is then the same as for the program.
func beforeMain(s State) string {
	why := "a command before or after the program failed (ExecStartPre=, ExecStartPost=)"
	switch {
	case s.PreCode == 0:
		return why
	case s.PreCode == cldExited && exitMeaning[s.PreStatus] != "":
		return exitStatusReason(s.PreStatus)
	}
	return "the command before the program (ExecStartPre=) " + exitReason(s.PreCode, s.PreStatus)
}

func exitReason(code, status int) string {
	if code == cldExited {
		return exitStatusReason(status)
	}
	return signalReason(code, status)
}

// These are the CLD_* codes of siginfo_t.
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

func exitStatusReason(status int) string {
	if why, ok := exitMeaning[status]; ok {
		return fmt.Sprintf("%s (status %d)", why, status)
	}
	return fmt.Sprintf("exited with status %d", status)
}

func signalReason(code, signal int) string {
	name := unix.SignalName(syscall.Signal(signal))
	if name == "" {
		name = fmt.Sprintf("signal %d", signal)
	}
	if code == cldDumped {
		return "killed by " + name + ", core dumped"
	}
	return "killed by " + name
}

// timedOut explains a timeout. If the unit was up in its last run, the stop took too long. Otherwise the start took too
// long.
func timedOut(s State) string {
	if s.activeMono != 0 && s.activeMono >= s.exitMono {
		return "did not stop within TimeoutStopSec= and was killed (timeout)"
	}
	within := ""
	if s.StartTimeout > 0 {
		within = fmt.Sprintf(" within %v", s.StartTimeout)
	}
	if s.Type == "notify" || s.Type == "notify-reload" {
		return "no READY=1" + within + " (timeout)"
	}
	return "not started" + within + " (timeout)"
}

// The function protocol explains the failure of a Type=notify service that ended before READY=1.
func protocol(s State) string {
	if s.ExecMainCode == cldExited {
		return fmt.Sprintf("exited with status %d before READY=1", s.ExecMainStatus)
	}
	return "ended before READY=1"
}

// ExplainExit returns the reason why an earlier run ended. The arguments come from variables that systemd passes to
// ExecStopPost=: result is $SERVICE_RESULT, and exit is the text of a [contract.Exit]. ExplainExit returns "" if the reason
// is unknown.
func ExplainExit(result, exit string) string {
	e := contract.ParseExit(exit)
	s := State{Load: Loaded, Active: Inactive, Result: result}
	switch e.Code {
	case "exited":
		s.ExecMainCode = cldExited
		s.ExecMainStatus, _ = strconv.Atoi(e.Status)
	case "killed", "dumped":
		s.ExecMainCode = cldKilled
		if e.Code == "dumped" {
			s.ExecMainCode = cldDumped
		}
		s.ExecMainStatus = int(unix.SignalNum("SIG" + e.Status))
	}
	switch {
	case result == "timeout":
		return "took too long to start or to stop (timeout)"
	case s.ExecMainCode == 0 && (result == "success" || result == "unknown"):
		return ""
	case result == "unknown":
		return exitReason(s.ExecMainCode, s.ExecMainStatus)
	}
	return Explain(s)
}
