// Package pm2 lists the commands and flags of PM2 7 and their equivalents in clusterctl.
package pm2

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Kind determines whether [Lookup] searches commands or flags.
type Kind int

const (
	// Command is a command of PM2, such as "jlist".
	Command Kind = iota
	// Flag is a flag of PM2 without its dashes, such as "kill-timeout" or "k".
	Flag
)

// Entry describes a command or flag of PM2 that clusterctl does not have under the same name.
type Entry struct {
	// Names contains the command or flag, and its aliases in PM2.
	Names []string
	// Same contains the words of clusterctl with the same meaning. These are a command and its flags, or a flag. The value
	// of the flag follows if the flag of PM2 takes no value. Same is empty if clusterctl has no equivalent.
	Same []string
	// Hint contains what to do if Same is empty, or if Convert refuses the value.
	Hint string
	// Convert converts a value of the flag of PM2 to a value of the flag in Same. It returns false if no value has the same
	// meaning.
	Convert func(string) (string, bool)
}

// Lookup returns the entry of a word of PM2.
func Lookup(kind Kind, name string) (Entry, bool) {
	for _, e := range Entries(kind) {
		if slices.Contains(e.Names, name) {
			return e, true
		}
	}
	return Entry{}, false
}

// Entries returns all entries of a kind. The manual lists them under COMING FROM PM2.
func Entries(kind Kind) []Entry {
	if kind == Command {
		return commands()
	}
	return slices.Concat(processFlags(), logFlags(), otherFlags())
}

