package web

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
)

// Every page comes with the policy and keeps to it: nothing inline, nothing from elsewhere.
func TestPages(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
	get := func(path string) (*http.Response, string) {
		t.Helper()
		r, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var b strings.Builder
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		return r, b.String()
	}
	if r, _ := get(SetupPath); r.StatusCode != http.StatusOK || r.Header.Get("Content-Security-Policy") != Policy {
		t.Errorf("%s: %s", SetupPath, r.Status)
	}
	if r, _ := get("/nothing"); r.StatusCode != http.StatusNotFound {
		t.Error(r.Status)
	}
	err := fs.WalkDir(files, "console", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		r, text := get("/" + name)
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, r.Status)
		}
		if path.Ext(name) == ".html" {
			for _, not := range []string{"<script>", "<style", " style=", " onclick=", "src=\"http", "href=\"http"} {
				if strings.Contains(text, not) {
					t.Errorf("%s has %q, which the policy refuses", name, not)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The package that npm installs from the hub has the SDK, its types, and what npm wants of a package.
func TestPackage(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
	r, err := http.Get(s.URL + PackagePath)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(r.Status, err)
	}
	var names []string
	for all := tar.NewReader(z); ; {
		h, err := all.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(all)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := files.ReadFile("sdk" + strings.TrimPrefix(h.Name, "package")); err != nil ||
			string(want) != string(text) {
			t.Errorf("%s is another file: %v", h.Name, err)
		}
		names = append(names, h.Name)
	}
	if r, err := http.Get(s.URL + "/sdk/types/intercom.d.ts"); err != nil || r.StatusCode != http.StatusOK ||
		r.Header.Get("Content-Type") != "application/typescript; charset=utf-8" {
		t.Error("the types are not served", err)
	}
	for _, must := range []string{"package/package.json", "package/README.md", "package/src/intercom.js",
		"package/types/intercom.d.ts"} {
		if !slices.Contains(names, must) {
			t.Errorf("no %s in %q", must, names)
		}
	}
}
