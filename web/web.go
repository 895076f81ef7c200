// Package web is what the hub shows in a browser. The files are embedded; nothing is fetched from anywhere else.
package web

import (
	"embed"
	"encoding/pem"
	"net/http"
	"os"
	"path"
	"strings"
)

//go:embed console sdk/src sdk/types sdk/package.json sdk/README.md
var files embed.FS

// Policy is the Content-Security-Policy of the pages: scripts and styles of this server, and nothing inline.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// SetupPath is the page on which the first operator is made; the code follows as its fragment, which browsers keep to
// themselves.
const SetupPath = "/setup"

// Addresses of the page that says how to come in over TLS, and of the certificate that it is about.
const (
	TrustPath = "/trust"
	CAPath    = "/ca.pem"
)

// Handler serves the pages.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+TrustPath, page("console/trust.html"))
	mux.HandleFunc("GET /{$}", page("console/index.html"))
	mux.HandleFunc("GET "+SetupPath, page("console/setup.html"))
	mux.HandleFunc("GET "+PackagePath, servePackage)
	mux.HandleFunc("GET /sdk/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // pages of other sites may import it
		w.Header().Set("Cache-Control", "no-cache")
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/sdk/")
		if strings.HasPrefix(name, "types/") {
			w.Header().Set("Content-Type", "application/typescript; charset=utf-8")
			http.ServeFileFS(w, r, files, "sdk/"+name)
			return
		}
		http.ServeFileFS(w, r, files, "sdk/src/"+name)
	})
	mux.HandleFunc("GET /console/", func(w http.ResponseWriter, r *http.Request) {
		http.FileServerFS(files).ServeHTTP(w, r)
	})
	return mux
}

func page(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", Policy)
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, files, name)
	}
}

// Trust serves those who do not trust the hub's authority yet: its certificate, what to do with it, and nothing else.
func Trust(caFile string) http.Handler {
	mux := http.NewServeMux()
	for _, at := range []string{"GET /{$}", "GET " + TrustPath} {
		mux.HandleFunc(at, page("console/trust.html"))
	}
	mux.HandleFunc("GET "+CAPath, ServeCA(caFile))
	for _, name := range []string{"style.css", "icon.svg"} {
		mux.HandleFunc("GET /console/"+name, page("console/"+name))
	}
	return mux
}

// ServeCA serves the certificate of the hub's authority in a file, which is read at each request; "" is for a hub
// without.
func ServeCA(file string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		b, err := os.ReadFile(file)
		block, _ := pem.Decode(b)
		if err != nil || block == nil || block.Type != "CERTIFICATE" {
			http.Error(w, "This hub has no certificate authority of its own.", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/x-x509-ca-cert")
		w.Header().Set("Content-Disposition", `attachment; filename="intercom-ca.crt"`)
		w.Header().Set("Cache-Control", "no-cache")
		_ = pem.Encode(w, &pem.Block{Type: block.Type, Bytes: block.Bytes}) // of the file, what is no secret
	}
}
