package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"intercom/hub/access"
	"intercom/internal/config"
	"intercom/internal/fault"
	"intercom/wire"
)

// This file has the commands that change the accounts. A running hub sees the change within two seconds.

// needs makes a usage error of the first flag that is missing.
func needs(flags ...string) error {
	for i := 0; i+1 < len(flags); i += 2 {
		if flags[i+1] == "" {
			return usageError{"-" + flags[i] + " is missing; see -h"}
		}
	}
	return nil
}

func accountFlag(f *flag.FlagSet) *string { return f.String("account", "", "account `id`") }

// account finds an account that must be there. What is wrong with the files of others does not matter.
func (j *job) account(id string) (*access.Account, error) {
	if err := needs("account", id); err != nil {
		return nil, err
	}
	if own := j.wrongOf(id); len(own) > 0 {
		return nil, notValid{own}
	}
	if a := j.dir.Account(id); a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("there is no account %q in %s; make one with 'intercom-hub account new -account %s'", id,
		j.cfg.Accounts, id)
}

// wrongOf is what is wrong with an account's file.
func (j *job) wrongOf(id string) (own config.Problems) {
	for _, p := range j.wrong {
		if p.File == access.File(j.cfg.Accounts, id) {
			own = append(own, p)
		}
	}
	return own
}

