package house

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// others are the types of package device whose methods are called on goroutines other than the owner's.
var others = []string{"Device", "Keeper", "api", "inbox", "kiosk"}

// waiting are the calls that may wait for the owner, or for something that takes its time.
var waiting = []string{"Ask", "ask", "Lock", "Reload", "Sleep", "Take", "Test", "Wait"}

// A station's owner never waits: not for itself, which would be for ever, and for nobody else. What takes its time is
// an errand.
func TestTheOwnerOfAStationNeverWaits(t *testing.T) {
	methods := 0
	walk(t, func(path string, f *ast.File, set *token.FileSet) {
		if filepath.ToSlash(filepath.Dir(path)) != "device" {
			return
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && !slices.Contains(others, receiver(fn)) && fn.Name.Name != "ask" {
				methods++
				neverWaits(t, fn, set)
			}
		}
	})
	if methods < 100 {
		t.Errorf("only %d functions of the owner were looked at", methods)
	}
}

// receiver is the type that a method belongs to; empty for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	of := fn.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

func neverWaits(t *testing.T, fn *ast.FuncDecl, set *token.FileSet) {
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			name := called(n)
			if name == "errand" {
				return false
			}
			if door := name == "Lock" && len(n.Args) > 0; slices.Contains(waiting, name) && !door {
				t.Errorf("%s: %s calls %s, which may wait; make it an errand",
					set.Position(n.Pos()), fn.Name.Name, name)
			}
		case *ast.SelectStmt:
			if slices.ContainsFunc(n.Body.List, func(c ast.Stmt) bool { return c.(*ast.CommClause).Comm == nil }) {
				return false // with a default, nobody waits
			}
			t.Errorf("%s: %s waits in a select", set.Position(n.Pos()), fn.Name.Name)
		case *ast.SendStmt:
			t.Errorf("%s: %s waits to send", set.Position(n.Pos()), fn.Name.Name)
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				t.Errorf("%s: %s waits to receive", set.Position(n.Pos()), fn.Name.Name)
			}
		}
		return true
	})
}

// called is the name of what is called, without whose it is.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
