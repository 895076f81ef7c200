package config

import (
	"encoding"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Origins say where each value of a configuration comes from; what is not in it is a default.
type Origins struct{ at map[string]place }

// Layer is a document that does not come from a file of the administrator's.
type Layer struct{ Name, Text string }

// Read reads file, then the files FILE.d/*.toml in the order of their names, the layers, and then the environment, each
// over what was before: a value replaces the one before, and so does a list; tables are merged, and those of a list by
// their name.
//
// A variable is prefix and the key in capitals, with underscores for dots: INTERCOMD_HUB_URL. It has the bare text;
// true or false; a number; or a list with commas. Lists of tables have no variables. The error is [Problems], with
// those of all.
func Read(file, prefix string, into Checker, layers ...Layer) (Origins, error) {
	r := &Report{file: file, files: []string{file}}
	whole := map[string]any{}
	r.at = map[string]place{}
	more, _ := filepath.Glob(file + ".d/*.toml") // sorted; the pattern is a good one
	for _, f := range append([]string{file}, more...) {
		b, err := os.ReadFile(f)
		if err != nil {
			text := "cannot be read: " + plain(err)
			if f == file {
				text += "; name an existing file with -config"
			}
			return Origins{}, Problems{{File: f, Text: text}}
		}
		over, at, err := tree(f, b)
		if err != nil {
			return Origins{}, err
		}
		if f != file {
			r.files = append(r.files, f)
		}
		r.merge(whole, over, "", "", at)
	}
	for _, l := range layers {
		over, at, err := tree(l.Name, []byte(l.Text))
		if err != nil {
			return Origins{}, err
		}
		r.files = append(r.files, l.Name)
		r.merge(whole, over, "", "", at)
	}
	r.environment(whole, prefix, reflect.ValueOf(into).Elem())
	err := r.apply(whole, into)
	return Origins{r.at}, err
}

// merge lays a table over another; key and overKey are their places in the whole and in the document of over.
func (r *Report) merge(into, over map[string]any, key, overKey string, at map[string]place) {
	for _, name := range slices.Sorted(maps.Keys(over)) {
		r.lay(into, name, over[name], key+name, overKey+name, at)
	}
}

func (r *Report) lay(into map[string]any, name string, v any, key, overKey string, at map[string]place) {
	if p, ok := at[overKey]; ok {
		r.at[key] = p
	}
	switch v := v.(type) {
	case map[string]any:
		if below, ok := into[name].(map[string]any); ok {
			r.merge(below, v, key+".", overKey+".", at)
			return
		}
		below := map[string]any{}
		into[name] = below
		r.merge(below, v, key+".", overKey+".", at)
	case []any:
		list, _ := into[name].([]any)
		if !allNamed(list) || !allNamed(v) {
			list = nil
		}
		for i, one := range v {
			table, ok := one.(map[string]any)
			if !ok {
				list = append(list, one)
				continue
			}
			j := slices.IndexFunc(list, func(b any) bool {
				n := b.(map[string]any)["name"]
				return n != nil && n == table["name"]
			})
			if j < 0 || slices.ContainsFunc(v[:i], func(b any) bool {
				return b.(map[string]any)["name"] == table["name"]
			}) {
				// two of one name in one file are a problem to be told
				j, list = len(list), append(list, map[string]any{})
			}
			if p, ok := at[fmt.Sprintf("%s[%d]", overKey, i)]; ok {
				r.at[fmt.Sprintf("%s[%d]", key, j)] = p
			}
			r.merge(list[j].(map[string]any), table, fmt.Sprintf("%s[%d].", key, j),
				fmt.Sprintf("%s[%d].", overKey, i), at)
		}
		if list == nil {
			list = []any{}
		}
		into[name] = list
	default:
		into[name] = v
	}
}

// allNamed reports whether a list is one of tables with names.
func allNamed(list []any) bool {
	return !slices.ContainsFunc(list, func(one any) bool {
		t, ok := one.(map[string]any)
		return !ok || t["name"] == nil
	})
}

// environment lays the variables over the tree.
func (r *Report) environment(whole map[string]any, prefix string, v reflect.Value) {
	known := map[string]setting{}
	for _, s := range settings("", v) {
		known[prefix+"_"+strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))] = s
	}
	all := os.Environ()
	slices.Sort(all)
	for _, e := range all {
		name, text, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, prefix+"_") {
			continue
		}
		from := place{file: "environment " + name}
		r.files = append(r.files, from.file)
		s, ok := known[name]
		if !ok {
			hint := "; variables are named like " + prefix + "_HUB_URL"
			if near := nearest(name, maps.Keys(known)); near != "" {
				hint = didYouMean(near)
			}
			r.problems = append(r.problems, Problem{File: from.file, Text: "is not a setting" + hint})
			continue
		}
		value, err := fromText(s.field, text)
		if err != nil {
			r.problems = append(r.problems, Problem{File: from.file, Key: s.key, Text: err.Error()})
			continue
		}
		table, last := whole, s.key
		for {
			head, rest, more := strings.Cut(last, ".")
			if !more {
				break
			}
			below, ok := table[head].(map[string]any)
			if !ok {
				below = map[string]any{}
				table[head] = below
			}
			table, last = below, rest
		}
		table[last] = value
		r.at[s.key] = from
	}
}

// setting is one that a variable can have.
type setting struct {
	key   string
	field reflect.Value
}

// settings are those that are not in lists of tables.
func settings(prefix string, v reflect.Value) (all []setting) {
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Tag.Get("toml"), v.Field(i)
		if name == "" {
			continue // not a setting, and perhaps not exported
		}
		_, isText := f.Addr().Interface().(encoding.TextUnmarshaler)
		switch {
		case f.Kind() == reflect.Struct && !isText:
			all = append(all, settings(prefix+name+".", f)...)
		case f.Kind() == reflect.Map, f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.String:
		default:
			all = append(all, setting{prefix + name, f})
		}
	}
	return all
}

// fromText reads a variable as a document would have its value.
func fromText(f reflect.Value, text string) (any, error) {
	_, isText := f.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case isText || f.Kind() == reflect.String:
		return text, nil
	case f.Kind() == reflect.Slice:
		list := []any{}
		for one := range strings.SplitSeq(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				list = append(list, one)
			}
		}
		return list, nil
	case f.Kind() == reflect.Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b, nil
		}
	case f.CanInt():
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	case f.CanFloat():
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			return x, nil
		}
	}
	return nil, fmt.Errorf("must be %s, not %q", want(f), text)
}