func (j *job) table(rows ...[]string) {
	w := tabwriter.NewWriter(j.stdout, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush()
}

func accountNew(f *flag.FlagSet) func(*job) error {
	id := accountFlag(f)
	return func(j *job) error {
		if err := needs("account", *id); err != nil {
			return err
		}
		return access.NewAccount(j.cfg.Accounts, *id)
	}
}

func accountList(*flag.FlagSet) func(*job) error {
	return func(j *job) error {
		rows := [][]string{{"ACCOUNT", "KEYS", "GROUPS", "USERS"}}
		for _, id := range j.dir.Accounts() {
			a := j.dir.Account(id)
			rows = append(rows, []string{id, fmt.Sprint(len(a.Keys)), fmt.Sprint(len(a.Groups)),
				fmt.Sprint(len(a.Users))})
		}
		j.table(rows...)
		if len(j.wrong) > 0 { // what can be told of the others is told
			return notValid{j.wrong}
		}
		return nil
	}
}

func keyNew(f *flag.FlagSet) func(*job) error {
	id := accountFlag(f)
	return func(j *job) error {
		if err := needs("account", *id); err != nil {
			return err
		}
		key, err := access.NewKey(j.cfg.Accounts, *id, time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintln(j.stdout, key)
		fmt.Fprintln(j.stderr, "Keep this key: it is not shown again. A running hub knows it within 2 seconds.")
		return nil
	}
}

func keyList(f *flag.FlagSet) func(*job) error {
	id := accountFlag(f)
	return func(j *job) error {
		a, err := j.account(*id)
		if err != nil {
			return err
		}
		rows := [][]string{{"KEY", "CREATED"}}
		for _, k := range a.Keys {
			rows = append(rows, []string{k.ID, k.Created})
		}
		j.table(rows...)
		return nil
	}
}

func keyRevoke(f *flag.FlagSet) func(*job) error {
	id, key := accountFlag(f), f.String("id", "", "`id` of the key, see key list")
	return func(j *job) error {
		if err := needs("account", *id, "id", *key); err != nil {
			return err
		}
		return access.Edit(j.cfg.Accounts, *id, func(e *access.Editor) error { return e.RevokeKey(*key) })
	}
}

func tokenNew(f *flag.FlagSet) func(*job) error {
	id, cuid := accountFlag(f), f.String("cuid", "", "the only `cuid` that the token is good for; any when empty")
	ttl := f.Duration("for", access.TokenTime, "how long it is good, at most 24h")
	return func(j *job) error {
		a, err := j.account(*id)
		if err != nil {
			return err
		}
		if *cuid != "" {
			if err := wire.CheckCUID(*cuid); err != nil {
				return usageError{err.Message}
			}
		}
		if *ttl <= 0 || *ttl > access.MaxTokenTime {
			return usageError{fmt.Sprintf("-for is %v; it must be more than 0s and at most %v", *ttl,
				access.MaxTokenTime)}
		}
		if len(a.Keys) == 0 {
			return fmt.Errorf("account %s has no API key for the token to stand on; make one with 'intercom-hub key "+
				"new -account %s'", *id, *id)
		}
		secret, err := access.OpenSecret(j.cfg.Secret())
		if err != nil {
			return err
		}
		token, err := secret.For(access.ForTokens).Mint(access.Token{Account: *id, CUID: *cuid,
			Grant: a.Keys[len(a.Keys)-1].Grant(), Expires: time.Now().Add(*ttl).Unix()})
		if err != nil {
			return err
		}
		fmt.Fprintln(j.stdout, token)
		return nil
	}
}

func groupSet(f *flag.FlagSet) func(*job) error {
	id, name := accountFlag(f), f.String("id", "", "`name` of the group, in the form of a cuid")
	members := f.String("members", "", "`cuids`, with commas between")
	mode := f.String("mode", "parallel", "parallel: all ring at once; sequence: one after the other")
	each := f.Duration("each", access.EachTime, "how long each rings in a sequence")
	return func(j *job) error {
		if err := needs("account", *id, "id", *name, "members", *members); err != nil {
			return err
		}
		g := access.Group{ID: *name, Members: strings.Split(*members, ","), Mode: wire.Mode(*mode),
			Each: config.Duration(*each)}
		return said(access.Edit(j.cfg.Accounts, *id, func(e *access.Editor) error { return e.SetGroup(g) }))
	}
}

func groupList(f *flag.FlagSet) func(*job) error {
	id := accountFlag(f)
	return func(j *job) error {
		a, err := j.account(*id)
		if err != nil {
			return err
		}
		rows := [][]string{{"GROUP", "MODE", "EACH", "MEMBERS"}}
		for _, g := range a.Groups {
			rows = append(rows, []string{g.ID, string(g.Mode), g.Each.String(), strings.Join(g.Members, ",")})
		}
		j.table(rows...)
		return nil
	}
}

func groupRemove(f *flag.FlagSet) func(*job) error {
	id, name := accountFlag(f), f.String("id", "", "`name` of the group")
	return func(j *job) error {
		if err := needs("account", *id, "id", *name); err != nil {
			return err
		}
		return access.Edit(j.cfg.Accounts, *id, func(e *access.Editor) error { return e.RemoveGroup(*name) })
	}
}

// readPassword takes a line of standard input, and gives its hash.
func (j *job) readPassword() (string, error) {
	line, err := bufio.NewReader(j.stdin).ReadString('\n')
	password := strings.TrimRight(line, "\r\n")
	if password == "" && err != nil {
		return "", usageError{"the password is read from standard input, a line; there was none"}
	}
	return access.HashPassword(password)
}

// said leaves of an error what a person reads.
func said(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return errors.New(f.Message)
	}
	return err
}

func userAdd(f *flag.FlagSet) func(*job) error {
	id, name := accountFlag(f), f.String("name", "", "`name` with which the operator signs in")
	role := f.String("role", string(access.Operator), "operator or administrator")
	return func(j *job) error {
		if err := needs("account", *id, "name", *name); err != nil {
			return err
		}
		hash, err := j.readPassword()
		if err != nil {
			return err
		}
		u := access.User{Name: *name, Password: hash, Role: access.Role(*role)}
		return said(access.Edit(j.cfg.Accounts, *id, func(e *access.Editor) error { return e.AddUser(u) }))
	}
}

func userPassword(f *flag.FlagSet) func(*job) error {
	id, name := accountFlag(f), f.String("name", "", "`name` of the operator")
	return func(j *job) error {
		if err := needs("account", *id, "name", *name); err != nil {
			return err
		}
		hash, err := j.readPassword()
		if err != nil {
			return err
		}
		return said(access.Edit(j.cfg.Accounts, *id, func(e *access.Editor) error {
			return e.ChangeUser(*name, hash, "")
		}))
	}
}

func userRole(f *flag.FlagSet) func(*job) error {
	id, name := accountFlag(f), f.String("name", "", "`name` of the operator")
	role := f.String("role", "", "operator or administrator")
	return func(j *job) error {
		if err := needs("account", *id, "name", *name, "role", *role); err != nil {
			return err
		}
		return said(access.Edit(j.cfg.Accounts, *id, func(e *access.Editor) error {
			return e.ChangeUser(*name, "", access.Role(*role))
		}))
	}
}

func userList(f *flag.FlagSet) func(*job) error {
	id := accountFlag(f)
	return func(j *job) error {
		a, err := j.account(*id)
		if err != nil {
			return err
		}
		rows := [][]string{{"USER", "ROLE"}}
		for _, u := range a.Users {
			rows = append(rows, []string{u.Name, string(u.Role)})
		}
		j.table(rows...)
		return nil
	}
}

func userRemove(f *flag.FlagSet) func(*job) error {
	id, name := accountFlag(f), f.String("name", "", "`name` of the operator")
	return func(j *job) error {
		if err := needs("account", *id, "name", *name); err != nil {
			return err
		}
		return said(access.Edit(j.cfg.Accounts, *id, func(e *access.Editor) error { return e.RemoveUser(*name) }))
	}
}
