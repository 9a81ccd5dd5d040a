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

// secretsSuffix ends the name of an app's directory of secrets, encryptedSuffix the name of a file that systemd-creds(1) made.
const (
	secretsSuffix   = ".secrets"
	encryptedSuffix = ".cred"
)

// SecretInfo describes a stored secret. Nothing in it is the value.
type SecretInfo struct {
	units.Secret
	// Size is the size of the file in bytes, Set is when it was written.
	Size int64
	Set  time.Time
}

// SecretsDir is the directory of the secrets of an app, which only root may enter.
func (s Store) SecretsDir(app units.Name) string {
	return filepath.Join(s.Config, string(app)+secretsSuffix)
}

// secretFile is the file name of a secret. No name of a secret ends in encryptedSuffix: [Store.SetSecret] refuses that.
func secretFile(name string, encrypted bool) string {
	if encrypted {
		return name + encryptedSuffix
	}
	return name
}

// Secrets lists the secrets of an app by name. An app without any has none.
func (s Store) Secrets(app units.Name) ([]SecretInfo, error) {
	dir := s.SecretsDir(app)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, pathError("reading", dir, err)
	}
	var all []SecretInfo
	for _, e := range entries {
		name, encrypted := strings.CutSuffix(e.Name(), encryptedSuffix)
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || units.CheckSecretName(name) != nil {
			continue
		}
		one := SecretInfo{
			Secret: units.Secret{Name: name, Path: filepath.Join(dir, e.Name()), Encrypted: encrypted},
			Size:   info.Size(), Set: info.ModTime(),
		}
		// A set that was killed may have left the file of the other kind: the newer one counts.
		if i := slices.IndexFunc(all, func(s SecretInfo) bool { return s.Name == name }); i >= 0 {
			if one.Set.After(all[i].Set) {
				all[i] = one
			}
			continue
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b SecretInfo) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Target returns what the units of an app refer to here, without what depends on the machine: the version of systemd and the
// number of instances.
func (s Store) Target(app units.Name, shim string) (units.Target, error) {
	secrets, err := s.LoadedSecrets(app)
	return units.Target{Source: s.ConfigPath(app), Values: s.ValuesPath(app), Secrets: secrets, Shim: shim}, err
}

// LoadedSecrets returns the secrets that the units of an app have to load: the stored secrets. Users who may not read their
// directory get the list in the drop-in.
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
	for _, one := range stored {
		all = append(all, one.Secret)
	}
	return all, err
}

// SetSecret stores a secret, in place of one of the same name. The lock of the app must be held.
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
		if err := d.create(staged, data, secretMode); err != nil {
			return err
		}
		if err := d.rename(staged, file); err != nil {
			return err
		}
		return errors.Join(d.remove(secretFile(name, !encrypted)), d.sync("."))
	})
}

// checkSecretName refuses names that look like encrypted files.
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

// RemoveSecret removes a secret if it is there, and the directory with the last one. The lock of the app must be held.
func (s Store) RemoveSecret(app units.Name, name string) error {
	if err := checkSecretName(name); err != nil {
		return err
	}
	d, err := s.open(s.SecretsDir(app))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	if err := errors.Join(d.remove(name), d.remove(secretFile(name, true)), d.sync(".")); err != nil {
		return err
	}
	return errors.Join(s.removeEmptyBase(s.SecretsDir(app), secretDirMode), s.removeEmptyBase(s.Config, dirMode))
}

// RemoveSecrets removes all secrets of an app that is uninstalled.
func (s Store) RemoveSecrets(app units.Name) error {
	d, err := s.open(s.Config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	return d.removeAll(string(app) + secretsSuffix)
}
