//! Histories: what the model reads after each kind of turn.

use crate::script::history;

#[test]
fn after_a_plain_turn_and_a_new_message() {
    insta::assert_snapshot!(history(
        r#"
        message "hi"
        answer thinking; text "ok"
        message "more"
        "#
    ), @r#"
    user: "hi"
    assistant: thinking "hm" | "ok"
    user: "more"
    "#);
}

#[test]
fn after_calls_answered_one_by_one() {
    insta::assert_snapshot!(history(
        r#"
        message "hi"
        answer thinking; text "both"; tool look_up {"q": 1}; tool weigh
        result 2 error "broken"
        result 1 "found"
        "#
    ), @r#"
    user: "hi"
    assistant: thinking "hm" | "both" | call toolu_2 look_up {"q":1} | call toolu_3 weigh {}
    user: result toolu_3 error "broken" | result toolu_2 "found"
    "#);
}

#[test]
fn results_come_before_a_message_that_waited() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        message "two"
        answer tool look_up
        result 1 "found"
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 look_up {}
    user: result toolu_0 "found" | "two"
    "#);
}

#[test]
fn a_second_result_is_not_told() {
    insta::assert_snapshot!(history(
        r#"
        message "hi"
        answer tool look_up
        result 1 "a"
        again 1 "b"
        "#
    ), @r#"
    user: "hi"
    assistant: call toolu_0 look_up {}
    user: result toolu_0 "a"
    "#);
}

#[test]
fn an_interrupted_request_leaves_no_trace_and_its_message_stays() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        interrupt
        message "two"
        "#
    ), @r#"
    user: "one" | "two"
    "#);
}

#[test]
fn an_interrupted_call_is_answered() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer tool look_up; tool weigh
        result 1 "a"
        interrupt
        message "two"
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 look_up {} | call toolu_1 weigh {}
    user: result toolu_0 "a" | result toolu_1 error "Tool execution was interrupted before completion. Please retry." | "two"
    "#);
}

#[test]
fn failed_and_recovered_requests_leave_no_trace() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        fail cut
        woke
        recovered
        fail invalid
        message "two"
        "#
    ), @r#"
    user: "[removed: the model's provider refused it]" | "two"
    "#);
}

#[test]
fn a_refusal_is_told_as_it_was_said() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer thinking; text "no"; tool look_up; refusal
        message "two"
        answer refusal
        message "three"
        "#
    ), @r#"
    user: "one"
    assistant: thinking "hm" | "no"
    user: "two" | "three"
    "#);
}

#[test]
fn a_pause_is_answered_in_the_users_name() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer text "half"; pause
        answer text "whole"; pause
        "#
    ), @r#"
    user: "one"
    assistant: "half"
    user: "Continue."
    assistant: "whole"
    user: "Continue."
    "#);
}

#[test]
fn a_pause_that_said_nothing_is_not_answered() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer thinking; pause
        "#
    ), @r#"
    user: "one"
    "#);
}

#[test]
fn cut_and_unknown_calls_are_answered() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer cut weigh; tool nope {"a": 1}; cut look_up; max_tokens
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 weigh {} | call toolu_1 nope {"a":1} | call toolu_2 look_up {}
    user: result toolu_0 error "The input is no JSON object, or lies more than 64 levels deep. Repeat the call with a valid one." | result toolu_1 error "There is no tool named `nope`. Use one of the tools you were given." | result toolu_2 error "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each."
    "#);
}

#[test]
fn an_id_that_a_provider_gives_again_is_replaced() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer tool look_up
        result 1 "a"
        answer tool look_up
        result 2 "b"
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 look_up {}
    user: result toolu_0 "a"
    assistant: call toolu_b6e8d400ffc5ee1b394b83440000000a look_up {}
    user: result toolu_b6e8d400ffc5ee1b394b83440000000a "b"
    "#);
}

#[test]
fn blank_texts_are_not_told() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer text " "; text "ok"
        message "two"
        answer tool weigh
        result 1 "a"
        answer text " "
        message "three"
        "#
    ), @r#"
    user: "one"
    assistant: "ok"
    user: "two"
    assistant: call toolu_0 weigh {}
    user: result toolu_0 "a" | "three"
    "#);
}

#[test]
fn a_result_without_words_is_told_empty() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer tool look_up; tool weigh
        result 1 "" + result 2
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 look_up {} | call toolu_1 weigh {}
    user: result toolu_0  | result toolu_1
    "#);
}

#[test]
fn a_pause_with_a_call_goes_on_with_its_result() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer text "half"; tool look_up; pause
        result 1 "found"
        "#
    ), @r#"
    user: "one"
    assistant: "half" | call toolu_1 look_up {}
    user: result toolu_1 "found"
    "#);
}

#[test]
fn a_name_that_no_provider_takes_back_is_told_otherwise() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer tool functions.look_up; tool wägen
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 functions_look_up {} | call toolu_1 w_gen {}
    user: result toolu_0 error "There is no tool named `functions.look_up`. Use one of the tools you were given." | result toolu_1 error "There is no tool named `wägen`. Use one of the tools you were given."
    "#);
}
