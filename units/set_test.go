package units

import (
	"strings"
	"testing"
)

// TestEdited: the function Edited returns false for a rendered file, and true after any change of the file.
func TestEdited(t *testing.T) {
	a := App{Name: "shop", Command: []string{"/bin/true"}, Instances: Count{N: 2}}
	l, err := ParseListener("8080")
	if err != nil {
		t.Fatal(err)
	}
	a.Listen = []Listener{l}
	set, err := Render(a, Target{Systemd: 252, Sizing: Sizing{Want: 2, Listed: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if len(set) != 5 {
		t.Fatalf("Render returned %d files, want 5", len(set))
	}
	for _, f := range set {
		if Edited(f.Data) {
			t.Errorf("%s: Edited returns true for an unchanged file", f.Path)
		}
		for i := range f.Data {
			changed := append([]byte(nil), f.Data...)
			changed[i] ^= 1
			if !Edited(changed) {
				t.Errorf("%s: Edited does not detect a change of byte %d", f.Path, i)
			}
		}
		text := string(f.Data)
		body, _, _ := strings.Cut(text, sealPrefix)
		for what, s := range map[string]string{
			"a line at the end": text + "Nice=5\n", "no checksum": body, "nothing": "", "no newline": strings.TrimSuffix(text, "\n"),
			"a line at the beginning": "\n" + text, "another checksum at the end": text + sealPrefix + checksum([]byte(body)) + "\n",
		} {
			if !Edited([]byte(s)) {
				t.Errorf("%s: Edited does not detect this change: %s", f.Path, what)
			}
		}
	}
}
