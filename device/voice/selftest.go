package voice

import (
	"context"
	"time"

	"intercom/device/control"
)

// Test plays a chirp and listens.
func (v *Voice) Test(ctx context.Context) (control.SelfTest, error) {
	r, err := v.audio.SelfTest(ctx)
	return control.SelfTest{At: time.Now(), Heard: r.Heard, RoundTripMS: control.Millis(r.RoundTrip),
		LevelDBFS: r.Level, LossDB: r.Loss, CancelledDB: r.Cancelled, Problem: r.Problem}, err
}

// TestNowAndThen tests the sound every so often, and when the devices are others, but not in a call. The result is a
// fault, or the end of one.
func (v *Voice) TestNowAndThen(ctx context.Context, every time.Duration, fault func(control.Fault)) error {
	if every == 0 {
		<-ctx.Done()
		return nil
	}
	const again = time.Minute // after it was put off
	for wait := again; ctx.Err() == nil; {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-v.moved:
			t.Stop()
		case <-t.C:
		}
		wait = every
		r, err := v.Test(ctx)
		if err != nil {
			wait = again
			continue
		}
		fault(r.Fault())
	}
	return nil
}
