package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"intercom/hub"
)

// askStations asks the hub that runs on this machine.
func askStations(j *job) (all []hub.Station, err error) {
	client := &http.Client{Timeout: 5 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", j.cfg.Control())
		}}}
	r, err := client.Get("http://hub/stations")
	if err != nil {
		return nil,
			fmt.Errorf("the hub of this machine does not answer on %s; is it running, and are you its user or root?",
				j.cfg.Control())
	}
	defer r.Body.Close()
	return all, json.NewDecoder(r.Body).Decode(&all)
}

// stationsCommand shows who is signed in.
func stationsCommand(f *flag.FlagSet) func(*job) error {
	account, asJSON := f.String("account", "", "only of this account `id`"), f.Bool("json", false,
		"as JSON, a line each")
	return func(j *job) error {
		all, err := askStations(j)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(s hub.Station) bool { return *account != "" && s.Account != *account })
		if *asJSON {
			e := json.NewEncoder(j.stdout)
			for _, s := range all {
				if err := e.Encode(s); err != nil {
					return err
				}
			}
			return nil
		}
		rows := [][]string{{"ACCOUNT", "STATION", "NAME", "STATE", "SINCE", "AGENT", "FAULTS"}}
		for _, s := range all {
			rows = append(rows, []string{s.Account, s.CUID, s.Name, string(s.State),
				s.Since.Local().Format(time.DateTime), s.Agent, strings.Join(slices.Sorted(maps.Keys(s.Faults)), ", ")})
		}
		j.table(rows...)
		return nil
	}
}
