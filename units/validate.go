package units

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/envfile"
)

// maxCommand is the maximum length of the quoted command line. The kernel and one line of a unit file (1 MiB) permit more.
const maxCommand = 512 * 1024

// maxTimeout prevents an overflow in sums of timeouts.
const maxTimeout = 365 * 24 * time.Hour

// Validate returns all mistakes in the app, as [FieldError]s joined by errors.Join.
func (a App) Validate() error {
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	_, err := ParseName(string(a.Name))
	add(err)
	enum := func(field string, value int, names []string) {
		if value < 0 || value >= len(names) {
			add(fieldErrorf(field, "", "%d is not a valid value", value))
		}
	}
	enum("activation", int(a.Activation), activationNames)
	enum("ready", int(a.Ready), readyNames)
	enum("restart", int(a.Restart), restartNames)
	enum("sandbox", int(a.Sandbox), sandboxNames)
	if c, err := ParseCount(a.Instances.String()); a.Instances.Given() && (err != nil || c != a.Instances) {
		add(fieldErrorf("instances", "", "%+v is not a number of instances", a.Instances))
	}
	a.validateCommand(add)
	if a.Directory != "" {
		_, err := absolutePath("directory", a.Directory)
		add(err)
	}
	add(checkUser("run-as", a.RunAs.User))
	add(checkUser("run-as", a.RunAs.Group))
	if a.RunAs.Dynamic() && a.RunAs.Group != "" {
		add(fieldErrorf("run-as", "use USER:"+a.RunAs.Group, "the group %q has no user", a.RunAs.Group))
	}
	a.validateListen(add)
	a.validateSocketAccess(add)
	a.validateSocketOptions(add)
	a.validateEnv(add)
	a.validateSecrets(add)
	a.validateLogs(add)
	a.validateSandbox(add)
	for _, t := range []struct {
		key string
		d   time.Duration
	}{
		{"start-timeout", a.Timeouts.Start}, {"drain-timeout", a.Timeouts.Drain}, {"stop-timeout", a.Timeouts.Stop},
		{"min-uptime", a.Shim.MinUptime},
	} {
		if t.d < 0 {
			add(fieldErrorf(t.key, "", "must not be negative"))
		} else if t.d > maxTimeout {
			add(fieldErrorf(t.key, "", "is longer than a year"))
		}
	}
	if a.Shim.MaxRestarts < 0 {
		add(fieldErrorf("max-restarts", "", "must not be negative"))
	}
	if a.Surge < 0 || a.Surge > MaxInstances {
		add(fieldErrorf("surge", "use 1 to start one extra instance first", "must be between 0 and %d", MaxInstances))
	}
	return errors.Join(errs...)
}

func (a App) validateSandbox(add func(error)) {
	for i, p := range a.Writable {
		_, err := pathWord("writable", p)
		add(entry(err, i))
	}
	for i, p := range a.Reads {
		_, err := bindPath("read", p)
		add(entry(err, i))
	}
	for _, p := range a.bound() {
		if !slices.Contains(a.Reads, p) {
			_, err := bindPath("directory", p)
			add(err)
		}
	}
	for i, w := range a.Allow {
		_, err := ParseAllowance(string(w))
		add(entry(err, i))
	}
}

func (a App) validateCommand(add func(error)) {
	if len(a.Command) == 0 {
		add(missingField("command"))
		return
	}
	if !strings.HasPrefix(a.Command[0], "/") {
		add(entry(fieldErrorf("command", "", "the program %q is not an absolute path", a.Command[0]), 0))
	} else if why := longPath(a.Command[0]); why != "" {
		add(entry(fieldErrorf("command", "", "the program %q %s", a.Command[0], why), 0))
	}
	total := 0
	for i, arg := range a.Command {
		v, err := word("command", arg)
		add(entry(err, i))
		total += len(v) + 1
	}
	if total > maxCommand {
		add(fieldErrorf("command", "put the arguments into a file",
			"the quoted command line has %d bytes, more than the limit of %d", total, maxCommand))
	}
}

func (a App) validateListen(add func(error)) {
	for i, l := range a.Listen {
		add := func(err error) { add(entry(err, i)) }
		if reparsed, err := ParseListener(l.String()); err != nil {
			add(err)
		} else if reparsed != l {
			add(fieldErrorf("listen", "", "%q is not a listener", l))
		}
		if l.Bind != 0 && a.Activation == Native {
			add(fieldErrorf("listen", "omit :"+strconv.Itoa(int(l.Bind))+", or use --activation adopt",
				"%q maps a port of the program, but a native worker does not bind a port", l))
		}
		for _, m := range a.Listen[:i] {
			if l.FDName() == m.FDName() && (l.hasPair(a.Listen) && !m.Host.IsValid() || m.hasPair(a.Listen) && !l.Host.IsValid()) &&
				l.Network != Unix && m.Network != Unix {
				add(fieldErrorf("listen", "give one listener a name: NAME="+l.String(), "%q and %q need different socket units", m, l))
			}
			if l.conflictsWith(m) {
				add(fieldErrorf("listen", "", "%q and %q cannot both be bound", m, l))
			}
		}
	}
}

