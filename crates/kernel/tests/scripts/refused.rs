//! What a provider refuses, and how a session goes on past it; calls that the output limit cuts.

use kernel::Tree;

use crate::script::{histories, history, play, play_team};

#[test]
fn what_is_named_is_left_out_and_the_request_made_again_in_the_same_turn() {
    insta::assert_snapshot!(play(
        r#"
        message "see" "this"
        fail invalid naming 0.1
        answer text "ok"
        "#
    ), @r#"
    > message "see" "this"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "see" "this"
      #4 span.model_request_start
      = running, ask #4
    > fail invalid naming 0.1
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, retrying: "it failed It is asked again without what was named: content.1 of #3."
      note left_out #3 block 1: the model's provider refused it
      #8 span.model_request_start
      = running, ask #8
    > answer text "ok"
      #9 agent.message "ok"
      #10 span.model_request_end #8 answered
      #11 session.thread_status_idle primary end_turn
      #12 session.usage 11 in, 5 out, 2.0 s
      #13 session.status_idle end_turn
      = idle, end_turn
    "#);
    insta::assert_snapshot!(history(
        r#"
        message "see" "this"
        fail invalid naming 0.1
        answer text "ok"
        message "more"
        "#
    ), @r#"
    user: "see" | "[removed: the model's provider refused it]"
    assistant: "ok"
    user: "more"
    "#);
}

#[test]
fn each_kind_of_part_can_be_left_out_and_a_call_keeps_its_result() {
    insta::assert_snapshot!(history(
        r#"
        message "see"
        answer thinking; text "I look"; tool look_up {"q": 1}; tool weigh
        result 1 "one" "two"
        result 2 "three"
        fail invalid naming 1.1 1.2 2.0.1 2.1
        "#
    ), @r#"
    user: "see"
    assistant: thinking "hm" | "[removed: the model's provider refused it]" | call toolu_2 look_up {"removed":"the model's provider refused it"} | call toolu_3 weigh {}
    user: result toolu_2 "one" "[removed: the model's provider refused it]" | result toolu_3 "[removed: the model's provider refused it]"
    "#);
}

#[test]
fn a_thought_that_is_refused_takes_all_thoughts_along() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer thinking; text "1"
        message "two"
        answer thinking; text "2"
        message "three"
        fail invalid naming 1.0
        "#
    ), @r#"
    user: "one"
    assistant: "1"
    user: "two"
    assistant: "2"
    user: "three"
    "#);
}

#[test]
fn what_is_named_again_and_again_ends_the_turn_and_so_does_what_is_left_out_already() {
    insta::assert_snapshot!(play(
        r#"
        message "a" "b" "c" "d" "e"
        repeat 1 fail invalid naming 0.0 then fail invalid naming 0.1 then fail invalid naming 0.2 then fail invalid naming 0.3
        fail invalid naming 0.4
        "#
    ), @r#"
    > message "a" "b" "c" "d" "e"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "a" "b" "c" "d" "e"
      #4 span.model_request_start
      = running, ask #4
    > 1 times fail invalid naming 0.0 then fail invalid naming 0.1 then fail invalid naming 0.2 then fail invalid naming 0.3
    > fail invalid naming 0.4
      #21 span.model_request_end #20 failed error
      #22 session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      #24 session.thread_status_idle primary retries_exhausted
      #25 session.usage 5 in, 0 out, 5.0 s
      #26 session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
    insta::assert_snapshot!(play(
        r#"
        message "a" "b"
        fail invalid naming 0.0
        fail invalid naming 0.0
        "#
    ), @r#"
    > message "a" "b"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "a" "b"
      #4 span.model_request_start
      = running, ask #4
    > fail invalid naming 0.0
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, retrying: "it failed It is asked again without what was named: content.0 of #3."
      note left_out #3 block 0: the model's provider refused it
      #8 span.model_request_start
      = running, ask #8
    > fail invalid naming 0.0
      #9 span.model_request_end #8 failed error
      #10 session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      #12 session.thread_status_idle primary retries_exhausted
      #13 session.usage 2 in, 0 out, 2.0 s
      #14 session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn what_came_since_the_last_answer_is_left_out_where_nothing_is_named() {
    insta::assert_snapshot!(play(
        r#"
        message "bad"
        fail invalid
        message "more"
        answer text "ok"
        "#
    ), @r#"
    > message "bad"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "bad"
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
    > message "more"
      #11 session.status_running
      #12 session.thread_status_running primary
      #13 user.message "more"
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
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer tool look_up; tool weigh
        result 1 "bad"
        message "and"
        result 2 "good"
        fail invalid
        message "more"
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 look_up {} | call toolu_1 weigh {}
    user: result toolu_0 "[removed: the model's provider refused it]" | result toolu_1 "[removed: the model's provider refused it]" | "more"
    "#);
}

#[test]
fn the_third_refusal_in_a_row_takes_the_last_answer_along_with_its_calls() {
    let refused = r#"
        message "one"
        answer text "1"
        message "two"
        answer text "I look"; tool look_up
        result 1 "found"
        fail invalid
        message "three"
        fail invalid
        message "four"
        fail invalid
        message "five"
        "#;
    insta::assert_snapshot!(history(refused), @r#"
    user: "one"
    assistant: "1"
    user: "two"
    assistant: "[removed: the model's provider refused it]"
    user: "[removed: the model's provider refused it]" | "five"
    "#);
    let told = play(refused);
    let last = told.lines().rev().find(|line| line.contains("session.error")).expect("an error");
    insta::assert_snapshot!(last.trim(), @r#"
    #45 session.error model_request_failed_error, exhausted: "it failed The model's last answer and all that came since are left out from now on: send a short message, and if that is refused too, begin a new session."
    "#);
}

#[test]
fn an_answer_begins_the_count_of_refusals_anew() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        fail invalid
        message "two"
        fail invalid
        message "three"
        answer text "3"
        message "four"
        fail invalid
        message "five"
        fail invalid
        message "six"
        "#
    ), @r#"
    user: "[removed: the model's provider refused it]" | "[removed: the model's provider refused it]" | "three"
    assistant: "3"
    user: "[removed: the model's provider refused it]" | "[removed: the model's provider refused it]" | "six"
    "#);
}

#[test]
fn where_the_window_is_full_a_shorter_message_is_asked_for() {
    insta::assert_snapshot!(play(
        r#"
        message "long"
        fail overflow
        "#
    ), @r#"
    > message "long"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "long"
      #4 span.model_request_start
      = running, ask #4
    > fail overflow
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send a shorter message."
      note blamed: it did not fit the model's window
      #8 session.thread_status_idle primary retries_exhausted
      #9 session.usage 1 in, 0 out, 1.0 s
      #10 session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn what_no_part_is_to_blame_for_leaves_nothing_out() {
    for class in ["full", "unusable", "denied", "billing", "no_route"] {
        let script = format!("message \"one\"\nfail {class}\nmessage \"two\"");
        assert_eq!(history(&script), "user: \"one\" | \"two\"\n", "{class}");
    }
}

#[test]
fn a_message_that_waits_goes_on_without_what_was_refused() {
    insta::assert_snapshot!(play(
        r#"
        message "bad"
        message "good"
        fail invalid
        "#
    ), @r#"
    > message "bad"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "bad"
      #4 span.model_request_start
      = running, ask #4
    > message "good"
      #5 note queued "good"
      = running, ask #4, 1 queued
    > fail invalid
      #6 span.model_request_end #4 failed error
      #7 session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      #5 user.message "good"
      #10 span.model_request_start
      = running, ask #10
    "#);
    insta::assert_snapshot!(history(
        r#"
        message "bad"
        message "good"
        fail invalid
        "#
    ), @r#"
    user: "[removed: the model's provider refused it]" | "good"
    "#);
}

#[test]
fn an_interrupt_lets_the_named_be_left_out_anew() {
    insta::assert_snapshot!(history(
        r#"
        message "a" "b"
        fail invalid naming 0.0
        interrupt
        message "c"
        fail invalid naming 0.1
        "#
    ), @r#"
    user: "[removed: the model's provider refused it]" | "[removed: the model's provider refused it]" | "c"
    "#);
}

#[test]
fn a_restart_asks_for_the_same() {
    let before = r#"
        message "a" "b"
        fail invalid naming 0.0
        "#;
    let after = format!("{before}recovered\n");
    assert_eq!(history(before), history(&after));
}

#[test]
fn a_child_goes_on_without_what_is_named_and_ends_where_nothing_is() {
    insta::assert_snapshot!(histories(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}
        @1 fail invalid naming 0.0
        "#
    ), @r#"
    primary:
    user: "go"
    assistant: call toolu_0 create_agent {"agent":"spinner","task":"spin"}
    user: result toolu_0 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
    child1:
    user: "[removed: the model's provider refused it]"
    "#);
    insta::assert_snapshot!(play_team(
        Tree::default(),
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}
        @1 fail invalid
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool Agent {"agent": "spinner", "task": "spin"}
      note delegated #5 Agent {"agent":"spinner","task":"spin"}
      #6 span.model_request_end #4 answered
      #7 session.thread_created child1
      #8 agent.thread_message_sent to child1 to spinner "spin"
      @1 #9 session.thread_status_running child1
      @1 #10 agent.thread_message_received from primary from weaver "spin" as task
      @1 #11 span.model_request_start
      = running, ask #11
    > @1 fail invalid
      @1 #12 span.model_request_end #11 failed error
      @1 #13 session.error model_request_failed_error, exhausted: "it failed"
      @1 #14 agent.thread_message_sent to primary "Agent failed: it failed"
      @1 note ended exhausted
      @1 #16 session.thread_status_idle child1 retries_exhausted
      @1 #17 session.thread_status_terminated child1
      #18 agent.thread_message_received from child1 from spinner "Agent failed: it failed" as result
      note settled #5 error "Agent failed: it failed"
      #20 span.model_request_start
      = running, ask #20
    "#);
}

#[test]
fn three_calls_in_a_row_that_the_output_limit_cuts_end_the_turn() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        repeat 2 answer cut look_up; max_tokens
        answer cut look_up; max_tokens
        message "in parts"
        answer cut look_up; max_tokens
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > 2 times answer cut look_up; max_tokens
    > answer cut look_up; max_tokens
      #13 agent.custom_tool_use look_up {}
      #14 span.model_request_end #12 cut_off
      #15 user.custom_tool_result #13 "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      #16 session.error tool_use_limit_reached_error, exhausted: "the turn was ended because the output limit cut 3 answers in a row in the middle of a call: ask for less at once, or raise `max_output` of the model's route"
      #17 session.thread_status_idle primary retries_exhausted
      #18 session.usage 30 in, 15 out, 3.0 s
      #19 session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "in parts"
      #20 session.status_running
      #21 session.thread_status_running primary
      #22 user.message "in parts"
      #23 span.model_request_start
      = running, ask #23
    > answer cut look_up; max_tokens
      #24 agent.custom_tool_use look_up {}
      #25 span.model_request_end #23 cut_off
      #26 user.custom_tool_result #24 "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      #27 span.model_request_start
      = running, ask #27
    "#);
}

#[test]
fn the_fifth_answer_in_a_row_without_an_input_that_can_be_read_ends_the_turn() {
    let told = play(
        r#"
        message "hi"
        repeat 4 answer text "now"; cut look_up
        answer cut look_up; cut weigh
        "#,
    );
    let (_, last) = told.split_once("> answer cut look_up; cut weigh\n").expect("it was played");
    insta::assert_snapshot!(last, @r#"
      #25 agent.custom_tool_use look_up {}
      #26 agent.custom_tool_use weigh {}
      #27 span.model_request_end #24 unread
      #28 user.custom_tool_result #25 "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." error
      #29 user.custom_tool_result #26 "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." error
      #30 session.error tool_use_limit_reached_error, exhausted: "the turn was ended because in 5 answers in a row the inputs of all calls were no JSON objects: send another message, or look at how the model is served (`heddle doctor --routes` tries a call)"
      #31 session.thread_status_idle primary retries_exhausted
      #32 session.usage 50 in, 25 out, 5.0 s
      #33 session.status_idle retries_exhausted
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

#[test]
fn an_answer_in_between_begins_the_count_of_refused_turns_anew() {
    let refused = "message \"no\"\nfail invalid\n";
    for (between, whole) in [("", true), ("message \"yes\"\nanswer text \"ok\"\n", false)] {
        let told = play(&format!("{refused}{refused}{between}{refused}"));
        assert_eq!(told.contains("The model's last answer and all that came since"), whole, "{told}");
    }
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
        answer tool weigh; cut look_up; max_tokens
        result 3 "heavy"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > 2 times answer cut look_up; max_tokens
    > answer tool weigh; cut look_up; max_tokens
      #13 agent.custom_tool_use weigh {}
      #14 agent.custom_tool_use look_up {}
      #15 span.model_request_end #12 cut_off
      #16 user.custom_tool_result #14 "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each." error
      #17 session.thread_status_idle primary requires_action #13
      #18 session.usage 30 in, 15 out, 3.0 s
      #19 session.status_idle requires_action #13
      = idle, requires_action #13
    > result 3 "heavy"
      #20 user.custom_tool_result #13 "heavy"
      #21 session.error tool_use_limit_reached_error, exhausted: "the turn was ended because the output limit cut 3 answers in a row in the middle of a call: ask for less at once, or raise `max_output` of the model's route"
      #22 session.thread_status_idle primary retries_exhausted
      #23 session.usage 30 in, 15 out, 3.0 s
      #24 session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn a_child_whose_calls_are_cut_ends() {
    let told = play_team(
        Tree::default(),
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
