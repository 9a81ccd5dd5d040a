package manage

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// TestCheckSecrets checks that there is an error for each missing secret.
func TestCheckSecrets(t *testing.T) {
	l := newLab(t)
	a := units.App{Name: "web", Command: []string{"/bin/true"}, SecretEnv: []string{"A", "B"}}
	s := &Session{Manager: l.Manager, Name: "web"}
	l.Root = false
	if err := s.CheckSecrets(a); err != nil {
		t.Errorf("without root: got error %v, want none", err)
	}
	l.Root = true
	if err := l.Store.SetSecret("web", "B", []byte("x"), true); err != nil {
		t.Fatal(err)
	}
	dropIn := filepath.Join(l.Store.Units, a.Name.SecretsDropIn())
	if err := os.MkdirAll(filepath.Dir(dropIn), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dropIn, []byte("LoadCredential=C:/x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, err := range fault.Flatten(s.CheckSecrets(a)) {
		got = append(got, err.Error()+"; "+fault.Hint(err))
	}
	want := []string{
		"web: the secret A is not set; sudo clusterctl secret set web A", "web: the secret C is not set; sudo clusterctl secret set web C",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got the errors %q, want %q", got, want)
	}
}
