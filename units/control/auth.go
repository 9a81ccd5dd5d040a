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

// authenticate opens the conversation as the current user, as sd-bus does it: everything in one write.
//
// godbus would send BEGIN by itself and the first call right behind it. When PID 1 finds both in one read, which is a
// matter of its load, its server side (sd-bus, bus_socket_read_auth) keeps the call in its buffer and looks at it when more
// data comes, which it never does: the call hangs. With BEGIN on its way before the answer to AUTH, no call can be so
// early.
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
			return fmt.Errorf("no D-Bus server: it answered %q", line)
		}
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return &busError{text: "the bus refused uid " + uid, kind: ErrPermission}
	}
	return nil
}

// rehearsed is a stream that has been authenticated. godbus reads messages only after a conversation of its own, so it
// gets one: what it says is dropped, and it hears what it wants to.
type rehearsed struct {
	stream
	answers bytes.Buffer
	begun   bool
}

func (r *rehearsed) Write(p []byte) (int, error) {
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

func (r *rehearsed) Read(p []byte) (int, error) {
	if !r.begun {
		return r.answers.Read(p)
	}
	return r.stream.Read(p)
}

// external is the only mechanism that is spoken of.
func external() []dbus.Auth { return []dbus.Auth{dbus.AuthExternal("")} }
