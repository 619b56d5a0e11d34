// The lines that a journey prints of things, from the SDK's own objects; ../README.md says what they are.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/respjson"
)

// tell prints one line of the transcript.
func tell(step, format string, values ...any) {
	fmt.Printf("%s  %s\n", step, fmt.Sprintf(format, values...))
}

// shown is a value as every language prints it. Where the answer had null or nothing, the SDK's value is a
// zero, and only the field beside it tells.
func shown(value any, field respjson.Field) string {
	if !field.Valid() {
		return "null"
	}
	if at, ok := value.(time.Time); ok {
		return at.Format(time.RFC3339Nano)
	}
	return strings.ReplaceAll(fmt.Sprint(value), "\n", `\n`)
}

// listed is values joined by a comma.
func listed(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return strings.Join(values, ",")
}

// each is what `of` says of each thing.
func each[Thing, Said any](things []Thing, of func(Thing) Said) []Said {
	said := make([]Said, 0, len(things))
	for _, thing := range things {
		said = append(said, of(thing))
	}
	return said
}

func pairs(metadata map[string]string) string {
	keys := slices.Sorted(maps.Keys(metadata))
	return listed(each(keys, func(key string) string { return key + ":" + metadata[key] }))
}

// A named thing is an environment or an agent.
type named struct{ id, name string }

// ours is the ids of those things whose name this journey gave.
func (g *given) ours(things []named) string {
	var own []string
	for _, thing := range things {
		if strings.HasSuffix(thing.name, "-"+g.name) {
			own = append(own, thing.id)
		}
	}
	return listed(own)
}

func environmentLine(it *anthropic.BetaEnvironment) string {
	networking := "null"
	if cloud, ok := it.Config.AsAny().(anthropic.BetaCloudConfig); ok {
		networking = cloud.Networking.Type
	}
	return fmt.Sprintf("%s name=%s type=%s networking=%s description=%s metadata=%s archived=%s",
		it.ID, it.Name, it.Config.Type, networking, shown(it.Description, it.JSON.Description),
		pairs(it.Metadata), shown(it.ArchivedAt, it.JSON.ArchivedAt))
}

func toolWord(it anthropic.BetaManagedAgentsAgentToolUnion) string {
	switch tool := it.AsAny().(type) {
	case anthropic.BetaManagedAgentsCustomTool:
		return "custom(" + tool.Name + ")"
	case anthropic.BetaManagedAgentsAgentToolset20260401:
		policies := []string{"default:" + tool.DefaultConfig.PermissionPolicy.Type}
		for _, config := range tool.Configs {
			policies = append(policies, config.Name+":"+config.PermissionPolicy.Type)
		}
		return it.Type + "(" + strings.Join(policies, " ") + ")"
	default:
		return it.Type
	}
}

func rosterWord(it *anthropic.BetaManagedAgentsAgent) string {
	roster, ok := it.Multiagent.AsAny().(anthropic.BetaManagedAgentsMultiagentCoordinator)
	if !ok {
		return shown(it.Multiagent.Type, it.JSON.Multiagent)
	}
	members := make([]string, 0, len(roster.Agents))
	for _, member := range roster.Agents {
		members = append(members, fmt.Sprintf("%s@%d", member.ID, member.Version))
	}
	return listed(members)
}

func agentLine(it *anthropic.BetaManagedAgentsAgent) string {
	return fmt.Sprintf("%s name=%s version=%d model=%s description=%s system=%s metadata=%s"+
		" tools=%s roster=%s archived=%s", it.ID, it.Name, it.Version, it.Model.ID,
		shown(it.Description, it.JSON.Description), shown(it.System, it.JSON.System), pairs(it.Metadata),
		listed(each(it.Tools, toolWord)), rosterWord(it), shown(it.ArchivedAt, it.JSON.ArchivedAt))
}

func sessionLine(it *anthropic.BetaManagedAgentsSession) string {
	return fmt.Sprintf("%s status=%s title=%s metadata=%s agent=%s@%d environment=%s archived=%s",
		it.ID, it.Status, shown(it.Title, it.JSON.Title), pairs(it.Metadata),
		it.Agent.ID, it.Agent.Version, it.EnvironmentID, shown(it.ArchivedAt, it.JSON.ArchivedAt))
}

func threadLine(it *anthropic.BetaManagedAgentsSessionThread) string {
	return fmt.Sprintf("%s status=%s agent=%s@%d parent=%s archived=%s",
		it.ID, it.Status, it.Agent.Name, it.Agent.Version,
		shown(it.ParentThreadID, it.JSON.ParentThreadID), shown(it.ArchivedAt, it.JSON.ArchivedAt))
}

// refused tells of an error that must have come.
func refused(step, what string, err error) error {
	if err == nil {
		return fmt.Errorf("%s was not refused", what)
	}
	var refusal *anthropic.Error
	if !errors.As(err, &refusal) {
		return fmt.Errorf("%s: %w", what, err)
	}
	// The SDK's error has all but the message in fields of its own.
	var body anthropic.BetaErrorResponse
	if err := json.Unmarshal([]byte(refusal.RawJSON()), &body); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if body.RequestID != refusal.RequestID {
		return fmt.Errorf("%s: the header says %s, the body %s", what, refusal.RequestID, body.RequestID)
	}
	words := strings.Split(body.Error.Message, " ")
	message := strings.Join(words[:min(4, len(words))], " ")
	tell(step, "%s %d %s request=%s message=%s",
		what, refusal.StatusCode, refusal.Type(), refusal.RequestID, message)
	return nil
}
