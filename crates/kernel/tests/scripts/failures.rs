//! Failures of the model, and of the server.

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
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > fail overloaded
      #5 span.model_request_end #4 failed error
      #6 session.error model_overloaded_error, retrying: "it failed"
      note retry at 2.448 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke early
      refused: the session has moved on
    > woke
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 span.model_request_start
      = running, ask #12
    > fail overloaded
      #13 span.model_request_end #12 failed error
      #14 session.error model_overloaded_error, retrying: "it failed"
      note retry at 5.333 s
      #16 session.thread_status_rescheduled primary
      #17 session.status_rescheduled
      = rescheduling, wake at 5.333 s
    > woke
      #18 session.status_running
      #19 session.thread_status_running primary
      #20 span.model_request_start
      = running, ask #20
    > answer text "ok"
      #21 agent.message "ok"
      #22 span.model_request_end #20 answered
      #23 session.thread_status_idle primary end_turn
      #24 session.usage 12 in, 5 out, 3.0 s
      #25 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_cut_stream_is_asked_again() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail cut
        woke
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > fail cut
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, retrying: "it failed"
      note retry at 2.448 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 span.model_request_start
      = running, ask #12
    > answer text "ok"
      #13 agent.message "ok"
      #14 span.model_request_end #12 answered
      #15 session.thread_status_idle primary end_turn
      #16 session.usage 11 in, 5 out, 2.0 s
      #17 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_retry_after_is_waited_out_up_to_a_minute() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail rate_limited after 20
        woke
        fail rate_limited after 600
        woke
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > fail rate_limited after 20
      #5 span.model_request_end #4 failed error
      #6 session.error model_rate_limited_error, retrying: "it failed"
      note retry at 22.000 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 22.000 s
    > woke
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 span.model_request_start
      = running, ask #12
    > fail rate_limited after 600
      #13 span.model_request_end #12 failed error
      #14 session.error model_rate_limited_error, retrying: "it failed"
      note retry at 83.000 s
      #16 session.thread_status_rescheduled primary
      #17 session.status_rescheduled
      = rescheduling, wake at 83.000 s
    > woke
      #18 session.status_running
      #19 session.thread_status_running primary
      #20 span.model_request_start
      = running, ask #20
    > answer text "ok"
      #21 agent.message "ok"
      #22 span.model_request_end #20 answered
      #23 session.thread_status_idle primary end_turn
      #24 session.usage 12 in, 5 out, 3.0 s
      #25 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_400_for_ever_exhausts_at_once_and_the_session_stays_usable() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail invalid
        message "again"
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > fail invalid
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      #8 session.thread_status_idle primary retries_exhausted
      #9 session.usage 1 in, 0 out, 1.0 s
      #10 session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "again"
      #11 session.status_running
      #12 session.thread_status_running primary
      #13 user.message "again"
      #14 span.model_request_start
      = running, ask #14
    > answer text "ok"
      #15 agent.message "ok"
      #16 span.model_request_end #14 answered
      #17 session.thread_status_idle primary end_turn
      #18 session.usage 11 in, 5 out, 2.0 s
      #19 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_model_that_cannot_be_paid_or_reached_is_not_tried_again() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail billing
        message "hi"
        fail denied
        message "hi"
        fail no_route
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > fail billing
      #5 span.model_request_end #4 failed error
      #6 session.error billing_error, exhausted: "it failed"
      #7 session.thread_status_idle primary retries_exhausted
      #8 session.usage 1 in, 0 out, 1.0 s
      #9 session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "hi"
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 user.message "hi"
      #13 span.model_request_start
      = running, ask #13
    > fail denied
      #14 span.model_request_end #13 failed error
      #15 session.error model_request_failed_error, exhausted: "it failed"
      #16 session.thread_status_idle primary retries_exhausted
      #17 session.usage 2 in, 0 out, 2.0 s
      #18 session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "hi"
      #19 session.status_running
      #20 session.thread_status_running primary
      #21 user.message "hi"
      #22 span.model_request_start
      = running, ask #22
    > fail no_route
      #23 span.model_request_end #22 failed error
      #24 session.error model_request_failed_error, exhausted: "it failed"
      #25 session.thread_status_idle primary retries_exhausted
      #26 session.usage 3 in, 0 out, 3.0 s
      #27 session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn eight_attempts_and_no_more() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        repeat 7 fail unavailable then woke
        fail unavailable
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > 7 times fail unavailable then woke
    > fail unavailable
      #61 span.model_request_end #60 failed error
      #62 session.error model_request_failed_error, exhausted: "it failed Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
      #63 session.thread_status_idle primary retries_exhausted
      #64 session.usage 8 in, 0 out, 8.0 s
      #65 session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn as_many_attempts_as_the_route_says_and_no_more() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail unavailable of 2
        woke
        fail unavailable of 2
        message "again"
        answer of 1
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > fail unavailable of 2
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, retrying: "it failed"
      note retry at 2.448 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 span.model_request_start
      = running, ask #12
    > fail unavailable of 2
      #13 span.model_request_end #12 failed error
      #14 session.error model_request_failed_error, exhausted: "it failed Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
      #15 session.thread_status_idle primary retries_exhausted
      #16 session.usage 2 in, 0 out, 2.0 s
      #17 session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "again"
      #18 session.status_running
      #19 session.thread_status_running primary
      #20 user.message "again"
      #21 span.model_request_start
      = running, ask #21
    > answer of 1
      #22 span.model_request_end #21 failed error
      #23 session.error model_request_failed_error, exhausted: "The model's answer was empty. Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
      #24 session.thread_status_idle primary retries_exhausted
      #25 session.usage 12 in, 5 out, 3.0 s
      #26 session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn a_message_queued_while_retries_run_out_is_not_stranded() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail overloaded
        message "still there?"
        woke
        fail invalid
        answer text "yes"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > fail overloaded
      #5 span.model_request_end #4 failed error
      #6 session.error model_overloaded_error, retrying: "it failed"
      note retry at 2.448 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > message "still there?"
      #10 note queued "still there?"
      = rescheduling, wake at 2.448 s, 1 queued
    > woke
      #11 session.status_running
      #12 session.thread_status_running primary
      #13 span.model_request_start
      = running, ask #13, 1 queued
    > fail invalid
      #14 span.model_request_end #13 failed error
      #15 session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      #10 user.message "still there?"
      #18 span.model_request_start
      = running, ask #18
    > answer text "yes"
      #19 agent.message "yes"
      #20 span.model_request_end #18 answered
      #21 session.thread_status_idle primary end_turn
      #22 session.usage 12 in, 5 out, 3.0 s
      #23 session.status_idle end_turn
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
        answer tool nope
        fail cut
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > fail cut
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, retrying: "it failed"
      note retry at 2.448 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 span.model_request_start
      = running, ask #12
    > answer tool nope
      #13 agent.tool_use nope {} denied
      #14 span.model_request_end #12 answered
      #15 agent.tool_result #13 "There is no tool named `nope`. Use one of the tools you were given." error
      #16 span.model_request_start
      = running, ask #16
    > fail cut
      #17 span.model_request_end #16 failed error
      #18 session.error model_request_failed_error, retrying: "it failed"
      note retry at 5.401 s
      #20 session.thread_status_rescheduled primary
      #21 session.status_rescheduled
      = rescheduling, wake at 5.401 s
    "#);
}

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
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "ok"
      #5 agent.message "ok"
      #6 span.model_request_end #4 answered
      #7 session.thread_status_idle primary end_turn
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle end_turn
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
        recovered
        stale text "lost"
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > message "two"
      #5 note queued "two"
      = running, ask #4, 1 queued
    > recovered
      #6 span.model_request_end #4 cut error
      #7 span.model_request_start
      = running, ask #7, 1 queued
    > stale text "lost"
      refused: the session has moved on
    > answer text "ok"
      #8 agent.message "ok"
      #9 span.model_request_end #7 answered
      #5 user.message "two"
      #11 span.model_request_start
      = running, ask #11
    "#);
}

