// The steps in which environments, agents and sessions are made.
package main

import (
	"context"
	"strconv"

	"github.com/anthropics/anthropic-sdk-go"
)

// A pager gives all things of a list, page by page.
type pager[Thing any] interface {
	Next() bool
	Current() Thing
	Err() error
}

// all is all things of a list.
func all[Thing any](list pager[Thing]) ([]Thing, error) {
	var things []Thing
	for list.Next() {
		things = append(things, list.Current())
	}
	return things, list.Err()
}

func sessionID(it anthropic.BetaManagedAgentsSession) string      { return it.ID }
func threadID(it anthropic.BetaManagedAgentsSessionThread) string { return it.ID }

func (j *journey) environments(ctx context.Context) error {
	environments := j.client.Beta.Environments
	made, err := environments.New(ctx, anthropic.BetaEnvironmentNewParams{
		Name:        "loom-" + j.name,
		Description: anthropic.String("a quiet room"),
		Config: anthropic.BetaEnvironmentNewParamsConfigUnion{
			OfCloud: &anthropic.BetaCloudConfigParams{
				Networking: anthropic.BetaCloudConfigParamsNetworkingUnion{
					OfUnrestricted: &anthropic.BetaUnrestrictedNetworkParam{},
				},
			},
		},
		Metadata: map[string]string{"b": "2", "a": "1"},
	})
	if err != nil {
		return err
	}
	j.environment = made.ID
	tell("environment", "created %s", environmentLine(made))
	spare, err := environments.New(ctx, anthropic.BetaEnvironmentNewParams{Name: "spare-" + j.name})
	if err != nil {
		return err
	}
	j.spare = spare.ID
	if spare, err = environments.Get(ctx, spare.ID, anthropic.BetaEnvironmentGetParams{}); err != nil {
		return err
	}
	tell("environment", "retrieved %s", environmentLine(spare))
	changed, err := environments.Update(ctx, j.environment, anthropic.BetaEnvironmentUpdateParams{
		Description: anthropic.String("a bright room"),
		Metadata:    map[string]string{"c": "3"},
	})
	if err != nil {
		return err
	}
	tell("environment", "updated %s", environmentLine(changed))
	list := environments.ListAutoPaging(ctx, anthropic.BetaEnvironmentListParams{Limit: anthropic.Int(1)})
	whole, err := all(list)
	if err != nil {
		return err
	}
	tell("environment", "listed %s", j.ours(each(whole, func(it anthropic.BetaEnvironment) named {
		return named{it.ID, it.Name}
	})))
	return nil
}

func (j *journey) agents(ctx context.Context) error {
	agents := j.client.Beta.Agents
	made, err := agents.New(ctx, anthropic.BetaAgentNewParams{
		Name:        "helper-" + j.name,
		Model:       model,
		Description: anthropic.String("helps"),
		System:      anthropic.String("You help at the loom."),
		Metadata:    map[string]string{"b": "2", "a": "1"},
		Tools:       tools,
	})
	if err != nil {
		return err
	}
	j.helper = made.ID
	tell("agents", "created %s", agentLine(made))
	changed, err := agents.Update(ctx, j.helper, anthropic.BetaAgentUpdateParams{
		Version:     anthropic.Int(1),
		Description: anthropic.String("helps a lot"),
		Metadata:    map[string]string{"c": "3"},
	})
	if err != nil {
		return err
	}
	tell("agents", "updated %s", agentLine(changed))
	same, err := agents.Update(ctx, j.helper, anthropic.BetaAgentUpdateParams{
		Version:     anthropic.Int(2),
		Description: anthropic.String("helps a lot"),
	})
	if err != nil {
		return err
	}
	tell("agents", "unchanged version=%d", same.Version)
	_, err = agents.Update(ctx, j.helper, anthropic.BetaAgentUpdateParams{
		Version:     anthropic.Int(1),
		Description: anthropic.String("late"),
	})
	if err = refused("agents", "stale", err); err != nil {
		return err
	}
	limit := anthropic.BetaAgentVersionListParams{Limit: anthropic.Int(1)}
	versions, err := all(agents.Versions.ListAutoPaging(ctx, j.helper, limit))
	if err != nil {
		return err
	}
	tell("agents", "versions %s", listed(each(versions, func(it anthropic.BetaManagedAgentsAgent) string {
		return strconv.FormatInt(it.Version, 10)
	})))
	first, err := agents.Get(ctx, j.helper, anthropic.BetaAgentGetParams{Version: anthropic.Int(1)})
	if err != nil {
		return err
	}
	tell("agents", "retrieved %s", agentLine(first))
	return nil
}

