//! Failures of the model: which are tried again, and when (docs/rules.md 4).

use crate::script::play;

#[test]
fn overloaded_twice_then_fine() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail overloaded
        woke early
        woke
        fail overloaded
        woke
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask
      = running, ask
    > fail overloaded
      span.model_request_end ask failed error
      session.error model_overloaded_error, retrying: "it failed"
      note retry at 2.448 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke early
      refused: the session has moved on
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > fail overloaded
      span.model_request_end ask.2 failed error
      session.error model_overloaded_error, retrying: "it failed"
      note retry at 5.333 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 5.333 s
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.3
      = running, ask.3
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      session.usage 12 in, 5 out, 3.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_cut_stream_is_asked_again() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        fail cut
        woke
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > fail cut
      span.model_request_end ask failed error
      session.error model_request_failed_error, retrying: "it failed"
      note retry at 2.448 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke
      session.status_running
      session.thread_status_running primary
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
fn a_retry_after_is_waited_out_up_to_a_minute() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        fail rate_limited after 20
        woke
        fail rate_limited after 600
        woke
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > fail rate_limited after 20
      span.model_request_end ask failed error
      session.error model_rate_limited_error, retrying: "it failed"
      note retry at 22.000 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 22.000 s
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > fail rate_limited after 600
      span.model_request_end ask.2 failed error
      session.error model_rate_limited_error, retrying: "it failed"
      note retry at 83.000 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 83.000 s
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.3
      = running, ask.3
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      session.usage 12 in, 5 out, 3.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_400_for_ever_exhausts_at_once_and_the_session_stays_usable() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        fail invalid
        message "again"
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > fail invalid
      span.model_request_end ask failed error
      session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      session.thread_status_idle primary retries_exhausted
      session.usage 1 in, 0 out, 1.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
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
fn a_model_that_cannot_be_paid_or_reached_is_not_tried_again() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        fail billing
        message "hi"
        fail denied
        message "hi"
        fail no_route
        "#
    ), @r#"
    --- running, ask
    > fail billing
      span.model_request_end ask failed error
      session.error billing_error, exhausted: "it failed"
      session.thread_status_idle primary retries_exhausted
      session.usage 1 in, 0 out, 1.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask.2
      = running, ask.2
    > fail denied
      span.model_request_end ask.2 failed error
      session.error model_request_failed_error, exhausted: "it failed"
      session.thread_status_idle primary retries_exhausted
      session.usage 2 in, 0 out, 2.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask.3
      = running, ask.3
    > fail no_route
      span.model_request_end ask.3 failed error
      session.error model_request_failed_error, exhausted: "it failed"
      session.thread_status_idle primary retries_exhausted
      session.usage 3 in, 0 out, 3.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn eight_attempts_and_no_more() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        repeat 7 fail unavailable then woke
        ---
        fail unavailable
        "#
    ), @r#"
    --- running, ask.8
    > fail unavailable
      span.model_request_end ask.8 failed error
      session.error model_request_failed_error, exhausted: "it failed Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
      session.thread_status_idle primary retries_exhausted
      session.usage 8 in, 0 out, 8.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn as_many_attempts_as_the_route_says_and_no_more() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        fail unavailable of 2
        woke
        fail unavailable of 2
        message "again"
        answer of 1
        "#
    ), @r#"
    --- running, ask
    > fail unavailable of 2
      span.model_request_end ask failed error
      session.error model_request_failed_error, retrying: "it failed"
      note retry at 2.448 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > fail unavailable of 2
      span.model_request_end ask.2 failed error
      session.error model_request_failed_error, exhausted: "it failed Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
      session.thread_status_idle primary retries_exhausted
      session.usage 2 in, 0 out, 2.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "again"
      session.status_running
      session.thread_status_running primary
      user.message "again"
      span.model_request_start ask.3
      = running, ask.3
    > answer of 1
      span.model_request_end ask.3 failed error
      session.error model_request_failed_error, exhausted: "The model's answer was empty. Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
      session.thread_status_idle primary retries_exhausted
      session.usage 12 in, 5 out, 3.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn a_message_queued_while_retries_run_out_is_not_stranded() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail overloaded
        ---
        message "still there?"
        woke
        fail invalid
        answer text "yes"
        "#
    ), @r#"
    --- rescheduling, wake at 2.448 s
    > message "still there?"
      note queued "still there?"
      = rescheduling, wake at 2.448 s, 1 queued
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2, 1 queued
    > fail invalid
      span.model_request_end ask.2 failed error
      session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      user.message "still there?" (was queued)
      span.model_request_start ask.3
      = running, ask.3
    > answer text "yes"
      agent.message "yes"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      session.usage 12 in, 5 out, 3.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn good_answers_forget_what_failed_before() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail cut
        woke
        ---
        answer tool nope
        fail cut
        "#
    ), @r#"
    --- running, ask.2
    > answer tool nope
      agent.tool_use nope {} denied
      span.model_request_end ask.2 answered
      agent.tool_result nope "There is no tool named `nope`. Use one of the tools you were given." error
      span.model_request_start ask.3
      = running, ask.3
    > fail cut
      span.model_request_end ask.3 failed error
      session.error model_request_failed_error, retrying: "it failed"
      note retry at 5.401 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 5.401 s
    "#);
}

#[test]
fn an_answer_with_nothing_in_it_is_asked_for_again_and_then_an_error() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer text ""
        woke
        answer thinking
        woke
        answer max_tokens
        "#
    ), @r#"
    --- running, ask
    > answer text ""
      span.model_request_end ask failed error
      session.error model_request_failed_error, retrying: "The model's answer was empty."
      note retry at 2.448 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > answer thinking
      span.model_request_end ask.2 failed error
      session.error model_request_failed_error, retrying: "The model thought, and then said nothing."
      note retry at 4.693 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 4.693 s
    > woke
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.3
      = running, ask.3
    > answer max_tokens
      span.model_request_end ask.3 failed error
      session.error model_request_failed_error, exhausted: "The model met its output limit before it said anything; see `max_output` of its route. Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
      session.thread_status_idle primary retries_exhausted
      session.usage 30 in, 15 out, 3.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn after_a_result_an_answer_may_be_empty_if_it_was_written() {
    insta::assert_snapshot!(play(
        r#"
        given look_up is called
        result look_up "a"
        ---
        answer thinking
        "#
    ), @r#"
    --- running, ask.2
    > answer thinking
      agent.thinking
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn after_a_result_an_answer_that_was_not_even_written_is_asked_for_again() {
    let told = play(
        r#"
        message "hi"
        answer tool look_up
        result look_up "a"
        answer unwritten
        woke
        answer
        "#,
    );
    assert!(told.contains("retrying: \"The model's answer was empty.\""), "{told}");
    assert!(told.trim_end().ends_with("= idle, end_turn"), "{told}");
}

#[test]
fn after_a_result_and_a_message_an_answer_says_something() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        message "and?"
        answer tool look_up
        result look_up "a"
        ---
        answer
        "#
    ), @r#"
    --- running, ask.2
    > answer
      span.model_request_end ask.2 failed error
      session.error model_request_failed_error, retrying: "The model's answer was empty."
      note retry at 5.401 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 5.401 s
    "#);
}
