//! Interrupts, in each state.

use crate::script::play;

#[test]
fn while_a_model_is_asked() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        interrupt
        stale text "too late"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > interrupt
      #5 span.model_request_end #4 cut error
      #6 user.interrupt
      #7 session.thread_status_idle primary end_turn
      #8 session.usage 0 in, 0 out, 1.0 s
      #9 session.status_idle end_turn
      = idle, end_turn
    > stale text "too late"
      refused: the session has moved on
    "#);
}

#[test]
fn while_action_is_required_every_open_call_is_answered() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up; tool weigh
        result 1 "a"
        interrupt
        again 2 "late"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool look_up; tool weigh
      #5 agent.custom_tool_use look_up {}
      #6 agent.custom_tool_use weigh {}
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary requires_action #5 #6
      #9 session.usage 10 in, 5 out, 1.0 s
      #10 session.status_idle requires_action #5 #6
      = idle, requires_action #5 #6
    > result 1 "a"
      #11 user.custom_tool_result #5 "a"
      #12 session.thread_status_idle primary requires_action #6
      #13 session.usage 10 in, 5 out, 1.0 s
      #14 session.status_idle requires_action #6
      = idle, requires_action #6
    > interrupt
      #15 user.custom_tool_result #6 "Tool execution was interrupted before completion. Please retry." error
      #16 user.interrupt
      #17 session.thread_status_idle primary end_turn
      #18 session.usage 10 in, 5 out, 1.0 s
      #19 session.status_idle end_turn
      = idle, end_turn
    > again 2 "late"
      #20 session.status_running
      #21 session.thread_status_running primary
      #22 user.custom_tool_result #6 "late"
      #23 session.thread_status_idle primary end_turn
      #24 session.usage 10 in, 5 out, 1.0 s
      #25 session.status_idle end_turn
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
        interrupt
        answer text "to both"
        "#
    ), @r#"
    > message "one"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "one"
      #4 span.model_request_start
      = running, ask #4
    > message "two"
      #5 note queued "two"
      = running, ask #4, 1 queued
    > message "three"
      #6 note queued "three"
      = running, ask #4, 2 queued
    > interrupt
      #7 span.model_request_end #4 cut error
      #8 user.interrupt
      #9 session.thread_status_idle primary end_turn
      #10 session.usage 0 in, 0 out, 3.0 s
      #11 session.status_idle end_turn
      #12 session.status_running
      #13 session.thread_status_running primary
      #5 user.message "two"
      #6 user.message "three"
      #16 span.model_request_start
      = running, ask #16
    > answer text "to both"
      #17 agent.message "to both"
      #18 span.model_request_end #16 answered
      #19 session.thread_status_idle primary end_turn
      #20 session.usage 10 in, 5 out, 4.0 s
      #21 session.status_idle end_turn
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
        interrupt
        answer text "to two"
        "#
    ), @r#"
    > message "one"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "one"
      #4 span.model_request_start
      = running, ask #4
    > message "two"
      #5 note queued "two"
      = running, ask #4, 1 queued
    > answer tool look_up
      #6 agent.custom_tool_use look_up {}
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary requires_action #6
      #9 session.usage 10 in, 5 out, 2.0 s
      #10 session.status_idle requires_action #6
      = idle, requires_action #6, 1 queued
    > interrupt
      #11 user.custom_tool_result #6 "Tool execution was interrupted before completion. Please retry." error
      #12 user.interrupt
      #13 session.thread_status_idle primary end_turn
      #14 session.usage 10 in, 5 out, 2.0 s
      #15 session.status_idle end_turn
      #16 session.status_running
      #17 session.thread_status_running primary
      #5 user.message "two"
      #19 span.model_request_start
      = running, ask #19
    > answer text "to two"
      #20 agent.message "to two"
      #21 span.model_request_end #19 answered
      #22 session.thread_status_idle primary end_turn
      #23 session.usage 20 in, 10 out, 3.0 s
      #24 session.status_idle end_turn
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
      #1 user.interrupt
      = idle, end_turn
    > message "hi"
      #2 session.status_running
      #3 session.thread_status_running primary
      #4 user.message "hi"
      #5 span.model_request_start
      = running, ask #5
    > answer refusal
      #6 span.model_request_end #5 refused
      #7 session.thread_status_idle primary refusal "bio"
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle refusal "bio"
      = idle, refusal
    > interrupt primary
      #10 user.interrupt primary
      = idle, refusal
    "#);
}

