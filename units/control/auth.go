package control

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// authenticate authenticates the current user. Like sd-bus, it sends AUTH and BEGIN in one write.
//
// godbus would wait for the answer to AUTH, and then send BEGIN and the first call right after each other. If PID 1 is
// busy, it reads both at once. Its server side (sd-bus, bus_socket_read_auth) then keeps the call in its buffer until more
// data arrives. None does, so the call hangs. authenticate sends BEGIN before it reads the answer to AUTH. The first call
// follows that answer, so PID 1 cannot read BEGIN and the call at once.
func authenticate(s stream) error {
	uid := strconv.Itoa(syscall.Geteuid())
	if _, err := io.WriteString(s, "\x00AUTH EXTERNAL "+hex.EncodeToString([]byte(uid))+"\r\nBEGIN\r\n"); err != nil {
		return err
	}
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, b[0]) {
		if _, err := io.ReadFull(s, b); err != nil {
			return err
		}
		if len(line) > 1000 {
			return fmt.Errorf("not a D-Bus server: it answered %q", line)
		}
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return &busError{text: "the bus refused uid " + uid, kind: ErrPermission}
	}
	return nil
}

// authenticated is a stream on which authenticate has succeeded. godbus insists on its own authentication before it reads
// messages, so Write drops its requests and Read returns the answers that it expects.
type authenticated struct {
	stream
	answers bytes.Buffer
	begun   bool
}

func (r *authenticated) Write(p []byte) (int, error) {
	if r.begun {
		return r.stream.Write(p)
	}
	switch strings.TrimRight(string(p), "\r\n") {
	case "AUTH":
		r.answers.WriteString("REJECTED EXTERNAL\r\n")
	case "AUTH EXTERNAL":
		r.answers.WriteString("OK 0\r\n")
	case "BEGIN":
		r.begun = true
	}
	return len(p), nil
}

func (r *authenticated) Read(p []byte) (int, error) {
	if !r.begun {
		return r.answers.Read(p)
	}
	return r.stream.Read(p)
}

// external returns the only mechanism that godbus may use.
func external() []dbus.Auth { return []dbus.Auth{dbus.AuthExternal("")} }
