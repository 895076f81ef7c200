// Package web is what the hub shows in a browser. The files are embedded; nothing is fetched from anywhere else.
package web

import (
	"embed"
	"net/http"
	"path"
	"strings"
)

//go:embed console sdk/src
var files embed.FS

// Policy is the Content-Security-Policy of the pages: scripts and styles of this server, and nothing inline.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// SetupPath is the page on which the first operator is made; the code follows as its fragment, which browsers keep to
// themselves.
const SetupPath = "/setup"

// Handler serves the pages.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page("console/index.html"))
	mux.HandleFunc("GET "+SetupPath, page("console/setup.html"))
	mux.HandleFunc("GET /sdk/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // pages of other sites may import it
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, files, "sdk/src/"+strings.TrimPrefix(path.Clean(r.URL.Path), "/sdk/"))
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
