// The lines that a journey prints of events, and how it reads streams up to where it has seen enough.
package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/ssestream"
)

// An event of a list or of a stream. The SDK has a union for each of them, all of the same types.
type event struct {
	kind, id, thread string
	variant          any
}

func ofList(it anthropic.BetaManagedAgentsSessionEventUnion) event {
	return event{it.Type, it.ID, it.SessionThreadID, it.AsAny()}
}

func ofSession(it anthropic.BetaManagedAgentsStreamSessionEventsUnion) event {
	return event{it.Type, it.ID, it.SessionThreadID, it.AsAny()}
}

func ofThread(it anthropic.BetaManagedAgentsStreamSessionThreadEventsUnion) event {
	return event{it.Type, it.ID, it.SessionThreadID, it.AsAny()}
}

// texts is the text of an event's content; that of a script is not shown.
func texts[Block interface {
	AsText() anthropic.BetaManagedAgentsTextBlock
}](content []Block) string {
	text := strings.Join(each(content, func(block Block) string { return block.AsText().Text }), "")
	if strings.HasPrefix(text, "script:") {
		return "script"
	}
	return strings.ReplaceAll(text, "\n", `\n`)
}

// eventLine is an event's line.
func eventLine(it event) string {
	return it.kind + " " + it.id + values(it.variant)
}

// values is what an event shows beside its type and its id.
func values(variant any) string {
	switch it := variant.(type) {
	case anthropic.BetaManagedAgentsUserMessageEvent:
		return " text=" + texts(it.Content)
	case anthropic.BetaManagedAgentsAgentMessageEvent:
		return " text=" + texts(it.Content)
	case anthropic.BetaManagedAgentsAgentCustomToolUseEvent:
		return fmt.Sprintf(" name=%s word=%v", it.Name, it.Input["word"])
	case anthropic.BetaManagedAgentsAgentToolUseEvent:
		permission := shown(it.EvaluatedPermission, it.JSON.EvaluatedPermission)
		return fmt.Sprintf(" name=%s permission=%s", it.Name, permission)
	case anthropic.BetaManagedAgentsAgentToolResultEvent:
		failed := shown(it.IsError, it.JSON.IsError)
		return fmt.Sprintf(" for=%s error=%s text=%s", it.ToolUseID, failed, texts(it.Content))
	case anthropic.BetaManagedAgentsUserCustomToolResultEvent:
		return fmt.Sprintf(" for=%s text=%s", it.CustomToolUseID, texts(it.Content))
	case anthropic.BetaManagedAgentsUserToolConfirmationEvent:
		why := shown(it.DenyMessage, it.JSON.DenyMessage)
		return fmt.Sprintf(" for=%s result=%s deny=%s", it.ToolUseID, it.Result, why)
	case anthropic.BetaManagedAgentsUserInterruptEvent:
		return " thread=" + shown(it.SessionThreadID, it.JSON.SessionThreadID)
	case anthropic.BetaManagedAgentsSessionUpdatedEvent:
		return " title=" + shown(it.Title, it.JSON.Title)
	case anthropic.BetaManagedAgentsSessionStatusIdleEvent:
		return " stop=" + it.StopReason.Type + waits(it)
	case anthropic.BetaManagedAgentsAgentThreadMessageSentEvent:
		return fmt.Sprintf(" to=%s text=%s", shown(it.ToAgentName, it.JSON.ToAgentName), texts(it.Content))
	case anthropic.BetaManagedAgentsAgentThreadMessageReceivedEvent:
		return fmt.Sprintf(" from=%s text=%s", shown(it.FromAgentName, it.JSON.FromAgentName), texts(it.Content))
	default:
		return threadValues(variant)
	}
}

// threadValues is what an event of a thread's life shows.
func threadValues(variant any) string {
	switch it := variant.(type) {
	case anthropic.BetaManagedAgentsSessionThreadCreatedEvent:
		return fmt.Sprintf(" thread=%s agent=%s", it.SessionThreadID, it.AgentName)
	case anthropic.BetaManagedAgentsSessionThreadStatusRunningEvent:
		return fmt.Sprintf(" thread=%s agent=%s", it.SessionThreadID, it.AgentName)
	case anthropic.BetaManagedAgentsSessionThreadStatusTerminatedEvent:
		return fmt.Sprintf(" thread=%s agent=%s", it.SessionThreadID, it.AgentName)
	case anthropic.BetaManagedAgentsSessionThreadStatusIdleEvent:
		return fmt.Sprintf(" thread=%s agent=%s stop=%s", it.SessionThreadID, it.AgentName, it.StopReason.Type)
	default:
		return ""
	}
}

func waits(it anthropic.BetaManagedAgentsSessionStatusIdleEvent) string {
	if stop, ok := it.StopReason.AsAny().(anthropic.BetaManagedAgentsSessionRequiresAction); ok {
		return " waits=" + listed(stop.EventIDs)
	}
	return ""
}

// echo is what came back for what was sent.
func echo(sent *anthropic.BetaManagedAgentsSendSessionEvents) string {
	return listed(each(sent.Data, func(it anthropic.BetaManagedAgentsSendSessionEventsDataUnion) string {
		return fmt.Sprintf("%s %s processed=%s", it.Type, it.ID, shown(it.ProcessedAt, it.JSON.ProcessedAt))
	}))
}

// follow tells of what a stream shows up to the next event of this type, and of this thread if one is given.
func follow[Union any](
	step string, stream *ssestream.Stream[Union], of func(Union) event, kind, thread string,
) error {
	for stream.Next() {
		shown := of(stream.Current())
		tell(step, "%s", eventLine(shown))
		if shown.kind == kind && (thread == "" || shown.thread == thread) {
			return nil
		}
	}
	return tooSoon(stream.Err(), kind)
}

// tooSoon is the error of a stream that ended before an event of this type.
func tooSoon(why error, kind string) error {
	if why == nil {
		why = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the stream ended before %s: %w", kind, why)
}
