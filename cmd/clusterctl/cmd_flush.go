package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
)

func flushCommand(e *env) *cmdline.Command {
	var yes bool
	return &cmdline.Command{
		Name: "flush", Usage: "Remove all lines from the private journals of apps",
		Operands: []cmdline.Operand{wholeApps()},
		Description: []string{"Works for apps that were installed with --log-namespace. journald cannot remove the lines of one app from " +
			"the journal of the machine. SystemMaxUse= and MaxRetentionSec= in journald.conf(5) limit that journal, and " +
			"\"journalctl --vacuum-time=2d\" removes old lines of all services."},
		Examples: []string{"sudo clusterctl flush shop"},
		Flags:    []cmdline.Flag{{Name: "yes", Short: "y", To: &yes, Usage: "do not ask"}},
		Run:      bind(e, &yes, runFlush),
	}
}

func runFlush(ctx context.Context, e *env, yes bool, in cmdline.Input) error {
	targets, err := e.targets(in.Args)
	if err != nil {
		return err
	}
	var names []units.Name
	for _, t := range targets {
		switch {
		case t.instance > 0:
			return fault.WithHint(fault.Usagef("flush: %s is an instance, not an app", t),
				"sudo clusterctl flush %s", t.app.Name)
		case !t.app.Logs.Namespace && len(targets) == 1:
			return fault.WithHint(fmt.Errorf("%s writes to the journal of the machine, "+
				"and journald cannot remove the lines of one app from it", t),
				"sudo journalctl --rotate --vacuum-time=2d    removes older lines of all services\n"+
					"clusterctl logs %s --since 10m    hides older lines\n"+
					"an app that is installed with --log-namespace has a private journal, which can be flushed", t)
		case !t.app.Logs.Namespace:
			e.note("%s: skipped, because it writes to the journal of the machine", t)
		case !slices.Contains(names, t.app.Name):
			names = append(names, t.app.Name)
		}
	}
	if len(names) == 0 {
		e.note("nothing to flush")
		return nil
	}
	if err := e.needRoot(); err != nil {
		return err
	}
	if !yes {
		if err := e.confirm(ctx, fmt.Sprintf("remove all lines of %s?", strings.Join(asStrings(names), ", "))); err != nil {
			return err
		}
	}
	for _, n := range names {
		if err := journal.Flush(ctx, n.LogNamespace()); err != nil {
			return err
		}
		e.note("%s: flushed", n)
	}
	return nil
}

type journalUsage struct {
	// Namespace is empty for the journal of the machine.
	Namespace string   `json:"namespace,omitempty"`
	Apps      []string `json:"apps"`
	Bytes     uint64   `json:"bytes"`
	MaxSize   uint64   `json:"maxBytes,omitempty"`
	MaxAge    float64  `json:"maxAgeSeconds,omitempty"`
}

// diskUsage prints the disk usage of the journals that the apps write to. The journal of the machine is shared by all
// services, so its size does not show how much an app uses.
func (e *env) diskUsage(targets []target, asJSON bool) error {
	all := []journalUsage{{Apps: []string{}}}
	seen := map[units.Name]bool{}
	for _, t := range targets {
		name := t.app.Name
		switch {
		case seen[name]:
		case t.app.Logs.Namespace:
			all = append(all, journalUsage{Namespace: name.LogNamespace(), Apps: []string{string(name)},
				MaxSize: t.app.Logs.MaxSize, MaxAge: t.app.Logs.MaxAge.Seconds()})
		default:
			all[0].Apps = append(all[0].Apps, string(name))
		}
		seen[name] = true
	}
	for i := range all {
		var err error
		if all[i].Bytes, err = journal.Usage(all[i].Namespace); err != nil {
			return err
		}
	}
	if asJSON {
		return e.printList(list{Journals: all})
	}
	var rows [][]string
	for _, j := range all {
		name := "of the machine, all services"
		if j.Namespace != "" {
			name = j.Namespace
		}
		rows = append(rows, []string{name, text.Size(j.Bytes), journalLimits(j), strings.Join(j.Apps, " ")})
	}
	return text.Table(e.stdout, []string{"JOURNAL", "SIZE", "LIMITS", "APPS"}, rows)
}

func journalLimits(j journalUsage) string {
	var words []string
	if j.MaxSize > 0 {
		words = append(words, units.FormatSize(j.MaxSize))
	}
	if j.MaxAge > 0 {
		words = append(words, fmt.Sprintf("%gd", j.MaxAge/86400))
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}
