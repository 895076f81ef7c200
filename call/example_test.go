package call_test

import (
	"fmt"

	"intercom/call"
	"intercom/internal/outcome"
)

// A call that rings at this station, is answered, and ended by the caller. The owner of the state performs the actions
// in order, and gives the events.
func ExampleNext() {
	state := call.State{Phase: call.Idle, Online: true}
	for _, event := range []call.Event{
		call.Incoming{ID: "c1", Peer: "front_door"},
		call.MediaUp{ID: "c1"},
		call.Pick{},
		call.Confirmed{ID: "c1"},
		call.Ended{ID: "c1", Outcome: outcome.Of(outcome.Over, outcome.HangUp)},
	} {
		var actions []call.Action
		state, actions = call.Next(state, event)
		fmt.Print(state.Phase, ":")
		for _, a := range actions {
			fmt.Printf(" %T", a)
		}
		fmt.Println()
	}
	// Output:
	// ringing: call.Play call.Prepare call.SetTimer
	// ringing:
	// answering: call.Silence call.StopTimer call.SendAnswer call.SetTimer
	// talking: call.Silence call.StopTimer call.OpenVoice
	// idle: call.Silence call.StopTimer call.CloseMedia call.Report
}