func (a App) validateEnv(add func(error)) {
	seen := map[string]bool{}
	for i, e := range a.Env {
		if !envfile.ValidName(e.Name) {
			add(entry(fieldErrorf("env", "", "%q is not a variable name (letters, digits and \"_\", not beginning with a digit)",
				e.Name), i))
			continue
		}
		if seen[e.Name] {
			add(variable(fieldErrorf("env", "", "is given twice"), i, e.Name))
		}
		if isReserved(e.Name) {
			add(variable(fieldErrorf("env", "", "is set by systemd"), i, e.Name))
		}
		seen[e.Name] = true
		add(variable(checkWord("env", e.Name+"="+e.Value, "its value"), i, e.Name))
	}
	a.validateEnvFiles(add)
	for i, u := range a.Trust {
		if u == "" {
			add(entry(fieldErrorf("trust", "", "the user name is empty"), i))
		}
		add(entry(checkUser("trust", u), i))
	}
	for i, e := range a.Shim.Increment {
		add := func(err error) { add(entry(err, i)) }
		if seen[e.Name] {
			add(fieldErrorf("increment", "", "%s is given twice", e.Name))
		}
		seen[e.Name] = true
		if _, err := strconv.Atoi(e.Value); err != nil || !envfile.ValidName(e.Name) {
			add(fieldErrorf("increment", "use PORT=3000", "%q is not a variable with a number", e.Name+"="+e.Value))
		}
	}
}

func (a App) validateEnvFiles(add func(error)) {
	first := slices.IndexFunc(a.EnvFiles, func(f EnvFile) bool { return f.ByWorker })
	for i, f := range a.EnvFiles {
		key := "env-files"
		if f.ByWorker {
			key, i = "worker-env-files", i-first
		} else if i > 0 && a.EnvFiles[i-1].ByWorker {
			// PID 1 reads all files in EnvironmentFile= before the shim starts.
			add(fieldErrorf(key, "list "+f.Path+" first", "%q is read as root, and must come before files that the worker reads", f.Path))
		}
		_, err := globPath(key, f.Path)
		add(entry(err, i))
	}
}

// reservedEnv contains the variables that systemd sets for the worker and the shim (systemd.exec(5)). Names that begin with
// LISTEN_ are reserved, too.
var reservedEnv = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "RUNTIME_DIRECTORY", "MAINPID",
	"INVOCATION_ID", "CREDENTIALS_DIRECTORY"}

func isReserved(name string) bool {
	return strings.HasPrefix(name, "LISTEN_") || slices.Contains(reservedEnv, name)
}

// checkUser applies systemd's relaxed rule for user and group names (basic/user-util.c, valid_user_group_name), and also
// refuses characters that have a meaning in User=.
func checkUser(field, s string) error {
	if s == "" {
		return nil
	}
	if len(s) > 31 || s == "." || s == ".." || s[0] == '-' || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`/:%"'\`, r)
	}) {
		return fieldErrorf(field, "", "%q is not a user or group name", s)
	}
	if strings.Trim(s, "0123456789") == "" && !validID(s) {
		return fieldErrorf(field, "", "%q is not a user or group id", s)
	}
	_, err := lineText(field, s)
	return err
}

// validID applies systemd's rule for numeric IDs (basic/user-util.c, parse_uid): no leading zero, and not 65535 or
// 4294967295, which mean "no ID" in 16 and 32 bits.
func validID(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && strconv.FormatUint(n, 10) == s && n != 65535 && n != 1<<32-1
}

// FieldError is one mistake in an App: the field, what is wrong with it, and what to write instead.
type FieldError struct {
	// Key is the key in the config file, for example "listen" or "env".
	Key string
	// Item is the name of an entry in a map, such as "PORT", or empty.
	Item string
	// Index is the index of an entry in the list or map of the key, or -1 if the error is not about one entry.
	Index int
	// The field Missing means that the key is required, but the app has no value for it.
	Missing bool
	// The field Message describes the mistake, in lower case and without a full stop.
	Message string
	// Hint is a suggestion for the user, or empty.
	Hint string
}

func (e *FieldError) Error() string { return e.Field() + ": " + e.Message }

// The method Field returns the key with the item, for example "env.PORT".
func (e *FieldError) Field() string {
	if e.Item == "" {
		return e.Key
	}
	return e.Key + "." + e.Item
}

func fieldErrorf(key, hint, format string, args ...any) *FieldError {
	return &FieldError{Key: key, Index: -1, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func missingField(key string) *FieldError {
	return &FieldError{Key: key, Index: -1, Missing: true, Message: "is empty"}
}

// The function entry sets the index of the wrong entry in err, if err is a FieldError, and returns err.
func entry(err error, index int) error {
	if e, ok := err.(*FieldError); ok {
		e.Index = index
	}
	return err
}

// The function variable sets the index and the name of the wrong variable in err, if err is a FieldError, and returns err.
func variable(err error, index int, name string) error {
	if e, ok := err.(*FieldError); ok {
		e.Item = name
	}
	return entry(err, index)
}

func parseEnum[T ~int](key, s string, names []string) (T, error) {
	if i := slices.Index(names, s); i >= 0 {
		return T(i), nil
	}
	return 0, fieldErrorf(key, "", "%q is not one of %s", s, strings.Join(names, ", "))
}
