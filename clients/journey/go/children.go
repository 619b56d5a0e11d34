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
	if err := j.life(ctx, threads.Data[0].ID); err != nil {
		return err
	}
	return j.after(ctx)
}

// life follows the session from its message to the end of its first child.
func (j *journey) life(ctx context.Context, primary string) error {
	sessions := j.client.Beta.Sessions
	stream := sessions.Events.StreamEvents(ctx, j.team, anthropic.BetaSessionEventStreamParams{})
	defer stream.Close()
	if err := stream.Err(); err != nil {
		return err
	}
	upTo := func(kind, thread string) error { return follow("children", stream, ofSession, kind, thread) }
	if err := j.sendTeam(ctx, j.script("children")); err != nil {
		return err
	}
	if err := upTo("session.thread_status_idle", primary); err != nil {
		return err
	}
	if err := j.atWork(ctx); err != nil {
		return err
	}
	if err := j.inside(ctx, j.first); err != nil {
		return err
	}
	if err := upTo("session.thread_status_idle", primary); err != nil {
		return err
	}
	err := j.sendTeam(ctx, toSend{OfUserInterrupt: &anthropic.BetaManagedAgentsUserInterruptEventParams{
		Type:            anthropic.BetaManagedAgentsUserInterruptEventParamsTypeUserInterrupt,
		SessionThreadID: anthropic.String(j.second),
	}})
	if err != nil {
		return err
	}
	if err := upTo("session.status_idle", ""); err != nil {
		return err
	}
	of := anthropic.BetaSessionThreadArchiveParams{SessionID: j.team}
	archived, err := sessions.Threads.Archive(ctx, j.first, of)
	if err != nil {
		return err
	}
	tell("children", "archived %s", threadLine(archived))
	return upTo("session.thread_status_terminated", j.first)
}

func (j *journey) sendTeam(ctx context.Context, it toSend) error {
	_, err := j.client.Beta.Sessions.Events.Send(ctx, j.team, anthropic.BetaSessionEventSendParams{
		Events: []toSend{it},
	})
	return err
}

// atWork waits until both children are at work, and tells of all threads.
func (j *journey) atWork(ctx context.Context) error {
	for _, gate := range []string{"one", "two"} {
		if err := j.waiting(ctx, gate); err != nil {
			return err
		}
	}
	every, err := j.threads(ctx, anthropic.BetaSessionThreadListParams{Limit: anthropic.Int(1)})
	if err != nil {
		return err
	}
	for _, thread := range every {
		tell("children", "thread %s", threadLine(&thread))
	}
	running, err := j.threads(ctx, withStatus(anthropic.BetaManagedAgentsSessionThreadStatusRunning))
	if err != nil {
		return err
	}
	tell("children", "running %s", listed(each(running, threadID)))
	if len(running) != 2 {
		return fmt.Errorf("two threads should be at work, not %d", len(running))
	}
	j.first, j.second = running[0].ID, running[1].ID
	return nil
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
func (j *journey) after(ctx context.Context) error {
	threads := j.client.Beta.Sessions.Threads
	ended, err := j.threads(ctx, withStatus(anthropic.BetaManagedAgentsSessionThreadStatusTerminated))
	if err != nil {
		return err
	}
	tell("children", "terminated %s", listed(each(ended, threadID)))
	resting, err := threads.Get(ctx, j.second, anthropic.BetaSessionThreadGetParams{SessionID: j.team})
	if err != nil {
		return err
	}
	tell("children", "retrieved %s", threadLine(resting))
	query := anthropic.BetaSessionThreadEventListParams{SessionID: j.team, Limit: anthropic.Int(3)}
	events, err := all(threads.Events.ListAutoPaging(ctx, j.first, query))
	if err != nil {
		return err
	}
	for _, event := range events {
		tell("children", "inside %s", eventLine(ofList(event)))
	}
	return nil
}