#[test]
fn recovered_while_calls_wait_or_a_retry_waits_is_nothing() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up
        recovered
        result 1 "a"
        fail cut
        recovered
        woke
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool look_up
      #5 agent.custom_tool_use look_up {}
      #6 span.model_request_end #4 answered
      #7 session.thread_status_idle primary requires_action #5
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle requires_action #5
      = idle, requires_action #5
    > recovered
      = idle, requires_action #5
    > result 1 "a"
      #10 user.custom_tool_result #5 "a"
      #11 session.status_running
      #12 session.thread_status_running primary
      #13 span.model_request_start
      = running, ask #13
    > fail cut
      #14 span.model_request_end #13 failed error
      #15 session.error model_request_failed_error, retrying: "it failed"
      note retry at 5.401 s
      #17 session.thread_status_rescheduled primary
      #18 session.status_rescheduled
      = rescheduling, wake at 5.401 s
    > recovered
      = rescheduling, wake at 5.401 s
    > woke
      #19 session.status_running
      #20 session.thread_status_running primary
      #21 span.model_request_start
      = running, ask #21
    > answer text "ok"
      #22 agent.message "ok"
      #23 span.model_request_end #21 answered
      #24 session.thread_status_idle primary end_turn
      #25 session.usage 21 in, 10 out, 3.0 s
      #26 session.status_idle end_turn
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
        recovered
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > 199 times answer tool nope
    > message "two"
      #801 note queued "two"
      = running, ask #800, 1 queued
    > recovered
      #802 span.model_request_end #800 cut error
      #803 session.error tool_use_limit_reached_error, exhausted: "the turn was ended after 200 model requests; send a message to go on"
      #801 user.message "two"
      #805 span.model_request_start
      = running, ask #805
    "#);
}

