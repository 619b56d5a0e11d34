//! Mail between threads: what waits, what is kept for a report, and what comes too late (docs/rules.md 3, 4).

#![expect(clippy::too_many_lines, reason = "a script shows the whole order of events")]

use kernel::ThreadLimits;

use crate::script::play_team;

fn play(script: &str) -> String {
    play_team(ThreadLimits::default(), script)
}

#[test]
fn what_a_child_sends_before_its_end_is_mail_or_kept_for_who_waits() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        ---
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "dyer", "task": "dye"}
        @1 answer tool send_to_parent {"message": "half spun"}
        @2 answer tool send_to_parent {"message": "half dyed"}
        @2 answer tool send_to_parent {"message": "nearly"}
        @1 answer text "spun"
        @2 answer text "dyed"
        answer text "done"
        "#
    ), @r#"
    --- running, ask
    > answer tool create_agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "dyer", "task": "dye"}
      note delegated create_agent {"agent":"spinner","task":"spin"}
      note delegated Agent {"agent":"dyer","task":"dye"}
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
      = running, ask@1, ask@2
    > @1 answer tool send_to_parent {"message": "half spun"}
      @1 note delegated send_to_parent {"message":"half spun"}
      @1 span.model_request_end ask answered
      @1 agent.thread_message_sent to primary "half spun"
      note queued "half spun"
      @1 note settled send_to_parent "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @1 span.model_request_start ask.2
      = running, ask.2@1, ask@2, 1 queued
    > @2 answer tool send_to_parent {"message": "half dyed"}
      @2 note delegated send_to_parent {"message":"half dyed"}
      @2 span.model_request_end ask answered
      @2 note kept "half dyed"
      @2 note settled send_to_parent "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @2 span.model_request_start ask.2
      = running, ask.2@1, ask.2@2, 1 queued
    > @2 answer tool send_to_parent {"message": "nearly"}
      @2 note delegated send_to_parent.2 {"message":"nearly"}
      @2 span.model_request_end ask.2 answered
      @2 note kept "nearly"
      @2 note settled send_to_parent.2 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @2 span.model_request_start ask.3
      = running, ask.2@1, ask.3@2, 1 queued
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask.2 answered
      @1 session.thread_status_idle child1 end_turn
      = running, ask.3@2, 1 queued
    > @2 answer text "dyed"
      @2 agent.message "dyed"
      @2 span.model_request_end ask.3 answered
      @2 agent.thread_message_sent to primary "half dyed" "nearly"
      @2 session.thread_status_idle child2 end_turn
      agent.thread_message_received from child2 from dyer "half dyed" "nearly" as result
      note settled Agent "half dyed" "nearly"
      agent.thread_message_received from child1 from spinner "half spun" as letter (was queued)
      span.model_request_start ask.2
      = running, ask.2
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 70 in, 35 out, 7.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_turn_that_goes_on_with_a_letter_reports_what_was_kept_and_what_came_after_mail() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        ---
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}; tool send_to_agent {"thread_id": "unknown", "message": "m"}
        @2 answer tool send_to_parent {"message": "half dyed"}
        @1 answer tool send_to_parent {"message": "half spun"}
        interrupt primary
        message "write to both"
        answer tool send_to_agent {"thread_id": "child1", "message": "spin more"}; tool send_to_agent {"thread_id": "child2", "message": "dye more"}
        answer text "written"
        @2 answer text "dyed"
        @1 answer text "spun"
        @2 answer text "dyed more"
        @1 answer text "spun more"
        "#
    ), @r#"
    --- running, ask
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}; tool send_to_agent {"thread_id": "unknown", "message": "m"}
      note delegated Agent {"agent":"spinner","task":"spin"}
      note delegated create_agent {"agent":"dyer","task":"dye"}
      note delegated send_to_agent {"thread_id":"unknown","message":"m"}
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
      note settled create_agent "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      note settled send_to_agent error "You have no agent with the thread_id `unknown`. `list_agents` shows those you have."
      = running, ask@1, ask@2
    > @2 answer tool send_to_parent {"message": "half dyed"}
      @2 note delegated send_to_parent {"message":"half dyed"}
      @2 span.model_request_end ask answered
      @2 agent.thread_message_sent to primary "half dyed"
      note queued "half dyed"
      @2 note settled send_to_parent "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @2 span.model_request_start ask.2
      = running, ask@1, ask.2@2, 1 queued
    > @1 answer tool send_to_parent {"message": "half spun"}
      @1 note delegated send_to_parent {"message":"half spun"}
      @1 span.model_request_end ask answered
      @1 note kept "half spun"
      @1 note settled send_to_parent "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @1 span.model_request_start ask.2
      = running, ask.2@1, ask.2@2, 1 queued
    > interrupt primary
      note settled Agent error "Tool execution was interrupted before completion. Please retry."
      agent.thread_message_received from child2 from dyer "half dyed" as letter (was queued)
      user.interrupt primary
      session.thread_status_idle primary end_turn
      = running, ask.2@1, ask.2@2
    > message "write to both"
      session.thread_status_running primary
      user.message "write to both"
      span.model_request_start ask.2
      = running, ask.2, ask.2@1, ask.2@2
    > answer tool send_to_agent {"thread_id": "child1", "message": "spin more"}; tool send_to_agent {"thread_id": "child2", "message": "dye more"}
      note delegated send_to_agent.2 {"thread_id":"child1","message":"spin more"}
      note delegated send_to_agent.3 {"thread_id":"child2","message":"dye more"}
      span.model_request_end ask.2 answered
      agent.thread_message_sent to child1 to spinner "spin more"
      @1 note queued "spin more"
      note settled send_to_agent.2 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      agent.thread_message_sent to child2 to dyer "dye more"
      @2 note queued "dye more"
      note settled send_to_agent.3 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      span.model_request_start ask.3
      = running, ask.3, ask.2@1, ask.2@2, 2 queued
    > answer text "written"
      agent.message "written"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      = running, ask.2@1, ask.2@2, 2 queued
    > @2 answer text "dyed"
      @2 agent.message "dyed"
      @2 span.model_request_end ask.2 answered
      @2 agent.thread_message_received from primary from weaver "dye more" as letter (was queued)
      @2 span.model_request_start ask.3
      = running, ask.2@1, ask.3@2, 1 queued
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask.2 answered
      @1 agent.thread_message_received from primary from weaver "spin more" as letter (was queued)
      @1 span.model_request_start ask.3
      = running, ask.3@1, ask.3@2
    > @2 answer text "dyed more"
      @2 agent.message "dyed more"
      @2 span.model_request_end ask.3 answered
      @2 agent.thread_message_sent to primary "dyed more"
      @2 session.thread_status_idle child2 end_turn
      session.thread_status_running primary
      agent.thread_message_received from child2 from dyer "dyed more" as letter
      span.model_request_start ask.4
      = running, ask.4, ask.3@1
    > @1 answer text "spun more"
      @1 agent.message "spun more"
      @1 span.model_request_end ask.3 answered
      @1 agent.thread_message_sent to primary "half spun"
      @1 session.thread_status_idle child1 end_turn
      note queued "half spun"
      = running, ask.4, 1 queued
    "#);
}

