// Package config reads strict TOML into a struct that already holds the defaults, and reports every problem at once,
// each with its file, line, column, key and what to do.
//
// Strict means: an unknown key is an error, and so is a value of the wrong type. Fields carry `toml:"name"` and
// `doc:"text"` tags; a field may implement [encoding.TextUnmarshaler] (see [Duration], [Secret]). [Doc] makes the
// reference page from the same struct. Daemons import it; it is the only package with go-toml.
package config

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Problem is one thing wrong with a configuration.
type Problem struct {
	File      string `json:"file"`
	Line, Col int    // from 1; 0 when the key is not in the file
	Key       string `json:"key"`
	Text      string `json:"text"`
}

func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
	}
	if p.Key == "" {
		return where + ": " + p.Text
	}
	return where + ": " + p.Key + ": " + p.Text
}

// Problems is every problem found, as one error with a line each.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Report collects problems; a Check method says what is wrong with which key.
type Report struct {
	file     string   // the first
	files    []string // and those over it, in their order
	at       map[string]place
	problems Problems
}

// place is where a value is written; a line of 0 has no more than the file, or the variable.
type place struct {
	file      string
	line, col int
}

// Addf adds a problem with the value of key, as written in the file: "hub.url", "button[0].line".
func (r *Report) Addf(key, format string, args ...any) {
	p := Problem{File: r.file, Key: key, Text: fmt.Sprintf(format, args...)}
	// A key that is missing is reported where its table begins.
	for k := key; ; k = k[:strings.LastIndexByte(k, '.')] {
		if at, ok := r.at[k]; ok {
			p.File, p.Line, p.Col = at.file, at.line, at.col
			break
		}
		if !strings.Contains(k, ".") {
			break
		}
	}
	r.problems = append(r.problems, p)
}

// Checker is a settings struct that can say what is wrong with itself.
type Checker interface{ Check(*Report) }

// Load reads file over the defaults in into, which must be a pointer to a struct. The error is [Problems].
func Load(file string, into Checker) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return Problems{{File: file, Text: "cannot be read: " + plain(err) + "; name an existing file with -config"}}
	}
	return Parse(file, b, into)
}

// Parse is Load for bytes already read; file is only named in problems.
func Parse(file string, b []byte, into Checker) error {
	r := &Report{file: file}
	tree, at, err := tree(file, b)
	if err != nil {
		return err
	}
	r.at = at
	return r.apply(tree, into)
}

// Part reads what will lie over something else: into holds the defaults, and only problems of what is written here are
// told, since what is missing may be there.
func Part(file string, b []byte, into Checker) error {
	tree, at, err := tree(file, b)
	if err != nil {
		return err
	}
	r := &Report{file: file, at: at}
	_ = r.apply(tree, into)
	own := slices.DeleteFunc(r.problems, func(p Problem) bool { _, written := at[p.Key]; return !written })
	if len(own) == 0 {
		return nil
	}
	return own
}

// tree is a document, and where its keys are.
func tree(file string, b []byte) (tree map[string]any, at map[string]place, err error) {
	if b, err = Text(b); err != nil {
		return nil, nil, Problems{{File: file, Text: err.Error()}}
	}
	if err := toml.Unmarshal(b, &tree); err != nil {
		p := Problem{File: file, Text: "is not TOML: " + err.Error()}
		var d *toml.DecodeError
		if errors.As(err, &d) {
			p.Line, p.Col = d.Position()
			p.Text = "is not TOML: " + strings.TrimPrefix(d.Error(), "toml: ")
		}
		return nil, nil, Problems{p}
	}
	at = map[string]place{}
	for key, p := range positions(b) {
		at[key] = place{file, p[0], p[1]}
	}
	return tree, at, nil
}

// apply assigns a tree and has the result checked.
func (r *Report) apply(tree map[string]any, into Checker) error {
	r.fill("", reflect.ValueOf(into).Elem(), tree)
	into.Check(r)
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(slices.Index(r.files, a.File), slices.Index(r.files, b.File)),
			cmp.Compare(a.Line, b.Line))
	})
	return r.problems
}

// fill assigns a table to a struct, key by key, and goes on after a problem.
func (r *Report) fill(prefix string, v reflect.Value, table map[string]any) {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("toml"); name != "" {
			fields[name] = v.Field(i)
		}
	}
	for name, value := range table {
		key := prefix + name
		if f, ok := fields[name]; ok {
			r.set(key, f, value)
		} else {
			hint := "; there are: " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
			if near := nearest(name, maps.Keys(fields)); near != "" {
				hint = didYouMean(near)
			}
			r.Addf(key, "is not a setting%s", hint)
		}
	}
}