// DescribesApps reports whether PM2 uses a file with this name as a description of apps. Node can run some of these files,
// but they are not programs.
func DescribesApps(path string) bool {
	base := strings.ToLower(filepath.Base(path))
	for _, suffix := range []string{".config.js", ".config.cjs", ".config.mjs", ".json"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return strings.HasPrefix(base, "ecosystem.") || strings.HasPrefix(base, "pm2.")
}

// milliseconds adds "ms" to a number without a unit, because the unit of PM2 is the millisecond.
func milliseconds(s string) (string, bool) {
	if _, err := strconv.ParseUint(s, 10, 32); err == nil {
		return s + "ms", true
	}
	return s, true
}

// stopExitCodes converts the exit codes after which PM2 does not restart a worker to a value of --restart. clusterctl can do
// this only for code 0.
func stopExitCodes(s string) (string, bool) { return "on-failure", s == "0" }

func commands() []Entry {
	const (
		boot    = "not needed: an installed app is enabled, and systemd starts it at boot"
		reports = "clusterctl sends no reports; \"clusterctl ls --json\" prints the figures for your own monitoring"
		modules = "clusterctl has no modules; journald rotates the logs, and systemd-cgtop shows CPU and memory of each " +
			"app"
		config  = "clusterctl has no settings; the settings of an app are in /etc/clusterctl/NAME.yaml, \"clusterctl cat NAME\" prints them"
		message = "clusterctl sends no messages to workers, only signals: \"clusterctl signal SIGNAL NAME\""
		deploy  = "copy the release with any tool, then run \"sudo clusterctl reload NAME\" on the machine"
		install = "\"sudo clusterctl install app.js\" installs or updates one app; \"sudo clusterctl apply\" does it for the apps of a file"
		figures = "clusterctl ls --watch; systemd-cgtop shows CPU and memory, \"clusterctl logs\" follows the logs"
	)
	return []Entry{
		{Names: []string{"jlist", "prettylist"}, Same: []string{"ls", "--json"}},
		{Names: []string{"desc"}, Same: []string{"show"}},
		{Names: []string{"sendSignal"}, Same: []string{"signal"}},
		{Names: []string{"gracefulReload"}, Same: []string{"reload"}},
		{Names: []string{"startOrRestart", "startOrReload", "startOrGracefulReload"}, Hint: install},
		{Names: []string{"create"}, Hint: "sudo clusterctl install app.js"},

		{Names: []string{"startup", "unstartup", "dump", "save", "cleardump", "resurrect"}, Hint: boot},
		{Names: []string{"kill"}, Hint: "clusterctl has no daemon to stop; \"sudo clusterctl stop all\" stops every app"},
		{Names: []string{"ping"}, Hint: "clusterctl has no daemon; \"clusterctl ls\" reads the state of apps from systemd"},
		{Names: []string{"update", "updatePM2", "deepUpdate"},
			Hint: "not needed: clusterctl has no daemon to update; after a new release of a program, run \"sudo clusterctl " +
				"reload NAME\""},
		{Names: []string{"id", "pid"}, Hint: "apps have names, not numbers; \"clusterctl show NAME\" prints the pid of each instance"},

		{Names: []string{"slist", "sysinfos"}, Hint: "systemd-cgtop, or \"clusterctl ls --json\""},
		{Names: []string{"inspect"}, Hint: "clusterctl show NAME"},
		{Names: []string{"report"}, Hint: "clusterctl version, and \"clusterctl show NAME\""},
		{Names: []string{"monit", "imonit", "dashboard", "dash"}, Hint: figures},
		{Names: []string{"reloadLogs", "logrotate"},
			Hint: "not needed: journald rotates its files; SystemMaxUse= in journald.conf(5) limits their size, " +
				"\"journalctl --vacuum-size=1G\" deletes old files now"},

		{Names: []string{"attach", "send", "trigger"}, Hint: message},
		{Names: []string{"profile:mem", "profile:cpu"},
			Hint: "start the program with its own profiler: sudo clusterctl install app.js --node-args=--cpu-prof"},
		{Names: []string{"deploy", "pull", "forward"}, Hint: deploy},
		{Names: []string{"backward"}, Hint: "\"sudo clusterctl rollback NAME\" restores the description of the app; for " +
			"its files, " + deploy},
		{Names: []string{"set", "multiset", "get", "conf", "config", "unset"}, Hint: config},
		{Names: []string{"ecosystem", "init"},
			Hint: "\"sudo clusterctl install app.js\" writes the description of an app, \"clusterctl cat NAME\" prints it"},
		{Names: []string{"autoinstall", "examples"}, Hint: "clusterctl help install"},

		{Names: []string{"module:install", "module:update", "module:generate", "module:uninstall", "module:publish"}, Hint: modules},
		{Names: []string{"publish"}, Hint: "\"clusterctl package NAME\" makes a Debian package of an app, which you can " +
			"publish in your own repository"},
		{Names: []string{"link", "unlink", "monitor", "unmonitor", "open", "plus", "register", "login", "logout"}, Hint: reports},
		{Names: []string{"serve", "expose"}, Hint: static},
	}
}

// The constant static is the hint for the commands with which PM2 serves static files.
const static = "sudo clusterctl install site --cwd DIR --listen 8080 -- python3 -m http.server 8080"

// The function edit returns a hint that explains how to put a setting into a drop-in of systemd.
func edit(setting string) string {
	return "sudo systemctl edit NAME@.service, with " + setting + " under [Service]"
}

// processFlags returns the entries for the flags with which PM2 controls processes and their restarts.
func processFlags() []Entry {
	const backoff = "not needed: the first restart is immediate, and after short runs the delay grows from 100 ms to 30 s; " +
		"--min-uptime is the limit of a short run"
	return []Entry{
		{Names: []string{"silent", "s"}, Same: []string{"quiet"}},
		{Names: []string{"kill-timeout", "k"}, Same: []string{"stop-timeout"}, Convert: milliseconds},
		{Names: []string{"listen-timeout"}, Same: []string{"start-timeout"}, Convert: milliseconds},
		{Names: []string{"no-autorestart"}, Same: []string{"restart", "no"}},
		{Names: []string{"stop-exit-codes"}, Same: []string{"restart"}, Convert: stopExitCodes,
			Hint: edit("RestartPreventExitStatus=CODES") + "; --restart on-failure covers only code 0"},
		{Names: []string{"uid", "u"}, Same: []string{"run-as"}},
		{Names: []string{"gid"}, Hint: "--run-as USER:GROUP"},
		{Names: []string{"user"}, Hint: "--run-as USER"},
		{Names: []string{"parallel"}, Same: []string{"batch"},
			Hint: "a start or restart runs all its jobs at once; \"clusterctl reload --batch N\" replaces N instances at a time"},
		{Names: []string{"restart-delay"},
			Hint: backoff + ", and RestartSec= with RestartMaxDelaySec=infinity in " +
				"\"sudo systemctl edit NAME@.service\" adds a fixed delay"},
		{Names: []string{"exp-backoff-restart-delay"}, Hint: backoff},
		{Names: []string{"max-memory-restart"},
			Hint: edit("MemoryMax=300M") + "; for the whole app, sudo systemctl set-property clusterctl-NAME.slice MemoryMax=1G"},
		{Names: []string{"cron", "cron-restart", "c"},
			Hint: "sudo systemd-run --unit NAME-reload --on-calendar '04:00' clusterctl reload NAME"},
		{Names: []string{"watch", "ignore-watch", "watch-delay", "ext"},
			Hint: "clusterctl does not watch files; after a change, run \"sudo clusterctl reload NAME\""},
		{Names: []string{"wait-ready"},
			Hint: "an adopted program is ready when it listens; instead of process.send('ready'), --ready notify waits for " +
				"READY=1, see sd_notify(3)"},
		{Names: []string{"shutdown-with-message"}, Hint: "workers are stopped with SIGTERM: handle it in process.on('SIGTERM', …)"},
		{Names: []string{"no-treekill"}, Hint: edit("KillMode=process")},
		{Names: []string{"no-autostart"},
			Hint: "--dry-run prints what would be installed; \"sudo systemctl disable NAME\" keeps an app from starting at boot"},
		{Names: []string{"no-daemon", "attach"}, Hint: "clusterctl has no daemon; \"clusterctl logs NAME\" follows the " +
			"output of the app"},
		{Names: []string{"f"}, Hint: "not needed: clusterctl needs no force; \"clusterctl uninstall --yes\" does not ask"},
		{Names: []string{"update-env", "a"},
			Hint: "workers get the variables of --env and --env-file, not the variables of your shell; " +
				"files are read at each start, so \"sudo clusterctl reload NAME\" is enough"},
		{Names: []string{"only"}, Hint: "give the names of the apps: clusterctl reload NAME NAME"},
		{Names: []string{"namespace"}, Hint: "begin the names of related apps with the same word: the pattern 'shop-*' " +
			"then matches all these apps"},
	}
}

func logFlags() []Entry {
	const file = "the journal stores the output of workers, \"clusterctl logs NAME\" prints it; for a file, "
	return []Entry{
		{Names: []string{"output", "o", "error", "log"}, Hint: file + edit("StandardOutput=append:/var/log/NAME.log")},
		{Names: []string{"merge-logs"}, Hint: "not needed: \"clusterctl logs NAME\" merges the instances"},
		{Names: []string{"log-type", "log-date-format", "time"},
			Hint: "the journal stores the time of each line: \"clusterctl logs NAME --timestamp\", or --json for programs"},
		{Names: []string{"disable-logs"}, Hint: edit("StandardOutput=null")},
		{Names: []string{"nostream"}, Same: []string{"no-follow"}},
		{Names: []string{"err", "out"},
			Hint: "journald does not record whether a line came from stdout or stderr; \"clusterctl logs NAME --priority " +
				"warning\" shows lines that the program marked with \"<4>\" (sd-daemon(3)) or sent to syslog"},
		{Names: []string{"format", "formatted"}, Hint: "clusterctl logs NAME --highlight WORD"},
	}
}

func otherFlags() []Entry {
	const agent = "not needed: clusterctl does not load an agent into programs"
	return []Entry{
		{Names: []string{"filter-env"}, Hint: "not needed: workers do not get the variables of your shell; --env and " +
			"--env-file add variables"},
		{Names: []string{"mini-list", "m"}, Hint: "clusterctl ls | sort -k 2"},
		{Names: []string{"pid", "p"}, Hint: "clusterctl show NAME prints the pids; systemctl show --property MainPID --value NAME@1"},
		{Names: []string{"execute-command", "x"}, Hint: "write the program and its arguments after --"},
		{Names: []string{"source-map-support"}, Hint: "--node-args=--enable-source-maps"},
		{Names: []string{"disable-source-map-support"}, Hint: "not needed: clusterctl loads nothing for source maps into the program"},
		{Names: []string{"hp"}, Hint: "not needed: clusterctl stores no files in home directories"},
		{Names: []string{"wait-ip"},
			Hint: "sudo systemctl edit NAME.service, with After=network-online.target and Wants=network-online.target under [Unit]"},
		{Names: []string{"service-name"}, Hint: "the unit has the name of the app: --name"},
		{Names: []string{"write", "w"}, Hint: "every install keeps the description in /etc/clusterctl/NAME.yaml"},
		{Names: []string{"no-pmx", "no-automation", "trace", "disable-trace", "deep-monitoring"}, Hint: agent},
		{Names: []string{"no-vizion"}, Hint: "not needed: clusterctl does not look at git"},
		{Names: []string{"port"}, Hint: "--listen PORT"},
		{Names: []string{"spa", "basic-auth-username", "basic-auth-password"}, Hint: "clusterctl serves no files itself; " + static},
		{Names: []string{"tree"}, Hint: "systemd-cgls -u clusterctl-NAME.slice"},
	}
}
