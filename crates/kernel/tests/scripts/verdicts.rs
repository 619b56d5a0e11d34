//! Calls that a person is asked about: what waits beside them, and what a verdict does (docs/rules.md 4).

use kernel::ThreadLimits;

use crate::script::{play, play_team};

#[test]
fn an_asked_call_waits_for_a_verdict_and_then_runs() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write {"file_path": "a", "content": "b"}
        message "may I speak?"
        allow write
        ran write "written"
        "#
    ), @r#"
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask
      = running, ask
    > answer tool write {"file_path": "a", "content": "b"}
      agent.tool_use write {"file_path":"a","content":"b"} asked
      span.model_request_end ask answered
      session.thread_status_idle primary requires_action write
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write
      = idle, requires_action write
    > message "may I speak?"
      refused: events.0: waiting on responses to events [write]; answer these first, or send user.interrupt
    > allow write
      user.tool_confirmation write allow null
      session.status_running
      session.thread_status_running primary
      = running, run write
    > ran write "written"
      agent.tool_result write "written"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn a_denied_call_is_answered_after_a_new_running_pair_with_the_message() {
    insta::assert_snapshot!(play(
        r#"
        given write is asked about
        ---
        deny write "not there"
        answer tool write
        deny write.2
        "#
    ), @r#"
    --- idle, requires_action write
    > deny write "not there"
      user.tool_confirmation write deny "not there"
      session.status_running
      session.thread_status_running primary
      agent.tool_result write "Permission to use write has been rejected. Rejection message: not there" error
      span.model_request_start ask.2
      = running, ask.2
    > answer tool write
      agent.tool_use write.2 {} asked
      span.model_request_end ask.2 answered
      session.thread_status_idle primary requires_action write.2
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle requires_action write.2
      = idle, requires_action write.2
    > deny write.2
      user.tool_confirmation write.2 deny null
      session.status_running
      session.thread_status_running primary
      agent.tool_result write.2 "Permission to use write has been rejected." error
      span.model_request_start ask.3
      = running, ask.3
    "#);
}

#[test]
fn nothing_confirmed_runs_until_the_last_is_settled() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool write; tool edit; tool write
        allow edit
        deny write.2 "no"
        allow write
        ran write "first"
        ran edit "second"
        "#
    ), @r#"
    --- running, ask
    > answer tool write; tool edit; tool write
      agent.tool_use write {} asked
      agent.tool_use edit {} asked
      agent.tool_use write.2 {} asked
      span.model_request_end ask answered
      session.thread_status_idle primary requires_action write edit write.2
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write edit write.2
      = idle, requires_action write edit write.2
    > allow edit
      user.tool_confirmation edit allow null
      session.thread_status_idle primary requires_action write write.2
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write write.2
      = idle, requires_action write write.2
    > deny write.2 "no"
      user.tool_confirmation write.2 deny "no"
      session.thread_status_idle primary requires_action write
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write
      = idle, requires_action write
    > allow write
      user.tool_confirmation write allow null
      session.status_running
      session.thread_status_running primary
      agent.tool_result write.2 "Permission to use write has been rejected. Rejection message: no" error
      = running, run write
    > ran write "first"
      agent.tool_result write "first"
      = running, run edit
    > ran edit "second"
      agent.tool_result edit "second"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn the_three_kinds_of_tools_in_one_answer() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool bash; tool look_up; tool write; tool grep
        ran bash "allowed ones wait too"
        begins bash
        allow write
        message "may I speak?"
        recovered
        result look_up "found"
        begins bash
        ran bash "a"
        ran write "written"
        "#
    ), @r#"
    --- running, ask
    > answer tool bash; tool look_up; tool write; tool grep
      agent.tool_use bash {} allowed
      agent.custom_tool_use look_up {}
      agent.tool_use write {} asked
      agent.tool_use grep {} denied
      span.model_request_end ask answered held
      agent.tool_result grep "There is no tool named `grep`. Use one of the tools you were given." error
      session.thread_status_idle primary requires_action look_up write
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action look_up write
      = idle, requires_action look_up write
    > ran bash "allowed ones wait too"
      refused: the session has moved on
    > begins bash
      refused: the session has moved on
    > allow write
      user.tool_confirmation write allow null
      session.thread_status_idle primary requires_action look_up
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action look_up
      = idle, requires_action look_up
    > message "may I speak?"
      refused: events.0: waiting on responses to events [look_up]; answer these first, or send user.interrupt
    > recovered
      = idle, requires_action look_up
    > result look_up "found"
      user.custom_tool_result look_up "found"
      session.status_running
      session.thread_status_running primary
      = running, run bash
    > begins bash
      note began bash
      = running, run bash
    > ran bash "a"
      agent.tool_result bash "a"
      = running, run write
    > ran write "written"
      agent.tool_result write "written"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn what_waits_for_a_verdict_runs_in_the_order_given_also_when_it_is_denied() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool read; tool write; tool glob; tool bash
        allow again read
        deny write " not there "
        ran glob "a"
        ran read "b"
        ran bash "c"
        "#
    ), @r#"
    --- running, ask
    > answer tool read; tool write; tool glob; tool bash
      agent.tool_use read {} allowed
      agent.tool_use write {} asked
      agent.tool_use glob {} allowed
      agent.tool_use bash {} allowed
      span.model_request_end ask answered held
      session.thread_status_idle primary requires_action write
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write
      = idle, requires_action write
    > allow again read
      refused: events.0.tool_use_id: read was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation
    > deny write " not there "
      user.tool_confirmation write deny " not there "
      session.status_running
      session.thread_status_running primary
      agent.tool_result write "Permission to use write has been rejected. Rejection message: not there" error
      = running, run glob, run read
    > ran glob "a"
      agent.tool_result glob "a"
      = running, run read
    > ran read "b"
      agent.tool_result read "b"
      = running, run bash
    > ran bash "c"
      agent.tool_result bash "c"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn a_second_verdict_is_recorded_and_changes_nothing() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool write; tool write
        deny write "no"
        allow again write
        allow write.2
        allow again write.2
        ran write.2 "written"
        answer text "done"
        allow again write.2
        "#
    ), @r#"
    --- running, ask
    > answer tool write; tool write
      agent.tool_use write {} asked
      agent.tool_use write.2 {} asked
      span.model_request_end ask answered
      session.thread_status_idle primary requires_action write write.2
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write write.2
      = idle, requires_action write write.2
    > deny write "no"
      user.tool_confirmation write deny "no"
      session.thread_status_idle primary requires_action write.2
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write.2
      = idle, requires_action write.2
    > allow again write
      session.status_running
      session.thread_status_running primary
      user.tool_confirmation write allow null
      session.thread_status_idle primary requires_action write.2
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write.2
      = idle, requires_action write.2
    > allow write.2
      user.tool_confirmation write.2 allow null
      session.status_running
      session.thread_status_running primary
      agent.tool_result write "Permission to use write has been rejected. Rejection message: no" error
      = running, run write.2
    > allow again write.2
      user.tool_confirmation write.2 allow null
      = running, run write.2
    > ran write.2 "written"
      agent.tool_result write.2 "written"
      span.model_request_start ask.2
      = running, ask.2
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    > allow again write.2
      session.status_running
      session.thread_status_running primary
      user.tool_confirmation write.2 allow null
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn answers_of_the_wrong_kind_are_refused() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool write; tool look_up
        again write "not yours"
        allow again look_up
        allow unknown
        message "hello?"
        allow write + result look_up "found"
        again write "not yours"
        ran write "a"
        answer tool bash
        allow again bash
        "#
    ), @r#"
    --- running, ask
    > answer tool write; tool look_up
      agent.tool_use write {} asked
      agent.custom_tool_use look_up {}
      span.model_request_end ask answered
      session.thread_status_idle primary requires_action write look_up
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write look_up
      = idle, requires_action write look_up
    > again write "not yours"
      refused: events.0.custom_tool_use_id: write does not match any custom_tool_use event in this session: the server runs it itself; send user.tool_confirmation if it was asked about, and no result
    > allow again look_up
      refused: events.0.tool_use_id: look_up was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation
    > allow unknown
      refused: events.0.tool_use_id: sevt_111111111111111111112i does not match any tool_use event in this session; answer the ids in the `stop_reason.event_ids` of its last session.status_idle
    > message "hello?"
      refused: events.0: waiting on responses to events [write, look_up]; answer these first, or send user.interrupt
    > allow write + result look_up "found"
      user.tool_confirmation write allow null
      user.custom_tool_result look_up "found"
      session.status_running
      session.thread_status_running primary
      = running, run write
    > again write "not yours"
      refused: events.0.custom_tool_use_id: write does not match any custom_tool_use event in this session: the server runs it itself; send user.tool_confirmation if it was asked about, and no result
    > ran write "a"
      agent.tool_result write "a"
      span.model_request_start ask.2
      = running, ask.2
    > answer tool bash
      agent.tool_use bash {} allowed
      span.model_request_end ask.2 answered
      = running, run bash
    > allow again bash
      refused: events.0.tool_use_id: bash was not asked about: only a tool use with `evaluated_permission: ask` takes a confirmation
    "#);
}

