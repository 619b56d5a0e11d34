// The journey of ../README.md with the official TypeScript SDK: its steps, in their order.

import Anthropic from "@anthropic-ai/sdk";

import { KEY, MODEL, NAME, release, script, TOOLS, URL, waiting } from "./given.js";
import { all, Followed, happened, only, turn } from "./streams.js";
import * as words from "./words.js";
import { tell } from "./words.js";

type ToSend = Anthropic.Beta.Sessions.BetaManagedAgentsEventParams;

/** One traveller, who remembers what was made on the way. */
class Journey {
  private environment = "";
  private spare = "";
  private helper = "";
  private lead = "";
  private session = "";
  private other = "";
  private team = "";
  /** The ids that the streams of the session have shown. */
  private readonly seen: string[] = [];

  constructor(private readonly client: Anthropic) {}

  /** All steps. */
  async whole(): Promise<void> {
    await named("environment", () => this.environments());
    await named("agents", () => this.agents());
    await named("coordinator", () => this.coordinator());
    await named("sessions", () => this.sessions());
    await named("turn", () => this.turn());
    await named("custom", () => this.custom());
    await named("confirmation", () => this.confirmation());
    await named("children", () => this.children());
    await named("pages", () => this.pages());
    await named("errors", () => this.errors());
    await named("ends", () => this.ends());
  }

  private async environments(): Promise<void> {
    const environments = this.client.beta.environments;
    const made = await environments.create({
      name: `loom-${NAME}`,
      description: "a quiet room",
      config: { type: "cloud", networking: { type: "unrestricted" } },
      metadata: { b: "2", a: "1" },
    });
    this.environment = made.id;
    tell("environment", `created ${words.environment(made)}`);
    this.spare = (await environments.create({ name: `spare-${NAME}` })).id;
    tell("environment", `retrieved ${words.environment(await environments.retrieve(this.spare))}`);
    const changed = await environments.update(this.environment, {
      description: "a bright room",
      metadata: { c: "3" },
    });
    tell("environment", `updated ${words.environment(changed)}`);
    tell("environment", `listed ${words.ours(await all(environments.list({ limit: 1 })))}`);
  }

  private async agents(): Promise<void> {
    const agents = this.client.beta.agents;
    const made = await agents.create({
      name: `helper-${NAME}`,
      model: MODEL,
      description: "helps",
      system: "You help at the loom.",
      metadata: { b: "2", a: "1" },
      tools: TOOLS,
    });
    this.helper = made.id;
    tell("agents", `created ${words.agent(made)}`);
    const change = { version: 1, description: "helps a lot", metadata: { c: "3" } };
    tell("agents", `updated ${words.agent(await agents.update(made.id, change))}`);
    const same = await agents.update(made.id, { version: 2, description: "helps a lot" });
    tell("agents", `unchanged version=${same.version}`);
    await refused("agents", "stale", agents.update(made.id, { version: 1, description: "late" }));
    const versions = await all(agents.versions.list(made.id, { limit: 1 }));
    tell("agents", `versions ${words.listed(versions.map((one) => one.version))}`);
    tell("agents", `retrieved ${words.agent(await agents.retrieve(made.id, { version: 1 }))}`);
  }

  private async coordinator(): Promise<void> {
    const agents = this.client.beta.agents;
    const made = await agents.create({
      name: `lead-${NAME}`,
      model: MODEL,
      multiagent: { type: "coordinator", agents: [this.helper] },
    });
    this.lead = made.id;
    tell("coordinator", `created ${words.agent(made)}`);
    tell("coordinator", `retrieved ${words.agent(await agents.retrieve(made.id))}`);
    tell("coordinator", `listed ${words.ours(await all(agents.list({ limit: 1 })))}`);
  }

  private async sessions(): Promise<void> {
    const sessions = this.client.beta.sessions;
    const made = await sessions.create({
      agent: { type: "agent", id: this.helper, version: 1 },
      environment_id: this.environment,
      title: "first cloth",
      metadata: { b: "2", a: "1" },
    });
    this.session = made.id;
    tell("sessions", `created ${words.session(made)}`);
    this.other = (await sessions.create({ agent: this.helper, environment_id: this.environment })).id;
    tell("sessions", `retrieved ${words.session(await sessions.retrieve(this.other))}`);
    const change = { title: "second cloth", metadata: { c: "3" } };
    tell("sessions", `updated ${words.session(await sessions.update(this.other, change))}`);
    for await (const event of sessions.events.list(this.other)) {
      tell("sessions", `event ${words.event(event)}`);
    }
    const query = { agent_id: this.helper, limit: 1 };
    const first = await sessions.list(query);
    tell("sessions", `page ${words.ids(first.data)} prev=${words.shown(first.prev_page)}`);
    const second = await first.getNextPage();
    tell("sessions", `next ${words.ids(second.data)}`);
    const back = await sessions.list({ ...query, page: second.prev_page });
    tell("sessions", `prev ${words.ids(back.data)}`);
    tell("sessions", `listed ${words.ids(await all(sessions.list(query)))}`);
  }

