//! Calls: custom tools, answers one by one and together, answers that come twice, calls of nothing.

use crate::script::play;

#[test]
fn a_turn_with_a_custom_tool() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer thinking; tool look_up {"q": "heddle"}
        result 1 "found"
        answer text "done"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer thinking; tool look_up {"q": "heddle"}
      #5 agent.thinking
      #6 agent.custom_tool_use look_up {"q":"heddle"}
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary requires_action #6
      #9 session.usage 10 in, 5 out, 1.0 s
      #10 session.status_idle requires_action #6
      = idle, requires_action #6
    > result 1 "found"
      #11 user.custom_tool_result #6 "found"
      #12 session.status_running
      #13 session.thread_status_running primary
      #14 span.model_request_start
      = running, ask #14
    > answer text "done"
      #15 agent.message "done"
      #16 span.model_request_end #14 answered
      #17 session.thread_status_idle primary end_turn
      #18 session.usage 20 in, 10 out, 2.0 s
      #19 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn parallel_calls_answered_one_by_one_announce_what_is_left() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "both"; tool look_up {"q": 1}; tool weigh {"kg": 2}
        result 2 error "broken"
        result 1 "found"
        answer text "done"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "both"; tool look_up {"q": 1}; tool weigh {"kg": 2}
      #5 agent.message "both"
      #6 agent.custom_tool_use look_up {"q":1}
      #7 agent.custom_tool_use weigh {"kg":2}
      #8 span.model_request_end #4 answered
      #9 session.thread_status_idle primary requires_action #6 #7
      #10 session.usage 10 in, 5 out, 1.0 s
      #11 session.status_idle requires_action #6 #7
      = idle, requires_action #6 #7
    > result 2 error "broken"
      #12 user.custom_tool_result #7 "broken" error
      #13 session.thread_status_idle primary requires_action #6
      #14 session.usage 10 in, 5 out, 1.0 s
      #15 session.status_idle requires_action #6
      = idle, requires_action #6
    > result 1 "found"
      #16 user.custom_tool_result #6 "found"
      #17 session.status_running
      #18 session.thread_status_running primary
      #19 span.model_request_start
      = running, ask #19
    > answer text "done"
      #20 agent.message "done"
      #21 span.model_request_end #19 answered
      #22 session.thread_status_idle primary end_turn
      #23 session.usage 20 in, 10 out, 2.0 s
      #24 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn parallel_calls_answered_in_one_request() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up; tool weigh
        result 1 "a" + result 2 "b"
        answer text "done"
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
    > result 1 "a" + result 2 "b"
      #11 user.custom_tool_result #5 "a"
      #12 user.custom_tool_result #6 "b"
      #13 session.status_running
      #14 session.thread_status_running primary
      #15 span.model_request_start
      = running, ask #15
    > answer text "done"
      #16 agent.message "done"
      #17 span.model_request_end #15 answered
      #18 session.thread_status_idle primary end_turn
      #19 session.usage 20 in, 10 out, 2.0 s
      #20 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_second_result_on_an_idle_session_shows_as_an_empty_pair() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up
        result 1 "a"
        answer text "done"
        again 1 "b"
        again 1 error "a"
        again 1
        again 1 "a"
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
    > answer text "done"
      #14 agent.message "done"
      #15 span.model_request_end #13 answered
      #16 session.thread_status_idle primary end_turn
      #17 session.usage 20 in, 10 out, 2.0 s
      #18 session.status_idle end_turn
      = idle, end_turn
    > again 1 "b"
      refused: events.0.custom_tool_use_id: #5 has been answered with another result, and the first one counts; send that one again, or none
    > again 1 error "a"
      refused: events.0.custom_tool_use_id: #5 has been answered with another result, and the first one counts; send that one again, or none
    > again 1
      refused: events.0.custom_tool_use_id: #5 has been answered with another result, and the first one counts; send that one again, or none
    > again 1 "a"
      #19 session.status_running
      #20 session.thread_status_running primary
      #21 user.custom_tool_result #5 "a"
      #22 session.thread_status_idle primary end_turn
      #23 session.usage 20 in, 10 out, 2.0 s
      #24 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_second_result_while_others_pend_changes_nothing() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up; tool weigh
        result 1 "a"
        again 1 "b"
        again 1 "a"
        again 1 "a" + result 2 "c" + result 2 "d"
        result 2 "c" + again 1 "a" + result 2 "c"
        again 1 "d"
        again 1 "a"
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
    > again 1 "b"
      refused: events.0.custom_tool_use_id: #5 has been answered with another result, and the first one counts; send that one again, or none
    > again 1 "a"
      #15 session.status_running
      #16 session.thread_status_running primary
      #17 user.custom_tool_result #5 "a"
      #18 session.thread_status_idle primary requires_action #6
      #19 session.usage 10 in, 5 out, 1.0 s
      #20 session.status_idle requires_action #6
      = idle, requires_action #6
    > again 1 "a" + result 2 "c" + result 2 "d"
      refused: events.2.custom_tool_use_id: #6 has been answered with another result, and the first one counts; send that one again, or none
    > result 2 "c" + again 1 "a" + result 2 "c"
      #21 user.custom_tool_result #6 "c"
      #22 session.status_running
      #23 session.thread_status_running primary
      #24 span.model_request_start
      #25 user.custom_tool_result #5 "a"
      #26 user.custom_tool_result #6 "c"
      = running, ask #24
    > again 1 "d"
      refused: events.0.custom_tool_use_id: #5 has been answered with another result, and the first one counts; send that one again, or none
    > again 1 "a"
      #27 user.custom_tool_result #5 "a"
      = running, ask #24
    "#);
}

