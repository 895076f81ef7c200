package house

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// How full a file and a type may be: one that is fuller is two. Tests may be longer.
const (
	mostLines   = 450
	mostMethods = 25
)

// full are the rooms that are not yet divided.
var full = []string{
	"audio", "audio/jitter", "call/rtc", "cmd/intercom-attack", "cmd/intercom-lab", "cmd/intercomctl",
	"wire/link",
}

func TestNoFileOrTypeIsTooFull(t *testing.T) {
	methods := map[string]int{}
	walk(t, func(path string, f *ast.File, set *token.FileSet) {
		room := filepath.ToSlash(filepath.Dir(path))
		if slices.Contains(full, room) {
			return
		}
		if n := set.File(f.Pos()).LineCount(); n > mostLines {
			t.Errorf("%s has %d lines; %d are the most", path, n, mostLines)
		}
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			of := fn.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			if name, ok := of.(*ast.Ident); ok {
				if methods[room+"."+name.Name]++; methods[room+"."+name.Name] == mostMethods+1 {
					t.Errorf("%s.%s has more than %d methods", room, name.Name, mostMethods)
				}
			}
		}
	})
}