  private async turn(): Promise<void> {
    const events = this.client.beta.sessions.events;
    const begun: string[] = [];
    let pieces = "";
    let said = "";
    const stream = await events.stream(this.session, { event_deltas: ["agent.message", "agent.thinking"] });
    const sent = await events.send(this.session, { events: [script("turn")] });
    tell("turn", `sent ${words.echo(sent)}`);
    for await (const event of turn(stream)) {
      switch (event.type) {
        case "event_start":
          begun.push(`${event.event.type}:${event.event.id}`);
          break;
        case "event_delta":
          pieces += event.delta.content.text;
          break;
        default:
          this.show("turn", event);
      }
      if (event.type === "agent.message") {
        said = words.texts(event.content);
      }
    }
    tell("turn", `begun ${words.listed(begun)}`);
    tell("turn", `previews ${pieces}`);
    tell("turn", `same ${pieces === said}`);
  }

  private async custom(): Promise<void> {
    const call = only(await this.talk("custom", script("look_up")));
    await this.talk("custom", {
      type: "user.custom_tool_result",
      custom_tool_use_id: call,
      content: [{ type: "text", text: "Wool: see sheep." }],
    });
  }

  private async confirmation(): Promise<void> {
    const type = "user.tool_confirmation";
    const allowed = only(await this.talk("confirmation", script("allowed")));
    await this.talk("confirmation", { type, tool_use_id: allowed, result: "allow" });
    const denied = only(await this.talk("confirmation", script("denied")));
    const message = "Not on a Saturday.";
    await this.talk("confirmation", { type, tool_use_id: denied, result: "deny", deny_message: message });
  }

  private async children(): Promise<void> {
    const sessions = this.client.beta.sessions;
    const made = await sessions.create({ agent: this.lead, environment_id: this.environment });
    this.team = made.id;
    const inTeam = { session_id: made.id };
    tell("children", `created ${words.session(made)}`);
    const primary = only((await sessions.threads.list(this.team)).data);
    tell("children", `thread ${words.thread(primary)}`);
    const stream = new Followed(await sessions.events.stream(this.team));
    await sessions.events.send(this.team, { events: [script("children")] });
    await stream.upTo("children", "session.thread_status_idle", primary.id);
    await waiting("one");
    await waiting("two");
    const [first, second] = await this.atWork();
    await this.inside(first);
    await stream.upTo("children", "session.thread_status_idle", primary.id);
    await sessions.events.send(this.team, {
      events: [{ type: "user.interrupt", session_thread_id: second }],
    });
    await stream.upTo("children", "session.status_idle");
    const archived = await sessions.threads.archive(first, inTeam);
    tell("children", `archived ${words.thread(archived)}`);
    await stream.upTo("children", "session.thread_status_terminated", first);
    stream.close();
    const ended = await all(sessions.threads.list(this.team, { statuses: ["terminated"] }));
    tell("children", `terminated ${words.ids(ended)}`);
    const resting = await sessions.threads.retrieve(second, inTeam);
    tell("children", `retrieved ${words.thread(resting)}`);
    for await (const event of sessions.threads.events.list(first, { ...inTeam, limit: 3 })) {
      tell("children", `inside ${words.event(event)}`);
    }
  }

  /** Tells of all threads; gives the two children, which are at work. */
  private async atWork(): Promise<[string, string]> {
    const threads = this.client.beta.sessions.threads;
    for await (const thread of threads.list(this.team, { limit: 1 })) {
      tell("children", `thread ${words.thread(thread)}`);
    }
    const working = await all(threads.list(this.team, { statuses: ["running"] }));
    tell("children", `running ${words.ids(working)}`);
    const [first, ...others] = working;
    if (!first) {
      throw new Error("no thread is at work");
    }
    return [first.id, only(others).id];
  }

  /** Lets a child go on, and tells of what happens inside. */
  private async inside(child: string): Promise<void> {
    const events = this.client.beta.sessions.threads.events;
    const stream = new Followed(await events.stream(child, { session_id: this.team }));
    await release("one");
    await stream.upTo("inside", "session.thread_status_idle", child);
    stream.close();
  }

