package units

import (
	"slices"

	"github.com/clusterctl/clusterctl/activation/shim/envfile"
)

// Secret is a file that each worker finds in the directory $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=).
type Secret struct {
	Name string
	// Path is the path of the file. Only root may read the file.
	Path string
	// The field Encrypted means that systemd-creds(1) encrypted the file. PID 1 decrypts the file.
	Encrypted bool
}

// SecretsDropIn returns the path of a drop-in of the template. The drop-in contains only the secrets of the app, so "secret
// set" rewrites only this file.
func (n Name) SecretsDropIn() string { return n.Template() + ".d/50-secrets.conf" }

// EncryptedSecrets is the first systemd with LoadCredentialEncrypted= and systemd-creds(1).
const EncryptedSecrets = 250

// maxSecretName is the maximum length of a name. A file name has at most 255 bytes, and clusterctl appends suffixes to the
// name of a secret.
const maxSecretName = 128

// CheckSecretName returns an error if a secret cannot have this name. The name is used for a file, for a credential and in a
// unit.
func CheckSecretName(s string) error {
	if s == "" || len(s) > maxSecretName || !alnumOr(s, "_.-") || !alnumOr(s[:1], "_") {
		return fieldErrorf("secret", "use letters, digits, \"_\", \".\" and \"-\", such as DB_PASSWORD",
			"%q is not the name of a secret (at most %d characters)", s, maxSecretName)
	}
	return nil
}

type secretsView struct {
	header
	Plain, Encrypted []value
}

// The method credentials returns the LoadCredential= and LoadCredentialEncrypted= lines for the secrets of the target.
// Encrypted secrets are omitted if systemd does not support them, which happens only after a downgrade of systemd.
func (r *renderer) credentials() (plain, encrypted []value) {
	for _, s := range r.target.Secrets {
		line := fixed(s.Name + ":" + string(r.must(absolutePath("secret", s.Path))))
		switch old := r.target.Systemd > 0 && r.target.Systemd < EncryptedSecrets; {
		case s.Encrypted && old:
		case s.Encrypted:
			encrypted = append(encrypted, line)
		default:
			plain = append(plain, line)
		}
	}
	return plain, encrypted
}

func (r *renderer) secrets() secretsView {
	v := secretsView{header: r.header(r.app.Name.Template())}
	v.Plain, v.Encrypted = r.credentials()
	return v
}

// validateSecrets checks the variables that come from secrets.
func (a App) validateSecrets(add func(error)) {
	seen := map[string]bool{}
	for _, e := range slices.Concat(a.Env, a.Shim.Increment) {
		seen[e.Name] = true
	}
	for i, name := range a.SecretEnv {
		add := func(err error) { add(entry(err, i)) }
		switch {
		case !envfile.ValidName(name) || CheckSecretName(name) != nil:
			add(fieldErrorf("secret-env", "", "%q is not a variable name (letters, digits and \"_\", not beginning with a digit)", name))
		case isReserved(name):
			add(fieldErrorf("secret-env", "", "%q is set by systemd", name))
		case seen[name]:
			add(fieldErrorf("secret-env", "", "%q is given twice", name))
		}
		seen[name] = true
	}
}
