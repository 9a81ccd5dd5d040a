package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// changeSecret sets or removes a secret, and updates the list of secrets in the units.
func (e *env) changeSecret(ctx context.Context, n units.Name, name string, value []byte, remove bool) error {
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	lock, err := e.lock(ctx, n)
	if err != nil {
		return err
	}
	var gone *install.NotInstalledError
	defer func() {
		if _, loadErr := e.store.Load(n); errors.As(loadErr, &gone) {
			_ = lock.Remove()
			return
		}
		_ = lock.Unlock()
	}()
	if err := e.repair(ctx, conn, n); err != nil {
		return err
	}
	a, err := e.store.Load(n)
	installed := !errors.As(err, &gone)
	switch {
	case installed && err != nil:
		return err
	case e.store.Packaged(n):
		return fault.WithHint(&install.PackagedError{App: n}, "put it into an env-file of the app, or: sudo systemctl edit %s, LoadCredential=", n.Template())
	}
	before, err := e.store.LoadedSecrets(n)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(before, func(s units.Secret) bool { return s.Name == name })
	c := secretChange{e: e, conn: conn, app: a, name: name, before: before, installed: installed}
	if !remove {
		return c.set(ctx, n, value, at)
	}
	switch {
	case at < 0 && slices.ContainsFunc(e.secretsOfUnits(n), func(s units.Secret) bool { return s.Name == name }):
		// The file was removed by hand, and the units still look for it.
	case at < 0 && !installed && len(before) == 0:
		return &install.NotInstalledError{App: n, Apps: gone.Apps}
	case at < 0:
		return fault.WithHint(fmt.Errorf("%s has no secret %s", n, name), "sudo clusterctl secret ls %s", n)
	case slices.Contains(a.SecretEnv, name):
		return fault.WithHint(fmt.Errorf("%s needs the secret %s for a variable", n, name), "describe the app without --secret-env %s first", name)
	}
	return c.remove(ctx, n)
}

// secretChange is one change of a secret under the lock of its app.
type secretChange struct {
	e         *env
	conn      *control.Conn
	app       units.App
	name      string
	before    []units.Secret
	installed bool
}

func (c secretChange) set(ctx context.Context, n units.Name, value []byte, at int) error {
	if slices.Contains(c.app.SecretEnv, c.name) && bytes.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("the value of %s contains NUL, which no variable can hold", c.name)
	}
	data, why := c.e.encrypt(ctx, c.conn, c.name, value)
	encrypted := why == ""
	if !encrypted {
		data = value
	}
	var old []byte
	if at >= 0 {
		var err error
		if old, err = os.ReadFile(c.before[at].Path); err != nil {
			return fmt.Errorf("reading the secret %s: %w", c.name, err)
		}
	}
	if err := c.e.store.SetSecret(n, c.name, data, encrypted); err != nil {
		return err
	}
	now, err := c.e.store.LoadedSecrets(n)
	if err == nil && c.installed {
		err = c.units(ctx, now)
	}
	if err != nil {
		if at >= 0 {
			return errors.Join(err, c.e.store.SetSecret(n, c.name, old, c.before[at].Encrypted))
		}
		return errors.Join(err, c.e.store.RemoveSecret(n, c.name))
	}
	how := "encrypted with the key of this machine"
	if !encrypted {
		how = "not encrypted, readable by root only: " + why
	}
	c.e.note("%s: %s is set (%s)", n, c.name, how)
	c.next(n)
	return nil
}

// next names the command that brings the change to the workers.
func (c secretChange) next(n units.Name) {
	if c.installed {
		c.e.note("the workers see it after: sudo clusterctl reload %s", n)
	} else {
		c.e.note("%s is not installed yet; an install uses the secret", n)
	}
}

// remove takes the secret out of the units first: a worker that is restarted must not look for it.
func (c secretChange) remove(ctx context.Context, n units.Name) error {
	if c.installed {
		if err := c.units(ctx, slices.DeleteFunc(slices.Clone(c.before), func(s units.Secret) bool { return s.Name == c.name })); err != nil {
			return err
		}
	}
	if err := c.e.store.RemoveSecret(n, c.name); err != nil {
		return err
	}
	c.e.note("%s: %s is removed", n, c.name)
	c.next(n)
	return nil
}

// units writes the list of secrets that the template of the app loads. Nothing else of the app changes.
func (c secretChange) units(ctx context.Context, secrets []units.Secret) error {
	t, _, err := c.e.thisMachine(ctx, c.conn, c.app)
	if err != nil {
		return err
	}
	t.Secrets = secrets
	set, err := units.Render(c.app, t)
	if err != nil {
		return err
	}
	plan, err := c.e.store.Plan(c.app.Name, set, config.EncodeNames(c.app))
	if err != nil {
		return err
	}
	plan = plan.Only(c.app.Name.SecretsDropIn())
	if !plan.Changed() {
		return nil
	}
	tx, err := c.e.store.Begin(plan)
	if err != nil {
		return err
	}
	if err := tx.Write(); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := c.conn.Reload(ctx); err != nil {
		return errors.Join(err, tx.Rollback(), c.conn.Reload(context.WithoutCancel(ctx)))
	}
	return tx.Commit()
}

// encrypt returns the value encrypted for this machine, or why it cannot be.
func (e *env) encrypt(ctx context.Context, conn *control.Conn, name string, value []byte) (data []byte, why string) {
	version, err := conn.Version(ctx)
	if err != nil || version < units.EncryptedSecrets {
		return nil, fmt.Sprintf("systemd %d has no encrypted credentials", version)
	}
	// The key is a file of this machine. A key in a TPM can get lost with an update of the firmware.
	data, err = e.filter(ctx, value, "systemd-creds", "encrypt", "--with-key=host", "--name="+name, "-", "-")
	if err != nil {
		return nil, err.Error()
	}
	again, err := e.filter(ctx, data, "systemd-creds", "decrypt", "--name="+name, "-", "-")
	if err != nil {
		return nil, err.Error()
	}
	if !bytes.Equal(again, value) {
		return nil, "systemd-creds does not give the value back"
	}
	return data, ""
}

// checkSecrets returns an error for each secret or value without which the app would not start. It is called before anything
// is stopped. Only root can look.
func (e *env) checkSecrets(a units.App) error {
	if e.euid != 0 || e.store.Packaged(a.Name) {
		return nil
	}
	stored, err := e.store.Secrets(a.Name)
	if err != nil {
		return err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(stored, func(s install.SecretInfo) bool { return s.Name == name })
	}
	needed := slices.Clone(a.SecretEnv)
	for _, s := range e.secretsOfUnits(a.Name) {
		if !slices.Contains(needed, s.Name) {
			needed = append(needed, s.Name)
		}
	}
	var errs []error
	for _, name := range needed {
		if !has(name) {
			errs = append(errs, fault.WithHint(fmt.Errorf("%s: the secret %s is not set", a.Name, name), "sudo clusterctl secret set %s %s", a.Name, name))
		}
	}
	for _, v := range a.Env {
		if v.Hidden {
			errs = append(errs, fault.WithHint(fmt.Errorf("%s: %s has no value for %s", a.Name, e.store.ValuesPath(a.Name), v.Name), "install or apply it again, or add the line %s=VALUE", v.Name))
		}
	}
	return errors.Join(errs...)
}

// secretsOfUnits are the secrets that the units on disk load.
func (e *env) secretsOfUnits(n units.Name) []units.Secret {
	data, err := os.ReadFile(e.store.SetPath(n, n.SecretsDropIn()))
	if err != nil {
		return nil
	}
	return units.LoadedSecrets(data)
}