#[test]
fn a_result_of_no_call_is_refused_with_all_that_came_with_it() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up
        result unknown "a"
        result 1 "a" + result unknown "b"
        allow again 1
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
    > result unknown "a"
      refused: events.0.custom_tool_use_id: sevt_111111111111111111112i does not match any custom_tool_use event in this session; answer the ids in the `stop_reason.event_ids` of its last session.status_idle
    > result 1 "a" + result unknown "b"
      refused: events.1.custom_tool_use_id: sevt_111111111111111111112i does not match any custom_tool_use event in this session; answer the ids in the `stop_reason.event_ids` of its last session.status_idle
    > allow again 1
      refused: events.0.tool_use_id: #5 was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation
    "#);
}

#[test]
fn a_message_while_action_is_required_is_refused() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up; tool weigh
        message "well?"
        result 1 "a" + message "well?"
        result 1 "a" + result 2 "b" + message "well?"
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
    > message "well?"
      refused: events.0: waiting on responses to events [#5, #6]; answer these first, or send user.interrupt
    > result 1 "a" + message "well?"
      refused: events.1: waiting on responses to events [#6]; answer these first, or send user.interrupt
    > result 1 "a" + result 2 "b" + message "well?"
      #11 user.custom_tool_result #5 "a"
      #12 user.custom_tool_result #6 "b"
      #13 session.status_running
      #14 session.thread_status_running primary
      #15 span.model_request_start
      #16 note queued "well?"
      = running, ask #15, 1 queued
    "#);
}

#[test]
fn a_call_that_was_cut_off_is_answered_and_the_turn_goes_on() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "see"; cut look_up; max_tokens
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "see"; cut look_up; max_tokens
      #5 agent.message "see"
      #6 agent.custom_tool_use look_up {}
      #7 span.model_request_end #4 cut_off
      #8 user.custom_tool_result #6 "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      #9 span.model_request_start
      = running, ask #9
    > answer text "ok"
      #10 agent.message "ok"
      #11 span.model_request_end #9 answered
      #12 session.thread_status_idle primary end_turn
      #13 session.usage 20 in, 10 out, 2.0 s
      #14 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_tool_that_does_not_exist_is_answered_and_the_turn_goes_on() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool nope {"a": 1}
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool nope {"a": 1}
      #5 agent.tool_use nope {"a":1} denied
      #6 span.model_request_end #4 answered
      #7 agent.tool_result #5 "There is no tool named `nope`. Use one of the tools you were given." error
      #8 span.model_request_start
      = running, ask #8
    > answer text "ok"
      #9 agent.message "ok"
      #10 span.model_request_end #8 answered
      #11 session.thread_status_idle primary end_turn
      #12 session.usage 20 in, 10 out, 2.0 s
      #13 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn good_and_bad_calls_wait_for_the_good_ones() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool nope; tool look_up; cut weigh
        result 2 "a"
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool nope; tool look_up; cut weigh
      #5 agent.tool_use nope {} denied
      #6 agent.custom_tool_use look_up {}
      #7 agent.custom_tool_use weigh {}
      #8 span.model_request_end #4 answered
      #9 agent.tool_result #5 "There is no tool named `nope`. Use one of the tools you were given." error
      #10 user.custom_tool_result #7 "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." error
      #11 session.thread_status_idle primary requires_action #6
      #12 session.usage 10 in, 5 out, 1.0 s
      #13 session.status_idle requires_action #6
      = idle, requires_action #6
    > result 2 "a"
      #14 user.custom_tool_result #6 "a"
      #15 session.status_running
      #16 session.thread_status_running primary
      #17 span.model_request_start
      = running, ask #17
    > answer text "ok"
      #18 agent.message "ok"
      #19 span.model_request_end #17 answered
      #20 session.thread_status_idle primary end_turn
      #21 session.usage 20 in, 10 out, 2.0 s
      #22 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_paused_answer_with_a_call_waits_for_it() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "half"; tool look_up; pause
        result 1 "a"
        answer text "ok"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "half"; tool look_up; pause
      #5 agent.message "half"
      #6 agent.custom_tool_use look_up {}
      #7 span.model_request_end #4 paused
      #8 session.thread_status_idle primary requires_action #6
      #9 session.usage 10 in, 5 out, 1.0 s
      #10 session.status_idle requires_action #6
      = idle, requires_action #6
    > result 1 "a"
      #11 user.custom_tool_result #6 "a"
      #12 session.status_running
      #13 session.thread_status_running primary
      #14 span.model_request_start
      = running, ask #14
    > answer text "ok"
      #15 agent.message "ok"
      #16 span.model_request_end #14 answered
      #17 session.thread_status_idle primary end_turn
      #18 session.usage 20 in, 10 out, 2.0 s
      #19 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_result_without_content_is_kept_so() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up
        result 1
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
    > result 1
      #10 user.custom_tool_result #5
      #11 session.status_running
      #12 session.thread_status_running primary
      #13 span.model_request_start
      = running, ask #13
    "#);
}

