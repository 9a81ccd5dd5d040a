package units

import (
	"strings"
	"testing"
)

// TestEdited: each file of an app is as it was made, and no longer so after any change of one byte, after a line that was
// added or taken away, and without its checksum.
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
		t.Fatalf("%d files", len(set))
	}
	for _, f := range set {
		if Edited(f.Data) {
			t.Errorf("%s counts as edited as it is", f.Path)
		}
		for i := range f.Data {
			changed := append([]byte(nil), f.Data...)
			changed[i] ^= 1
			if !Edited(changed) {
				t.Errorf("%s: a change of byte %d is not seen", f.Path, i)
			}
		}
		text := string(f.Data)
		body, _, _ := strings.Cut(text, sealPrefix)
		for what, s := range map[string]string{
			"a line at the end": text + "Nice=5\n", "no checksum": body, "nothing": "", "no newline": strings.TrimSuffix(text, "\n"),
			"a line at the beginning": "\n" + text, "another checksum behind": text + sealPrefix + checksum([]byte(body)) + "\n",
		} {
			if !Edited([]byte(s)) {
				t.Errorf("%s: %s is not seen", f.Path, what)
			}
		}
	}
}