#[test]
fn an_answer_with_nothing_in_it_is_asked_for_again_and_then_an_error() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text ""
        woke
        answer thinking
        woke
        answer max_tokens
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text ""
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, retrying: "The model's answer was empty."
      note retry at 2.448 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > woke
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 span.model_request_start
      = running, ask #12
    > answer thinking
      #13 span.model_request_end #12 failed error
      #14 session.error model_request_failed_error, retrying: "The model thought, and then said nothing."
      note retry at 4.693 s
      #16 session.thread_status_rescheduled primary
      #17 session.status_rescheduled
      = rescheduling, wake at 4.693 s
    > woke
      #18 session.status_running
      #19 session.thread_status_running primary
      #20 span.model_request_start
      = running, ask #20
    > answer max_tokens
      #21 span.model_request_end #20 failed error
      #22 session.error model_request_failed_error, exhausted: "The model met its output limit before it said anything; see `max_output` of its route. Send a message to ask again; if other sessions are answered and this one is not, begin a new one."
      #23 session.thread_status_idle primary retries_exhausted
      #24 session.usage 30 in, 15 out, 3.0 s
      #25 session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn after_a_result_an_answer_may_be_empty_if_it_was_written() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up
        result 1 "a"
        answer thinking
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool look_up
      #5 agent.custom_tool_use look_up {}
      #6 span.model_request_end #4 answered
      #7 session.thread_status_idle primary requires_action #5
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle requires_action #5
      = idle, requires_action #5
    > result 1 "a"
      #10 user.custom_tool_result #5 "a"
      #11 session.status_running
      #12 session.thread_status_running primary
      #13 span.model_request_start
      = running, ask #13
    > answer thinking
      #14 agent.thinking
      #15 span.model_request_end #13 answered
      #16 session.thread_status_idle primary end_turn
      #17 session.usage 20 in, 10 out, 2.0 s
      #18 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn after_a_result_an_answer_that_was_not_even_written_is_asked_for_again() {
    let told = play(
        r#"
        message "hi"
        answer tool look_up
        result 1 "a"
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
        result 1 "a"
        answer
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > message "and?"
      #5 note queued "and?"
      = running, ask #4, 1 queued
    > answer tool look_up
      #6 agent.custom_tool_use look_up {}
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary requires_action #6
      #9 session.usage 10 in, 5 out, 2.0 s
      #10 session.status_idle requires_action #6
      = idle, requires_action #6, 1 queued
    > result 1 "a"
      #11 user.custom_tool_result #6 "a"
      #12 session.status_running
      #13 session.thread_status_running primary
      #5 user.message "and?"
      #15 span.model_request_start
      = running, ask #15
    > answer
      #16 span.model_request_end #15 failed error
      #17 session.error model_request_failed_error, retrying: "The model's answer was empty."
      note retry at 5.401 s
      #19 session.thread_status_rescheduled primary
      #20 session.status_rescheduled
      = rescheduling, wake at 5.401 s
    "#);
}
