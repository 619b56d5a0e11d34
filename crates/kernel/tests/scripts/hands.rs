//! Built-in tools: who runs when, who is asked, what a crash and an interrupt leave (docs/rules.md 2, 4).

use crate::script::play;

#[test]
fn a_turn_with_a_built_in_tool_is_in_the_recorded_order() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer thinking; tool bash {"command": "ls"}
        ran 1 "a"
        answer text "done"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer thinking; tool bash {"command": "ls"}
      #5 agent.thinking
      #6 agent.tool_use bash {"command":"ls"} allowed
      #7 span.model_request_end #4 answered
      = running, run bash #6
    > ran 1 "a"
      #8 agent.tool_result #6 "a"
      #9 span.model_request_start
      = running, ask #9
    > answer text "done"
      #10 agent.message "done"
      #11 span.model_request_end #9 answered
      #12 session.thread_status_idle primary end_turn
      #13 session.usage 20 in, 10 out, 3.0 s
      #14 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn calls_run_in_the_order_given_and_only_neighbours_that_read_run_together() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool bash; tool read {"file_path": "a"}; tool glob {"pattern": "*"}; tool bash
        ran 2 "too early"
        ran 1 "1"
        ran 3 "3"
        ran 2 error "2"
        ran 4 "4"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool bash; tool read {"file_path": "a"}; tool glob {"pattern": "*"}; tool bash
      #5 agent.tool_use bash {} allowed
      #6 agent.tool_use read {"file_path":"a"} allowed
      #7 agent.tool_use glob {"pattern":"*"} allowed
      #8 agent.tool_use bash {} allowed
      #9 span.model_request_end #4 answered
      = running, run bash #5
    > ran 2 "too early"
      refused: the session has moved on
    > ran 1 "1"
      #10 agent.tool_result #5 "1"
      = running, run read #6, run glob #7
    > ran 3 "3"
      #11 agent.tool_result #7 "3"
      = running, run read #6
    > ran 2 error "2"
      #12 agent.tool_result #6 "2" error
      = running, run bash #8
    > ran 4 "4"
      #13 agent.tool_result #8 "4"
      #14 span.model_request_start
      = running, ask #14
    "#);
}

#[test]
fn what_is_off_not_served_unreadable_or_cut_off_is_answered_at_once() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool grep; tool web_fetch; tool bash; cut bash; cut write; max_tokens
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool grep; tool web_fetch; tool bash; cut bash; cut write; max_tokens
      #5 agent.tool_use grep {} denied
      #6 agent.tool_use web_fetch {} denied
      #7 agent.tool_use bash {} allowed
      #8 agent.tool_use bash {} denied
      #9 agent.tool_use write {} denied
      #10 span.model_request_end #4 cut_off
      #11 agent.tool_result #5 "There is no tool named `grep`. Use one of the tools you were given." error
      #12 agent.tool_result #6 "There is no tool named `web_fetch`. Use one of the tools you were given." error
      #13 agent.tool_result #8 "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." error
      #14 agent.tool_result #9 "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      = running, run bash #7
    "#);
}

#[test]
fn a_message_waits_for_the_tool_that_runs() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool bash
        message "and this"
        ran 1 "a"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool bash
      #5 agent.tool_use bash {} allowed
      #6 span.model_request_end #4 answered
      = running, run bash #5
    > message "and this"
      #7 note queued "and this"
      = running, run bash #5, 1 queued
    > ran 1 "a"
      #8 agent.tool_result #5 "a"
      #7 user.message "and this"
      #10 span.model_request_start
      = running, ask #10
    "#);
}

#[test]
fn an_interrupt_answers_what_runs_and_what_waits() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool bash; tool write; tool look_up; tool read
        interrupt
        ran 1 "too late"
        allow again 2
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool bash; tool write; tool look_up; tool read
      #5 agent.tool_use bash {} allowed
      #6 agent.tool_use write {} asked
      #7 agent.custom_tool_use look_up {}
      #8 agent.tool_use read {} allowed
      #9 span.model_request_end #4 answered held
      #10 session.thread_status_idle primary requires_action #6 #7
      #11 session.usage 10 in, 5 out, 1.0 s
      #12 session.status_idle requires_action #6 #7
      = idle, requires_action #6 #7
    > interrupt
      #13 agent.tool_result #5 "Tool execution was interrupted before completion. Please retry." error
      #14 agent.tool_result #6 "Tool execution was interrupted before completion. Please retry." error
      #15 user.custom_tool_result #7 "Tool execution was interrupted before completion. Please retry." error
      #16 agent.tool_result #8 "Tool execution was interrupted before completion. Please retry." error
      #17 user.interrupt
      #18 session.thread_status_idle primary end_turn
      #19 session.usage 10 in, 5 out, 1.0 s
      #20 session.status_idle end_turn
      = idle, end_turn
    > ran 1 "too late"
      refused: the session has moved on
    > allow again 2
      #21 session.status_running
      #22 session.thread_status_running primary
      #23 user.tool_confirmation #6 allow null
      #24 session.thread_status_idle primary end_turn
      #25 session.usage 10 in, 5 out, 1.0 s
      #26 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn an_interrupt_with_a_message_begins_again() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool bash
        interrupt + message "rather this"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool bash
      #5 agent.tool_use bash {} allowed
      #6 span.model_request_end #4 answered
      = running, run bash #5
    > interrupt + message "rather this"
      #7 agent.tool_result #5 "Tool execution was interrupted before completion. Please retry." error
      #8 user.interrupt
      #9 session.thread_status_idle primary end_turn
      #10 session.usage 10 in, 5 out, 2.0 s
      #11 session.status_idle end_turn
      #12 session.status_running
      #13 session.thread_status_running primary
      #14 user.message "rather this"
      #15 span.model_request_start
      = running, ask #15
    "#);
}

