//! Delegation: children, their reports, and what each model is told of it
//! (docs/rules.md 3, 6, 9).

#![expect(clippy::too_many_lines, reason = "a script shows the whole order of events")]

use kernel::ThreadLimits;

use crate::script::{histories, offers, play_team};

fn play(script: &str) -> String {
    play_team(ThreadLimits::default(), script)
}

#[test]
fn a_coordinator_starts_children_and_gets_their_reports_as_mail() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        answer text "started"
        @1 answer text "spun"
        answer text "one is done"
        @2 answer text "dyed"
        answer text "all done"
        "#
    ), @r#"
    > message "go"
      session.status_running
      session.thread_status_running primary
      user.message "go"
      span.model_request_start ask
      = running, ask
    > answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
      note delegated create_agent {"agent":"spinner","task":"spin"}
      note delegated create_agent.2 {"agent":"dyer","task":"dye"}
      span.model_request_end ask answered
      session.thread_created child1
      agent.thread_message_sent to child1 to spinner "spin"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "spin" as task
      @1 span.model_request_start ask
      note settled create_agent "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      session.thread_created child2
      agent.thread_message_sent to child2 to dyer "dye"
      @2 session.thread_status_running child2
      @2 agent.thread_message_received from primary from weaver "dye" as task
      @2 span.model_request_start ask
      note settled create_agent.2 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      span.model_request_start ask.2
      = running, ask.2, ask@1, ask@2
    > answer text "started"
      agent.message "started"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      = running, ask@1, ask@2
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask answered
      @1 agent.thread_message_sent to primary "spun"
      @1 session.thread_status_idle child1 end_turn
      session.thread_status_running primary
      agent.thread_message_received from child1 from spinner "spun" as letter
      span.model_request_start ask.3
      = running, ask.3, ask@2
    > answer text "one is done"
      agent.message "one is done"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      = running, ask@2
    > @2 answer text "dyed"
      @2 agent.message "dyed"
      @2 span.model_request_end ask answered
      @2 agent.thread_message_sent to primary "dyed"
      @2 session.thread_status_idle child2 end_turn
      session.thread_status_running primary
      agent.thread_message_received from child2 from dyer "dyed" as letter
      span.model_request_start ask.4
      = running, ask.4
    > answer text "all done"
      agent.message "all done"
      span.model_request_end ask.4 answered
      session.thread_status_idle primary end_turn
      session.usage 60 in, 30 out, 6.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_parent_that_waits_gets_the_report_as_the_result() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        ---
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "self", "task": "weave"}
        @2 answer text "woven"
        @1 answer text "spun"
        answer text "done"
        "#
    ), @r#"
    --- running, ask
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "self", "task": "weave"}
      note delegated Agent {"agent":"spinner","task":"spin"}
      note delegated Agent.2 {"agent":"self","task":"weave"}
      span.model_request_end ask answered
      session.thread_created child1
      agent.thread_message_sent to child1 to spinner "spin"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "spin" as task
      @1 span.model_request_start ask
      session.thread_created child2
      agent.thread_message_sent to child2 to weaver "weave"
      @2 session.thread_status_running child2
      @2 agent.thread_message_received from primary from weaver "weave" as task
      @2 span.model_request_start ask
      = running, ask@1, ask@2
    > @2 answer text "woven"
      @2 agent.message "woven"
      @2 span.model_request_end ask answered
      @2 agent.thread_message_sent to primary "woven"
      @2 session.thread_status_idle child2 end_turn
      agent.thread_message_received from child2 from weaver "woven" as result
      note settled Agent.2 "woven"
      = running, ask@1
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask answered
      @1 agent.thread_message_sent to primary "spun"
      @1 session.thread_status_idle child1 end_turn
      agent.thread_message_received from child1 from spinner "spun" as result
      note settled Agent "spun"
      span.model_request_start ask.2
      = running, ask.2
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 40 in, 20 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_child_that_sent_nothing_and_said_nothing_reports_so() {
    insta::assert_snapshot!(play(
        r"
        given spinner is waited for
        ---
        @1 answer tool nope
        @1 answer thinking
        "
    ), @r#"
    --- running, ask@1
    > @1 answer tool nope
      @1 agent.tool_use nope {} denied
      @1 span.model_request_end ask answered
      @1 agent.tool_result nope "There is no tool named `nope`. Use one of the tools you were given." error
      @1 span.model_request_start ask.2
      = running, ask.2@1
    > @1 answer thinking
      @1 agent.thinking
      @1 span.model_request_end ask.2 answered
      @1 agent.thread_message_sent to primary "(no output)"
      @1 session.thread_status_idle child1 end_turn
      agent.thread_message_received from child1 from spinner "(no output)" as result
      note settled Agent "(no output)"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn a_refusal_and_a_failure_end_a_wait_with_an_error_and_are_mail_to_others() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        ---
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "dyer", "task": "dye"}; tool create_agent {"agent": "self", "task": "weave"}
        @1 answer text "no"; refusal
        @2 fail invalid
        @3 fail invalid
        answer text "well"
        "#
    ), @r#"
    --- running, ask
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "dyer", "task": "dye"}; tool create_agent {"agent": "self", "task": "weave"}
      note delegated Agent {"agent":"spinner","task":"spin"}
      note delegated Agent.2 {"agent":"dyer","task":"dye"}
      note delegated create_agent {"agent":"self","task":"weave"}
      span.model_request_end ask answered
      session.thread_created child1
      agent.thread_message_sent to child1 to spinner "spin"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "spin" as task
      @1 span.model_request_start ask
      session.thread_created child2
      agent.thread_message_sent to child2 to dyer "dye"
      @2 session.thread_status_running child2
      @2 agent.thread_message_received from primary from weaver "dye" as task
      @2 span.model_request_start ask
      session.thread_created child3
      agent.thread_message_sent to child3 to weaver "weave"
      @3 session.thread_status_running child3
      @3 agent.thread_message_received from primary from weaver "weave" as task
      @3 span.model_request_start ask
      note settled create_agent "{\"thread_id\":\"child3\",\"agent\":\"weaver\",\"status\":\"running\"}"
      = running, ask@1, ask@2, ask@3
    > @1 answer text "no"; refusal
      @1 agent.message "no"
      @1 span.model_request_end ask refused
      @1 agent.thread_message_sent to primary "The agent declined to continue."
      @1 session.thread_status_idle child1 refusal "bio"
      agent.thread_message_received from child1 from spinner "The agent declined to continue." as result
      note settled Agent error "The agent declined to continue."
      = running, ask@2, ask@3
    > @2 fail invalid
      @2 span.model_request_end ask failed error
      @2 session.error model_request_failed_error, exhausted: "it failed"
      @2 agent.thread_message_sent to primary "Agent failed: it failed"
      @2 note ended exhausted
      @2 session.thread_status_idle child2 retries_exhausted
      @2 session.thread_status_terminated child2
      agent.thread_message_received from child2 from dyer "Agent failed: it failed" as result
      note settled Agent.2 error "Agent failed: it failed"
      span.model_request_start ask.2
      = running, ask.2, ask@3
    > @3 fail invalid
      @3 span.model_request_end ask failed error
      @3 session.error model_request_failed_error, exhausted: "it failed"
      @3 agent.thread_message_sent to primary "Agent failed: it failed"
      @3 note ended exhausted
      @3 session.thread_status_idle child3 retries_exhausted
      @3 session.thread_status_terminated child3
      note queued "Agent failed: it failed"
      = running, ask.2, 1 queued
    > answer text "well"
      agent.message "well"
      span.model_request_end ask.2 answered
      agent.thread_message_received from child3 from weaver "Agent failed: it failed" as letter (was queued)
      span.model_request_start ask.3
      = running, ask.3
    "#);
}

