package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
)

// UnsafePath is a path that the app depends on and that other users may change, as "show --json" prints it.
type UnsafePath struct {
	What    string   `json:"what"`
	Path    string   `json:"path"`
	Writers []Writer `json:"writers"`
	// The field tolerated is set if the install prints a note for the path instead of an error.
	tolerated bool
}

// Writer is a user or group that may write Path. The field Path has the unsafe path, or a directory or link on the way to
// it.
type Writer struct {
	Path   string       `json:"path"`
	Reason trust.Reason `json:"reason"`
	// Name is the name of the user or group. Users are the members if Name is a group.
	Name  string   `json:"name,omitempty"`
	Users []string `json:"users,omitempty"`
}

// Noun returns the kind of the path, in words.
func (p UnsafePath) Noun() string {
	switch p.What {
	case whatEnvFile:
		return "environment file"
	case whatWritable:
		return "writable path"
	case whatSocket:
		return "directory of the socket"
	}
	return p.What
}

// Who returns a text with the writers and the paths that they may write: "everybody may write /tmp/x".
func (p UnsafePath) Who() string {
	var words []string
	for i, w := range p.Writers {
		if i == 2 && len(p.Writers) > 3 {
			words = append(words, fmt.Sprintf("%d more", len(p.Writers)-i))
			break
		}
		words = append(words, w.String())
	}
	return strings.Join(words, "; ")
}

func (w Writer) String() string {
	switch w.Reason {
	case trust.Everybody:
		return "everybody may write " + w.Path
	case trust.Owner:
		return "user " + w.Name + " owns " + w.Path
	case trust.ACLUser:
		return "user " + w.Name + " may write " + w.Path + " (ACL)"
	}
	text := "group " + w.Name
	if len(w.Users) > 0 {
		text += " (" + strings.Join(w.Users, ", ") + ")"
	}
	text += " may write " + w.Path
	if w.Reason == trust.ACLGroup {
		text += " (ACL)"
	}
	return text
}

// The method command returns a shell command that removes the writer's right, or a text with the safe directories.
func (w Writer) command() string {
	path := text.Shell(w.Path)
	switch w.Reason {
	case trust.Owner:
		return "chown root " + path
	case trust.Group:
		return "chmod g-w " + path
	case trust.ACLUser:
		return "setfacl -x u:" + w.Name + " " + path
	case trust.ACLGroup:
		return "setfacl -x g:" + w.Name + " " + path
	}
	if info, err := os.Lstat(w.Path); err == nil && info.Mode()&os.ModeSticky != 0 {
		return "use a directory below /etc, /opt or /srv instead of " + path
	}
	return "chmod o-w " + path
}

func (c *check) refuse(p UnsafePath) error {
	rights, hint := "is what the app runs", p.Writers[0].command()
	switch {
	case p.What == whatEnvFile:
		rights = "is read as root"
		hint = fmt.Sprintf("install -m 600 %s /etc/%s.env, and --env-file /etc/%[2]s.env", text.Shell(p.Path), c.app.Name)
	case p.What == whatSocket:
		rights = "is where root makes the socket"
		hint = fmt.Sprintf("--listen /run/%s/%s", c.app.Name, filepath.Base(c.socketIn(p.Path)))
	case p.What == whatWritable:
		rights = "is writable in the sandbox"
	case c.root():
		rights = "decides what root runs"
	case p.What == whatDirectory:
		rights = "is where the app runs"
	}
	if w := p.Writers[0]; w.Reason == trust.Owner && p.What != whatEnvFile && p.What != whatSocket {
		hint += fmt.Sprintf(", or --trust %s if you trust this user", w.Name)
	}
	return fault.WithHint(fmt.Errorf("the %s %q %s, and %s", p.Noun(), p.Path, rights, p.Who()), "%s", hint)
}

func (c *check) socketIn(dir string) string {
	for _, l := range c.app.Listen {
		if l.Network == units.Unix && filepath.Dir(l.Path) == dir {
			return l.Path
		}
	}
	return ""
}
