// The step in which two children work in parallel.
package main

import (
	"context"
	"fmt"

	"github.com/anthropics/anthropic-sdk-go"
)

func (j *journey) children(ctx context.Context) error {
	sessions := j.client.Beta.Sessions
	made, err := sessions.New(ctx, anthropic.BetaSessionNewParams{
		Agent:         anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(j.lead)},
		EnvironmentID: j.environment,
	})
	if err != nil {
		return err
	}
	j.team = made.ID
	tell("children", "created %s", sessionLine(made))
	threads, err := sessions.Threads.List(ctx, j.team, anthropic.BetaSessionThreadListParams{})
	if err != nil {
		return err
	}
	if len(threads.Data) != 1 {
		return fmt.Errorf("there should be one thread, not %d", len(threads.Data))
	}
	tell("children", "thread %s", threadLine(&threads.Data[0]))
	first, second, err := j.life(ctx, threads.Data[0].ID)
	if err != nil {
		return err
	}
	return j.after(ctx, first, second)
}

// life follows the session from its message to the end of its first child; it gives both children.
func (j *journey) life(ctx context.Context, primary string) (first, second string, err error) {
	sessions := j.client.Beta.Sessions
	stream := sessions.Events.StreamEvents(ctx, j.team, anthropic.BetaSessionEventStreamParams{})
	defer stream.Close()
	if err = stream.Err(); err != nil {
		return
	}
	upTo := func(kind, thread string) error { return follow("children", stream, ofSession, kind, thread) }
	if err = j.sendTeam(ctx, j.script("children")); err != nil {
		return
	}
	if err = upTo("session.thread_status_idle", primary); err != nil {
		return
	}
	if first, second, err = j.atWork(ctx); err != nil {
		return
	}
	if err = j.inside(ctx, first); err != nil {
		return
	}
	if err = upTo("session.thread_status_idle", primary); err != nil {
		return
	}
	err = j.sendTeam(ctx, toSend{
		OfUserInterrupt: &anthropic.BetaManagedAgentsUserInterruptEventParams{
			Type:            anthropic.BetaManagedAgentsUserInterruptEventParamsTypeUserInterrupt,
			SessionThreadID: anthropic.String(second),
		},
	})
	if err != nil {
		return
	}
	if err = upTo("session.status_idle", ""); err != nil {
		return
	}
	of := anthropic.BetaSessionThreadArchiveParams{SessionID: j.team}
	archived, err := sessions.Threads.Archive(ctx, first, of)
	if err != nil {
		return
	}
	tell("children", "archived %s", threadLine(archived))
	return first, second, upTo("session.thread_status_terminated", first)
}

func (j *journey) sendTeam(ctx context.Context, it toSend) error {
	_, err := j.client.Beta.Sessions.Events.Send(ctx, j.team, anthropic.BetaSessionEventSendParams{
		Events: []toSend{it},
	})
	return err
}

// atWork waits until both children are at work, tells of all threads, and gives the children.
func (j *journey) atWork(ctx context.Context) (first, second string, err error) {
	for _, gate := range []string{"one", "two"} {
		if err = j.waiting(ctx, gate); err != nil {
			return
		}
	}
	every, err := j.threads(ctx, anthropic.BetaSessionThreadListParams{Limit: anthropic.Int(1)})
	if err != nil {
		return
	}
	for _, thread := range every {
		tell("children", "thread %s", threadLine(&thread))
	}
	running, err := j.threads(ctx, withStatus(anthropic.BetaManagedAgentsSessionThreadStatusRunning))
	if err != nil {
		return
	}
	tell("children", "running %s", listed(each(running, threadID)))
	if len(running) != 2 {
		return "", "", fmt.Errorf("two threads should be at work, not %d", len(running))
	}
	return running[0].ID, running[1].ID, nil
}

func (j *journey) threads(
	ctx context.Context, query anthropic.BetaSessionThreadListParams,
) ([]anthropic.BetaManagedAgentsSessionThread, error) {
	return all(j.client.Beta.Sessions.Threads.ListAutoPaging(ctx, j.team, query))
}

func withStatus(status anthropic.BetaManagedAgentsSessionThreadStatus) anthropic.BetaSessionThreadListParams {
	statuses := []anthropic.BetaManagedAgentsSessionThreadStatus{status}
	return anthropic.BetaSessionThreadListParams{Statuses: statuses}
}

// inside lets a child go on, and tells of what happens in it.
func (j *journey) inside(ctx context.Context, child string) error {
	of := anthropic.BetaSessionThreadEventStreamParams{SessionID: j.team}
	stream := j.client.Beta.Sessions.Threads.Events.StreamEvents(ctx, child, of)
	defer stream.Close()
	if err := stream.Err(); err != nil {
		return err
	}
	if err := j.release(ctx, "one"); err != nil {
		return err
	}
	return follow("inside", stream, ofThread, "session.thread_status_idle", child)
}

// after looks back at both children.
func (j *journey) after(ctx context.Context, first, second string) error {
	threads := j.client.Beta.Sessions.Threads
	ended, err := j.threads(ctx, withStatus(anthropic.BetaManagedAgentsSessionThreadStatusTerminated))
	if err != nil {
		return err
	}
	tell("children", "terminated %s", listed(each(ended, threadID)))
	resting, err := threads.Get(ctx, second, anthropic.BetaSessionThreadGetParams{SessionID: j.team})
	if err != nil {
		return err
	}
	tell("children", "retrieved %s", threadLine(resting))
	query := anthropic.BetaSessionThreadEventListParams{SessionID: j.team, Limit: anthropic.Int(3)}
	events, err := all(threads.Events.ListAutoPaging(ctx, first, query))
	if err != nil {
		return err
	}
	for _, event := range events {
		tell("children", "inside %s", eventLine(ofList(event)))
	}
	return nil
}