  private async pages(): Promise<void> {
    const events = this.client.beta.sessions.events;
    const whole = await all(events.list(this.session, { limit: 5 }));
    tell("pages", `all ${whole.length} same=${words.ids(whole) === words.listed(this.seen)}`);
    const down = await all(events.list(this.session, { limit: 5, order: "desc" }));
    const backwards = words.listed(this.seen.toReversed());
    tell("pages", `desc ${down.length} same=${words.ids(down) === backwards}`);
    const messages = events.list(this.session, { types: ["user.message", "agent.message"], limit: 2 });
    for await (const event of messages) {
      tell("pages", `message ${words.event(event)}`);
    }
    const since = whole.at(-4)?.processed_at;
    if (!since) {
      throw new Error("the fourth event from the end is not processed");
    }
    for await (const event of events.list(this.session, { "created_at[gte]": since })) {
      tell("pages", `late ${words.event(event)}`);
    }
  }

  private async errors(): Promise<void> {
    const beta = this.client.beta;
    await refused("errors", "bad", beta.agents.create({ name: "", model: MODEL }));
    const stranger = this.client.withOptions({ apiKey: "wrong" });
    await refused("errors", "key", stranger.beta.agents.list());
    const foreign = { workspace_id: "wrkspc_1111111111111111111zzz" };
    await refused("errors", "workspace", beta.agents.list(foreign));
    await refused("errors", "missing", beta.sessions.retrieve("sesn_1111111111111111111112"));
    const large = { name: "x", model: MODEL, system: "x".repeat(33 << 20) };
    await refused("errors", "large", beta.agents.create(large));
    await refused("errors", "taken", beta.environments.create({ name: `loom-${NAME}` }));
    await refused("errors", "unbuilt", beta.vaults.list());
  }

  private async ends(): Promise<void> {
    const { agents, environments, sessions } = this.client.beta;
    tell("ends", `archived ${words.session(await sessions.archive(this.session))}`);
    const gone = await sessions.retrieve(this.session);
    tell("ends", `retrieved ${words.session(gone)}`);
    tell("ends", `usage output=${words.shown(gone.usage.output_tokens)}`);
    for await (const event of await sessions.events.stream(this.session)) {
      tell("ends", `event ${words.event(happened(event))}`);
    }
    tell("ends", "stream ended");
    for (const session of [this.session, this.other, this.team]) {
      const deleted = await sessions.delete(session);
      tell("ends", `deleted ${deleted.id} ${deleted.type}`);
    }
    await refused("ends", "gone", sessions.retrieve(this.session));
    for (const agent of [this.lead, this.helper]) {
      tell("ends", `archived ${words.agent(await agents.archive(agent))}`);
    }
    tell("ends", `agents ${words.ours(await all(agents.list()))}`);
    tell("ends", `archived ${words.environment(await environments.archive(this.spare))}`);
    for (const environment of [this.spare, this.environment]) {
      const deleted = await environments.delete(environment);
      tell("ends", `deleted ${deleted.id} ${deleted.type}`);
    }
    await refused("ends", "gone", environments.retrieve(this.environment));
  }

  /** Sends one event and follows the session until it rests; gives the calls that it waits for. */
  private async talk(step: string, event: ToSend): Promise<string[]> {
    const events = this.client.beta.sessions.events;
    const stream = await events.stream(this.session);
    tell(step, `sent ${words.echo(await events.send(this.session, { events: [event] }))}`);
    let waits: string[] = [];
    for await (const shown of turn(stream)) {
      this.show(step, happened(shown));
      if (shown.type === "session.status_idle" && shown.stop_reason.type === "requires_action") {
        waits = shown.stop_reason.event_ids;
      }
    }
    return waits;
  }

  /** Tells of an event of the session and remembers it. */
  private show(step: string, event: words.Happened): void {
    tell(step, words.event(event));
    this.seen.push(event.id);
  }
}

/** Tells of an error that must come. */
async function refused(step: string, what: string, call: PromiseLike<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) {
      throw error;
    }
    tell(step, `${what} ${words.refusal(error)}`);
    return;
  }
  throw new Error(`${what} was not refused`);
}

/** Takes a step; what goes wrong in it names it. */
async function named(step: string, taken: () => Promise<void>): Promise<void> {
  try {
    await taken();
  } catch (cause) {
    throw new Error(`step ${step}`, { cause });
  }
}

await new Journey(new Anthropic({ baseURL: URL, apiKey: KEY })).whole();
