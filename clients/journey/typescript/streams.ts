// How a journey reads lists to their end, and streams up to where it has seen enough.

import type { Stream } from "@anthropic-ai/sdk/core/streaming";

import { type Event, event as line, type Happened, isPreview, tell } from "./words.js";

/** All things of a list, through the SDK's pager. */
export async function all<Thing>(list: AsyncIterable<Thing>): Promise<Thing[]> {
  const things: Thing[] = [];
  for await (const thing of list) {
    things.push(thing);
  }
  return things;
}

/** The one thing of a list that must have no other. */
export function only<Thing>(things: readonly Thing[]): Thing {
  const [first, ...more] = things;
  if (first === undefined || more.length > 0) {
    throw new Error(`one was expected, not ${things.length}`);
  }
  return first;
}

/** What a stream shows up to and with the event that says that the session rests; then it is closed. */
export async function* turn(stream: Stream<Event>): AsyncGenerator<Event> {
  for await (const event of stream) {
    yield event;
    if (event.type === "session.status_idle") {
      return;
    }
  }
  throw new Error("the stream ended before the session rested");
}

/** An event that has happened; previews come only to those who ask for them. */
export function happened(event: Event): Happened {
  if (isPreview(event)) {
    throw new Error(`nobody asked for ${event.type}`);
  }
  return event;
}

/** A stream that is read piece by piece, and closed by its reader. */
export class Followed {
  private readonly events: AsyncIterator<Event>;

  constructor(private readonly stream: Stream<Event>) {
    this.events = stream[Symbol.asyncIterator]();
  }

  /** Tells of all events up to and with the next of this type, and of this thread if one is given. */
  async upTo(step: string, type: Happened["type"], thread?: string): Promise<void> {
    for (;;) {
      const next = await this.events.next();
      if (next.done) {
        throw new Error(`${step}: the stream ended before ${type}`);
      }
      const event = happened(next.value);
      tell(step, line(event));
      const its = "session_thread_id" in event ? event.session_thread_id : undefined;
      if (event.type === type && (thread === undefined || its === thread)) {
        return;
      }
    }
  }

  close(): void {
    this.stream.controller.abort();
  }
}
