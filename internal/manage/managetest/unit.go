package managetest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// readFiles reads the unit files, like PID 1 when it reloads.
func (s *Systemd) readFiles() {
	s.files = map[string]string{}
	for _, dir := range slices.Backward(s.Dirs) {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if rel, err := filepath.Rel(dir, path); err == nil {
				data, _ := os.ReadFile(path)
				s.files[rel] = string(data)
			}
			return nil
		})
	}
	for name, u := range s.units {
		if isSocket(name) && u.state.Up() && s.content(name) != u.started {
			if s.content(name) == "" {
				u.state.Active = control.Inactive
			}
			u.started = "" // PID 1 closes the socket, but the unit stays active
		}
	}
}

func isSocket(name string) bool { return strings.HasSuffix(name, ".socket") }

// content returns the configuration of a unit at the last reload: the addresses of a socket, or the template and the secrets
// of an instance. content returns "" if the unit has no file.
func (s *Systemd) content(name string) string {
	n, i, err := units.ParseInstance(strings.TrimSuffix(name, ".service"))
	switch {
	case isSocket(name):
		var lines []string
		for line := range strings.Lines(s.files[name]) {
			if strings.HasPrefix(line, "Listen") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	case err == nil && i > 0 && s.files[n.Template()] != "":
		return withoutConditions(s.files[n.Template()]) + s.files[n.SecretsDropIn()]
	case err == nil && i == 0 && s.files[name] != "":
		return name // the service of the app has no process
	}
	return ""
}

// withoutConditions returns a template without its conditions, which matter only at a start, and without comments.
func withoutConditions(template string) string {
	var b strings.Builder
	for line := range strings.Lines(template) {
		if !strings.HasPrefix(line, "Condition") && !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// The method get returns the unit with this name, also if the unit has no file.
func (s *Systemd) get(name string) *unit {
	u := s.units[name]
	if u == nil {
		u = &unit{state: control.State{Unit: name, Active: control.Inactive}}
		s.units[name] = u
	}
	u.state.Load = control.Loaded
	if s.content(name) == "" && !strings.HasSuffix(name, ".slice") {
		u.state.Load = control.NotFound
	}
	return u
}

func (s *Systemd) set(u *unit, active control.Active) {
	now := s.Now()
	u.state.Active, u.state.StateSince = active, now
	if u.state.Up() {
		u.state.ActiveSince, u.started = now, s.content(u.state.Unit)
		u.state.ConditionResult, u.state.ConditionSince = true, now
	}
}

// The method start starts one unit. If a service fails, the method sets its state to failed and returns nil.
func (s *Systemd) start(name string) error {
	u := s.get(name)
	if u.state.Load == control.NotFound {
		return fmt.Errorf("start of %s: %w", name, control.ErrNotFound)
	}
	if u.state.Up() {
		return nil
	}
	if err := s.step("start %s", name); err != nil {
		return err
	}
	n, i, _ := units.ParseInstance(strings.TrimSuffix(name, ".service"))
	template := s.files[n.Template()]
	switch {
	case isSocket(name) && s.get(serviceOf(name, s.files[name])).state.Up():
		return nil // systemd logs "Socket service … already active, refusing"
	case i > 0 && strings.Contains(template, "ConditionCPUs=") && i > s.CPU.Affinity && !s.isExtra(template, n, i):
		s.set(u, control.Inactive)
		u.state.ConditionResult, u.state.ConditionSince = false, s.clock
		return nil
	case i > 0 && s.Broken != nil && s.Broken(i, template):
		s.set(u, control.ActiveFailed)
		u.state.Result = "exit-code"
		return nil
	}
	s.set(u, control.ActiveRunning)
	return nil
}

// serviceOf returns the service that a socket with this unit file starts.
func serviceOf(socket, text string) string {
	for line := range strings.Lines(text) {
		if service, ok := strings.CutPrefix(line, "Service="); ok {
			return strings.TrimSpace(service)
		}
	}
	return strings.TrimSuffix(socket, ".socket") + ".service"
}

// isExtra reports whether the file in ConditionPathExists= exists. This file marks an extra instance. systemd starts such an
// instance even if the machine has fewer CPUs.
func (s *Systemd) isExtra(template string, n units.Name, i int) bool {
	for line := range strings.Lines(template) {
		if path, ok := strings.CutPrefix(line, "ConditionPathExists=|"); ok {
			path = strings.ReplaceAll(strings.TrimSpace(path), "%i", fmt.Sprint(i))
			_, err := os.Lstat(path)
			return err == nil
		}
	}
	return false
}

func (s *Systemd) stop(name string) error {
	u := s.get(name)
	if u.state.Active == control.Inactive {
		return nil
	}
	if err := s.step("stop %s", name); err != nil {
		return err
	}
	if u.state.Up() {
		s.set(u, control.Inactive)
	}
	return nil
}

// isWanted reports whether the instance list of an app contains the unit.
func (s *Systemd) isWanted(name string) bool {
	n, i, err := units.ParseInstance(name)
	return err == nil && i > 0 && i <= units.ListedInstances([]byte(s.files[n.DropIn()]))
}
