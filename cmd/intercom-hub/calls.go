package main

import (
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"time"

	"intercom/hub/record"
	"intercom/internal/outcome"
	"intercom/wire"
)

// callsCommand shows the records that this machine's files hold; the hub need not run.
func callsCommand(f *flag.FlagSet) func(*job) error {
	account, cuid := f.String("account", "", "only of this account `id`"), f.String("cuid", "",
		"only with this `cuid`, calling or called")
	status, reason := f.String("status", "", "only with this `status`, like missed"), f.String("reason", "",
		"only with this `reason`, like no_answer")
	since := f.Duration("since", 0, "only those that ended within this time")
	limit := f.Int("n", 100, "at most so `many`, the newest first")
	after := f.String("after", "", "`place` of the next page, from the end of the page before")
	asJSON, asCSV := f.Bool("json", false, "as JSON, a line each"), f.Bool("csv", false, "as CSV")
	return func(j *job) error {
		filter := record.Filter{Account: *account, CUID: *cuid, Status: outcome.Status(*status),
			Reason: outcome.Reason(*reason), After: *after, Limit: *limit}
		if *status != "" && outcome.Reasons(filter.Status) == nil {
			return usageError{fmt.Sprintf("%q is not a status; there are over, declined, missed, cancelled and failed",
				*status)}
		}
		if *since > 0 {
			filter.Since = time.Now().Add(-*since)
		}
		page, err := record.Query(j.cfg.Records(), filter)
		if err != nil {
			return err
		}
		switch {
		case *asJSON:
			e := json.NewEncoder(j.stdout)
			for _, r := range page.Records {
				if err := e.Encode(r); err != nil {
					return err
				}
			}
		case *asCSV:
			w := csv.NewWriter(j.stdout)
			_ = w.Write([]string{"ended_at", "account", "from", "to", "context", "status", "reason", "by", "invited_at",
				"ringing_at", "answered_at", "duration_ms", "hub", "call"})
			for _, r := range page.Records {
				_ = w.Write([]string{stamp(r.EndedAt), r.Account, r.From, r.To, r.Context, string(r.Status),
					string(r.Reason), r.By, stamp(r.InvitedAt),
					stamp(r.RingingAt), stamp(r.AnsweredAt), fmt.Sprint(r.DurationMS), r.Hub, r.Call})
			}
			w.Flush()
			return w.Error()
		default:
			rows := [][]string{{"ENDED", "ACCOUNT", "FROM", "TO", "CONTEXT", "OUTCOME", "TALKED"}}
			for _, r := range page.Records {
				rows = append(rows, []string{r.EndedAt.Local().Format(time.DateTime), r.Account, r.From, r.To,
					r.Context, r.Outcome.String(),
					wire.Millis(r.DurationMS).Round(time.Second).String()})
			}
			j.table(rows...)
		}
		if page.Next != "" {
			fmt.Fprintf(j.stderr, "There are more: -after %s\n", page.Next)
		}
		return nil
	}
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