#[test]
fn while_a_retry_waits_nothing_wakes() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        fail overloaded
        interrupt
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
    > fail overloaded
      #5 span.model_request_end #4 failed error
      #6 session.error model_overloaded_error, retrying: "it failed"
      note retry at 2.448 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 2.448 s
    > interrupt
      #10 user.interrupt
      #11 session.thread_status_idle primary end_turn
      #12 session.usage 1 in, 0 out, 1.0 s
      #13 session.status_idle end_turn
      = idle, end_turn
    > message "again"
      #14 session.status_running
      #15 session.thread_status_running primary
      #16 user.message "again"
      #17 span.model_request_start
      = running, ask #17
    > answer text "ok"
      #18 agent.message "ok"
      #19 span.model_request_end #17 answered
      #20 session.thread_status_idle primary end_turn
      #21 session.usage 11 in, 5 out, 2.0 s
      #22 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn and_a_message_in_one_request_starts_anew() {
    insta::assert_snapshot!(play(
        r#"
        message "one"
        interrupt + message "two"
        answer text "to two"
        "#
    ), @r#"
    > message "one"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "one"
      #4 span.model_request_start
      = running, ask #4
    > interrupt + message "two"
      #5 span.model_request_end #4 cut error
      #6 user.interrupt
      #7 session.thread_status_idle primary end_turn
      #8 session.usage 0 in, 0 out, 1.0 s
      #9 session.status_idle end_turn
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 user.message "two"
      #13 span.model_request_start
      = running, ask #13
    > answer text "to two"
      #14 agent.message "to two"
      #15 span.model_request_end #13 answered
      #16 session.thread_status_idle primary end_turn
      #17 session.usage 10 in, 5 out, 2.0 s
      #18 session.status_idle end_turn
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
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "one"
      #4 span.model_request_start
      #5 span.model_request_end #4 cut error
      #6 user.interrupt
      #7 session.thread_status_idle primary end_turn
      #8 session.usage 0 in, 0 out, 0.0 s
      #9 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn after_the_last_result_in_one_request_the_turn_is_shown() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up; tool weigh
        result 1 "a" + interrupt
        message "hi"
        answer tool look_up
        result 3 "a" + interrupt
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool look_up; tool weigh
      #5 agent.custom_tool_use look_up {}
      #6 agent.custom_tool_use weigh {}
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary requires_action #5 #6
      #9 session.usage 10 in, 5 out, 1.0 s
      #10 session.status_idle requires_action #5 #6
      = idle, requires_action #5 #6
    > result 1 "a" + interrupt
      #11 user.custom_tool_result #5 "a"
      #12 session.thread_status_idle primary requires_action #6
      #13 session.usage 10 in, 5 out, 1.0 s
      #14 session.status_idle requires_action #6
      #15 user.custom_tool_result #6 "Tool execution was interrupted before completion. Please retry." error
      #16 user.interrupt
      #17 session.thread_status_idle primary end_turn
      #18 session.usage 10 in, 5 out, 1.0 s
      #19 session.status_idle end_turn
      = idle, end_turn
    > message "hi"
      #20 session.status_running
      #21 session.thread_status_running primary
      #22 user.message "hi"
      #23 span.model_request_start
      = running, ask #23
    > answer tool look_up
      #24 agent.custom_tool_use look_up {}
      #25 span.model_request_end #23 answered
      #26 session.thread_status_idle primary requires_action #24
      #27 session.usage 20 in, 10 out, 2.0 s
      #28 session.status_idle requires_action #24
      = idle, requires_action #24
    > result 3 "a" + interrupt
      #29 user.custom_tool_result #24 "a"
      #30 session.status_running
      #31 session.thread_status_running primary
      #32 span.model_request_start
      #33 span.model_request_end #32 cut error
      #34 user.interrupt
      #35 session.thread_status_idle primary end_turn
      #36 session.usage 20 in, 10 out, 2.0 s
      #37 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn of_a_thread_that_does_not_exist_is_refused() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        interrupt unknown
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > interrupt unknown
      refused: events.0.session_thread_id: this session has no thread sthr_111111111111111111111A
    "#);
}
