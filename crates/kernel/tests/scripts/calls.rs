//! Calls: custom tools, answers one by one and together, answers that come twice, calls of nothing.

use crate::script::play;

#[test]
fn a_turn_with_a_custom_tool() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer thinking; tool look_up {"q": "heddle"}
        result look_up "found"
        answer text "done"
        "#
    ), @r#"
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask
      = running, ask
    > answer thinking; tool look_up {"q": "heddle"}
      agent.thinking
      agent.custom_tool_use look_up {"q":"heddle"}
      span.model_request_end ask answered
      session.thread_status_idle primary requires_action look_up
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action look_up
      = idle, requires_action look_up
    > result look_up "found"
      user.custom_tool_result look_up "found"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn parallel_calls_answered_one_by_one_announce_what_is_left() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer text "both"; tool look_up {"q": 1}; tool weigh {"kg": 2}
        result weigh error "broken"
        result look_up "found"
        answer text "done"
        "#
    ), @r#"
    --- running, ask
    > answer text "both"; tool look_up {"q": 1}; tool weigh {"kg": 2}
      agent.message "both"
      agent.custom_tool_use look_up {"q":1}
      agent.custom_tool_use weigh {"kg":2}
      span.model_request_end ask answered
      session.thread_status_idle primary requires_action look_up weigh
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action look_up weigh
      = idle, requires_action look_up weigh
    > result weigh error "broken"
      user.custom_tool_result weigh "broken" error
      session.thread_status_idle primary requires_action look_up
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action look_up
      = idle, requires_action look_up
    > result look_up "found"
      user.custom_tool_result look_up "found"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn parallel_calls_answered_in_one_request() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool look_up; tool weigh
        result look_up "a" + result weigh "b"
        answer text "done"
        "#
    ), @r#"
    --- running, ask
    > answer tool look_up; tool weigh
      agent.custom_tool_use look_up {}
      agent.custom_tool_use weigh {}
      span.model_request_end ask answered
      session.thread_status_idle primary requires_action look_up weigh
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action look_up weigh
      = idle, requires_action look_up weigh
    > result look_up "a" + result weigh "b"
      user.custom_tool_result look_up "a"
      user.custom_tool_result weigh "b"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_second_result_on_an_idle_session_shows_as_an_empty_pair() {
    insta::assert_snapshot!(play(
        r#"
        given look_up is called
        result look_up "a"
        answer text "done"
        ---
        again look_up "b"
        again look_up error "a"
        again look_up
        again look_up "a"
        "#
    ), @r#"
    --- idle, end_turn
    > again look_up "b"
      refused: events.0.custom_tool_use_id: look_up has been answered with another result, and the first one counts; send that one again, or none
    > again look_up error "a"
      refused: events.0.custom_tool_use_id: look_up has been answered with another result, and the first one counts; send that one again, or none
    > again look_up
      refused: events.0.custom_tool_use_id: look_up has been answered with another result, and the first one counts; send that one again, or none
    > again look_up "a"
      session.status_running
      session.thread_status_running primary
      user.custom_tool_result look_up "a"
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_second_result_while_others_pend_changes_nothing() {
    insta::assert_snapshot!(play(
        r#"
        given look_up and weigh are called
        result look_up "a"
        ---
        again look_up "b"
        again look_up "a"
        again look_up "a" + result weigh "c" + result weigh "d"
        result weigh "c" + again look_up "a" + result weigh "c"
        again look_up "d"
        again look_up "a"
        "#
    ), @r#"
    --- idle, requires_action weigh
    > again look_up "b"
      refused: events.0.custom_tool_use_id: look_up has been answered with another result, and the first one counts; send that one again, or none
    > again look_up "a"
      session.status_running
      session.thread_status_running primary
      user.custom_tool_result look_up "a"
      session.thread_status_idle primary requires_action weigh
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action weigh
      = idle, requires_action weigh
    > again look_up "a" + result weigh "c" + result weigh "d"
      refused: events.2.custom_tool_use_id: weigh has been answered with another result, and the first one counts; send that one again, or none
    > result weigh "c" + again look_up "a" + result weigh "c"
      user.custom_tool_result weigh "c"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      user.custom_tool_result look_up "a"
      user.custom_tool_result weigh "c"
      = running, ask.2
    > again look_up "d"
      refused: events.0.custom_tool_use_id: look_up has been answered with another result, and the first one counts; send that one again, or none
    > again look_up "a"
      user.custom_tool_result look_up "a"
      = running, ask.2
    "#);
}

#[test]
fn a_result_of_no_call_is_refused_with_all_that_came_with_it() {
    insta::assert_snapshot!(play(
        r#"
        given look_up is called
        ---
        result unknown "a"
        result look_up "a" + result unknown "b"
        allow again look_up
        "#
    ), @r#"
    --- idle, requires_action look_up
    > result unknown "a"
      refused: events.0.custom_tool_use_id: sevt_111111111111111111112i does not match any custom_tool_use event in this session; answer the ids in the `stop_reason.event_ids` of its last session.status_idle
    > result look_up "a" + result unknown "b"
      refused: events.1.custom_tool_use_id: sevt_111111111111111111112i does not match any custom_tool_use event in this session; answer the ids in the `stop_reason.event_ids` of its last session.status_idle
    > allow again look_up
      refused: events.0.tool_use_id: look_up was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation
    "#);
}

#[test]
fn a_message_while_action_is_required_is_refused() {
    insta::assert_snapshot!(play(
        r#"
        given look_up and weigh are called
        ---
        message "well?"
        result look_up "a" + message "well?"
        result look_up "a" + result weigh "b" + message "well?"
        "#
    ), @r#"
    --- idle, requires_action look_up weigh
    > message "well?"
      refused: events.0: waiting on responses to events [look_up, weigh]; answer these first, or send user.interrupt
    > result look_up "a" + message "well?"
      refused: events.1: waiting on responses to events [weigh]; answer these first, or send user.interrupt
    > result look_up "a" + result weigh "b" + message "well?"
      user.custom_tool_result look_up "a"
      user.custom_tool_result weigh "b"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      note queued "well?"
      = running, ask.2, 1 queued
    "#);
}

#[test]
fn a_tool_that_does_not_exist_is_answered_and_the_turn_goes_on() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool nope {"a": 1}
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > answer tool nope {"a": 1}
      agent.tool_use nope {"a":1} denied
      span.model_request_end ask answered
      agent.tool_result nope "There is no tool named `nope`. Use one of the tools you were given." error
      span.model_request_start ask.2
      = running, ask.2
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn good_and_bad_calls_wait_for_the_good_ones() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool nope; tool look_up; cut weigh
        result look_up "a"
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > answer tool nope; tool look_up; cut weigh
      agent.tool_use nope {} denied
      agent.custom_tool_use look_up {}
      agent.custom_tool_use weigh {}
      span.model_request_end ask answered
      agent.tool_result nope "There is no tool named `nope`. Use one of the tools you were given." error
      user.custom_tool_result weigh "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." error
      session.thread_status_idle primary requires_action look_up
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action look_up
      = idle, requires_action look_up
    > result look_up "a"
      user.custom_tool_result look_up "a"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_paused_answer_with_a_call_waits_for_it() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer text "half"; tool look_up; pause
        result look_up "a"
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > answer text "half"; tool look_up; pause
      agent.message "half"
      agent.custom_tool_use look_up {}
      span.model_request_end ask paused
      session.thread_status_idle primary requires_action look_up
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action look_up
      = idle, requires_action look_up
    > result look_up "a"
      user.custom_tool_result look_up "a"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_result_without_content_is_kept_so() {
    insta::assert_snapshot!(play(
        r"
        given look_up is called
        ---
        result look_up
        "
    ), @r#"
    --- idle, requires_action look_up
    > result look_up
      user.custom_tool_result look_up
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn another_result_for_a_call_that_the_server_closed_is_recorded() {
    insta::assert_snapshot!(play(
        r#"
        given look_up and weigh are called
        result look_up "a"
        ---
        interrupt + again weigh "late"
        again weigh "later"
        again look_up "b"
        again look_up "a"
        "#
    ), @r#"
    --- idle, requires_action weigh
    > interrupt + again weigh "late"
      user.custom_tool_result weigh "Tool execution was interrupted before completion. Please retry." error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      session.status_running
      session.thread_status_running primary
      user.custom_tool_result weigh "late"
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    > again weigh "later"
      session.status_running
      session.thread_status_running primary
      user.custom_tool_result weigh "later"
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    > again look_up "b"
      refused: events.0.custom_tool_use_id: look_up has been answered with another result, and the first one counts; send that one again, or none
    > again look_up "a"
      session.status_running
      session.thread_status_running primary
      user.custom_tool_result look_up "a"
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn another_result_for_a_call_that_was_answered_in_an_earlier_log_is_recorded() {
    insta::assert_snapshot!(play(
        r#"
        given look_up and weigh are called
        ---
        earlier result look_up "a"
        again look_up "b"
        result weigh "c"
        again weigh "d"
        "#
    ), @r#"
    --- idle, requires_action look_up weigh
    > earlier result look_up "a"
      user.custom_tool_result look_up "a"
      session.thread_status_idle primary requires_action weigh
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action weigh
      = idle, requires_action weigh
    > again look_up "b"
      session.status_running
      session.thread_status_running primary
      user.custom_tool_result look_up "b"
      session.thread_status_idle primary requires_action weigh
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action weigh
      = idle, requires_action weigh
    > result weigh "c"
      user.custom_tool_result weigh "c"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > again weigh "d"
      refused: events.0.custom_tool_use_id: weigh has been answered with another result, and the first one counts; send that one again, or none
    "#);
}
