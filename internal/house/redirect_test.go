package house

import (
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// followers are the files whose HTTP clients may follow redirects, and why.
var followers = map[string]string{
	"cmd/intercom-attack":          "tries what strangers would",
	"cmd/intercom-hub/stations.go": "the hub's own socket",
	"cmd/intercom-hub/tls.go":      "ACME signs each request for its own address",
	"cmd/intercom-load":            "no secret",
	"cmd/intercomctl/main.go":      "the station's own socket",
	"internal/fetch/fetch.go":      "sets it on a copy",
	"internal/stage/station.go":    "of tests",
}

// A redirect could lead a request to another host, or to one without TLS, with the secret that it carries.
func TestNoClientFollowsRedirects(t *testing.T) {
	used := map[string]bool{}
	exempt := func(path string) bool {
		for f := range followers {
			if strings.HasPrefix(path, f) {
				used[f] = true
				return true
			}
		}
		return false
	}
	walk(t, func(path string, f *ast.File, set *token.FileSet) {
		ast.Inspect(f, func(n ast.Node) bool {
			what, ok := "", true
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, is := n.X.(*ast.Ident); is && x.Name == "http" {
					switch n.Sel.Name {
					case "Get", "Head", "Post", "PostForm", "DefaultClient":
						what, ok = "http."+n.Sel.Name, false
					}
				}
			case *ast.CompositeLit:
				if s, is := n.Type.(*ast.SelectorExpr); is && s.Sel.Name == "Client" {
					if x, is := s.X.(*ast.Ident); is && x.Name == "http" {
						what, ok = "http.Client", false
						for _, e := range n.Elts {
							if kv, is := e.(*ast.KeyValueExpr); is && kv.Key.(*ast.Ident).Name == "CheckRedirect" {
								ok = true
							}
						}
					}
				}
			}
			if !ok && !exempt(path) {
				t.Errorf("%s: %s follows redirects; set CheckRedirect, or say in this test why it may",
					set.Position(n.Pos()), what)
			}
			return true
		})
	})
	err := filepath.WalkDir(root+"/web", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "test" || d.Name() == "vendor") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".js" {
			return nil
		}
		b, err := os.ReadFile(path)
		for i, line := range strings.Split(string(b), "\n") {
			if strings.Contains(line, " fetch(") && !strings.Contains(line, "redirect: 'error'") {
				t.Errorf("%s:%d: fetch follows redirects; say redirect: 'error'", path, i+1)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for f := range followers {
		if _, err := os.Stat(filepath.Join(root, f)); err == nil && !used[f] && f != "cmd/intercom-attack" {
			t.Errorf("%s follows no redirects; take it out of this test's list", f)
		}
	}
}
