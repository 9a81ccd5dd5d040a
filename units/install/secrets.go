package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// secretsSuffix is the suffix of the directory with the secrets of an app. encryptedSuffix is the suffix of a file that
// systemd-creds(1) has encrypted.
const (
	secretsSuffix   = ".secrets"
	encryptedSuffix = ".cred"
)

// SecretInfo describes a stored secret, without its value.
type SecretInfo struct {
	units.Secret
	// Size is the size of the file in bytes. The field Set is the time at which the file was written.
	Size int64
	Set  time.Time
}

// SecretsDir returns the directory with the secrets of an app. Only root can access this directory.
func (s Store) SecretsDir(app units.Name) string {
	return filepath.Join(s.Config, string(app)+secretsSuffix)
}

// secretFile returns the file name of a secret. No secret has a name that ends in encryptedSuffix, because [Store.SetSecret]
// rejects such names.
func secretFile(name string, encrypted bool) string {
	if encrypted {
		return name + encryptedSuffix
	}
	return name
}

// Secrets returns the secrets of an app, sorted by name.
func (s Store) Secrets(app units.Name) ([]SecretInfo, error) {
	dir := s.SecretsDir(app)
	entries, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	var all []SecretInfo
	for _, e := range entries {
		name, encrypted := strings.CutSuffix(e.Name(), encryptedSuffix)
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || units.CheckSecretName(name) != nil {
			continue
		}
		secret := SecretInfo{
			Secret: units.Secret{Name: name, Path: filepath.Join(dir, e.Name()), Encrypted: encrypted},
			Size:   info.Size(), Set: info.ModTime(),
		}
		// A killed SetSecret may have left both an encrypted and a plain file. Use the newer file.
		if i := slices.IndexFunc(all, func(s SecretInfo) bool { return s.Name == name }); i >= 0 {
			if secret.Set.After(all[i].Set) {
				all[i] = secret
			}
			continue
		}
		all = append(all, secret)
	}
	slices.SortFunc(all, func(a, b SecretInfo) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Target returns the [units.Target] of an app, but does not set the version of systemd and the number of instances.
func (s Store) Target(app units.Name, shim string) (units.Target, error) {
	secrets, err := s.LoadedSecrets(app)
	return units.Target{Source: s.ConfigPath(app), Values: s.ValuesPath(app), Secrets: secrets, Shim: shim}, err
}

// LoadedSecrets returns the stored secrets of an app, which its units must load. If the user may not read the directory of
// the secrets, LoadedSecrets returns the secrets in the drop-in.
func (s Store) LoadedSecrets(app units.Name) ([]units.Secret, error) {
	stored, err := s.Secrets(app)
	if errors.Is(err, fs.ErrPermission) {
		data, err := os.ReadFile(filepath.Join(s.Units, app.SecretsDropIn()))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return units.LoadedSecrets(data), err
	}
	var all []units.Secret
	for _, secret := range stored {
		all = append(all, secret.Secret)
	}
	return all, err
}

// SetSecret stores a secret, and replaces a stored secret of the same name. The lock of the app must be held.
func (s Store) SetSecret(app units.Name, name string, data []byte, encrypted bool) error {
	if err := checkSecretName(name); err != nil {
		return err
	}
	return retry(func() error {
		config, err := s.ensure(s.Config, dirMode)
		if err != nil {
			return err
		}
		config.close()
		d, err := s.ensure(s.SecretsDir(app), secretDirMode)
		if err != nil {
			return err
		}
		defer d.close()
		file := secretFile(name, encrypted)
		staged := "." + file + ".new"
		if err := d.create(staged, data, attrs{mode: secretMode}); err != nil {
			return err
		}
		if err := d.rename(staged, file); err != nil {
			return err
		}
		return errors.Join(d.remove(secretFile(name, !encrypted)), d.sync("."))
	})
}

// checkSecretName returns an error if the name of a secret is invalid or has the suffix of encrypted files.
func checkSecretName(name string) error {
	if err := units.CheckSecretName(name); err != nil {
		return err
	}
	if strings.HasSuffix(name, encryptedSuffix) {
		return &units.FieldError{Key: "secret", Index: -1, Message: `"` + name + `" ends in "` + encryptedSuffix +
			`", which marks encrypted files`, Hint: "omit the suffix"}
	}
	return nil
}

// RemoveSecret removes a secret if it exists, and then the directory if it is empty. The lock of the app must be held.
func (s Store) RemoveSecret(app units.Name, name string) error {
	if err := checkSecretName(name); err != nil {
		return err
	}
	return s.inDirectory(s.SecretsDir(app), func(d *dir) error {
		if err := errors.Join(d.remove(name), d.remove(secretFile(name, true)), d.sync(".")); err != nil {
			return err
		}
		return errors.Join(s.removeEmptyBase(s.SecretsDir(app), secretDirMode), s.removeEmptyBase(s.Config, dirMode))
	})
}

// RemoveSecrets removes all secrets of an app that is being uninstalled.
func (s Store) RemoveSecrets(app units.Name) error {
	return s.inDirectory(s.Config, func(d *dir) error { return d.removeAll(string(app) + secretsSuffix) })
}
