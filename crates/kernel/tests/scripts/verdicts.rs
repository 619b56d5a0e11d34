//! Calls that a person is asked about: what waits beside them, and what a verdict does (docs/rules.md 4).

use kernel::Tree;

use crate::script::{play, play_team};

#[test]
fn an_asked_call_waits_for_a_verdict_and_then_runs() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write {"file_path": "a", "content": "b"}
        message "may I speak?"
        allow 1
        ran 1 "written"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool write {"file_path": "a", "content": "b"}
      #5 agent.tool_use write {"file_path":"a","content":"b"} asked
      #6 span.model_request_end #4 answered
      #7 session.thread_status_idle primary requires_action #5
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle requires_action #5
      = idle, requires_action #5
    > message "may I speak?"
      refused: events.0: waiting on responses to events [#5]; answer these first, or send user.interrupt
    > allow 1
      #10 user.tool_confirmation #5 allow null
      #11 session.status_running
      #12 session.thread_status_running primary
      = running, run write #5
    > ran 1 "written"
      #13 agent.tool_result #5 "written"
      #14 span.model_request_start
      = running, ask #14
    "#);
}

#[test]
fn a_denied_call_is_answered_after_a_new_running_pair_with_the_message() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write
        deny 1 "not there"
        answer tool write
        deny 2
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool write
      #5 agent.tool_use write {} asked
      #6 span.model_request_end #4 answered
      #7 session.thread_status_idle primary requires_action #5
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle requires_action #5
      = idle, requires_action #5
    > deny 1 "not there"
      #10 user.tool_confirmation #5 deny "not there"
      #11 session.status_running
      #12 session.thread_status_running primary
      #13 agent.tool_result #5 "Permission to use write has been rejected. Rejection message: not there" error
      #14 span.model_request_start
      = running, ask #14
    > answer tool write
      #15 agent.tool_use write {} asked
      #16 span.model_request_end #14 answered
      #17 session.thread_status_idle primary requires_action #15
      #18 session.usage 20 in, 10 out, 2.0 s
      #19 session.status_idle requires_action #15
      = idle, requires_action #15
    > deny 2
      #20 user.tool_confirmation #15 deny null
      #21 session.status_running
      #22 session.thread_status_running primary
      #23 agent.tool_result #15 "Permission to use write has been rejected." error
      #24 span.model_request_start
      = running, ask #24
    "#);
}

#[test]
fn nothing_confirmed_runs_until_the_last_is_settled() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write; tool edit; tool write
        allow 2
        deny 3 "no"
        allow 1
        ran 1 "first"
        ran 2 "second"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool write; tool edit; tool write
      #5 agent.tool_use write {} asked
      #6 agent.tool_use edit {} asked
      #7 agent.tool_use write {} asked
      #8 span.model_request_end #4 answered
      #9 session.thread_status_idle primary requires_action #5 #6 #7
      #10 session.usage 10 in, 5 out, 1.0 s
      #11 session.status_idle requires_action #5 #6 #7
      = idle, requires_action #5 #6 #7
    > allow 2
      #12 user.tool_confirmation #6 allow null
      #13 session.thread_status_idle primary requires_action #5 #7
      #14 session.usage 10 in, 5 out, 1.0 s
      #15 session.status_idle requires_action #5 #7
      = idle, requires_action #5 #7
    > deny 3 "no"
      #16 user.tool_confirmation #7 deny "no"
      #17 session.thread_status_idle primary requires_action #5
      #18 session.usage 10 in, 5 out, 1.0 s
      #19 session.status_idle requires_action #5
      = idle, requires_action #5
    > allow 1
      #20 user.tool_confirmation #5 allow null
      #21 session.status_running
      #22 session.thread_status_running primary
      #23 agent.tool_result #7 "Permission to use write has been rejected. Rejection message: no" error
      = running, run write #5
    > ran 1 "first"
      #24 agent.tool_result #5 "first"
      = running, run edit #6
    > ran 2 "second"
      #25 agent.tool_result #6 "second"
      #26 span.model_request_start
      = running, ask #26
    "#);
}