#[test]
fn in_an_earlier_log_an_allowed_call_beside_an_asked_one_has_run() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        earlier answer tool write; tool bash; tool bash
        recovered
        ran bash.2 "third"
        allow write
        ran write "written"
        "#
    ), @r#"
    --- running, ask
    > earlier answer tool write; tool bash; tool bash
      agent.tool_use write {} asked
      agent.tool_use bash {} allowed
      agent.tool_use bash.2 {} allowed
      span.model_request_end ask answered
      = running, run bash
    > recovered
      agent.tool_result bash "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      = running, run bash.2
    > ran bash.2 "third"
      agent.tool_result bash.2 "third"
      session.thread_status_idle primary requires_action write
      session.usage 10 in, 5 out, 3.0 s
      session.status_idle requires_action write
      = idle, requires_action write
    > allow write
      user.tool_confirmation write allow null
      session.status_running
      session.thread_status_running primary
      = running, run write
    > ran write "written"
      agent.tool_result write "written"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn a_child_that_asks_holds_what_is_allowed_and_delegates_at_once() {
    insta::assert_snapshot!(play_team(
        ThreadLimits::default(),
        r#"
        message "go"
        ---
        answer tool bash; tool write; tool Agent {"agent": "spinner", "task": "spin"}
        @1 answer tool bash; tool write
        allow write
        allow write@1
        @1 ran bash "a"
        "#
    ), @r#"
    --- running, ask
    > answer tool bash; tool write; tool Agent {"agent": "spinner", "task": "spin"}
      agent.tool_use bash {} allowed
      agent.tool_use write {} asked
      note delegated Agent {"agent":"spinner","task":"spin"}
      span.model_request_end ask answered held
      session.thread_created child1
      agent.thread_message_sent to child1 to spinner "spin"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "spin" as task
      @1 span.model_request_start ask
      = running, ask@1
    > @1 answer tool bash; tool write
      @1 agent.tool_use bash {} allowed
      @1 agent.tool_use write {} asked
      @1 span.model_request_end ask answered held
      @1 session.thread_status_idle child1 requires_action write
      session.thread_status_idle primary requires_action write write@1
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle requires_action write write@1
      = idle, requires_action write write@1
    > allow write
      user.tool_confirmation write allow null
      session.status_running
      session.thread_status_running primary
      = running, run bash
    > allow write@1
      @1 user.tool_confirmation write allow null
      @1 session.thread_status_running child1
      = running, run bash, run bash@1
    > @1 ran bash "a"
      @1 agent.tool_result bash "a"
      = running, run bash, run write@1
    "#);
}
