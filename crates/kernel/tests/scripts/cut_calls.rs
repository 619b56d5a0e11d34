//! Calls that the output limit cuts, or whose input cannot be read, again and again (docs/rules.md 4).

use kernel::ThreadLimits;

use crate::script::{play, play_team};

#[test]
fn a_call_that_was_cut_off_is_answered_and_the_turn_goes_on() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer text "see"; cut look_up; max_tokens
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > answer text "see"; cut look_up; max_tokens
      agent.message "see"
      agent.custom_tool_use look_up {}
      span.model_request_end ask cut_off
      user.custom_tool_result look_up "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
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
fn three_calls_in_a_row_that_the_output_limit_cuts_end_the_turn() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        repeat 2 answer cut look_up; max_tokens
        ---
        answer cut look_up; max_tokens
        message "in parts"
        answer cut look_up; max_tokens
        "#
    ), @r#"
    --- running, ask.3
    > answer cut look_up; max_tokens
      agent.custom_tool_use look_up.3 {}
      span.model_request_end ask.3 cut_off
      user.custom_tool_result look_up.3 "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      session.error tool_use_limit_reached_error, exhausted: "the turn was ended because the output limit cut 3 answers in a row in the middle of a call: ask for less at once, or raise `max_output` of the model's route"
      session.thread_status_idle primary retries_exhausted
      session.usage 30 in, 15 out, 3.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "in parts"
      session.status_running
      session.thread_status_running primary
      user.message "in parts"
      span.model_request_start ask.4
      = running, ask.4
    > answer cut look_up; max_tokens
      agent.custom_tool_use look_up.4 {}
      span.model_request_end ask.4 cut_off
      user.custom_tool_result look_up.4 "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      span.model_request_start ask.5
      = running, ask.5
    "#);
}

#[test]
fn another_answer_or_word_in_between_begins_the_count_of_cut_calls_anew() {
    let cut = "answer cut look_up; max_tokens";
    for (between, ended) in [
        ("answer tool nope", false),
        ("message \"two\"", false),
        ("fail cut\nwoke", true),
        ("recovered", true),
    ] {
        let told = play(&format!("message \"hi\"\nrepeat 2 {cut}\n{between}\n{cut}"));
        assert_eq!(told.contains("tool_use_limit_reached_error"), ended, "{between}: {told}");
    }
}

#[test]
fn a_call_beside_the_third_that_is_cut_is_answered_before_the_turn_ends() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        repeat 2 answer cut look_up; max_tokens
        ---
        answer tool weigh; cut look_up; max_tokens
        result weigh "heavy"
        "#
    ), @r#"
    --- running, ask.3
    > answer tool weigh; cut look_up; max_tokens
      agent.custom_tool_use weigh {}
      agent.custom_tool_use look_up.3 {}
      span.model_request_end ask.3 cut_off
      user.custom_tool_result look_up.3 "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      session.thread_status_idle primary requires_action weigh
      session.usage 30 in, 15 out, 3.0 s
      session.status_idle requires_action weigh
      = idle, requires_action weigh
    > result weigh "heavy"
      user.custom_tool_result weigh "heavy"
      session.error tool_use_limit_reached_error, exhausted: "the turn was ended because the output limit cut 3 answers in a row in the middle of a call: ask for less at once, or raise `max_output` of the model's route"
      session.thread_status_idle primary retries_exhausted
      session.usage 30 in, 15 out, 3.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn a_child_whose_calls_are_cut_ends() {
    let told = play_team(
        ThreadLimits::default(),
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}
        repeat 2 @1 answer cut look_up; max_tokens
        @1 answer cut look_up; max_tokens
        "#,
    );
    assert!(
        told.contains("Agent failed: the turn was ended because the output limit cut 3 answers"),
        "{told}"
    );
    assert!(told.contains("session.thread_status_terminated"), "{told}");
}

#[test]
fn the_fifth_answer_in_a_row_without_an_input_that_can_be_read_ends_the_turn() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        repeat 4 answer text "now"; cut look_up
        ---
        answer cut look_up; cut weigh
        "#
    ), @r#"
    --- running, ask.5
    > answer cut look_up; cut weigh
      agent.custom_tool_use look_up.5 {}
      agent.custom_tool_use weigh {}
      span.model_request_end ask.5 unread
      user.custom_tool_result look_up.5 "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." error
      user.custom_tool_result weigh "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." error
      session.error tool_use_limit_reached_error, exhausted: "the turn was ended because in 5 answers in a row the inputs of all calls were no JSON objects: send another message, or look at how the model is served (`heddle doctor --routes` tries a call)"
      session.thread_status_idle primary retries_exhausted
      session.usage 50 in, 25 out, 5.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn an_input_that_can_be_read_begins_the_count_of_those_that_cannot_anew() {
    let unread = "answer cut look_up";
    for (between, ended) in [
        ("answer tool nope; cut weigh", false),
        ("answer cut look_up; max_tokens", false),
        ("message \"two\"", false),
        ("recovered", true),
    ] {
        let told = play(&format!("message \"hi\"\nrepeat 4 {unread}\n{between}\n{unread}"));
        assert_eq!(told.contains("tool_use_limit_reached_error"), ended, "{between}: {told}");
    }
}