#[test]
fn wrong_errands_say_what_to_do() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        ---
        answer tool create_agent {"agent": "nobody", "task": "spin"}; tool Agent {"agent": "spinner", "task": " "}; tool create_agent {"task": "x"}
        answer tool send_to_agent {"thread_id": "sthr_1", "message": "m"}; tool send_to_agent {"thread_id": "primary", "message": "m"}; tool send_to_parent {"message": "m"}
        answer cut create_agent; max_tokens
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > answer tool create_agent {"agent": "nobody", "task": "spin"}; tool Agent {"agent": "spinner", "task": " "}; tool create_agent {"task": "x"}
      note delegated create_agent {"agent":"nobody","task":"spin"}
      note delegated Agent {"agent":"spinner","task":" "}
      note delegated create_agent.2 {"task":"x"}
      span.model_request_end ask answered
      note settled create_agent error "There is no agent named `nobody`. `agent` is one of: `spinner`, `dyer`, `weaver`."
      note settled Agent error "`task` is needed: a text that is not empty."
      note settled create_agent.2 error "`agent` is needed: a text that is not empty."
      span.model_request_start ask.2
      = running, ask.2
    > answer tool send_to_agent {"thread_id": "sthr_1", "message": "m"}; tool send_to_agent {"thread_id": "primary", "message": "m"}; tool send_to_parent {"message": "m"}
      note delegated send_to_agent {"thread_id":"sthr_1","message":"m"}
      note delegated send_to_agent.2 {"thread_id":"primary","message":"m"}
      agent.tool_use send_to_parent {"message":"m"} denied
      span.model_request_end ask.2 answered
      agent.tool_result send_to_parent "There is no tool named `send_to_parent`. Use one of the tools you were given." error
      note settled send_to_agent error "You have no agent with the thread_id `sthr_1`. `list_agents` shows those you have."
      note settled send_to_agent.2 error "You have no agent with the thread_id `primary`. `list_agents` shows those you have."
      span.model_request_start ask.3
      = running, ask.3
    > answer cut create_agent; max_tokens
      note delegated create_agent.3 {}
      span.model_request_end ask.3 cut_off
      note settled create_agent.3 error "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each."
      span.model_request_start ask.4
      = running, ask.4
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.4 answered
      session.thread_status_idle primary end_turn
      session.usage 40 in, 20 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn each_thread_is_told_what_concerns_it_as_its_model_reads_it() {
    insta::assert_snapshot!(histories(
        r#"
        message "go"
        answer text "so"; tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        @1 answer tool send_to_parent {"message": "half"}
        @2 answer text "dyed"
        @1 answer text "spun"
        answer text "done"
        "#
    ), @r#"
    primary:
    user: "go"
    assistant: "so" | call toolu_1 Agent {"agent":"spinner","task":"spin"} | call toolu_2 create_agent {"agent":"dyer","task":"dye"}
    user: result toolu_2 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}" | result toolu_1 "half" | "Message from dyer (child2):" | "dyed"
    assistant: "done"
    child1:
    user: "spin"
    assistant: call toolu_0 send_to_parent {"message":"half"}
    user: result toolu_0 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
    assistant: "spun"
    child2:
    user: "dye"
    assistant: "dyed"
    "#);
}

