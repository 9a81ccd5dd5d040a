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

// storedSecrets returns the stored secrets of the app, or an error if clusterctl cannot change them. The app need not be
// installed.
func (s *Session) storedSecrets() ([]units.Secret, error) {
	switch {
	case s.Installed() && s.appErr != nil:
		return nil, s.appErr
	case s.Store.Packaged(s.Name):
		return nil, fault.WithHint(&install.PackagedError{App: s.Name},
			"put the secret into an env-file of the app, or: sudo systemctl edit %s, LoadCredential=", s.Name.Template())
	}
	return s.Store.LoadedSecrets(s.Name)
}

// RemoveSecret removes a secret first from the units and then from the store. If the secret were missing in the store, but
// not in the units, the restart of a worker would fail.
func (s *Session) RemoveSecret(ctx context.Context, secret string) error {
	stored, err := s.storedSecrets()
	if err != nil {
		return err
	}
	hasName := func(other units.Secret) bool { return other.Name == secret }
	isStored := slices.ContainsFunc(stored, hasName)
	switch {
	case !isStored && slices.ContainsFunc(s.secretsOfUnits(), hasName):
		// The file of the secret was removed by hand, but the units still load it.
	case !isStored && !s.Installed() && len(stored) == 0:
		return s.appErr
	case !isStored:
		return fault.WithHint(fmt.Errorf("%s has no secret %s", s.Name, secret), "sudo clusterctl secret ls %s", s.Name)
	case slices.Contains(s.app.SecretEnv, secret):
		return fault.WithHint(fmt.Errorf("%s needs the secret %s for a variable", s.Name, secret),
			"first install or apply the app without --secret-env %s", secret)
	}
	if s.Installed() {
		if err := s.writeSecrets(ctx, slices.DeleteFunc(stored, hasName)); err != nil {
			return err
		}
	}
	if err := s.Store.RemoveSecret(s.Name, secret); err != nil {
		return err
	}
	s.Note("%s: %s is removed", s.Name, secret)
	s.noteSecretUse()
	return nil
}

// SetSecret stores a secret and adds it to the units. SetSecret encrypts the secret if systemd can do this.
func (s *Session) SetSecret(ctx context.Context, secret string, value []byte) error {
	stored, err := s.storedSecrets()
	if err != nil {
		return err
	}
	if slices.Contains(s.app.SecretEnv, secret) && bytes.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("the value of %s contains NUL, which a variable cannot contain", secret)
	}
	data, reason := s.encrypt(ctx, secret, value)
	encrypted, how := reason == "", "encrypted with the key of this machine"
	if !encrypted {
		data, how = value, "not encrypted, readable by root only: "+reason
	}
	undo := func() error { return s.Store.RemoveSecret(s.Name, secret) }
	if i := slices.IndexFunc(stored, func(other units.Secret) bool { return other.Name == secret }); i >= 0 {
		old, err := os.ReadFile(stored[i].Path)
		if err != nil {
			return fmt.Errorf("reading the secret %s: %w", secret, err)
		}
		undo = func() error { return s.Store.SetSecret(s.Name, secret, old, stored[i].Encrypted) }
	}
	if err := s.Store.SetSecret(s.Name, secret, data, encrypted); err != nil {
		return err
	}
	now, err := s.Store.LoadedSecrets(s.Name)
	if err == nil && s.Installed() {
		err = s.writeSecrets(ctx, now)
	}
	if err != nil {
		return errors.Join(err, undo())
	}
	s.Note("%s: %s is set (%s)", s.Name, secret, how)
	s.noteSecretUse()
	return nil
}

// noteSecretUse prints which command gives the changed secrets to the workers.
func (s *Session) noteSecretUse() {
	if s.Installed() {
		s.Note("the workers get the change after: sudo clusterctl reload %s", s.Name)
	} else {
		s.Note("%s is not installed yet; an install uses the secret", s.Name)
	}
}

// writeSecrets writes the list of secrets into a drop-in of the app and reloads systemd.
func (s *Session) writeSecrets(ctx context.Context, secrets []units.Secret) error {
	f, err := s.Render(ctx, s.app)
	if err != nil {
		return err
	}
	f.Target.Secrets = secrets
	if f.Set, err = units.Render(f.App, f.Target); err != nil {
		return err
	}
	plan, err := s.Plan(f)
	if err != nil {
		return err
	}
	plan = plan.Only(s.Name.SecretsDropIn())
	if !plan.Changed() {
		return nil
	}
	tx, err := s.Store.Begin(plan)
	if err != nil {
		return err
	}
	if err := tx.Write(); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := s.Conn.Reload(ctx); err != nil {
		return errors.Join(err, tx.Rollback(), s.Conn.Reload(context.WithoutCancel(ctx)))
	}
	return tx.Commit()
}

// The method encrypt returns the encrypted value, which only this machine can decrypt, or the reason why the value cannot be
// encrypted.
func (m *Manager) encrypt(ctx context.Context, name string, value []byte) (data []byte, reason string) {
	version, err := m.Conn.Version(ctx)
	if err != nil || version < units.EncryptedSecrets {
		return nil, fmt.Sprintf("systemd %d does not support encrypted credentials", version)
	}
	// --with-key=host uses a key file of this machine. A key in the TPM could be lost in a firmware update.
	data, err = m.Filter(ctx, value, "systemd-creds", "encrypt", "--with-key=host", "--name="+name, "-", "-")
	if err != nil {
		return nil, err.Error()
	}
	decrypted, err := m.Filter(ctx, data, "systemd-creds", "decrypt", "--name="+name, "-", "-")
	if err != nil {
		return nil, err.Error()
	}
	if !bytes.Equal(decrypted, value) {
		return nil, "systemd-creds decrypts another value"
	}
	return data, ""
}

// CheckSecrets returns an error for each missing secret, and for each variable without a value. Instances cannot start
// without their secrets and values, so commands call CheckSecrets before they stop instances. CheckSecrets returns nil if
// the caller is not root, because only root can read the values.
func (s *Session) CheckSecrets(a units.App) error {
	if !s.Root || s.Store.Packaged(s.Name) {
		return nil
	}
	stored, err := s.Store.Secrets(s.Name)
	if err != nil {
		return err
	}
	needed := slices.Clone(a.SecretEnv)
	for _, secret := range s.secretsOfUnits() {
		if !slices.Contains(needed, secret.Name) {
			needed = append(needed, secret.Name)
		}
	}
	var errs []error
	for _, secret := range needed {
		if !slices.ContainsFunc(stored, func(info install.SecretInfo) bool { return info.Name == secret }) {
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

func (s *Session) secretsOfUnits() []units.Secret {
	data, err := os.ReadFile(s.Store.SetPath(s.Name, s.Name.SecretsDropIn()))
	if err != nil {
		return nil
	}
	return units.LoadedSecrets(data)
}