#[test]
fn the_three_kinds_of_tools_in_one_answer() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool bash; tool look_up; tool write; tool grep
        ran 1 "allowed ones wait too"
        begins 1
        allow 3
        message "may I speak?"
        recovered
        result 2 "found"
        begins 1
        ran 1 "a"
        ran 3 "written"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool bash; tool look_up; tool write; tool grep
      #5 agent.tool_use bash {} allowed
      #6 agent.custom_tool_use look_up {}
      #7 agent.tool_use write {} asked
      #8 agent.tool_use grep {} denied
      #9 span.model_request_end #4 answered held
      #10 agent.tool_result #8 "There is no tool named `grep`. Use one of the tools you were given." error
      #11 session.thread_status_idle primary requires_action #6 #7
      #12 session.usage 10 in, 5 out, 1.0 s
      #13 session.status_idle requires_action #6 #7
      = idle, requires_action #6 #7
    > ran 1 "allowed ones wait too"
      refused: the session has moved on
    > begins 1
      refused: the session has moved on
    > allow 3
      #14 user.tool_confirmation #7 allow null
      #15 session.thread_status_idle primary requires_action #6
      #16 session.usage 10 in, 5 out, 1.0 s
      #17 session.status_idle requires_action #6
      = idle, requires_action #6
    > message "may I speak?"
      refused: events.0: waiting on responses to events [#6]; answer these first, or send user.interrupt
    > recovered
      = idle, requires_action #6
    > result 2 "found"
      #18 user.custom_tool_result #6 "found"
      #19 session.status_running
      #20 session.thread_status_running primary
      = running, run bash #5
    > begins 1
      note began #5
      = running, run bash #5
    > ran 1 "a"
      #22 agent.tool_result #5 "a"
      = running, run write #7
    > ran 3 "written"
      #23 agent.tool_result #7 "written"
      #24 span.model_request_start
      = running, ask #24
    "#);
}

#[test]
fn what_waits_for_a_verdict_runs_in_the_order_given_also_when_it_is_denied() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool read; tool write; tool glob; tool bash
        allow again 1
        deny 2 " not there "
        ran 3 "a"
        ran 1 "b"
        ran 4 "c"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool read; tool write; tool glob; tool bash
      #5 agent.tool_use read {} allowed
      #6 agent.tool_use write {} asked
      #7 agent.tool_use glob {} allowed
      #8 agent.tool_use bash {} allowed
      #9 span.model_request_end #4 answered held
      #10 session.thread_status_idle primary requires_action #6
      #11 session.usage 10 in, 5 out, 1.0 s
      #12 session.status_idle requires_action #6
      = idle, requires_action #6
    > allow again 1
      refused: events.0.tool_use_id: #5 was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation
    > deny 2 " not there "
      #13 user.tool_confirmation #6 deny " not there "
      #14 session.status_running
      #15 session.thread_status_running primary
      #16 agent.tool_result #6 "Permission to use write has been rejected. Rejection message: not there" error
      = running, run glob #7, run read #5
    > ran 3 "a"
      #17 agent.tool_result #7 "a"
      = running, run read #5
    > ran 1 "b"
      #18 agent.tool_result #5 "b"
      = running, run bash #8
    > ran 4 "c"
      #19 agent.tool_result #8 "c"
      #20 span.model_request_start
      = running, ask #20
    "#);
}

#[test]
fn a_second_verdict_is_recorded_and_changes_nothing() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write; tool write
        deny 1 "no"
        allow again 1
        allow 2
        allow again 2
        ran 2 "written"
        answer text "done"
        allow again 2
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool write; tool write
      #5 agent.tool_use write {} asked
      #6 agent.tool_use write {} asked
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary requires_action #5 #6
      #9 session.usage 10 in, 5 out, 1.0 s
      #10 session.status_idle requires_action #5 #6
      = idle, requires_action #5 #6
    > deny 1 "no"
      #11 user.tool_confirmation #5 deny "no"
      #12 session.thread_status_idle primary requires_action #6
      #13 session.usage 10 in, 5 out, 1.0 s
      #14 session.status_idle requires_action #6
      = idle, requires_action #6
    > allow again 1
      #15 session.status_running
      #16 session.thread_status_running primary
      #17 user.tool_confirmation #5 allow null
      #18 session.thread_status_idle primary requires_action #6
      #19 session.usage 10 in, 5 out, 1.0 s
      #20 session.status_idle requires_action #6
      = idle, requires_action #6
    > allow 2
      #21 user.tool_confirmation #6 allow null
      #22 session.status_running
      #23 session.thread_status_running primary
      #24 agent.tool_result #5 "Permission to use write has been rejected. Rejection message: no" error
      = running, run write #6
    > allow again 2
      #25 user.tool_confirmation #6 allow null
      = running, run write #6
    > ran 2 "written"
      #26 agent.tool_result #6 "written"
      #27 span.model_request_start
      = running, ask #27
    > answer text "done"
      #28 agent.message "done"
      #29 span.model_request_end #27 answered
      #30 session.thread_status_idle primary end_turn
      #31 session.usage 20 in, 10 out, 4.0 s
      #32 session.status_idle end_turn
      = idle, end_turn
    > allow again 2
      #33 session.status_running
      #34 session.thread_status_running primary
      #35 user.tool_confirmation #6 allow null
      #36 session.thread_status_idle primary end_turn
      #37 session.usage 20 in, 10 out, 4.0 s
      #38 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn answers_of_the_wrong_kind_are_refused() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write; tool look_up
        again 1 "not yours"
        allow again 2
        allow unknown
        message "hello?"
        allow 1 + result 2 "found"
        again 1 "not yours"
        ran 1 "a"
        answer tool bash
        allow again 3
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool write; tool look_up
      #5 agent.tool_use write {} asked
      #6 agent.custom_tool_use look_up {}
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary requires_action #5 #6
      #9 session.usage 10 in, 5 out, 1.0 s
      #10 session.status_idle requires_action #5 #6
      = idle, requires_action #5 #6
    > again 1 "not yours"
      refused: events.0.custom_tool_use_id: #5 does not match any custom_tool_use event in this session: the server runs it itself; send user.tool_confirmation if it was asked about, and no result
    > allow again 2
      refused: events.0.tool_use_id: #6 was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation
    > allow unknown
      refused: events.0.tool_use_id: sevt_111111111111111111112i does not match any tool_use event in this session; answer the ids in the `stop_reason.event_ids` of its last session.status_idle
    > message "hello?"
      refused: events.0: waiting on responses to events [#5, #6]; answer these first, or send user.interrupt
    > allow 1 + result 2 "found"
      #11 user.tool_confirmation #5 allow null
      #12 user.custom_tool_result #6 "found"
      #13 session.status_running
      #14 session.thread_status_running primary
      = running, run write #5
    > again 1 "not yours"
      refused: events.0.custom_tool_use_id: #5 does not match any custom_tool_use event in this session: the server runs it itself; send user.tool_confirmation if it was asked about, and no result
    > ran 1 "a"
      #15 agent.tool_result #5 "a"
      #16 span.model_request_start
      = running, ask #16
    > answer tool bash
      #17 agent.tool_use bash {} allowed
      #18 span.model_request_end #16 answered
      = running, run bash #17
    > allow again 3
      refused: events.0.tool_use_id: #17 was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation
    "#);
}