#[test]
fn another_result_for_a_call_that_the_server_closed_is_recorded() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up; tool weigh
        result 1 "a"
        interrupt + again 2 "late"
        again 2 "later"
        again 1 "b"
        again 1 "a"
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
    > interrupt + again 2 "late"
      #15 user.custom_tool_result #6 "Tool execution was interrupted before completion. Please retry." error
      #16 user.interrupt
      #17 session.thread_status_idle primary end_turn
      #18 session.usage 10 in, 5 out, 1.0 s
      #19 session.status_idle end_turn
      #20 session.status_running
      #21 session.thread_status_running primary
      #22 user.custom_tool_result #6 "late"
      #23 session.thread_status_idle primary end_turn
      #24 session.usage 10 in, 5 out, 1.0 s
      #25 session.status_idle end_turn
      = idle, end_turn
    > again 2 "later"
      #26 session.status_running
      #27 session.thread_status_running primary
      #28 user.custom_tool_result #6 "later"
      #29 session.thread_status_idle primary end_turn
      #30 session.usage 10 in, 5 out, 1.0 s
      #31 session.status_idle end_turn
      = idle, end_turn
    > again 1 "b"
      refused: events.0.custom_tool_use_id: #5 has been answered with another result, and the first one counts; send that one again, or none
    > again 1 "a"
      #32 session.status_running
      #33 session.thread_status_running primary
      #34 user.custom_tool_result #5 "a"
      #35 session.thread_status_idle primary end_turn
      #36 session.usage 10 in, 5 out, 1.0 s
      #37 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn another_result_for_a_call_that_was_answered_in_an_earlier_log_is_recorded() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up; tool weigh
        earlier result 1 "a"
        again 1 "b"
        result 2 "c"
        again 2 "d"
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
    > earlier result 1 "a"
      #11 user.custom_tool_result #5 "a"
      #12 session.thread_status_idle primary requires_action #6
      #13 session.usage 10 in, 5 out, 1.0 s
      #14 session.status_idle requires_action #6
      = idle, requires_action #6
    > again 1 "b"
      #15 session.status_running
      #16 session.thread_status_running primary
      #17 user.custom_tool_result #5 "b"
      #18 session.thread_status_idle primary requires_action #6
      #19 session.usage 10 in, 5 out, 1.0 s
      #20 session.status_idle requires_action #6
      = idle, requires_action #6
    > result 2 "c"
      #21 user.custom_tool_result #6 "c"
      #22 session.status_running
      #23 session.thread_status_running primary
      #24 span.model_request_start
      = running, ask #24
    > again 2 "d"
      refused: events.0.custom_tool_use_id: #6 has been answered with another result, and the first one counts; send that one again, or none
    "#);
}
