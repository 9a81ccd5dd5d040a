package main

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// keepListeners gives an app that is described anew the addresses that it has, and says whether it did. A program that
// runs need not be probed to know what it listens on; and some cannot be, since their port is taken by then, by
// themselves (Node's cluster module ends when it is given another).
//
// longer says that the program shall have more time to listen than it had, so that it did not before is no answer.
func (e *env) keepListeners(a *units.App, longer bool) bool {
	now, found := e.present(a.Name)
	if !found || !sameListeners(now, *a) || longer && len(now.Listen) == 0 {
		return false
	}
	a.Listen, a.SocketOptions = slices.Clone(now.Listen), slices.Clone(now.SocketOptions)
	a.Shim.HoldAccept, a.Shim.Blocking = now.Shim.HoldAccept, now.Shim.Blocking
	return true
}

// keepCount gives an app the number of instances that it has, where its description has none: an app that was scaled, or
// installed when the default was max, is not cut down by the next deploy. A new app has one instance.
func (e *env) keepCount(a *units.App) {
	if now, found := e.present(a.Name); found && !a.Instances.Given() {
		a.Instances = now.Instances
	}
}

// sameListeners says whether a probe of the app as it is asked for would find what the present one has.
//
// With addresses that are asked for, the program has to be the same, whatever its arguments: what counts is the family in
// which it binds. Addresses that differ in that alone are looked at again, since they may have been narrowed by hand.
// Without, whatever may make the program listen elsewhere has to be the same.
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

// portsDiffer says whether a variable that seems to hold one of the app's ports is another now.
func portsDiffer(now, asked units.App) bool {
	for _, v := range now.Env {
		if slices.Contains(asked.Env, v) {
			continue
		}
		for _, l := range now.Listen {
			if l.Network != units.Unix && strings.HasSuffix(v.Value, strconv.Itoa(int(l.ProgramPort()))) {
				return true
			}
		}
	}
	// One that is new may say it too, by its name.
	for _, v := range asked.Env {
		if !slices.Contains(now.Env, v) && strings.Contains(strings.ToUpper(v.Name), "PORT") {
			return true
		}
	}
	return false
}