func (j *journey) coordinator(ctx context.Context) error {
	agents := j.client.Beta.Agents
	helper := anthropic.BetaManagedAgentsMultiagentRosterEntryParamsUnion{OfString: anthropic.String(j.helper)}
	made, err := agents.New(ctx, anthropic.BetaAgentNewParams{
		Name:  "lead-" + j.name,
		Model: model,
		Multiagent: anthropic.BetaManagedAgentsMultiagentParamsUnion{
			OfCoordinator: &anthropic.BetaManagedAgentsMultiagentCoordinatorParams{
				Type:   anthropic.BetaManagedAgentsMultiagentCoordinatorParamsTypeCoordinator,
				Agents: []anthropic.BetaManagedAgentsMultiagentRosterEntryParamsUnion{helper},
			},
		},
	})
	if err != nil {
		return err
	}
	j.lead = made.ID
	tell("coordinator", "created %s", agentLine(made))
	again, err := agents.Get(ctx, j.lead, anthropic.BetaAgentGetParams{})
	if err != nil {
		return err
	}
	tell("coordinator", "retrieved %s", agentLine(again))
	ours, err := j.ourAgents(ctx, anthropic.BetaAgentListParams{Limit: anthropic.Int(1)})
	if err != nil {
		return err
	}
	tell("coordinator", "listed %s", ours)
	return nil
}

// ourAgents lists the ids of those agents whose name this journey gave.
func (j *journey) ourAgents(ctx context.Context, query anthropic.BetaAgentListParams) (string, error) {
	whole, err := all(j.client.Beta.Agents.ListAutoPaging(ctx, query))
	return j.ours(each(whole, func(it anthropic.BetaManagedAgentsAgent) named {
		return named{it.ID, it.Name}
	})), err
}

func (j *journey) sessions(ctx context.Context) error {
	sessions := j.client.Beta.Sessions
	pinned := &anthropic.BetaManagedAgentsAgentParams{
		Type:    anthropic.BetaManagedAgentsAgentParamsTypeAgent,
		ID:      j.helper,
		Version: anthropic.Int(1),
	}
	made, err := sessions.New(ctx, anthropic.BetaSessionNewParams{
		Agent:         anthropic.BetaSessionNewParamsAgentUnion{OfBetaManagedAgentsAgents: pinned},
		EnvironmentID: j.environment,
		Title:         anthropic.String("first cloth"),
		Metadata:      map[string]string{"b": "2", "a": "1"},
	})
	if err != nil {
		return err
	}
	j.session = made.ID
	tell("sessions", "created %s", sessionLine(made))
	other, err := sessions.New(ctx, anthropic.BetaSessionNewParams{
		Agent:         anthropic.BetaSessionNewParamsAgentUnion{OfString: anthropic.String(j.helper)},
		EnvironmentID: j.environment,
	})
	if err != nil {
		return err
	}
	j.other = other.ID
	if other, err = sessions.Get(ctx, j.other, anthropic.BetaSessionGetParams{}); err != nil {
		return err
	}
	tell("sessions", "retrieved %s", sessionLine(other))
	changed, err := sessions.Update(ctx, j.other, anthropic.BetaSessionUpdateParams{
		Title:    anthropic.String("second cloth"),
		Metadata: map[string]string{"c": "3"},
	})
	if err != nil {
		return err
	}
	tell("sessions", "updated %s", sessionLine(changed))
	events, err := all(sessions.Events.ListAutoPaging(ctx, j.other, anthropic.BetaSessionEventListParams{}))
	if err != nil {
		return err
	}
	for _, event := range events {
		tell("sessions", "event %s", eventLine(ofList(event)))
	}
	return j.leaves(ctx)
}

// leaves goes through the list of the helper's sessions page by page, forth and back.
func (j *journey) leaves(ctx context.Context) error {
	sessions := j.client.Beta.Sessions
	query := anthropic.BetaSessionListParams{AgentID: anthropic.String(j.helper), Limit: anthropic.Int(1)}
	first, err := sessions.List(ctx, query)
	if err != nil {
		return err
	}
	tell("sessions", "page %s prev=%s",
		listed(each(first.Data, sessionID)), shown(first.PrevPage, first.JSON.PrevPage))
	second, err := first.GetNextPage()
	if err != nil {
		return err
	}
	tell("sessions", "next %s", listed(each(second.Data, sessionID)))
	before := query
	before.Page = anthropic.String(second.PrevPage)
	back, err := sessions.List(ctx, before)
	if err != nil {
		return err
	}
	tell("sessions", "prev %s", listed(each(back.Data, sessionID)))
	whole, err := all(sessions.ListAutoPaging(ctx, query))
	if err != nil {
		return err
	}
	tell("sessions", "listed %s", listed(each(whole, sessionID)))
	return nil
}