func (r *Report) set(key string, f reflect.Value, value any) {
	if t, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		s, isText := value.(string)
		if !isText {
			r.Addf(key, "must be text in quotes, not %s", kind(value))
		} else if err := t.UnmarshalText([]byte(s)); err != nil {
			r.Addf(key, "%s", plain(err))
		}
		return
	}
	switch f.Kind() {
	case reflect.Struct:
		if m, ok := value.(map[string]any); ok {
			r.fill(key+".", f, m)
			return
		}
		r.Addf(key, "must be a table, not %s", kind(value))
	case reflect.Map: // name → text
		m, ok := value.(map[string]any)
		if !ok {
			r.Addf(key, "must be a table, not %s", kind(value))
			return
		}
		f.Set(reflect.MakeMap(f.Type()))
		for name, one := range m {
			e := reflect.New(f.Type().Elem()).Elem()
			r.set(key+"."+name, e, one)
			f.SetMapIndex(reflect.ValueOf(name), e)
		}
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			r.Addf(key, "must be a list, not %s", kind(value))
			return
		}
		f.Set(reflect.MakeSlice(f.Type(), len(list), len(list)))
		for i, one := range list {
			r.set(fmt.Sprintf("%s[%d]", key, i), f.Index(i), one)
		}
	default:
		got := reflect.ValueOf(value)
		switch {
		case got.Kind() == reflect.Int64 && f.CanFloat():
			f.SetFloat(float64(got.Int()))
		case got.Kind() == reflect.Int64 && f.CanInt() && !f.OverflowInt(got.Int()):
			f.SetInt(got.Int())
		case got.Kind() == f.Kind():
			f.Set(got.Convert(f.Type()))
		default:
			r.Addf(key, "must be %s, not %s", want(f), kind(value))
		}
	}
}

// positions finds the line and column of every key in a valid document.
func positions(b []byte) map[string][2]int {
	at := map[string][2]int{}
	var p unstable.Parser
	p.Reset(b)
	prefix, count := "", map[string]int{}
	for p.NextExpression() {
		e := p.Expression()
		path, start := keyOf(&p, e)
		switch e.Kind {
		case unstable.Table:
			for array, n := range count { // a table inside the latest of a list of tables
				if rest, ok := strings.CutPrefix(path, array+"."); ok {
					path = fmt.Sprintf("%s[%d].%s", array, n-1, rest)
				}
			}
			prefix = path + "."
			at[path] = start
		case unstable.ArrayTable:
			path = fmt.Sprintf("%s[%d]", path, count[path])
			count[path[:strings.LastIndexByte(path, '[')]]++
			prefix = path + "."
			at[path] = start
		case unstable.KeyValue:
			note(&p, at, prefix, e)
		}
	}
	return at
}

// note remembers a key and, for an inline table, the keys inside.
func note(p *unstable.Parser, at map[string][2]int, prefix string, e *unstable.Node) {
	path, start := keyOf(p, e)
	at[prefix+path] = start
	if v := e.Value(); v.Kind == unstable.InlineTable {
		for it := v.Children(); it.Next(); {
			note(p, at, prefix+path+".", it.Node())
		}
	}
}

func keyOf(p *unstable.Parser, e *unstable.Node) (path string, start [2]int) {
	var parts []string
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if len(parts) == 0 {
			s := p.Shape(n.Raw).Start
			start = [2]int{s.Line, s.Column}
		}
		parts = append(parts, string(n.Data))
	}
	return strings.Join(parts, "."), start
}

// nearest is the name that was probably meant; empty when none is near.
func nearest(name string, names iter.Seq[string]) string {
	best, score := "", 3
	for n := range names {
		if d := distance(name, n); d < score || d == score && n < best {
			best, score = n, d
		}
	}
	return best
}

func didYouMean(name string) string { return fmt.Sprintf("; did you mean %q?", name) }

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}

func kind(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case int64:
		return "a number"
	case float64:
		return "a fraction"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date"
}

func want(f reflect.Value) string {
	switch {
	case f.Kind() == reflect.Bool:
		return "true or false"
	case f.CanInt():
		return "a whole number"
	case f.CanFloat():
		return "a number"
	}
	return "text in quotes"
}

// plain is an error's text without Go's habit of naming the call.
func plain(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// Doc writes the reference of a settings struct as Markdown rows, one table for each TOML table.
func Doc(defaults any) string {
	var b bytes.Buffer
	doc(&b, "", reflect.ValueOf(defaults).Elem())
	return strings.TrimSpace(b.String()) + "\n"
}

func doc(b *bytes.Buffer, prefix string, v reflect.Value) {
	type later struct {
		title string
		v     reflect.Value
		doc   string
	}
	var tables []later
	b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	for i := range v.NumField() {
		f, t := v.Field(i), v.Type().Field(i)
		name := t.Tag.Get("toml")
		if name == "" {
			continue
		}
		_, isText := f.Addr().Interface().(encoding.TextUnmarshaler)
		switch {
		case f.Kind() == reflect.Struct && !isText:
			tables = append(tables, later{"[" + prefix + name + "]", f, t.Tag.Get("doc")})
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			tables = append(tables, later{"[[" + prefix + name + "]]", reflect.New(f.Type().Elem()).Elem(),
				t.Tag.Get("doc")})
		default:
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, value(f), t.Tag.Get("doc"))
		}
	}
	for _, t := range tables {
		fmt.Fprintf(b, "\n### `%s`\n\n%s\n\n", t.title, t.doc)
		doc(b, strings.Trim(t.title, "[]")+".", t.v)
	}
}

func value(f reflect.Value) string {
	if f.IsZero() && f.Kind() != reflect.Bool {
		return ""
	}
	switch v := f.Interface().(type) {
	case fmt.Stringer:
		return fmt.Sprintf("`%q`", v.String())
	case string:
		return fmt.Sprintf("`%q`", v)
	case []string:
		return "`[\"" + strings.Join(v, `", "`) + "\"]`"
	}
	if f.Kind() == reflect.String {
		return fmt.Sprintf("`%q`", f.String())
	}
	return fmt.Sprintf("`%v`", f.Interface())
}
