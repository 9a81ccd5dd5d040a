package install

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// The state directory of an app contains:
//
//	pending/            the intent of the apply in progress; created and removed by rename
//	pending/untouched   exists until the first file of the app changes
//	revisions/N/        the intent of a completed apply, with the old files
//	preparing/, trash*/ files to be removed
const (
	pendingDir    = "pending"
	preparingDir  = "preparing"
	trashDir      = "trash"
	revisionsDir  = "revisions"
	intentFile    = "intent.json"
	untouchedFile = "untouched"
)

// These are the modes of files and directories. Every user can read units and sources. Only root can read secrets, the
// values of variables, and the state, which contains old values.
const (
	fileMode      = 0o644
	dirMode       = 0o755
	stateMode     = 0o700
	stateFileMode = 0o600

	secretMode    = 0o600
	secretDirMode = 0o700
)

// intentVersion is the version of the format of intent.json. intentVersion must be increased for a change that older
// versions of clusterctl cannot process.
const intentVersion = 2

// intent describes an apply. In pending/, the apply is in progress. In a revision, the apply is complete.
type intent struct {
	Version int        `json:"version"`
	App     units.Name `json:"app"`
	// The fields Uninstall, Was, Scale and KeepLogs come from the [Plan].
	Uninstall bool `json:"uninstall,omitempty"`
	Was       Was  `json:"was,omitempty"`
	Scale     bool `json:"scale,omitempty"`
	KeepLogs  bool `json:"keepLogs,omitempty"`
	// Command, PID and Since describe the process that began the apply.
	Command string       `json:"command"`
	PID     int          `json:"pid"`
	Since   time.Time    `json:"since"`
	Files   []intentItem `json:"files"`
	// Dirs are the directories that did not exist before the apply.
	Dirs []intentDir `json:"dirs,omitempty"`
}

// intentDir is a directory of an area. Path is relative to the area, and a dot means the directory of the area itself.
type intentDir struct {
	Area area   `json:"area"`
	Path string `json:"path"`
}

// intentItem is one file of an apply. The contents of the file are in the directories old and new of the intent.
type intentItem struct {
	Op   string      `json:"op"`
	Area area        `json:"area"`
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
	// Owner is the owner of the old file, or nil.
	Owner *fileOwner `json:"owner,omitempty"`
	// Old and New are the SHA-256 of the old and the new contents. Old is empty if the file did not exist before the apply.
	// New is empty if the apply removes the file.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

func (i intentItem) attrs() attrs { return attrs{mode: i.Mode, owner: i.Owner} }

// newAttrs returns the attributes of the new file. The new file has the attributes of the old one, but other users may not
// read a file with values of variables.
func (i intentItem) newAttrs() attrs {
	a := i.attrs()
	if units.KindOf(i.Path) == units.KindValues {
		a.mode &^= 0o007
	}
	return a
}

// isChange reports whether the contents of the file change.
func (i intentItem) isChange() bool { return i.Old != i.New }

// stagedNames returns the names of the copies with the new and the old contents, in the directory of the file. systemd
// ignores both copies, because their names begin with a dot and do not end in a unit type.
func (i intentItem) stagedNames() (newName, oldName string) {
	d, base := path.Split(i.Path)
	return d + "." + base + ".clusterctl-new", d + "." + base + ".clusterctl-old"
}

func (s Store) stateDir(app units.Name) string { return filepath.Join(s.State, string(app)) }

// The method prepare writes the intent with all contents to preparingDir, syncs it, and then renames that directory to
// pendingDir.
func (s Store) prepare(state *dir, in intent, changes []Change) error {
	if err := state.mkdir(preparingDir, stateMode); err != nil {
		return err
	}
	p, err := s.open(state.join(preparingDir))
	if err != nil {
		return err
	}
	defer p.close()
	dirs := []string{"."}
	write := func(side string, c Change, data []byte) error {
		rel := path.Join(side, string(c.area), c.rel)
		for i, char := range rel {
			if d := rel[:i]; char == '/' && !slices.Contains(dirs, d) {
				if err := p.mkdir(d, stateMode); err != nil {
					return err
				}
				dirs = append(dirs, d)
			}
		}
		return p.create(rel, data, attrs{mode: stateFileMode})
	}
	for _, c := range changes {
		if c.Old != nil {
			err = write("old", c, c.Old)
		}
		if err == nil && c.New != nil {
			err = write("new", c, c.New)
		}
		if err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	if err := p.create(untouchedFile, nil, attrs{mode: stateFileMode}); err != nil {
		return err
	}
	if err := p.create(intentFile, append(data, '\n'), attrs{mode: stateFileMode}); err != nil {
		return err
	}
	for _, d := range dirs {
		if err := p.sync(d); err != nil {
			return err
		}
	}
	// Create the directory of the revisions now, because Commit must not need disk space.
	if err := state.mkdir(revisionsDir, stateMode); err != nil {
		return err
	}
	if err := state.rename(preparingDir, pendingDir); err != nil {
		return err
	}
	return state.sync(".")
}

// readIntent reads the intent of an apply in progress or of a revision. readIntent checks the version before everything
// else, and returns an error if a path does not belong to the app.
func readIntent(d *dir) (intent, error) {
	data, _, err := d.read(intentFile)
	if err != nil {
		return intent{}, err
	}
	name := d.join(intentFile)
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return intent{}, &Error{Op: "reading", Path: name, Err: err}
	}
	if version.Version > intentVersion {
		return intent{}, &VersionError{Path: name, Version: version.Version, Known: intentVersion}
	}
	var in intent
	if err := json.Unmarshal(data, &in); err != nil {
		return intent{}, &Error{Op: "reading", Path: name, Err: err}
	}
	if err := in.check(); err != nil {
		return intent{}, &Error{Op: "reading", Path: name, Err: err}
	}
	return in, nil
}

func (in intent) check() error {
	if in.Version < 1 || in.Version > intentVersion {
		return fmt.Errorf("unknown format %d", in.Version)
	}
	if _, err := units.ParseName(string(in.App)); err != nil {
		return err
	}
	for _, f := range in.Files {
		switch {
		case f.Area == areaOf(in.App, f.Path) && ownPath(in.App, f.Path):
		case f.Area == configArea && f.Path == string(in.App)+sourceSuffix:
		default:
			return fmt.Errorf("%q is not a file of %s", f.Path, in.App)
		}
	}
	for _, d := range in.Dirs {
		if d.Path != "." && (d.Area != unitArea || d.Path != path.Dir(in.App.DropIn()) && d.Path != path.Dir(in.App.SecretsDropIn())) {
			return fmt.Errorf("%q is not a directory of %s", d.Path, in.App)
		}
	}
	return nil
}

// The method contents reads the old contents (side "old") or the new contents (side "new") from the directory of an intent.
func (i intentItem) contents(d *dir, side string) ([]byte, error) {
	rel := path.Join(side, string(i.Area), i.Path)
	data, _, err := d.read(rel)
	if err != nil {
		return nil, err
	}
	want := i.Old
	if side == "new" {
		want = i.New
	}
	if digest(data) != want {
		return nil, &Error{Op: "reading", Path: d.join(rel), Err: errors.New("the contents are damaged")}
	}
	return data, nil
}

// The function digest returns the SHA-256 of the data, in hexadecimal.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
