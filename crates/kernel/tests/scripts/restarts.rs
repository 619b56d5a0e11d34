//! Restarts of the server: what a session that was at work goes on with (docs/rules.md 2).

use kernel::ThreadLimits;

use crate::script::{play, play_team};

#[test]
fn recovered_on_an_idle_session_is_nothing() {
    insta::assert_snapshot!(play(
        r#"
        recovered
        message "hi"
        answer text "ok"
        recovered
        "#
    ), @r#"
    > recovered
      = idle, end_turn
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask
      = running, ask
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask answered
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    > recovered
      = idle, end_turn
    "#);
}

#[test]
fn recovered_while_a_model_is_asked_asks_again_with_new_ids() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        message "two"
        ---
        recovered
        stale text "lost"
        answer text "ok"
        "#
    ), @r#"
    --- running, ask, 1 queued
    > recovered
      span.model_request_end ask cut error
      span.model_request_start ask.2
      = running, ask.2, 1 queued
    > stale text "lost"
      refused: the session has moved on
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.2 answered
      user.message "two" (was queued)
      span.model_request_start ask.3
      = running, ask.3
    "#);
}

#[test]
fn recovered_while_calls_wait_or_a_retry_waits_is_nothing() {
    insta::assert_snapshot!(play(
        r#"
        given look_up is called
        ---
        recovered
        result look_up "a"
        fail cut
        recovered
        woke
        answer text "ok"
        "#
    ), @r#"
    --- idle, requires_action look_up
    > recovered
      = idle, requires_action look_up
    > result look_up "a"
      user.custom_tool_result look_up "a"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > fail cut
      span.model_request_end ask.2 failed error
      session.error model_request_failed_error, retrying: "it failed"
      note retry at 5.401 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 5.401 s
    > recovered
      = rescheduling, wake at 5.401 s
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.3
      = running, ask.3
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      session.usage 21 in, 10 out, 3.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn recovered_at_the_last_request_of_a_turn_meets_the_guard() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        repeat 199 answer tool nope
        message "two"
        ---
        recovered
        "#
    ), @r#"
    --- running, ask.200, 1 queued
    > recovered
      span.model_request_end ask.200 cut error
      session.error tool_use_limit_reached_error, exhausted: "the turn was ended after 200 model requests; send a message to go on"
      user.message "two" (was queued)
      span.model_request_start ask.201
      = running, ask.201
    "#);
}

#[test]
fn a_crash_leaves_waits_and_mail_as_they_are() {
    insta::assert_snapshot!(play_team(
        ThreadLimits::default(),
        r#"
        message "go"
        ---
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool bash
        begins bash
        @1 answer tool bash
        @1 begins bash
        recovered
        @1 answer text "spun"
        answer text "done"
        "#
    ), @r#"
    --- running, ask
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool bash
      note delegated Agent {"agent":"spinner","task":"spin"}
      agent.tool_use bash {} allowed
      span.model_request_end ask answered
      session.thread_created child1
      agent.thread_message_sent to child1 to spinner "spin"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "spin" as task
      @1 span.model_request_start ask
      = running, run bash, ask@1
    > begins bash
      note began bash
      = running, run bash, ask@1
    > @1 answer tool bash
      @1 agent.tool_use bash {} allowed
      @1 span.model_request_end ask answered
      = running, run bash, run bash@1
    > @1 begins bash
      @1 note began bash
      = running, run bash, run bash@1
    > recovered
      agent.tool_result bash "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      @1 agent.tool_result bash "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      @1 span.model_request_start ask.2
      = running, ask.2@1
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask.2 answered
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
      session.usage 40 in, 20 out, 7.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}