#[test]
fn in_an_earlier_log_an_allowed_call_beside_an_asked_one_has_run() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        earlier answer tool write; tool bash; tool bash
        recovered
        ran 3 "third"
        allow 1
        ran 1 "written"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > earlier answer tool write; tool bash; tool bash
      #5 agent.tool_use write {} asked
      #6 agent.tool_use bash {} allowed
      #7 agent.tool_use bash {} allowed
      #8 span.model_request_end #4 answered
      = running, run bash #6
    > recovered
      #9 agent.tool_result #6 "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      = running, run bash #7
    > ran 3 "third"
      #10 agent.tool_result #7 "third"
      #11 session.thread_status_idle primary requires_action #5
      #12 session.usage 10 in, 5 out, 3.0 s
      #13 session.status_idle requires_action #5
      = idle, requires_action #5
    > allow 1
      #14 user.tool_confirmation #5 allow null
      #15 session.status_running
      #16 session.thread_status_running primary
      = running, run write #5
    > ran 1 "written"
      #17 agent.tool_result #5 "written"
      #18 span.model_request_start
      = running, ask #18
    "#);
}

#[test]
fn a_child_that_asks_holds_what_is_allowed_and_delegates_at_once() {
    insta::assert_snapshot!(play_team(
        Tree::default(),
        r#"
        message "go"
        answer tool bash; tool write; tool Agent {"agent": "spinner", "task": "spin"}
        @1 answer tool bash; tool write
        allow 2
        allow 4
        @1 ran 3 "a"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool bash; tool write; tool Agent {"agent": "spinner", "task": "spin"}
      #5 agent.tool_use bash {} allowed
      #6 agent.tool_use write {} asked
      note delegated #7 Agent {"agent":"spinner","task":"spin"}
      #8 span.model_request_end #4 answered held
      #9 session.thread_created child1
      #10 agent.thread_message_sent to child1 to spinner "spin"
      @1 #11 session.thread_status_running child1
      @1 #12 agent.thread_message_received from primary from weaver "spin" as task
      @1 #13 span.model_request_start
      = running, ask #13
    > @1 answer tool bash; tool write
      @1 #14 agent.tool_use bash {} allowed
      @1 #15 agent.tool_use write {} asked
      @1 #16 span.model_request_end #13 answered held
      @1 #17 session.thread_status_idle child1 requires_action #15
      #18 session.thread_status_idle primary requires_action #6 #15
      #19 session.usage 20 in, 10 out, 2.0 s
      #20 session.status_idle requires_action #6 #15
      = idle, requires_action #6 #15
    > allow 2
      #21 user.tool_confirmation #6 allow null
      #22 session.status_running
      #23 session.thread_status_running primary
      = running, run bash #5
    > allow 4
      @1 #24 user.tool_confirmation #15 allow null
      @1 #25 session.thread_status_running child1
      = running, run bash #5, run bash #14
    > @1 ran 3 "a"
      @1 #26 agent.tool_result #14 "a"
      = running, run bash #5, run write #15
    "#);
}
