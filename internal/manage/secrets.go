package manage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// secretChange is one change of a secret of an app, which need not be installed.
type secretChange struct {
	*Session
	secret string
	before []units.Secret
	// at is the place of the secret in before, or -1.
	at int
}

// changeSecret checks that the app can have secrets, and looks for the secret in the store.
func (s *Session) changeSecret(secret string) (c secretChange, err error) {
	switch {
	case s.Installed() && s.appErr != nil:
		return c, s.appErr
	case s.Store.Packaged(s.Name):
		return c, fault.WithHint(&install.PackagedError{App: s.Name},
			"put it into an env-file of the app, or: sudo systemctl edit %s, LoadCredential=", s.Name.Template())
	}
	before, err := s.Store.LoadedSecrets(s.Name)
	if err != nil {
		return c, err
	}
	isIt := func(one units.Secret) bool { return one.Name == secret }
	return secretChange{Session: s, secret: secret, before: before, at: slices.IndexFunc(before, isIt)}, nil
}

// RemoveSecret removes a secret, from the units first: a worker that is restarted must not look for it.
func (s *Session) RemoveSecret(ctx context.Context, secret string) error {
	c, err := s.changeSecret(secret)
	if err != nil {
		return err
	}
	isIt := func(one units.Secret) bool { return one.Name == secret }
	switch {
	case c.at < 0 && slices.ContainsFunc(s.secretsOfUnits(), isIt):
		// The file was removed by hand, and the units still look for it.
	case c.at < 0 && !s.Installed() && len(c.before) == 0:
		return s.appErr
	case c.at < 0:
		return fault.WithHint(fmt.Errorf("%s has no secret %s", s.Name, secret), "sudo clusterctl secret ls %s", s.Name)
	case slices.Contains(s.app.SecretEnv, secret):
		return fault.WithHint(fmt.Errorf("%s needs the secret %s for a variable", s.Name, secret),
			"describe the app without --secret-env %s first", secret)
	}
	if s.Installed() {
		if err := c.writeUnits(ctx, slices.DeleteFunc(slices.Clone(c.before), isIt)); err != nil {
			return err
		}
	}
	if err := s.Store.RemoveSecret(s.Name, secret); err != nil {
		return err
	}
	s.Note("%s: %s is removed", s.Name, secret)
	c.noteNext()
	return nil
}

// SetSecret stores a secret, encrypted where that is possible, and adds it to the units.
func (s *Session) SetSecret(ctx context.Context, secret string, value []byte) error {
	c, err := s.changeSecret(secret)
	if err != nil {
		return err
	}
	return c.set(ctx, value)
}

func (c secretChange) set(ctx context.Context, value []byte) error {
	if slices.Contains(c.app.SecretEnv, c.secret) && bytes.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("the value of %s contains NUL, which no variable can hold", c.secret)
	}
	data, why := c.encrypt(ctx, c.secret, value)
	encrypted := why == ""
	if !encrypted {
		data = value
	}
	var old []byte
	if c.at >= 0 {
		var err error
		if old, err = os.ReadFile(c.before[c.at].Path); err != nil {
			return fmt.Errorf("reading the secret %s: %w", c.secret, err)
		}
	}
	if err := c.Store.SetSecret(c.Name, c.secret, data, encrypted); err != nil {
		return err
	}
	now, err := c.Store.LoadedSecrets(c.Name)
	if err == nil && c.Installed() {
		err = c.writeUnits(ctx, now)
	}
	if err != nil {
		if c.at >= 0 {
			return errors.Join(err, c.Store.SetSecret(c.Name, c.secret, old, c.before[c.at].Encrypted))
		}
		return errors.Join(err, c.Store.RemoveSecret(c.Name, c.secret))
	}
	how := "encrypted with the key of this machine"
	if !encrypted {
		how = "not encrypted, readable by root only: " + why
	}
	c.Note("%s: %s is set (%s)", c.Name, c.secret, how)
	c.noteNext()
	return nil
}

// noteNext names the command that brings the change to the workers.
func (c secretChange) noteNext() {
	if c.Installed() {
		c.Note("the workers see it after: sudo clusterctl reload %s", c.Name)
	} else {
		c.Note("%s is not installed yet; an install uses the secret", c.Name)
	}
}

// writeUnits writes the list of secrets that the template of the app loads. Nothing else of the app changes.
func (c secretChange) writeUnits(ctx context.Context, secrets []units.Secret) error {
	f, err := c.Render(ctx, c.app)
	if err != nil {
		return err
	}
	f.Target.Secrets = secrets
	if f.Set, err = units.Render(f.App, f.Target); err != nil {
		return err
	}
	plan, err := c.Plan(f)
	if err != nil {
		return err
	}
	plan = plan.Only(c.Name.SecretsDropIn())
	if !plan.Changed() {
		return nil
	}
	tx, err := c.Store.Begin(plan)
	if err != nil {
		return err
	}
	if err := tx.Write(); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := c.Conn.Reload(ctx); err != nil {
		return errors.Join(err, tx.Rollback(), c.Conn.Reload(context.WithoutCancel(ctx)))
	}
	return tx.Commit()
}

// encrypt returns the value encrypted for this machine, or why it cannot be.
func (m *Manager) encrypt(ctx context.Context, name string, value []byte) (data []byte, why string) {
	version, err := m.Conn.Version(ctx)
	if err != nil || version < units.EncryptedSecrets {
		return nil, fmt.Sprintf("systemd %d has no encrypted credentials", version)
	}
	// The key is a file of this machine. A key in a TPM can get lost with an update of the firmware.
	data, err = m.Filter(ctx, value, "systemd-creds", "encrypt", "--with-key=host", "--name="+name, "-", "-")
	if err != nil {
		return nil, err.Error()
	}
	again, err := m.Filter(ctx, data, "systemd-creds", "decrypt", "--name="+name, "-", "-")
	if err != nil {
		return nil, err.Error()
	}
	if !bytes.Equal(again, value) {
		return nil, "systemd-creds does not give the value back"
	}
	return data, ""
}

// CheckSecrets returns an error for each secret or value without which the app would not start. It is called before anything
// is stopped. Only root can look.
func (s *Session) CheckSecrets(a units.App) error {
	if !s.Root || s.Store.Packaged(s.Name) {
		return nil
	}
	stored, err := s.Store.Secrets(s.Name)
	if err != nil {
		return err
	}
	needed := slices.Clone(a.SecretEnv)
	for _, one := range s.secretsOfUnits() {
		if !slices.Contains(needed, one.Name) {
			needed = append(needed, one.Name)
		}
	}
	var errs []error
	for _, secret := range needed {
		if !slices.ContainsFunc(stored, func(one install.SecretInfo) bool { return one.Name == secret }) {
			errs = append(errs, fault.WithHint(fmt.Errorf("%s: the secret %s is not set", s.Name, secret),
				"sudo clusterctl secret set %s %s", s.Name, secret))
		}
	}
	for _, v := range a.Env {
		if v.Hidden {
			errs = append(errs, fault.WithHint(fmt.Errorf("%s: %s has no value for %s", s.Name, s.Store.ValuesPath(s.Name), v.Name),
				"install or apply it again, or add the line %s=VALUE", v.Name))
		}
	}
	return errors.Join(errs...)
}

// secretsOfUnits returns the secrets that the units on disk load.
func (s *Session) secretsOfUnits() []units.Secret {
	data, err := os.ReadFile(s.Store.SetPath(s.Name, s.Name.SecretsDropIn()))
	if err != nil {
		return nil
	}
	return units.LoadedSecrets(data)
}
