package envfile

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"A=1\nB = two words  \n C=3", []string{"A=1", "B=two words", "C=3"}},
		{"[section]\nkey = value\nno equals\n=nothing\n1X=digit\nA-B=dash\nA B=blank\n", []string{"key=value"}},
		{"# comment\n; comment\nA=#not a comment\nB=x # nor this\n", []string{"A=#not a comment", "B=x # nor this"}},
		{"A='single \\ $x'\nB=\"double \\\" \\\\ \\$ \\` \\n\"\nC=a'b'c\nD='a' b \"c\"",
			[]string{`A=single \ $x`, "B=double \" \\ $ ` \\n", "C=a'b'c", "D=ab \"c\""}},
		{"A=one\\\ntwo\nB=\"one\\\ntwo\"\nC=\"one\ntwo\"\nD=x\\ny\\ \nE=\\ x",
			[]string{"A=onetwo", "B=onetwo", "C=one\ntwo", "D=xny ", "E= x"}},
		{"A=1\r\nB=2\r\n", []string{"A=1", "B=2"}},
		{"A=1\nB=2\nA=3\n", []string{"A=3", "B=2"}},
		{"A=\nB=''\nC", []string{"A=", "B="}},
		{"A=\x01\nB=\x7f\nC=\"tab\tand\nline\"", []string{"A=\x01", "B=\x7f", "C=tab\tand\nline"}},
		{"export A=1\n", nil},
		{"A='never ends\nB=2", []string{"A=never ends\nB=2"}},
		{"# ends with \\\nA=1\n", []string{"A=1"}},
	} {
		if got, faults := Parse(tt.text, Syntax{}); slices.ContainsFunc(faults, isWhole) || !slices.Equal(got, tt.want) {
			t.Errorf("Parse(%q) = %q, %v, want %q", tt.text, got, faults, tt.want)
		}
	}
	if got, faults := Parse("# ends with \\\nA=1\nB=2\n", Syntax{CommentsContinue: true}); faults != nil ||
		!slices.Equal(got, []string{"B=2"}) {
		t.Errorf("syntax before systemd 254: Parse returned %q, %v, want B=2", got, faults)
	}
	for _, bad := range []string{"A=\xff", "\xff=1", "A=1\x00"} {
		if got, faults := Parse(bad, Syntax{}); !slices.ContainsFunc(faults, isWhole) {
			t.Errorf("Parse(%q) = %q, %v, want a fault of the whole file", bad, got, faults)
		}
	}
}

func isWhole(f Fault) bool { return f.Whole }

func TestMerge(t *testing.T) {
	env := []string{"A=1", "B=2"}
	got := Merge(env, []string{"B=3", "C=4"})
	if want := []string{"A=1", "B=3", "C=4"}; !slices.Equal(got, want) || env[1] != "B=2" {
		t.Errorf("Merge returned %q, want %q; env is %q", got, want, env)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("A=1\\\n'x' \"y\\$\" # z\n;\\\nB=2")
	f.Fuzz(func(t *testing.T, text string) {
		vars, _ := Parse(text, Syntax{})
		for _, v := range vars {
			name, _, ok := strings.Cut(v, "=")
			if !ok || name == "" || strings.ContainsRune(v, 0) {
				t.Errorf("Parse(%q) returned the invalid variable %q", text, v)
			}
		}
	})
}
