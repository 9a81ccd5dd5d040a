package resolve

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// keepListeners gives an app the addresses that it has now, and reports whether it did. A program that runs need not be
// probed to know what it listens on; and some cannot be probed, since they hold their port themselves (Node's cluster module
// ends when it is given another one).
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

// keepCount gives an app the number of instances that it has now, if its description has none: a deploy does not scale down an
// app that was scaled, or installed when the default was max. A new app has one instance.
func (r *Resolver) keepCount(a *units.App) {
	if now, found := r.installed(a.Name); found && !a.Instances.Given() {
		a.Instances = now.Instances
	}
}

// installed returns the app as it is installed now. found is false if there is none, or none that can be read.
func (r *Resolver) installed(n units.Name) (a units.App, found bool) {
	a, err := r.Store.Load(n)
	return a, err == nil
}

// sameListeners reports whether a probe of the app that is asked for would find the listeners that the app has now.
//
// If addresses are asked for, the program must be the same, whatever its arguments: what counts is the family in which it
// binds. Addresses that differ in the family alone are probed again, since they may have been narrowed by hand.
// Without addresses, whatever may make the program listen elsewhere must be the same.
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

// portsDiffer reports whether a variable with one of the app's ports in its value is gone or has changed, or a new variable has
// PORT in its name.
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

// numbers returns the numbers in a text: 127, 0, 0, 1 and 8080 of http://127.0.0.1:8080/.
func numbers(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}