#[test]
fn a_bash_that_had_started_is_never_run_again() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool bash; tool bash
        begins 1
        message "later"
        recovered
        ran 2 "second"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool bash; tool bash
      #5 agent.tool_use bash {} allowed
      #6 agent.tool_use bash {} allowed
      #7 span.model_request_end #4 answered
      = running, run bash #5
    > begins 1
      note began #5
      = running, run bash #5
    > message "later"
      #9 note queued "later"
      = running, run bash #5, 1 queued
    > recovered
      #10 agent.tool_result #5 "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      = running, run bash #6, 1 queued
    > ran 2 "second"
      #11 agent.tool_result #6 "second"
      #9 user.message "later"
      #13 span.model_request_start
      = running, ask #13
    "#);
}

#[test]
fn a_bash_that_waits_for_its_sandbox_begins_once_and_in_whichever_life_has_one_for_it() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool bash; tool bash; tool read
        recovered
        begins 2
        begins 1
        begins 1
        recovered
        ran 2 error "nothing ran"
        begins 3
        begins 3
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool bash; tool bash; tool read
      #5 agent.tool_use bash {} allowed
      #6 agent.tool_use bash {} allowed
      #7 agent.tool_use read {} allowed
      #8 span.model_request_end #4 answered
      = running, run bash #5
    > recovered
      = running, run bash #5
    > begins 2
      refused: the session has moved on
    > begins 1
      note began #5
      = running, run bash #5
    > begins 1
      refused: the session has moved on
    > recovered
      #10 agent.tool_result #5 "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      = running, run bash #6
    > ran 2 error "nothing ran"
      #11 agent.tool_result #6 "nothing ran" error
      = running, run read #7
    > begins 3
      = running, run read #7
    > begins 3
      = running, run read #7
    "#);
}

#[test]
fn what_only_reads_runs_again_and_what_was_asked_waits_on() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool read; tool glob; tool write
        recovered
        allow 3
        recovered
        ran 1 "a"
        ran 2 "b"
        recovered
        begins 3
        recovered
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool read; tool glob; tool write
      #5 agent.tool_use read {} allowed
      #6 agent.tool_use glob {} allowed
      #7 agent.tool_use write {} asked
      #8 span.model_request_end #4 answered held
      #9 session.thread_status_idle primary requires_action #7
      #10 session.usage 10 in, 5 out, 1.0 s
      #11 session.status_idle requires_action #7
      = idle, requires_action #7
    > recovered
      = idle, requires_action #7
    > allow 3
      #12 user.tool_confirmation #7 allow null
      #13 session.status_running
      #14 session.thread_status_running primary
      = running, run glob #6, run read #5
    > recovered
      = running, run glob #6, run read #5
    > ran 1 "a"
      #15 agent.tool_result #5 "a"
      = running, run glob #6
    > ran 2 "b"
      #16 agent.tool_result #6 "b"
      = running, run write #7
    > recovered
      = running, run write #7
    > begins 3
      note began #7
      = running, run write #7
    > recovered
      #18 agent.tool_result #7 "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      #19 span.model_request_start
      = running, ask #19
    "#);
}

#[test]
fn what_a_person_allowed_and_had_not_started_survives() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write; tool write
        allow 1
        recovered
        allow 2
        recovered
        begins 1
        recovered
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
    > allow 1
      #11 user.tool_confirmation #5 allow null
      #12 session.thread_status_idle primary requires_action #6
      #13 session.usage 10 in, 5 out, 1.0 s
      #14 session.status_idle requires_action #6
      = idle, requires_action #6
    > recovered
      = idle, requires_action #6
    > allow 2
      #15 user.tool_confirmation #6 allow null
      #16 session.status_running
      #17 session.thread_status_running primary
      = running, run write #5
    > recovered
      = running, run write #5
    > begins 1
      note began #5
      = running, run write #5
    > recovered
      #19 agent.tool_result #5 "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      = running, run write #6
    "#);
}

#[test]
fn a_session_that_waits_for_a_verdict_can_be_archived() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool write
        archive
        allow 1
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
    > archive
      note archived
      #11 session.thread_status_terminated primary
      #12 session.status_terminated
      = terminated
    > allow 1
      refused: the session is archived and takes no more events; create a new session
    "#);
}
