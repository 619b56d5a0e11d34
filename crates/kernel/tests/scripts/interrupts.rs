//! Interrupts, in each state and of each thread (docs/rules.md 4).

use kernel::ThreadLimits;

use crate::script::{play, play_team};

#[test]
fn while_a_model_is_asked() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        interrupt
        stale text "too late"
        "#
    ), @r#"
    --- running, ask
    > interrupt
      span.model_request_end ask cut error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 0 in, 0 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    > stale text "too late"
      refused: the session has moved on
    "#);
}

#[test]
fn while_action_is_required_every_open_call_is_answered() {
    insta::assert_snapshot!(play(
        r#"
        given look_up and weigh are called
        ---
        result look_up "a"
        interrupt
        again weigh "late"
        "#
    ), @r#"
    --- idle, requires_action look_up weigh
    > result look_up "a"
      user.custom_tool_result look_up "a"
      session.thread_status_idle primary requires_action weigh
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action weigh
      = idle, requires_action weigh
    > interrupt
      user.custom_tool_result weigh "Tool execution was interrupted before completion. Please retry." error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    > again weigh "late"
      session.status_running
      session.thread_status_running primary
      user.custom_tool_result weigh "late"
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn with_queued_messages_a_new_turn_begins_in_the_same_commit() {
    insta::assert_snapshot!(play(
        r#"
        message "one"
        message "two"
        message "three"
        ---
        interrupt
        answer text "to both"
        "#
    ), @r#"
    --- running, ask, 2 queued
    > interrupt
      span.model_request_end ask cut error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 0 in, 0 out, 3.0 s
      session.status_idle end_turn
      session.status_running
      session.thread_status_running primary
      user.message "two" (was queued)
      user.message "three" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    > answer text "to both"
      agent.message "to both"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn with_open_calls_and_queued_messages() {
    insta::assert_snapshot!(play(
        r#"
        message "one"
        message "two"
        answer tool look_up
        ---
        interrupt
        answer text "to two"
        "#
    ), @r#"
    --- idle, requires_action look_up, 1 queued
    > interrupt
      user.custom_tool_result look_up "Tool execution was interrupted before completion. Please retry." error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 2.0 s
      session.status_idle end_turn
      session.status_running
      session.thread_status_running primary
      user.message "two" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    > answer text "to two"
      agent.message "to two"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 3.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn on_an_idle_session_only_the_interrupt_is_recorded() {
    insta::assert_snapshot!(play(
        r#"
        interrupt
        message "hi"
        answer refusal
        interrupt primary
        "#
    ), @r#"
    > interrupt
      user.interrupt
      = idle, end_turn
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask
      = running, ask
    > answer refusal
      span.model_request_end ask refused
      session.thread_status_idle primary refusal "bio"
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle refusal "bio"
      = idle, refusal
    > interrupt primary
      user.interrupt primary
      = idle, refusal
    "#);
}

#[test]
fn while_a_retry_waits_nothing_wakes() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail overloaded
        ---
        interrupt
        message "again"
        answer text "ok"
        "#
    ), @r#"
    --- rescheduling, wake at 2.448 s
    > interrupt
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 1 in, 0 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    > message "again"
      session.status_running
      session.thread_status_running primary
      user.message "again"
      span.model_request_start ask.2
      = running, ask.2
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 11 in, 5 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn and_a_message_in_one_request_starts_anew() {
    insta::assert_snapshot!(play(
        r#"
        message "one"
        ---
        interrupt + message "two"
        answer text "to two"
        "#
    ), @r#"
    --- running, ask
    > interrupt + message "two"
      span.model_request_end ask cut error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 0 in, 0 out, 1.0 s
      session.status_idle end_turn
      session.status_running
      session.thread_status_running primary
      user.message "two"
      span.model_request_start ask.2
      = running, ask.2
    > answer text "to two"
      agent.message "to two"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn after_a_message_in_one_request_the_turn_is_shown() {
    insta::assert_snapshot!(play(
        r#"
        message "one" + interrupt
        "#
    ), @r#"
    > message "one" + interrupt
      session.status_running
      session.thread_status_running primary
      user.message "one"
      span.model_request_start ask
      span.model_request_end ask cut error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 0 in, 0 out, 0.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn after_the_last_result_in_one_request_the_turn_is_shown() {
    insta::assert_snapshot!(play(
        r#"
        given look_up and weigh are called
        ---
        result look_up "a" + interrupt
        message "hi"
        answer tool look_up
        result look_up.2 "a" + interrupt
        "#
    ), @r#"
    --- idle, requires_action look_up weigh
    > result look_up "a" + interrupt
      user.custom_tool_result look_up "a"
      session.thread_status_idle primary requires_action weigh
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action weigh
      user.custom_tool_result weigh "Tool execution was interrupted before completion. Please retry." error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask.2
      = running, ask.2
    > answer tool look_up
      agent.custom_tool_use look_up.2 {}
      span.model_request_end ask.2 answered
      session.thread_status_idle primary requires_action look_up.2
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle requires_action look_up.2
      = idle, requires_action look_up.2
    > result look_up.2 "a" + interrupt
      user.custom_tool_result look_up.2 "a"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.3
      span.model_request_end ask.3 cut error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn of_a_thread_that_does_not_exist_is_refused() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        interrupt unknown
        "#
    ), @r#"
    --- running, ask
    > interrupt unknown
      refused: events.0.session_thread_id: this session has no thread sthr_111111111111111111111A
    "#);
}

#[test]
fn an_interrupt_of_all_stops_every_thread_and_files_the_mail() {
    insta::assert_snapshot!(play_team(
        ThreadLimits::default(),
        r#"
        message "go"
        ---
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}; tool create_agent {"agent": "self", "task": "weave"}
        @3 answer text "woven"
        @1 answer tool look_up
        interrupt
        message "hello"
        "#
    ), @r#"
    --- running, ask
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}; tool create_agent {"agent": "self", "task": "weave"}
      note delegated Agent {"agent":"spinner","task":"spin"}
      note delegated create_agent {"agent":"dyer","task":"dye"}
      note delegated create_agent.2 {"agent":"self","task":"weave"}
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
      session.thread_created child3
      agent.thread_message_sent to child3 to weaver "weave"
      @3 session.thread_status_running child3
      @3 agent.thread_message_received from primary from weaver "weave" as task
      @3 span.model_request_start ask
      note settled create_agent.2 "{\"thread_id\":\"child3\",\"agent\":\"weaver\",\"status\":\"running\"}"
      = running, ask@1, ask@2, ask@3
    > @3 answer text "woven"
      @3 agent.message "woven"
      @3 span.model_request_end ask answered
      @3 agent.thread_message_sent to primary "woven"
      @3 session.thread_status_idle child3 end_turn
      note queued "woven"
      = running, ask@1, ask@2, 1 queued
    > @1 answer tool look_up
      @1 agent.custom_tool_use look_up {}
      @1 span.model_request_end ask answered
      @1 session.thread_status_idle child1 requires_action look_up
      session.thread_status_idle primary requires_action look_up@1
      = running, ask@2, 1 queued
    > interrupt
      note settled Agent error "Tool execution was interrupted before completion. Please retry."
      agent.thread_message_received from child3 from weaver "woven" as letter (was queued)
      @1 user.custom_tool_result look_up "Tool execution was interrupted before completion. Please retry." error
      @2 span.model_request_end ask cut error
      user.interrupt
      @2 session.thread_status_idle child2 end_turn
      @1 session.thread_status_idle child1 end_turn
      session.thread_status_idle primary end_turn
      session.usage 30 in, 15 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    > message "hello"
      session.status_running
      session.thread_status_running primary
      user.message "hello"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn an_interrupted_child_answers_who_waits_and_nobody_else() {
    insta::assert_snapshot!(play_team(
        ThreadLimits::default(),
        r#"
        message "go"
        ---
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        interrupt child2
        @1 answer tool look_up
        interrupt child1
        interrupt child1
        interrupt unknown
        "#
    ), @r#"
    --- running, ask
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
      note delegated Agent {"agent":"spinner","task":"spin"}
      note delegated create_agent {"agent":"dyer","task":"dye"}
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
      = running, ask@1, ask@2
    > interrupt child2
      @2 span.model_request_end ask cut error
      @2 user.interrupt child2
      @2 session.thread_status_idle child2 end_turn
      = running, ask@1
    > @1 answer tool look_up
      @1 agent.custom_tool_use look_up {}
      @1 span.model_request_end ask answered
      @1 session.thread_status_idle child1 requires_action look_up
      session.thread_status_idle primary requires_action look_up@1
      session.usage 20 in, 10 out, 3.0 s
      session.status_idle requires_action look_up@1
      = idle, requires_action look_up@1
    > interrupt child1
      @1 user.custom_tool_result look_up "Tool execution was interrupted before completion. Please retry." error
      @1 user.interrupt child1
      @1 session.thread_status_idle child1 end_turn
      session.status_running
      session.thread_status_running primary
      note settled Agent error "Agent interrupted."
      span.model_request_start ask.2
      = running, ask.2
    > interrupt child1
      @1 user.interrupt child1
      = running, ask.2
    > interrupt unknown
      refused: events.0.session_thread_id: this session has no thread sthr_111111111111111111111A
    "#);
}

#[test]
fn an_interrupted_coordinator_waits_no_more_and_gets_the_report_as_mail() {
    insta::assert_snapshot!(play_team(
        ThreadLimits::default(),
        r#"
        given spinner is waited for
        ---
        @1 answer tool send_to_parent {"message": "half"}
        interrupt primary
        @1 answer text "spun"
        "#
    ), @r#"
    --- running, ask@1
    > @1 answer tool send_to_parent {"message": "half"}
      @1 note delegated send_to_parent {"message":"half"}
      @1 span.model_request_end ask answered
      @1 note kept "half"
      @1 note settled send_to_parent "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @1 span.model_request_start ask.2
      = running, ask.2@1
    > interrupt primary
      note settled Agent error "Tool execution was interrupted before completion. Please retry."
      user.interrupt primary
      session.thread_status_idle primary end_turn
      = running, ask.2@1
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask.2 answered
      @1 agent.thread_message_sent to primary "half"
      @1 session.thread_status_idle child1 end_turn
      session.thread_status_running primary
      agent.thread_message_received from child1 from spinner "half" as letter
      span.model_request_start ask.2
      = running, ask.2
    "#);
}