#[test]
fn mail_waits_for_the_tool_boundary_and_wakes_who_rests() {
    insta::assert_snapshot!(play(
        r#"
        given spinner and dyer work
        ---
        @2 answer text "dyed"
        @1 answer tool bash
        answer tool list_agents
        answer text "waiting"
        "#
    ), @r#"
    --- running, ask.2, ask@1, ask@2
    > @2 answer text "dyed"
      @2 agent.message "dyed"
      @2 span.model_request_end ask answered
      @2 agent.thread_message_sent to primary "dyed"
      @2 session.thread_status_idle child2 end_turn
      note queued "dyed"
      = running, ask.2, ask@1, 1 queued
    > @1 answer tool bash
      @1 agent.tool_use bash {} allowed
      @1 span.model_request_end ask answered
      = running, ask.2, run bash@1, 1 queued
    > answer tool list_agents
      note delegated list_agents {}
      span.model_request_end ask.2 answered
      note settled list_agents (210 characters)
      agent.thread_message_received from child2 from dyer "dyed" as letter (was queued)
      span.model_request_start ask.3
      = running, ask.3, run bash@1
    > answer text "waiting"
      agent.message "waiting"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      = running, run bash@1
    "#);
}

#[test]
fn letters_reach_a_child_at_rest_at_work_and_waiting_and_not_after_its_end() {
    insta::assert_snapshot!(play(
        r#"
        given spinner and dyer work
        ---
        @2 answer tool look_up
        answer tool send_to_agent {"thread_id": "child1", "message": "at work"}; tool send_to_agent {"thread_id": "child2", "message": "waiting"}
        @1 answer text "spun"
        @1 answer text "spun more"
        answer tool list_agents
        answer tool send_to_agent {"thread_id": "child1", "message": "at rest"}
        archive child2
        answer tool send_to_agent {"thread_id": "child2", "message": "too late"}
        "#
    ), @r#"
    --- running, ask.2, ask@1, ask@2
    > @2 answer tool look_up
      @2 agent.custom_tool_use look_up {}
      @2 span.model_request_end ask answered
      @2 session.thread_status_idle child2 requires_action look_up
      = running, ask.2, ask@1
    > answer tool send_to_agent {"thread_id": "child1", "message": "at work"}; tool send_to_agent {"thread_id": "child2", "message": "waiting"}
      note delegated send_to_agent {"thread_id":"child1","message":"at work"}
      note delegated send_to_agent.2 {"thread_id":"child2","message":"waiting"}
      span.model_request_end ask.2 answered
      agent.thread_message_sent to child1 to spinner "at work"
      @1 note queued "at work"
      note settled send_to_agent "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      agent.thread_message_sent to child2 to dyer "waiting"
      @2 note queued "waiting"
      note settled send_to_agent.2 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"idle\"}"
      span.model_request_start ask.3
      = running, ask.3, ask@1, 2 queued
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask answered
      @1 agent.thread_message_received from primary from weaver "at work" as letter (was queued)
      @1 span.model_request_start ask.2
      = running, ask.3, ask.2@1, 1 queued
    > @1 answer text "spun more"
      @1 agent.message "spun more"
      @1 span.model_request_end ask.2 answered
      @1 agent.thread_message_sent to primary "spun more"
      @1 session.thread_status_idle child1 end_turn
      note queued "spun more"
      = running, ask.3, 2 queued
    > answer tool list_agents
      note delegated list_agents {}
      span.model_request_end ask.3 answered
      note settled list_agents (207 characters)
      agent.thread_message_received from child1 from spinner "spun more" as letter (was queued)
      span.model_request_start ask.4
      = running, ask.4, 1 queued
    > answer tool send_to_agent {"thread_id": "child1", "message": "at rest"}
      note delegated send_to_agent.3 {"thread_id":"child1","message":"at rest"}
      span.model_request_end ask.4 answered
      agent.thread_message_sent to child1 to spinner "at rest"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "at rest" as letter
      @1 span.model_request_start ask.3
      note settled send_to_agent.3 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      span.model_request_start ask.5
      = running, ask.5, ask.3@1, 1 queued
    > archive child2
      @2 user.custom_tool_result look_up "The thread was ended before this was answered." error
      @2 note cancelled [waiting]
      @2 note ended archived
      @2 session.thread_status_terminated child2
      = running, ask.5, ask.3@1
    > answer tool send_to_agent {"thread_id": "child2", "message": "too late"}
      note delegated send_to_agent.4 {"thread_id":"child2","message":"too late"}
      span.model_request_end ask.5 answered
      note settled send_to_agent.4 error "The agent `child2` has ended and takes no more messages. Make another with `create_agent`."
      span.model_request_start ask.6
      = running, ask.6, ask.3@1
    "#);
}
