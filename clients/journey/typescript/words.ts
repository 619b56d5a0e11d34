// The lines that a journey prints, made from the SDK's own objects; ../README.md says what they are.

import type { APIError } from "@anthropic-ai/sdk";
import type Anthropic from "@anthropic-ai/sdk";

import { NAME } from "./given.js";

type Environment = Anthropic.Beta.BetaEnvironment;
type Agent = Anthropic.Beta.BetaManagedAgentsAgent;
type Session = Anthropic.Beta.BetaManagedAgentsSession;
type Thread = Anthropic.Beta.Sessions.BetaManagedAgentsSessionThread;
type Sent = Anthropic.Beta.Sessions.BetaManagedAgentsSendSessionEvents;

/** An event as a list or a stream gives it. */
export type Event =
  | Anthropic.Beta.Sessions.BetaManagedAgentsSessionEvent
  | Anthropic.Beta.Sessions.BetaManagedAgentsStreamSessionEvents;

/** A piece of an event that is still being made; only who asks for previews sees these. */
type Preview = Extract<Event, { type: "event_start" | "event_delta" }>;

/** An event that has happened. */
export type Happened = Exclude<Event, Preview>;

type Idle = Extract<Event, { type: "session.status_idle" }>;

/** Prints one line of the transcript. */
export function tell(step: string, text: string): void {
  console.log(`${step}  ${text}`);
}

/** A value as every language prints it. */
export function shown(value: unknown): string {
  return value === undefined ? "null" : String(value).replaceAll("\n", "\\n");
}

/** Values joined by a comma. */
export function listed(values: readonly unknown[]): string {
  return values.map(shown).join(",") || "none";
}

/** The ids of things, joined by a comma. */
export function ids(things: readonly { id: string }[]): string {
  return listed(things.map((thing) => thing.id));
}

/** The ids of those things whose name this journey gave. */
export function ours(things: readonly { id: string; name: string }[]): string {
  return ids(things.filter((thing) => thing.name.endsWith(`-${NAME}`)));
}

function pairs(metadata: Record<string, string>): string {
  return listed(
    Object.keys(metadata)
      .sort()
      .map((key) => `${key}:${metadata[key]}`),
  );
}

/** An environment's line. */
export function environment(it: Environment): string {
  const networking = it.config.type === "cloud" ? it.config.networking.type : null;
  return (
    `${it.id} name=${it.name} type=${it.config.type} networking=${networking}` +
    ` description=${shown(it.description)} metadata=${pairs(it.metadata)} archived=${shown(it.archived_at)}`
  );
}

function tool(it: Agent["tools"][number]): string {
  if (it.type === "custom") {
    return `custom(${it.name})`;
  }
  const named = it.configs.map((config) => `${config.name}:${config.permission_policy.type}`);
  return `${it.type}(${[`default:${it.default_config.permission_policy.type}`, ...named].join(" ")})`;
}

function roster(it: Agent["multiagent"]): string {
  if (it?.type !== "coordinator") {
    return shown(it?.type);
  }
  return listed(
    it.agents.map((member) => (member.type === "agent" ? `${member.id}@${member.version}` : member.type)),
  );
}

/** An agent's line. */
export function agent(it: Agent): string {
  return (
    `${it.id} name=${it.name} version=${it.version} model=${it.model.id}` +
    ` description=${shown(it.description)} system=${shown(it.system)} metadata=${pairs(it.metadata)}` +
    ` tools=${listed(it.tools.map(tool))} roster=${roster(it.multiagent)} archived=${shown(it.archived_at)}`
  );
}

/** A session's line. */
export function session(it: Session): string {
  return (
    `${it.id} status=${it.status} title=${shown(it.title)} metadata=${pairs(it.metadata)}` +
    ` agent=${it.agent.id}@${it.agent.version} environment=${it.environment_id}` +
    ` archived=${shown(it.archived_at)}`
  );
}

/** A thread's line. */
export function thread(it: Thread): string {
  const agent = it.agent.type === "agent" ? `${it.agent.name}@${it.agent.version}` : it.agent.type;
  return (
    `${it.id} status=${it.status} agent=${agent}` +
    ` parent=${shown(it.parent_thread_id)} archived=${shown(it.archived_at)}`
  );
}

/** The text of an event's content; that of a script is not shown. */
export function texts(content: readonly { type: string; text?: string }[]): string {
  const text = content.map((block) => block.text ?? "").join("");
  return text.startsWith("script:") ? "script" : shown(text);
}

function waits(it: Idle): string {
  return it.stop_reason.type === "requires_action" ? ` waits=${listed(it.stop_reason.event_ids)}` : "";
}

/** What an event shows beside its type and its id. */
function values(it: Happened): string {
  switch (it.type) {
    case "agent.custom_tool_use":
      return ` name=${it.name} word=${shown(it.input["word"])}`;
    case "agent.tool_use":
      return ` name=${it.name} permission=${shown(it.evaluated_permission)}`;
    case "agent.tool_result":
      return ` for=${it.tool_use_id} error=${shown(it.is_error)}`;
    case "user.custom_tool_result":
      return ` for=${it.custom_tool_use_id}`;
    case "user.tool_confirmation":
      return ` for=${it.tool_use_id} result=${it.result} deny=${shown(it.deny_message)}`;
    case "user.interrupt":
      return ` thread=${shown(it.session_thread_id)}`;
    case "session.updated":
      return ` title=${shown(it.title)}`;
    case "session.status_idle":
      return ` stop=${it.stop_reason.type}${waits(it)}`;
    case "session.thread_created":
    case "session.thread_status_running":
    case "session.thread_status_terminated":
      return ` thread=${it.session_thread_id} agent=${it.agent_name}`;
    case "session.thread_status_idle":
      return ` thread=${it.session_thread_id} agent=${it.agent_name} stop=${it.stop_reason.type}`;
    case "agent.thread_message_sent":
      return ` to=${shown(it.to_agent_name)}`;
    case "agent.thread_message_received":
      return ` from=${shown(it.from_agent_name)}`;
    default:
      return "";
  }
}

/** An event's line. */
export function event(it: Happened): string {
  const text = "content" in it && it.content ? ` text=${texts(it.content)}` : "";
  return `${it.type} ${it.id}${values(it)}${text}`;
}

/** Whether this is a piece of an event that is still being made. */
export function isPreview(it: Event): it is Preview {
  return it.type === "event_start" || it.type === "event_delta";
}

/** What came back for what was sent. */
export function echo(sent: Sent): string {
  return listed((sent.data ?? []).map((it) => `${it.type} ${it.id} processed=${shown(it.processed_at)}`));
}

/** An error's line: what the SDK made of it. */
export function refusal(error: APIError): string {
  const body = error.error;
  if (!body || !("request_id" in body) || body.request_id !== error.requestID) {
    throw new Error(`the header says ${error.requestID}, the body ${JSON.stringify(body)}`);
  }
  const message = error.apiMessage?.split(" ").slice(0, 4).join(" ");
  return `${error.status} ${error.type} request=${error.requestID} message=${message}`;
}
