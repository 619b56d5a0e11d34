// The last steps: the list of events in every form, one error of each class, and everything is put away.
package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// history lists the events of the session.
func (j *journey) history(
	ctx context.Context, query anthropic.BetaSessionEventListParams, options ...option.RequestOption,
) ([]anthropic.BetaManagedAgentsSessionEventUnion, error) {
	return all(j.client.Beta.Sessions.Events.ListAutoPaging(ctx, j.session, query, options...))
}

func (j *journey) pages(ctx context.Context) error {
	id := func(it anthropic.BetaManagedAgentsSessionEventUnion) string { return it.ID }
	five := anthropic.BetaSessionEventListParams{Limit: anthropic.Int(5)}
	whole, err := j.history(ctx, five)
	if err != nil {
		return err
	}
	tell("pages", "all %d same=%t", len(whole), slices.Equal(each(whole, id), j.seen))
	five.Order = anthropic.BetaSessionEventListParamsOrderDesc
	down, err := j.history(ctx, five)
	if err != nil {
		return err
	}
	slices.Reverse(down)
	tell("pages", "desc %d same=%t", len(down), slices.Equal(each(down, id), j.seen))
	messages, err := j.history(ctx, anthropic.BetaSessionEventListParams{
		Limit: anthropic.Int(2),
		Types: []anthropic.BetaManagedAgentsSessionEventType{
			anthropic.BetaManagedAgentsSessionEventTypeUserMessage,
			anthropic.BetaManagedAgentsSessionEventTypeAgentMessage,
		},
	})
	if err != nil {
		return err
	}
	for _, message := range messages {
		tell("pages", "message %s", eventLine(ofList(message)))
	}
	if len(whole) < 4 {
		return fmt.Errorf("there should be at least four events, not %d", len(whole))
	}
	return j.since(ctx, whole[len(whole)-4].ProcessedAt)
}

// since lists the session's events from a time on. The SDK's own parameter would cut it to whole seconds.
func (j *journey) since(ctx context.Context, at time.Time) error {
	from := option.WithQuery("created_at[gte]", at.Format(time.RFC3339Nano))
	late, err := j.history(ctx, anthropic.BetaSessionEventListParams{}, from)
	if err != nil {
		return err
	}
	for _, event := range late {
		tell("pages", "late %s", eventLine(ofList(event)))
	}
	return nil
}

func (j *journey) errors(ctx context.Context) error {
	beta := j.client.Beta
	for _, wrong := range []struct {
		what string
		call func() error
	}{
		{"bad", func() error {
			_, err := beta.Agents.New(ctx, anthropic.BetaAgentNewParams{Name: "", Model: model})
			return err
		}},
		{"key", func() error {
			_, err := beta.Agents.List(ctx, anthropic.BetaAgentListParams{}, option.WithAPIKey("wrong"))
			return err
		}},
		{"workspace", func() error {
			foreign := anthropic.String("wrkspc_1111111111111111111zzz")
			_, err := beta.Agents.List(ctx, anthropic.BetaAgentListParams{WorkspaceID: foreign})
			return err
		}},
		{"missing", func() error {
			_, err := beta.Sessions.Get(ctx, "sesn_1111111111111111111112", anthropic.BetaSessionGetParams{})
			return err
		}},
		{"large", func() error {
			large := anthropic.String(strings.Repeat("x", 33<<20))
			_, err := beta.Agents.New(ctx, anthropic.BetaAgentNewParams{Name: "x", Model: model, System: large})
			return err
		}},
		{"taken", func() error {
			_, err := beta.Environments.New(ctx, anthropic.BetaEnvironmentNewParams{Name: "loom-" + j.name})
			return err
		}},
		{"unbuilt", func() error {
			_, err := beta.Vaults.List(ctx, anthropic.BetaVaultListParams{})
			return err
		}},
	} {
		if err := refused("errors", wrong.what, wrong.call()); err != nil {
			return err
		}
	}
	return nil
}

func (j *journey) ends(ctx context.Context) error {
	if err := j.endSession(ctx); err != nil {
		return err
	}
	if err := j.deleteSessions(ctx); err != nil {
		return err
	}
	for _, id := range []string{j.lead, j.helper} {
		archived, err := j.client.Beta.Agents.Archive(ctx, id, anthropic.BetaAgentArchiveParams{})
		if err != nil {
			return err
		}
		tell("ends", "archived %s", agentLine(archived))
	}
	ours, err := j.ourAgents(ctx, anthropic.BetaAgentListParams{})
	if err != nil {
		return err
	}
	tell("ends", "agents %s", ours)
	return j.deleteEnvironments(ctx)
}

// endSession archives the session, whose stream then ends.
func (j *journey) endSession(ctx context.Context) error {
	sessions := j.client.Beta.Sessions
	archived, err := sessions.Archive(ctx, j.session, anthropic.BetaSessionArchiveParams{})
	if err != nil {
		return err
	}
	tell("ends", "archived %s", sessionLine(archived))
	gone, err := sessions.Get(ctx, j.session, anthropic.BetaSessionGetParams{})
	if err != nil {
		return err
	}
	tell("ends", "retrieved %s", sessionLine(gone))
	tell("ends", "usage output=%s", shown(gone.Usage.OutputTokens, gone.Usage.JSON.OutputTokens))
	stream := sessions.Events.StreamEvents(ctx, j.session, anthropic.BetaSessionEventStreamParams{})
	defer stream.Close()
	for stream.Next() {
		tell("ends", "event %s", eventLine(ofSession(stream.Current())))
	}
	if err := stream.Err(); err != nil {
		return err
	}
	tell("ends", "stream ended")
	return nil
}

func (j *journey) deleteSessions(ctx context.Context) error {
	sessions := j.client.Beta.Sessions
	for _, id := range []string{j.session, j.other, j.team} {
		deleted, err := sessions.Delete(ctx, id, anthropic.BetaSessionDeleteParams{})
		if err != nil {
			return err
		}
		tell("ends", "deleted %s %s", deleted.ID, deleted.Type)
	}
	_, err := sessions.Get(ctx, j.session, anthropic.BetaSessionGetParams{})
	return refused("ends", "gone", err)
}

func (j *journey) deleteEnvironments(ctx context.Context) error {
	environments := j.client.Beta.Environments
	archived, err := environments.Archive(ctx, j.spare, anthropic.BetaEnvironmentArchiveParams{})
	if err != nil {
		return err
	}
	tell("ends", "archived %s", environmentLine(archived))
	for _, id := range []string{j.spare, j.environment} {
		deleted, err := environments.Delete(ctx, id, anthropic.BetaEnvironmentDeleteParams{})
		if err != nil {
			return err
		}
		tell("ends", "deleted %s %s", deleted.ID, deleted.Type)
	}
	_, err = environments.Get(ctx, j.environment, anthropic.BetaEnvironmentGetParams{})
	return refused("ends", "gone", err)
}
