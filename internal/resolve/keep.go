package resolve

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// keepListeners gives an app the listeners of the installed app, and reports whether it did. A probe would find the same
// listeners, and some running programs cannot be probed, because they hold their port (Node's cluster module ends when the
// port differs).
//
// longer: this probe may take longer than the last one, so "it did not listen" must not be reused.
func (r *Resolver) keepListeners(a *units.App, longer bool) bool {
	now, found := r.installed(a.Name)
	if !found || !sameListeners(now, *a) || longer && len(now.Listen) == 0 {
		return false
	}
	a.Listen, a.SocketOptions = slices.Clone(now.Listen), slices.Clone(now.SocketOptions)
	a.Shim.HoldAccept, a.Shim.Blocking = now.Shim.HoldAccept, now.Shim.Blocking
	return true
}

// keepCount gives an app without a number of instances the number of the installed app, so that a deploy does not undo a
// scale. A new app gets one instance.
func (r *Resolver) keepCount(a *units.App) {
	if now, found := r.installed(a.Name); found && !a.Instances.Given() {
		a.Instances = now.Instances
	}
}

// installed returns the installed app. found is false if the app is not installed, or cannot be read.
func (r *Resolver) installed(n units.Name) (a units.App, found bool) {
	a, err := r.Store.Load(n)
	return a, err == nil
}

// sameListeners reports whether a probe of the asked app would find the listeners of the installed app.
//
// With --listen, the addresses and the program must be the same; the arguments may differ. Without --listen, everything that
// can change the addresses must be the same.
func sameListeners(now, asked units.App) bool {
	if now.Activation != asked.Activation || now.Command[0] != asked.Command[0] {
		return false
	}
	if len(asked.Listen) > 0 {
		return slices.Equal(now.Listen, asked.Listen)
	}
	return slices.Equal(now.Command, asked.Command) && now.Directory == asked.Directory &&
		reflect.DeepEqual(now.Shim.Increment, asked.Shim.Increment) && !portsDiffer(now, asked)
}

// portsDiffer reports whether a variable that contains one of the ports of the app was removed or changed, or a new variable
// has PORT in its name.
func portsDiffer(now, asked units.App) bool {
	for _, v := range now.Env {
		if slices.Contains(asked.Env, v) {
			continue
		}
		for _, l := range now.Listen {
			if l.Network != units.Unix && slices.Contains(numbers(v.Value), strconv.Itoa(int(l.ProgramPort()))) {
				return true
			}
		}
	}
	for _, v := range asked.Env {
		if !slices.Contains(now.Env, v) && strings.Contains(strings.ToUpper(v.Name), "PORT") {
			return true
		}
	}
	return false
}

// numbers returns the numbers in a text: 127, 0, 0, 1 and 8080 for http://127.0.0.1:8080/.
func numbers(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}
