//! Built-in tools: who runs when, who is asked, what a crash and an interrupt leave (docs/rules.md 2, 4).

use crate::script::play;

#[test]
fn a_turn_with_a_built_in_tool_is_in_the_recorded_order() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer thinking; tool bash {"command": "ls"}
        ran bash "a"
        answer text "done"
        "#
    ), @r#"
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask
      = running, ask
    > answer thinking; tool bash {"command": "ls"}
      agent.thinking
      agent.tool_use bash {"command":"ls"} allowed
      span.model_request_end ask answered
      = running, run bash
    > ran bash "a"
      agent.tool_result bash "a"
      span.model_request_start ask.2
      = running, ask.2
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 3.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn calls_run_in_the_order_given_and_only_neighbours_that_read_run_together() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool bash; tool read {"file_path": "a"}; tool glob {"pattern": "*"}; tool bash
        ran read "too early"
        ran bash "1"
        ran glob "3"
        ran read error "2"
        ran bash.2 "4"
        "#
    ), @r#"
    --- running, ask
    > answer tool bash; tool read {"file_path": "a"}; tool glob {"pattern": "*"}; tool bash
      agent.tool_use bash {} allowed
      agent.tool_use read {"file_path":"a"} allowed
      agent.tool_use glob {"pattern":"*"} allowed
      agent.tool_use bash.2 {} allowed
      span.model_request_end ask answered
      = running, run bash
    > ran read "too early"
      refused: the session has moved on
    > ran bash "1"
      agent.tool_result bash "1"
      = running, run glob, run read
    > ran glob "3"
      agent.tool_result glob "3"
      = running, run read
    > ran read error "2"
      agent.tool_result read "2" error
      = running, run bash.2
    > ran bash.2 "4"
      agent.tool_result bash.2 "4"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn what_is_off_not_served_unreadable_or_cut_off_is_answered_at_once() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool grep; tool web_fetch; tool bash; cut bash; cut write; max_tokens
        "#
    ), @r#"
    --- running, ask
    > answer tool grep; tool web_fetch; tool bash; cut bash; cut write; max_tokens
      agent.tool_use grep {} denied
      agent.tool_use web_fetch {} denied
      agent.tool_use bash {} allowed
      agent.tool_use bash.2 {} denied
      agent.tool_use write {} denied
      span.model_request_end ask cut_off
      agent.tool_result grep "There is no tool named `grep`. Use one of the tools you were given." error
      agent.tool_result web_fetch "There is no tool named `web_fetch`. Use one of the tools you were given." error
      agent.tool_result bash.2 "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." error
      agent.tool_result write "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      = running, run bash
    "#);
}

