// What a traveller is given: the variables, the fixtures and the gates of the scripted model.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import type Anthropic from "@anthropic-ai/sdk";

type Tools = NonNullable<Anthropic.Beta.AgentCreateParams["tools"]>;
type Message = Anthropic.Beta.Sessions.BetaManagedAgentsUserMessageEventParams;

/** A variable that must be set. */
export function variable(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`set ${name}; ../README.md says to what`);
  }
  return value;
}

export const URL = variable("JOURNEY_URL");
export const KEY = variable("JOURNEY_KEY");
export const NAME = variable("JOURNEY_NAME");
export const MODEL = "claude-sonnet-4-5";

/** The helper's tools. */
export const TOOLS: Tools = JSON.parse(fixture("tools.json"));
const SCRIPTS: Record<string, string> = JSON.parse(fixture("scripts.json"));

function fixture(file: string): string {
  return readFileSync(join(variable("JOURNEY_FIXTURES"), file), "utf8");
}

/** The message that scripts the model so. */
export function script(which: string): Message {
  const text = SCRIPTS[which];
  if (text === undefined) {
    throw new Error(`scripts.json has no ${which}`);
  }
  return { type: "user.message", content: [{ type: "text", text: text.replaceAll("NAME", NAME) }] };
}

/** Returns once an answer of the model stands at this gate. */
export async function waiting(which: string): Promise<void> {
  await gate("GET", `waiting/${which}-${NAME}`);
}

/** Opens this gate. */
export async function release(which: string): Promise<void> {
  await gate("POST", `release/${which}-${NAME}`);
}

async function gate(method: string, path: string): Promise<void> {
  const answer = await fetch(`${variable("JOURNEY_MODEL")}/${path}`, { method });
  if (!answer.ok) {
    throw new Error(`the model server answers ${method} ${path} with ${answer.status}`);
  }
}
