package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// pm2Flag is a flag of PM2 by all its names there. Either it means what one of ours does, or a hint says what to do
// instead. A name that means the same here and there needs no entry.
type pm2Flag struct {
	names []string
	// is is our flag, and value what it is given where PM2's takes none.
	is, value string
	// convert turns PM2's value into ours; where it cannot, the flag counts as one without a counterpart.
	convert func(string) (string, bool)
	hint    string
}

// edit is a hint for what systemd can do, and a drop-in says.
func edit(setting string) string {
	return "sudo systemctl edit NAME@.service, with " + setting + " under [Service]"
}

// pm2Flags is all that PM2 7 and pm2-runtime have. The manual has the same in words, under COMING FROM PM2.
func pm2Flags() []pm2Flag {
	return slices.Concat(pm2SameFlags(), pm2LifeFlags(), pm2LogFlags(), pm2OtherFlags())
}

func pm2SameFlags() []pm2Flag {
	return []pm2Flag{
		{names: []string{"silent", "s"}, is: "quiet"},
		{names: []string{"kill-timeout", "k"}, is: "stop-timeout", convert: milliseconds},
		{names: []string{"listen-timeout"}, is: "start-timeout", convert: milliseconds},
		{names: []string{"no-autorestart"}, is: "restart", value: "no"},
		{names: []string{"stop-exit-codes"}, is: "restart", convert: stopExitCodes, hint: edit("RestartPreventExitStatus=CODES") + "; --restart on-failure is for 0 alone"},
		{names: []string{"uid", "u"}, is: "run-as"},
		{names: []string{"gid"}, hint: "--run-as USER:GROUP"},
		{names: []string{"user"}, hint: "--run-as USER"},
		{names: []string{"parallel"}, is: "batch", hint: "the jobs of a start or restart run at once; \"clusterctl reload --batch N\" replaces N instances at a time"},
		{names: []string{"lines"}, hint: "clusterctl logs NAME --lines N"},
	}
}

func pm2LifeFlags() []pm2Flag {
	const backoff = "not needed: the first restart is at once, and after short runs the wait grows from 100 ms to 30 s; --min-uptime says what a short run is"
	return []pm2Flag{
		{names: []string{"restart-delay"}, hint: backoff + ", and RestartSec= with RestartMaxDelaySec=infinity in \"sudo systemctl edit NAME@.service\" adds a fixed time"},
		{names: []string{"exp-backoff-restart-delay"}, hint: backoff},
		{names: []string{"max-memory-restart"}, hint: edit("MemoryMax=300M") + "; for the app as a whole, sudo systemctl set-property clusterctl-NAME.slice MemoryMax=1G"},
		{names: []string{"cron", "cron-restart", "c"}, hint: "sudo systemd-run --unit NAME-reload --on-calendar '04:00' clusterctl reload NAME"},
		{names: []string{"watch", "ignore-watch", "watch-delay", "ext"}, hint: "clusterctl does not watch files; after a change, sudo clusterctl reload NAME"},
		{names: []string{"wait-ready"}, hint: "an adopted program is ready when it listens; --ready notify waits for READY=1, see sd_notify(3), in place of process.send('ready')"},
		{names: []string{"shutdown-with-message"}, hint: "workers are told to end by SIGTERM; process.on('SIGTERM', …) is the place"},
		{names: []string{"no-treekill"}, hint: edit("KillMode=process")},
		{names: []string{"no-autostart"}, hint: "--dry-run prints what would be installed; \"sudo systemctl disable NAME\" keeps an app from starting at boot"},
		{names: []string{"no-daemon", "attach"}, hint: "there is no daemon; \"clusterctl logs NAME\" follows what the app prints"},
		{names: []string{"f"}, hint: "nothing has to be forced; uninstall does not ask with --yes"},
		{names: []string{"update-env", "a"}, hint: "the environment is what --env and --env-file say and never the shell's; files are read at each start, so \"sudo clusterctl reload NAME\" is enough"},
		{names: []string{"only"}, hint: "name the apps: clusterctl reload NAME NAME"},
		{names: []string{"namespace"}, hint: "give the names of apps a common beginning: 'shop-*' then stands for all of them"},
	}
}

func pm2LogFlags() []pm2Flag {
	const file = "what a worker prints goes to the journal, \"clusterctl logs NAME\" shows it; for a file, "
	return []pm2Flag{
		{names: []string{"output", "o", "error", "log"}, hint: file + edit("StandardOutput=append:/var/log/NAME.log")},
		{names: []string{"merge-logs"}, hint: "not needed: \"clusterctl logs NAME\" merges the instances"},
		{names: []string{"log-type", "log-date-format", "time", "timestamp"}, hint: "the journal keeps the time of each line: \"clusterctl logs NAME --timestamp\", or --json for programs"},
		{names: []string{"disable-logs"}, hint: edit("StandardOutput=null")},
		{names: []string{"nostream"}, hint: "clusterctl logs NAME --no-follow"},
		{names: []string{"err", "out"}, hint: "the journal has what a worker prints as one stream; \"clusterctl logs NAME --priority warning\" shows what the program itself marked"},
		{names: []string{"format", "formatted", "highlight"}, hint: "clusterctl logs NAME --highlight WORD"},
		{names: []string{"raw"}, hint: "clusterctl logs NAME --raw"},
	}
}

