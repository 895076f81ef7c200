package config

import (
	"bytes"
	"encoding"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Encode writes a configuration as TOML, every setting with the value it has. Read again, it is the same.
func Encode(settings any) []byte { return encode(settings, func(string) string { return "" }, false) }

// Show is Encode for people: passwords in addresses are hidden, and with origins each value says where it comes from.
func Show(settings any, o Origins, origins bool) []byte {
	return encode(settings, func(key string) string {
		if !origins {
			return ""
		}
		p, ok := o.at[key]
		switch {
		case !ok:
			return "  # default"
		case p.line > 0:
			return fmt.Sprintf("  # %s:%d", p.file, p.line)
		}
		return "  # " + p.file
	}, true)
}

func encode(settings any, origin func(key string) string, hide bool) []byte {
	var b bytes.Buffer
	e := encoder{out: &b, origin: origin, hide: hide}
	e.table("", "", reflect.ValueOf(settings).Elem())
	return b.Bytes()
}

type encoder struct {
	out    *bytes.Buffer
	origin func(key string) string
	hide   bool
}

// table writes the values of a table first, and then the tables below it. name is what its head says, key its place.
func (e encoder) table(name, key string, v reflect.Value) {
	type below struct {
		head, name, key string
		v               reflect.Value
	}
	var later []below
	dot := func(prefix, name string) string { return strings.TrimPrefix(prefix+"."+name, ".") }
	for i := range v.NumField() {
		field, f := v.Type().Field(i).Tag.Get("toml"), v.Field(i)
		if field == "" {
			continue // not a setting, and perhaps not exported
		}
		_, isText := f.Addr().Interface().(encoding.TextUnmarshaler)
		switch {
		case f.Kind() == reflect.Struct && !isText:
			n := dot(name, field)
			later = append(later, below{"[" + n + "]", n, dot(key, field), f})
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				n := dot(name, field)
				later = append(later, below{"[[" + n + "]]", n, fmt.Sprintf("%s[%d]", dot(key, field), j), f.Index(j)})
			}
		case f.Kind() == reflect.Map:
			if f.Len() > 0 {
				n := dot(name, field)
				later = append(later, below{"[" + n + "]", n, dot(key, field), f})
			}
		default:
			fmt.Fprintf(e.out, "%s = %s%s\n", field, e.value(f), e.origin(dot(key, field)))
		}
	}
	for _, t := range later {
		fmt.Fprintf(e.out, "\n%s\n", t.head)
		if t.v.Kind() != reflect.Map {
			e.table(t.name, t.key, t.v)
			continue
		}
		all := t.v.Interface().(map[string]string)
		for _, k := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(e.out, "%s = %s%s\n", k, quote(all[k]), e.origin(t.key+"."+k))
		}
	}
}

func (e encoder) value(f reflect.Value) string {
	switch v := f.Interface().(type) {
	case fmt.Stringer:
		return quote(v.String())
	case []string:
		quoted := make([]string, len(v))
		for i, one := range v {
			quoted[i] = quote(e.hidden(one))
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	if f.Kind() == reflect.String {
		return quote(e.hidden(f.String()))
	}
	return fmt.Sprint(f.Interface())
}

// hidden is a text without the password of an address.
func (e encoder) hidden(s string) string {
	if u, err := url.Parse(s); e.hide && err == nil && u.User != nil {
		return u.Redacted()
	}
	return s
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, "\\u%04x", c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
