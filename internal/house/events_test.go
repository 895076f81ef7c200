package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"intercom/internal/event"
)

// What a program logs has the names of package event, and no kind of event is written out where it is logged: the
// journal's ids and docs/log-fields.md are made from there.
func TestLogLinesHaveTheNamesOfPackageEvent(t *testing.T) {
	made := []string{"account", "cuid", "peer", "hub", "part", "call"} // by functions of package event alone
	known := []string{}
	for _, a := range event.Attributes() {
		known = append(known, a.Key)
	}
	used, kinds := map[string]bool{}, map[string]bool{}
	passOn := passesOn(t)
	walk(t, func(_ string, f *ast.File, set *token.FileSet) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isName(s.X, "event") {
				kinds[s.Sel.Name] = true
			}
			text, attributes := logged(n, passOn)
			if kind, ok := literal(text); ok && event.ID(kind) != "" {
				t.Errorf("%s: %q is a kind of event; use the constant of package event", set.Position(text.Pos()), kind)
			}
			for i := 0; i < len(attributes); i++ {
				key, ok := literal(attributes[i])
				if !ok { // made by package event, or a slice, which is looked at by itself
					continue
				}
				switch at := set.Position(attributes[i].Pos()); {
				case slices.Contains(made, key):
					t.Errorf("%s: the attribute %s is made by package event", at, key)
				case !slices.Contains(known, key):
					t.Errorf("%s: the attribute %s is not in the table of package event", at, key)
				}
				used[key] = true
				i++ // its value
			}
			return true
		})
	})
	for _, key := range known {
		if !used[key] && !slices.Contains(made, key) {
			t.Errorf("nothing logs the attribute %s; package event must name those that there are", key)
		}
	}
	walk(t, func(path string, f *ast.File, _ *token.FileSet) {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && path == "internal/event/event.go" && !kinds[v.Names[0].Name] {
				t.Errorf("nothing logs event.%s", v.Names[0].Name)
			}
			return true
		})
	})
}

// passesOn finds our own functions that log the attributes they are given: their last parameter is attrs ...any. It
// returns the place of that.
func passesOn(t *testing.T) map[string]int {
	all := map[string]int{}
	walk(t, func(_ string, f *ast.File, _ *token.FileSet) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Type.Params.NumFields() == 0 {
				continue
			}
			last := fn.Type.Params.List[len(fn.Type.Params.List)-1]
			_, variadic := last.Type.(*ast.Ellipsis)
			if variadic && len(last.Names) == 1 && last.Names[0].Name == "attrs" {
				all[fn.Name.Name] = fn.Type.Params.NumFields() - 1
			}
		}
	})
	return all
}

// logged is the text and the attributes of a call that logs, and the attributes of a slice of them.
func logged(n ast.Node, passOn map[string]int) (text ast.Expr, attributes []ast.Expr) {
	if list, ok := n.(*ast.CompositeLit); ok {
		if a, ok := list.Type.(*ast.ArrayType); ok && isName(a.Elt, "any") {
			return nil, list.Elts
		}
	}
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil, nil
	}
	if isName(call.Fun, "append") && len(call.Args) > 2 && isName(call.Args[0], "attrs") {
		return nil, call.Args[1:]
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || isName(f.X, "http") {
		return nil, nil
	}
	from, ok := map[string]int{"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "Log": 3, "With": 0}[f.Sel.Name]
	if !ok {
		from, ok = passOn[f.Sel.Name]
	}
	if !ok || len(call.Args) < from {
		return nil, nil
	}
	if from > 0 {
		text = call.Args[from-1]
	}
	return text, call.Args[from:]
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

func isName(e ast.Expr, name string) bool { x, ok := e.(*ast.Ident); return ok && x.Name == name }
