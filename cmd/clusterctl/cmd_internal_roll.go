package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// rollCommand returns the command in ExecReload= of NAME.service, which "systemctl reload NAME" runs. The command must not
// queue a job for NAME.service: the new job would wait for the reload job, and the reload job waits for the command. The
// output of the command goes to the journal of NAME.service.
func rollCommand(e *env) *cmdline.Command {
	var o rollFlags
	return &cmdline.Command{
		Name: "internal-roll", Hidden: true, Usage: "Reload an app, called by ExecReload= of its service",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Name}}},
		Flags:    o.flags(),
		Run:      bind(e, &o, runInternalRoll),
	}
}

func runInternalRoll(ctx context.Context, e *env, o rollFlags, in cmdline.Input) error {
	o.surgeGiven = in.Given("surge")
	if err := o.check(); err != nil {
		return err
	}
	if err := e.needRoot(); err != nil {
		return err
	}
	n, err := units.ParseName(in.Args[0])
	if err != nil {
		return err
	}
	m, closeConn, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	s, err := m.OpenInJob(ctx, n)
	if err != nil {
		return err
	}
	defer s.Close()
	list, err := instancesOf(e.getenv("CLUSTERCTL_INSTANCES"))
	if err != nil {
		return err
	}
	last := list[len(list)-1]
	if o.surge > 0 && last+o.surge > units.MaxInstances {
		return fault.Usagef("--surge %d: %s would have more than %d instances", o.surge, n, units.MaxInstances)
	}
	a, err := s.Current()
	if err != nil {
		a = units.App{Name: n} // the app has units but no description, or its description is damaged
	}
	if err := e.guard().StillSafe(a, e.store.SourcePath(a.Name)); err != nil {
		return err
	}
	started := e.now()
	rolled, err := s.ReloadInJob(ctx, list, o.optionsOf(a, last))
	m.RollResult(n, rolled, started, nil)
	if err != nil {
		return err
	}
	return e.noteRolled(rollOf{target: target{app: units.App{Name: n}, implied: true}}, rolled)
}

// instancesOf parses a list such as "1 2 3" from the environment of NAME.service. It is the list that systemd has loaded.
// The list on disk may be newer.
func instancesOf(s string) ([]int, error) {
	var list []int
	for word := range strings.FieldsSeq(s) {
		i, err := strconv.Atoi(word)
		if err != nil || i < 1 || i > units.MaxInstances {
			return nil, fmt.Errorf("CLUSTERCTL_INSTANCES: invalid instance number %q", word)
		}
		list = append(list, i)
	}
	if list == nil {
		return nil, fault.WithHint(errors.New("CLUSTERCTL_INSTANCES is not set"), "sudo systemctl reload NAME runs this command")
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