#[test]
fn a_message_waits_for_the_tool_that_runs() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool bash
        message "and this"
        ran bash "a"
        "#
    ), @r#"
    --- running, ask
    > answer tool bash
      agent.tool_use bash {} allowed
      span.model_request_end ask answered
      = running, run bash
    > message "and this"
      note queued "and this"
      = running, run bash, 1 queued
    > ran bash "a"
      agent.tool_result bash "a"
      user.message "and this" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn an_interrupt_answers_what_runs_and_what_waits() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool bash; tool write; tool look_up; tool read
        interrupt
        ran bash "too late"
        allow again write
        "#
    ), @r#"
    --- running, ask
    > answer tool bash; tool write; tool look_up; tool read
      agent.tool_use bash {} allowed
      agent.tool_use write {} asked
      agent.custom_tool_use look_up {}
      agent.tool_use read {} allowed
      span.model_request_end ask answered held
      session.thread_status_idle primary requires_action write look_up
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write look_up
      = idle, requires_action write look_up
    > interrupt
      agent.tool_result bash "Tool execution was interrupted before completion. Please retry." error
      agent.tool_result write "Tool execution was interrupted before completion. Please retry." error
      user.custom_tool_result look_up "Tool execution was interrupted before completion. Please retry." error
      agent.tool_result read "Tool execution was interrupted before completion. Please retry." error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    > ran bash "too late"
      refused: the session has moved on
    > allow again write
      session.status_running
      session.thread_status_running primary
      user.tool_confirmation write allow null
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn an_interrupt_with_a_message_begins_again() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool bash
        ---
        interrupt + message "rather this"
        "#
    ), @r#"
    --- running, run bash
    > interrupt + message "rather this"
      agent.tool_result bash "Tool execution was interrupted before completion. Please retry." error
      user.interrupt
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 2.0 s
      session.status_idle end_turn
      session.status_running
      session.thread_status_running primary
      user.message "rather this"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn a_bash_that_had_started_is_never_run_again() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool bash; tool bash
        begins bash
        message "later"
        recovered
        ran bash.2 "second"
        "#
    ), @r#"
    --- running, ask
    > answer tool bash; tool bash
      agent.tool_use bash {} allowed
      agent.tool_use bash.2 {} allowed
      span.model_request_end ask answered
      = running, run bash
    > begins bash
      note began bash
      = running, run bash
    > message "later"
      note queued "later"
      = running, run bash, 1 queued
    > recovered
      agent.tool_result bash "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      = running, run bash.2, 1 queued
    > ran bash.2 "second"
      agent.tool_result bash.2 "second"
      user.message "later" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn a_bash_that_waits_for_its_sandbox_begins_once_and_in_whichever_life_has_one_for_it() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool bash; tool bash; tool read
        recovered
        begins bash.2
        begins bash
        begins bash
        recovered
        ran bash.2 error "nothing ran"
        begins read
        begins read
        "#
    ), @r#"
    --- running, ask
    > answer tool bash; tool bash; tool read
      agent.tool_use bash {} allowed
      agent.tool_use bash.2 {} allowed
      agent.tool_use read {} allowed
      span.model_request_end ask answered
      = running, run bash
    > recovered
      = running, run bash
    > begins bash.2
      refused: the session has moved on
    > begins bash
      note began bash
      = running, run bash
    > begins bash
      refused: the session has moved on
    > recovered
      agent.tool_result bash "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      = running, run bash.2
    > ran bash.2 error "nothing ran"
      agent.tool_result bash.2 "nothing ran" error
      = running, run read
    > begins read
      = running, run read
    > begins read
      = running, run read
    "#);
}

#[test]
fn what_only_reads_runs_again_and_what_was_asked_waits_on() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer tool read; tool glob; tool write
        recovered
        allow write
        recovered
        ran read "a"
        ran glob "b"
        recovered
        begins write
        recovered
        "#
    ), @r#"
    --- running, ask
    > answer tool read; tool glob; tool write
      agent.tool_use read {} allowed
      agent.tool_use glob {} allowed
      agent.tool_use write {} asked
      span.model_request_end ask answered held
      session.thread_status_idle primary requires_action write
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write
      = idle, requires_action write
    > recovered
      = idle, requires_action write
    > allow write
      user.tool_confirmation write allow null
      session.status_running
      session.thread_status_running primary
      = running, run glob, run read
    > recovered
      = running, run glob, run read
    > ran read "a"
      agent.tool_result read "a"
      = running, run glob
    > ran glob "b"
      agent.tool_result glob "b"
      = running, run write
    > recovered
      = running, run write
    > begins write
      note began write
      = running, run write
    > recovered
      agent.tool_result write "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn what_a_person_allowed_and_had_not_started_survives() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write; tool write
        ---
        allow write
        recovered
        allow write.2
        recovered
        begins write
        recovered
        "#
    ), @r#"
    --- idle, requires_action write write.2
    > allow write
      user.tool_confirmation write allow null
      session.thread_status_idle primary requires_action write.2
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle requires_action write.2
      = idle, requires_action write.2
    > recovered
      = idle, requires_action write.2
    > allow write.2
      user.tool_confirmation write.2 allow null
      session.status_running
      session.thread_status_running primary
      = running, run write
    > recovered
      = running, run write
    > begins write
      note began write
      = running, run write
    > recovered
      agent.tool_result write "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      = running, run write.2
    "#);
}

#[test]
fn a_session_that_waits_for_a_verdict_can_be_archived() {
    insta::assert_snapshot!(play(
        r"
        given write is asked about
        ---
        archive
        allow write
        "
    ), @r#"
    --- idle, requires_action write
    > archive
      note archived
      session.thread_status_terminated primary
      session.status_terminated
      = terminated
    > allow write
      refused: the session is archived and takes no more events; create a new session
    "#);
}