#[test]
fn a_thread_is_offered_what_its_place_allows() {
    insta::assert_snapshot!(offers(ThreadLimits::default(),
        r#"
        message "go"
        answer tool create_agent {"agent": "dyer", "task": "dye"}
        "#
    ), @r#"
    primary: None
    create_agent {"type":"object","properties":{"agent":{"type":"string","enum":["spinner","dyer","weaver","self"],"description":"Which agent."},"task":{"type":"string","description":"What it is to do, with all that it needs to know: it sees nothing of your conversation."}},"required":["agent","task"],"additionalProperties":false}
    Starts an agent on a task of its own and returns at once: several work in parallel, in the same files as you. Its report comes later as a message; end your turn to wait for it. The agents:
    - spinner: spins yarn
    - dyer
    - weaver
    Agent {"type":"object","properties":{"agent":{"type":"string","enum":["spinner","dyer","weaver","self"],"description":"Which agent."},"task":{"type":"string","description":"What it is to do, with all that it needs to know: it sees nothing of your conversation."}},"required":["agent","task"],"additionalProperties":false}
    Starts an agent on a task of its own, as `create_agent` does, and waits for its report, which is the result. Several calls in one answer run in parallel.
    send_to_agent {"type":"object","properties":{"thread_id":{"type":"string","description":"The agent's thread_id."},"message":{"type":"string","description":"What to tell it."}},"required":["thread_id","message"],"additionalProperties":false}
    Writes to an agent that you have started. One that rests goes to work on it; one that works reads it at its next step. It remembers its earlier tasks.
    list_agents {"type":"object","properties":{},"required":[],"additionalProperties":false}
    Lists the agents that you have started: thread_id, agent, status, and how many messages wait for each.
    child1: Some("Dye.")
    send_to_parent {"type":"object","properties":{"message":{"type":"string","description":"What to tell it."}},"required":["message"],"additionalProperties":false}
    Tells the agent that started you something before you are done: progress, or a question. You go on. Your last message of a turn is your report, unless you have sent something in that turn.
    "#);
}
