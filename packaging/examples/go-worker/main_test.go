package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestRoutes(t *testing.T) {
	crashed := 0
	h := routes(name("2"), func() { crashed++ })
	for _, test := range []struct {
		path   string
		status int
		body   string
	}{
		{"/", http.StatusOK, "hello from instance 2, pid "},
		{"/slow?ms=1", http.StatusOK, "1 ms later"},
		{"/slow", http.StatusBadRequest, "ms must be"},
		{"/slow?ms=60001", http.StatusBadRequest, "ms must be"},
		{"/nothing", http.StatusNotFound, "404"},
		{"/crash", http.StatusOK, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path, nil))
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.body) {
			t.Errorf("%s: got status %d, body %q", test.path, w.Code, w.Body)
		}
		if got := w.Header().Get("X-Worker"); got != strconv.Itoa(os.Getpid()) {
			t.Errorf("%s: X-Worker %q", test.path, got)
		}
	}
	if crashed != 1 {
		t.Errorf("crashed %d times", crashed)
	}
	if got := name(""); !strings.HasPrefix(got, "pid ") {
		t.Errorf("the name without an instance is %q", got)
	}
}
