package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"intercom/device/setup"
	"intercom/hub/access"
	"intercom/internal/config"
	"intercom/wire"
)

// configKey makes a key that signs settings. It stays with the administrator; stations have its public half.
func configKey(f *flag.FlagSet) func(*job) error {
	out := f.String("out", "", "`file` for the key; it must not exist")
	return func(j *job) error {
		if *out == "" {
			return usageError{"say where the key is to be: -out FILE"}
		}
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return err
		}
		file, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := pem.Encode(file, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
			return err
		}
		fmt.Fprintf(j.stdout, "for hub.settings_keys of the stations: %q\n", wire.PublicKey(public))
		return file.Close()
	}
}

func readKey(path string) (ed25519.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if key, ok := key.(ed25519.PrivateKey); ok {
				return key, nil
			}
		}
	}
	return nil, fmt.Errorf("%s is no key; 'intercom-hub config key' makes one", path)
}

// configPush checks settings, signs them, and leaves them for the stations, which are given them at once or when they
// come.
func configPush(f *flag.FlagSet) func(*job) error {
	account, cuids := f.String("account", "", "account `id`"), f.String("cuid", "",
		"the `station`; several with commas")
	key, file := f.String("key", "", "`file` with the key that signs, of 'intercom-hub config key'"), f.String("file",
		"", "`file` with the settings; an empty one takes back what was given")
	return func(j *job) error {
		if *account == "" || *cuids == "" || *key == "" || *file == "" {
			return usageError{"say for whom and what: -account ID -cuid STATION -key FILE -file FILE"}
		}
		text, err := os.ReadFile(*file)
		if err != nil {
			return err
		}
		if text, err = config.Text(text); err != nil {
			return fmt.Errorf("%s %w", *file, err)
		}
		if err := setup.CheckGiven(*file, text); err != nil {
			return err
		}
		private, err := readKey(*key)
		if err != nil {
			return err
		}
		for cuid := range strings.SplitSeq(*cuids, ",") {
			cuid = strings.TrimSpace(cuid)
			if err := wire.CheckCUID(cuid); err != nil {
				return fmt.Errorf("%s: %s", cuid, err.Message)
			}
			b := wire.SettingsBody{Version: uint64(time.Now().Unix()), Text: string(text)}
			if old, ok := j.dir.Settings(*account, cuid); ok {
				b.Version = max(b.Version, old.Version+1)
			}
			b.Sign(private, *account, cuid)
			if err := access.SetSettings(j.cfg.Accounts, *account, cuid, b); err != nil {
				return said(err)
			}
			fmt.Fprintf(j.stdout, "%s: settings %d; 'intercom-hub config list' shows when it has them\n", cuid,
				b.Version)
		}
		return nil
	}
}

// configList shows which settings stations are to have, and have.
func configList(f *flag.FlagSet) func(*job) error {
	account := f.String("account", "", "account `id`")
	return func(j *job) error {
		if own := j.wrongOf(*account); len(own) > 0 {
			return notValid{own}
		}
		if j.dir.Account(*account) == nil {
			return usageError{fmt.Sprintf("there is no account %q; 'intercom-hub account list' shows which there are",
				*account)}
		}
		has := map[string]string{}
		stations, err := askStations(j)
		if err != nil {
			fmt.Fprintln(j.stderr, err)
		}
		for _, s := range stations {
			if s.Account == *account {
				has[s.CUID] = strconv.FormatUint(s.Settings, 10)
				if s.Refused != 0 {
					has[s.CUID] += fmt.Sprintf(", not %d", s.Refused)
				}
				for _, part := range []string{"settings", "configuration"} {
					if code := s.Codes[part]; code != "" {
						has[s.CUID] += ", " + code
					}
				}
			}
		}
		rows := [][]string{{"STATION", "SETTINGS", "IT HAS"}}
		for _, cuid := range j.dir.WithSettings(*account) {
			b, _ := j.dir.Settings(*account, cuid)
			had, ok := has[cuid]
			if !ok {
				had = "not here"
			}
			rows = append(rows, []string{cuid, strconv.FormatUint(b.Version, 10), had})
		}
		j.table(rows...)
		return nil
	}
}
