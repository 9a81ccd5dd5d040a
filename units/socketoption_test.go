package units_test

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

func TestParseSocketOption(t *testing.T) {
	for in, want := range map[string]units.SocketOption{
		"KeepAlive=yes":           {Key: "KeepAlive", Value: "yes"},
		"http-9090:Mark=3":        {Listener: "http-9090", Key: "Mark", Value: "3"},
		"TCPCongestion=bbr":       {Key: "TCPCongestion", Value: "bbr"},
		"udp:ReceiveBuffer=65536": {Listener: "udp", Key: "ReceiveBuffer", Value: "65536"},
	} {
		if got, err := units.ParseSocketOption(in); err != nil || got != want || got.String() != in {
			t.Errorf("%q: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "KeepAlive", "Keepalive=yes", "Accept=yes", ":", "=yes", "http:=1"} {
		if got, err := units.ParseSocketOption(in); err == nil {
			t.Errorf("%q: got %+v, want an error", in, got)
		}
	}
}

func TestValidateSocketOptions(t *testing.T) {
	for options, want := range map[string]string{
		"KeepAlive=yes":                   "",
		"http:KeepAlive=yes":              "",
		"NoDelay=no":                      "",
		"KeepAlive=1":                     "invalid value",
		"KeepAliveTimeSec=-1":             "invalid value",
		"KeepAliveTimeSec=033":            "invalid value",
		"TCPCongestion=a b":               "invalid value",
		"TCPCongestion=":                  "invalid value",
		"ReceiveBuffer=999999999":         "invalid value",
		"IPTOS=256":                       "invalid value",
		"KeepAlive=yes\nAccept=yes":       "invalid value",
		"Broadcast=yes":                   "does not apply to any listener",
		"admin:KeepAlive=yes":             "does not apply to any listener",
		"KeepAlive=yes KeepAlive=no":      "is given twice",
		"KeepAlive=yes http:KeepAlive=no": "is given twice",
	} {
		a := units.App{Name: "web", Command: []string{"/bin/true"}, Listen: []units.Listener{{Port: 8080}}}
		list := strings.Split(options, " ")
		if strings.HasPrefix(options, "TCPCongestion") {
			list = []string{options}
		}
		for _, s := range list {
			o, err := units.ParseSocketOption(s)
			if err != nil {
				t.Fatal(err)
			}
			a.SocketOptions = append(a.SocketOptions, o)
		}
		switch err := a.Validate(); {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got the error %v, want %q", options, err, want)
		}
	}
}

// TestProgramOption: ProgramOption returns the directive for an option, unless the directive is the default or systemd has
// no directive.
func TestProgramOption(t *testing.T) {
	for _, c := range []struct {
		option string
		number int64
		text   string
		want   string
	}{
		{"SO_KEEPALIVE", 1, "", "KeepAlive=yes"},
		{"TCP_KEEPIDLE", 33, "", "KeepAliveTimeSec=33"},
		{"TCP_CONGESTION", 0, "reno", "TCPCongestion=reno"},
		{"SO_RCVBUF", 30000, "", "ReceiveBuffer=30000"},
		{"IP_TOS", 16, "", "IPTOS=16"},
		{"SO_MARK", 7, "", "Mark=7"},
		{"TCP_NODELAY", 1, "", ""},
		{"TCP_USER_TIMEOUT", 1, "", ""},
		{"SO_RCVBUF", 1 << 30, "", ""},
	} {
		o, ok := units.ProgramOption(c.option, c.number, c.text)
		if got := o.String(); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%+v: got %q, %v", c, got, ok)
		}
	}
}
