//go:build lab

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestEnvFileSyntax checks that the shim reads the same variables from an environment file as the systemd of the machine.
func TestEnvFileSyntax(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		texts := []string{
			"A=1\nB = two words  \n C=3", "[section]\nkey = value\nno equals\n=nothing\n1X=digit\nA-B=dash\n",
			"# ends with \\\nA=1\nB=2\n", "; c\nA=#x\nB=x # y\n",
			"A='single \\ $x'\nB=\"double \\\" \\\\ \\$ \\` \\n\"\nC=a'b'c\nD='a' b \"c\"",
			"A=one\\\ntwo\nB=\"one\\\ntwo\"\nC=\"one\ntwo\"\nD=x\\ny\\ \nE=\\ x",
			"A=1\r\nB=2\r\n", "A=1\nB=2\nA=3\n", "A=\nB=''\nC", "A=\x01\nB=\x7f\nC=\u0085\n", "A='never ends\nB=2",
			"HOME=/x\nPATH=/bin:/usr/bin\nMEANT=\\", "A=1\n\xef\xbb\xbfB=2\n", "é=1\nB=é\n",
		}
		// Add random texts of characters that have a special meaning in environment files. The seed is fixed.
		random := rand.New(rand.NewPCG(11, 11))
		letters := []string{"A", "B=", "C = ", "x", " ", "\t", "\n", "\r", "\\", "\"", "'", "#", ";", "$", "`", "=", "\\\n", "\n#", "é"}
		for range 40 {
			var b strings.Builder
			for range 30 {
				b.WriteString(letters[random.IntN(len(letters))])
			}
			texts = append(texts, b.String())
		}
		m.Sh(t, "mkdir -p /srv/envfiles")
		t.Cleanup(func() { m.Sh(t, "rm -r /srv/envfiles") })
		flags := ""
		if m.Systemd(t) < 254 {
			flags = "--env-comments-continue "
		}
		var script strings.Builder
		for i, text := range texts {
			file := fmt.Sprintf("/srv/envfiles/%d", i)
			m.WriteFile(t, file, text, 0o644)
			fmt.Fprintf(&script, "systemd-run -q --wait --pipe -p EnvironmentFile=%s /usr/bin/env -0 >%[1]s.systemd || :\n", file)
			fmt.Fprintf(&script, "systemd-run -q --wait --pipe %s run %s--env-file=%s -- /usr/bin/env -0 >%[3]s.shim || :\n",
				kit.Shim, flags, file)
		}
		m.Sh(t, script.String()+"wait")
		for i, text := range texts {
			file := fmt.Sprintf("/srv/envfiles/%d", i)
			want, got := variablesIn(m.ReadFile(t, file+".systemd")), variablesIn(m.ReadFile(t, file+".shim"))
			if len(want) == 0 {
				t.Errorf("systemd did not run the command with the environment file %q", text)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q:\n shim    %q\n systemd %q", text, got, want)
			}
		}
	})
}

// variablesIn returns the sorted lines of the output of env -0, without the variables whose values differ between units.
func variablesIn(data string) []string {
	var list []string
	for _, v := range strings.Split(strings.TrimSuffix(data, "\x00"), "\x00") {
		name, _, _ := strings.Cut(v, "=")
		if v != "" &&
			!slices.Contains([]string{"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID",
				"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"}, name) {
			list = append(list, v)
		}
	}
	slices.Sort(list)
	return list
}