func pm2OtherFlags() []pm2Flag {
	const (
		agent   = "clusterctl puts no agent into programs, so there is none to turn off"
		noSaaS  = "clusterctl reports to nobody"
		runtime = "in a container there is no systemd; run the program itself there"
		none    = "not needed here"
	)
	return []pm2Flag{
		{names: []string{"filter-env"}, hint: "not needed: workers get no variable of your shell; --env and --env-file add them"},
		{names: []string{"mini-list", "m", "sort"}, hint: "clusterctl ls | sort -k 2"},
		{names: []string{"pid", "p"}, hint: "clusterctl show NAME has the pids; systemctl show --property MainPID --value NAME@1"},
		{names: []string{"execute-command", "x"}, hint: "write the program and its arguments behind --"},
		{names: []string{"source-map-support"}, hint: "--node-args=--enable-source-maps"},
		{names: []string{"disable-source-map-support"}, hint: "not needed: nothing is loaded into the program"},
		{names: []string{"hp"}, hint: "clusterctl keeps nothing in a home directory"},
		{names: []string{"wait-ip"}, hint: "sudo systemctl edit NAME.service, with After=network-online.target and Wants=network-online.target under [Unit]"},
		{names: []string{"service-name"}, hint: "the unit has the name of the app: --name"},
		{names: []string{"write", "w"}, hint: "every install keeps the description in /etc/clusterctl/NAME.yaml"},
		{names: []string{"no-pmx", "no-automation", "trace", "disable-trace", "v8", "event-loop-inspector", "deep-monitoring"}, hint: agent},
		{names: []string{"no-vizion"}, hint: none + ": clusterctl does not look at git"},
		{names: []string{"secret", "public", "machine-name", "info-node"}, hint: noSaaS},
		{names: []string{"no-auto-exit", "delay", "web"}, hint: runtime},
		{names: []string{"fresh", "daemon", "container", "dist", "image-name", "node-version", "dockerdaemon"}, hint: runtime},
		{names: []string{"spa", "ftp", "basic-auth-username", "basic-auth-password", "monitor"}, hint: "clusterctl serves no files itself; sudo clusterctl install site --cwd DIR --listen 8080 -- python3 -m http.server 8080"},
		{names: []string{"port"}, hint: "--listen PORT"},
		{names: []string{"tarball", "install", "docker", "v1", "safe", "npm"}, hint: "clusterctl has no modules"},
		{names: []string{"tree"}, hint: "systemd-cgls -u clusterctl-NAME.slice"},
	}
}

// milliseconds reads a bare number as PM2 does; our own form is a number with a unit.
func milliseconds(s string) (string, bool) {
	if _, err := strconv.ParseUint(s, 10, 32); err == nil {
		return s + "ms", true
	}
	return s, true
}

// stopExitCodes has a counterpart where the one code after which a worker is not started again is 0.
func stopExitCodes(s string) (string, bool) { return "on-failure", s == "0" }

// readPM2Flag gives a flag of PM2 the name of ours, if the command has that.
func readPM2Flag(known []cli.Flag, arg string) (flagWord, bool) {
	name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if name == "gid" {
		// Kept for joinGroup, which needs the user too.
		return flagWord{words: []string{arg}, wantsValue: !joined && findFlag(known, "run-as") != nil}, true
	}
	f := findPM2Flag(name)
	if f == nil || f.is == "" || findFlag(known, f.is) == nil {
		return flagWord{}, false
	}
	long := "--" + f.is
	switch {
	case f.value != "":
		return flagWord{words: []string{long + "=" + f.value}}, !joined
	case !joined:
		return flagWord{words: []string{long}, wantsValue: takesValue(known, f.is), convert: f.convert}, true
	case f.convert != nil:
		var ok bool
		if value, ok = f.convert(value); !ok {
			return flagWord{}, false
		}
	}
	return flagWord{words: []string{long + "=" + value}}, true
}

func findPM2Flag(name string) *pm2Flag {
	all := pm2Flags()
	for i := range all {
		if slices.Contains(all[i].names, name) {
			return &all[i]
		}
	}
	return nil
}

// joinGroup makes "--run-as USER --gid GROUP", which PM2 has as two flags, one.
func joinGroup(known []cli.Flag, flags []string) []string {
	var user, group string
	var rest []string
	for i := 0; i < len(flags); i++ {
		name, value, joined := strings.Cut(flags[i], "=")
		words := flags[i : i+1]
		if !joined && i+1 < len(flags) && (name == "--gid" || takesValue(known, name)) {
			value, words = flags[i+1], flags[i:i+2]
			i++
		}
		switch name {
		case "--run-as":
			user = value
		case "--gid":
			group = value
		default:
			rest = append(rest, words...)
		}
	}
	if user == "" || group == "" || strings.Contains(user, ":") {
		return flags
	}
	return append(rest, "--run-as="+user+":"+group)
}

// pm2FlagHint is what to do instead of a flag of PM2 that a command has not, or "".
func pm2FlagHint(name string) string {
	f := findPM2Flag(name)
	switch {
	case f == nil:
		return ""
	case f.hint != "":
		return f.hint
	case f.value != "":
		return "it is --" + f.is + " " + f.value + " of \"clusterctl install\""
	}
	return "it is --" + f.is + " of \"clusterctl install\""
}
