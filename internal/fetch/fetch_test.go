package fetch

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestWhatIsFetched(t *testing.T) {
	mux := http.NewServeMux()
	give := func(path, kind, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body))
		})
	}
	give("/good", "audio/ogg", "sound")
	give("/page", "text/html", "<html>")
	give("/big", "audio/wav", strings.Repeat("x", MaxSize+1))
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/good", http.StatusFound)
	})
	s := httptest.NewTLSServer(mux)
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := Fetcher{Hosts: []string{u.Hostname()}, Types: []string{"audio/"}, Client: s.Client()}
	for path, want := range map[string]string{"/good": "", "/page": "text/html", "/big": "1 MiB", "/elsewhere": "302",
		"/nothing": "404"} {
		b, err := f.Get(t.Context(), s.URL+path)
		if want == "" && (err != nil || string(b) != "sound") ||
			want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q %v", path, b, err)
		}
	}
	f.Client = nil
	if _, err := f.Get(t.Context(), s.URL+"/good"); err == nil || !strings.Contains(err.Error(), "private address") {
		t.Errorf("from this machine: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{"https://a.example/x": true, "http://a.example/x": false,
		"https://b.example/x": false, "https://me@a.example/": false, "file:///etc/passwd": false, "https://": false} {
		if err := Check(address, []string{"a.example"}); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
	for address, good := range map[string]bool{"93.184.216.34:443": true, "10.0.0.1:443": false, "127.0.0.1:443": false,
		"[::1]:443": false, "169.254.169.254:80": false, "100.64.1.1:443": false, "[fd00::1]:443": false,
		"[::ffff:192.168.0.1]:443": false,
		"0.0.0.0:443":              false, "[64:ff9b::a00:1]:443": false, "[2002:a00:1::]:443": false,
		"[::10.0.0.1]:443": false, "[fe80::1]:443": false, "[2606:4700::1111]:443": true} {
		if err := publicOnly("tcp", address, nil); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}
