package units_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// TestEnumerations: each word is parsed to a constant whose String returns the word, and the zero App has the documented
// defaults.
func TestEnumerations(t *testing.T) {
	check := func(word string, parse func(string) (fmt.Stringer, error)) {
		t.Helper()
		got, err := parse(word)
		if err != nil || got.String() != word {
			t.Errorf("%q: got %v, %v", word, got, err)
		}
		if got, err := parse(word + "x"); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: got %v, %v, want an error that lists %q", word+"x", got, err, word)
		}
	}
	for _, w := range []string{"adopt", "native"} {
		check(w, func(s string) (fmt.Stringer, error) { return units.ParseActivation(s) })
	}
	for _, w := range []string{"exec", "notify"} {
		check(w, func(s string) (fmt.Stringer, error) { return units.ParseReady(s) })
	}
	for _, w := range []string{"always", "on-failure", "no"} {
		check(w, func(s string) (fmt.Stringer, error) { return units.ParseRestart(s) })
	}
	for _, w := range []string{"default", "strict", "off"} {
		check(w, func(s string) (fmt.Stringer, error) { return units.ParseSandbox(s) })
	}
	var a units.App
	if got := fmt.Sprint(a.Activation, a.Ready, a.Restart, a.Sandbox, a.RunAs, a.Instances); got != "adopt exec always default dynamic 1" {
		t.Errorf("the zero App has the values %s", got)
	}
}

// TestValidateLimits: Validate accepts the largest sizes that systemd and the kernel support, and refuses larger ones.
func TestValidateLimits(t *testing.T) {
	good := func() units.App { return units.App{Name: "web", Command: []string{"/bin/true"}} }
	part := strings.Repeat("p", 255)
	for name, c := range map[string]struct {
		change func(*units.App)
		ok     bool
	}{
		"unchanged":         {func(*units.App) {}, true},
		"longest argument":  {func(a *units.App) { a.Command = append(a.Command, strings.Repeat("x", 128*1024-1)) }, true},
		"argument too long": {func(a *units.App) { a.Command = append(a.Command, strings.Repeat("x", 128*1024)) }, false},
		"longest variable":  {func(a *units.App) { a.Env = []units.EnvVar{{Name: "A", Value: strings.Repeat("x", 128*1024-3)}} }, true},
		"variable too long": {func(a *units.App) { a.Env = []units.EnvVar{{Name: "A", Value: strings.Repeat("x", 128*1024-2)}} }, false},
		"escaped line too long": {func(a *units.App) {
			for range 3 {
				a.Command = append(a.Command, strings.Repeat("\x01", 100*1024))
			}
		}, false},
		"longest path part":      {func(a *units.App) { a.Directory = "/" + part }, true},
		"path part too long":     {func(a *units.App) { a.Directory = "/" + part + "p" }, false},
		"path too long":          {func(a *units.App) { a.Directory = strings.Repeat("/"+part, 16) + "/x" }, false},
		"program too long":       {func(a *units.App) { a.Command[0] = "/" + part + "p" }, false},
		"writable path too long": {func(a *units.App) { a.Writable = []string{"/" + part + "p"} }, false},
		"escaped path too long":  {func(a *units.App) { a.EnvFiles = []units.EnvFile{{Path: "/" + strings.Repeat("[", 200)}} }, false},
		"a year":                 {func(a *units.App) { a.Timeouts.Drain = 365 * 24 * time.Hour }, true},
		"more than a year":       {func(a *units.App) { a.Timeouts.Drain = 366 * 24 * time.Hour }, false},
		"noncharacter":           {func(a *units.App) { a.Command = append(a.Command, "\ufffe") }, false},
		"replacement character":  {func(a *units.App) { a.Command = append(a.Command, "\ufffd") }, true},
		"broken UTF-8":           {func(a *units.App) { a.Env = []units.EnvVar{{Name: "A", Value: "\xff"}} }, false},
	} {
		a := good()
		c.change(&a)
		if err := a.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: got %.200v, want valid %v", name, err, c.ok)
		}
	}
}

// TestValidateUser: Validate accepts the users and groups that systemd accepts (user-util.c, valid_user_group_name, in
// relaxed mode and with numeric IDs).
func TestValidateUser(t *testing.T) {
	for user, ok := range map[string]bool{
		"": true, "web": true, "www-data": true, "0": true, "1000": true, "a.b": true, "A_b$": true, "é": true, "4294967294": true,
		"-web": false, ".": false, "..": false, "a b": false, "a/b": false, "a:b": false, "a\nb": false, "a%i": false,
		`a\b`: false, "65535": false,
		"4294967295": false, "4294967296": false, "007": false, "99999999999": false, "\xff": false, "a\ufffe": false,
		strings.Repeat("u", 32): false,
	} {
		a := units.App{Name: "web", Command: []string{"/bin/true"}, RunAs: units.RunAs{User: user}}
		if err := a.Validate(); (err == nil) != ok {
			t.Errorf("user %q: got %v, want valid %v", user, err, ok)
		}
	}
	a := units.App{Name: "web", Command: []string{"/bin/true"}, RunAs: units.RunAs{Group: "staff"}}
	if a.Validate() == nil {
		t.Error("Validate accepts a group without a user, which Render would ignore")
	}
	for run, want := range map[units.RunAs]string{{}: "dynamic", {User: "a"}: "a", {User: "a", Group: "b"}: "a:b"} {
		if run.String() != want {
			t.Errorf("%+v: got %s, want %s", run, run, want)
		}
	}
}

// TestSet: a set is sorted, Get finds a file by its path, Units omits drop-ins, and Owner returns "" for files of other
// programs.
func TestSet(t *testing.T) {
	l, err := units.ParseListener("admin=80")
	if err != nil {
		t.Fatal(err)
	}
	a := units.App{Name: "web", Command: []string{"/bin/true"}, Activation: units.Native, Listen: []units.Listener{l}}
	set, err := units.Render(a, units.Target{Systemd: 252, Sizing: units.Count{N: 2}.Resolve(units.CPUs{}),
		Source: "/etc/clusterctl/web.yaml", Shim: units.DefaultShim})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"clusterctl-web.slice", "web.service", "web.socket", "web@.service"}
	if got := set.Units(); !slices.Equal(got, want) {
		t.Errorf("Units returned %q, want %q", got, want)
	}
	if !slices.IsSortedFunc(set, func(a, b units.File) int { return strings.Compare(a.Path, b.Path) }) {
		t.Error("the set is not sorted")
	}
	if data, ok := set.Get("web.socket"); !ok || !strings.Contains(string(data), "ListenStream=80\n") {
		t.Errorf("Get(web.socket) returned %v, %s", ok, data)
	}
	if data, ok := set.Get("web.sock"); ok || data != nil {
		t.Errorf("Get(web.sock) returned %q, %v", data, ok)
	}
	for _, f := range []units.File{
		{Path: "ssh.service", Data: []byte("[Unit]\nDescription=x\n")},
		{Path: "web.service", Data: nil},
		{Path: "web.service.d/50-instances.conf", Data: []byte("[Unit]\n")},
		{Path: "web.service", Data: []byte("# mine\nX-Clusterctl-App=web\n")},
		{Path: "web.service", Data: []byte("# Generated by clusterctl from x\n[Unit]\n# X-Clusterctl-App=web\n")},
	} {
		if o := units.Owner(f); o != "" {
			t.Errorf("Owner returned %q for %s, want none:\n%s", o, f.Path, f.Data)
		}
	}
}
