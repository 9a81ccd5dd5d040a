package mask

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units/install"
)

// TestCommandLine checks that CommandLine masks the values of variables, and no other arguments.
func TestCommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"install x --env A=1 -l 80":          "install x --env A=******** -l 80",
		"install x -e A=1 -e B=2=3":          "install x -e A=******** -e B=********",
		"install x --env=A=1 -e=B=2":         "install x --env=A=******** -e=B=********",
		"install x -eA=1":                    "install x -eA=********",
		"install x --env A --env - --env":    "install x --env A --env - --env",
		"install x --env-file a=b":           "install x --env-file a=b",
		"install x --env-file=a=b --exec=c":  "install x --env-file=a=b --exec=c",
		"install x --increment A=1":          "install x --increment A=1",
		"install x -- prog --env A=1":        "install x -- prog --env A=1",
		"install x --env A=1 -- prog -e B=2": "install x --env A=******** -- prog -e B=2",
	} {
		args := strings.Fields(line)
		if got := strings.Join(CommandLine(args), " "); got != want {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
		if strings.Join(args, " ") != line {
			t.Errorf("%s: CommandLine has changed its arguments", line)
		}
	}
}

func TestFile(t *testing.T) {
	for _, c := range []struct{ path, text, want string }{
		{"x@.service", "[Service]\nEnvironment=\"INSTANCE=%i\"\nEnvironment=\"DB_PASSWORD=a \\\" b\"\nEnvironment=\"URL=http://u:p@h/\"\n",
			"[Service]\nEnvironment=\"INSTANCE=%i\"\nEnvironment=\"DB_PASSWORD=********\"\nEnvironment=\"URL=http://u:********@h/\"\n"},
		{"x.yaml", "name: x\nenv:\n  API_KEY: abc\n  \"TOKEN\": \"a: b\"\n  PORT: \"80\"\n  SECRET: null\n",
			"name: x\nenv:\n  API_KEY: ********\n  \"TOKEN\": ********\n  PORT: \"80\"\n  SECRET: null\n"},
		{"x.env", "# Generated\nA=\"1\"\nDB_PASSWORD=\"a\nb\"\n", "# Generated\nA=\"1\"\nDB_PASSWORD=\"********\"\n"},
		{"x.env", "A=1\n", "A=1\n"},
	} {
		if got := string(File(c.path, []byte(c.text))); got != c.want {
			t.Errorf("%s: got %q, want %q", c.path, got, c.want)
		}
	}
	now := string(Values([]byte("A=1\nKEY=new\nTOKEN=t\nPASSWORD=p\n"), []byte("A=1\nKEY=old\nTOKEN=t\n")))
	if want := "A=\"1\"\nKEY=\"******** (changed)\"\nTOKEN=\"********\"\nPASSWORD=\"********\"\n"; now != want {
		t.Errorf("got %q, want %q", now, want)
	}
	before, after := Change(install.Change{Path: "x.yaml"})
	if before != nil || after != nil {
		t.Errorf("for a missing file: got %q and %q, want nil", before, after)
	}
}

func TestValue(t *testing.T) {
	for in, want := range map[string]string{
		"A=1": "1", "PASSWORD=x": Stars, "db_password=x": Stars, "DBPASSWORD=x": Stars, "API_KEY=x": Stars, "KEY=x": Stars, "TOKEN=": "",
		"TOKEN=a=b":   Stars,
		"KEYBOARD=us": "us", "MONKEY=1": "1", "PWD=/srv": "/srv", "DB_PWD=x": Stars, "CREDENTIALS_DIRECTORY=/run/c": "/run/c",
		"SSH_AUTH_SOCK=/run/s":                "/run/s",
		"URL=postgres://joe:hunter2@db/x?y=1": "postgres://joe:" + Stars + "@db/x?y=1",
		"SITE=http://example.org:80/a@b":      "http://example.org:80/a@b", "AUTHOR=joe": "joe",
		"SECRETS=x": Stars, "AWS_SECRET_ACCESS_KEY=x": Stars, "SESSION_COOKIE=x": Stars, "TOKENIZER=x": "x", "PASSENGER=x": "x",
	} {
		name, value, _ := strings.Cut(in, "=")
		got, masked := Value(name, value)
		if got != want || masked != (want != value) {
			t.Errorf("%s: got %q, masked %v, want %q", in, got, masked, want)
		}
	}
}
