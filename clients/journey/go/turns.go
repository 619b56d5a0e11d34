// The steps in which one session is talked to.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
)

type toSend = anthropic.BetaManagedAgentsEventParamsUnion

// send sends one event to the session and tells of its echo.
func (j *journey) send(ctx context.Context, step string, it toSend) error {
	sent, err := j.client.Beta.Sessions.Events.Send(ctx, j.session, anthropic.BetaSessionEventSendParams{
		Events: []toSend{it},
	})
	if err != nil {
		return err
	}
	tell(step, "sent %s", echo(sent))
	return nil
}

// show tells of an event of the session and remembers it.
func (j *journey) show(step string, it event) {
	tell(step, "%s", eventLine(it))
	j.seen = append(j.seen, it.id)
}

// talk sends one event and follows the session until it rests; it gives the calls that the session waits for.
func (j *journey) talk(ctx context.Context, step string, it toSend) ([]string, error) {
	query := anthropic.BetaSessionEventStreamParams{}
	stream := j.client.Beta.Sessions.Events.StreamEvents(ctx, j.session, query)
	defer stream.Close()
	if err := stream.Err(); err != nil {
		return nil, err
	}
	if err := j.send(ctx, step, it); err != nil {
		return nil, err
	}
	for stream.Next() {
		shown := ofSession(stream.Current())
		j.show(step, shown)
		if idle, ok := shown.variant.(anthropic.BetaManagedAgentsSessionStatusIdleEvent); ok {
			return idle.StopReason.EventIDs, nil
		}
	}
	return nil, tooSoon(stream.Err(), "session.status_idle")
}

// ask talks, and gives the one call that the session then waits for.
func (j *journey) ask(ctx context.Context, step string, it toSend) (string, error) {
	calls, err := j.talk(ctx, step, it)
	if err != nil {
		return "", err
	}
	if len(calls) != 1 {
		return "", fmt.Errorf("the session should wait for one call, not for %d", len(calls))
	}
	return calls[0], nil
}

func (j *journey) turn(ctx context.Context) error {
	stream := j.client.Beta.Sessions.Events.StreamEvents(ctx, j.session, anthropic.BetaSessionEventStreamParams{
		EventDeltas: []anthropic.BetaManagedAgentsDeltaType{
			anthropic.BetaManagedAgentsDeltaTypeAgentMessage,
			anthropic.BetaManagedAgentsDeltaTypeAgentThinking,
		},
	})
	defer stream.Close()
	if err := stream.Err(); err != nil {
		return err
	}
	if err := j.send(ctx, "turn", j.script("turn")); err != nil {
		return err
	}
	var begun []string
	var pieces strings.Builder
	var said string
	for stream.Next() {
		shown := ofSession(stream.Current())
		switch it := shown.variant.(type) {
		case anthropic.BetaManagedAgentsStartEvent:
			begun = append(begun, it.Event.Type+":"+it.Event.ID)
			continue
		case anthropic.BetaManagedAgentsDeltaEvent:
			pieces.WriteString(it.Delta.Content.Text)
			continue
		case anthropic.BetaManagedAgentsAgentMessageEvent:
			said = texts(it.Content)
		}
		j.show("turn", shown)
		if _, ok := shown.variant.(anthropic.BetaManagedAgentsSessionStatusIdleEvent); ok {
			tell("turn", "begun %s", listed(begun))
			tell("turn", "previews %s", pieces.String())
			tell("turn", "same %t", pieces.String() == said)
			return nil
		}
	}
	return tooSoon(stream.Err(), "session.status_idle")
}

func (j *journey) custom(ctx context.Context) error {
	call, err := j.ask(ctx, "custom", j.script("look_up"))
	if err != nil {
		return err
	}
	_, err = j.talk(ctx, "custom", toSend{
		OfUserCustomToolResult: &anthropic.BetaManagedAgentsUserCustomToolResultEventParams{
			Type:            anthropic.BetaManagedAgentsUserCustomToolResultEventParamsTypeUserCustomToolResult,
			CustomToolUseID: call,
			Content: []anthropic.BetaManagedAgentsUserCustomToolResultEventParamsContentUnion{{
				OfText: textBlock("Wool: see sheep."),
			}},
		},
	})
	return err
}

func (j *journey) confirmation(ctx context.Context) error {
	allowed := anthropic.BetaManagedAgentsUserToolConfirmationEventParams{
		Result: anthropic.BetaManagedAgentsUserToolConfirmationEventParamsResultAllow,
	}
	if err := j.confirm(ctx, "allowed", allowed); err != nil {
		return err
	}
	return j.confirm(ctx, "denied", anthropic.BetaManagedAgentsUserToolConfirmationEventParams{
		Result:      anthropic.BetaManagedAgentsUserToolConfirmationEventParamsResultDeny,
		DenyMessage: anthropic.String("Not on a Saturday."),
	})
}

// confirm has the model call a tool, and answers whether it may.
func (j *journey) confirm(
	ctx context.Context, script string, answer anthropic.BetaManagedAgentsUserToolConfirmationEventParams,
) error {
	call, err := j.ask(ctx, "confirmation", j.script(script))
	if err != nil {
		return err
	}
	answer.Type = anthropic.BetaManagedAgentsUserToolConfirmationEventParamsTypeUserToolConfirmation
	answer.ToolUseID = call
	_, err = j.talk(ctx, "confirmation", toSend{
		OfUserToolConfirmation: &answer,
	})
	return err
}
