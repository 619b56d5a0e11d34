//! Histories: what the model reads after each kind of turn.

use crate::script::{histories, history};

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
        result weigh error "broken"
        result look_up "found"
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
        result look_up "found"
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
        result look_up "a"
        again look_up "b"
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
        result look_up "a"
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
        result look_up "a"
        answer tool look_up
        result look_up.2 "b"
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 look_up {}
    user: result toolu_0 "a"
    assistant: call toolu_look_up.2 look_up {}
    user: result toolu_look_up.2 "b"
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
        result weigh "a"
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
        result look_up "" + result weigh
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
        result look_up "found"
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

#[test]
fn what_a_provider_put_beside_its_answer_stands_with_the_message_and_its_calls() {
    insta::assert_snapshot!(history(
        r#"
        message "hi"
        answer thinking; tool look_up; tool weigh; beside reasoning "hm"; beside 2 extra_content {"n": 1.0}
        result look_up "found"
        result weigh "light"
        answer text "done"; beside reasoning " \n"
        message "more"
        "#
    ), @r#"
    user: "hi"
    assistant: beside reasoning "hm" of r | beside toolu_2 extra_content {"n": 1.0} of r | thinking "hm" of r | call toolu_1 look_up {} | call toolu_2 weigh {}
    user: result toolu_1 "found" | result toolu_2 "light"
    assistant: beside reasoning " \n" of r | "done"
    user: "more"
    "#);
}

#[test]
fn what_stands_beside_an_answer_is_told_by_where_it_came_from_also_if_that_changes() {
    insta::assert_snapshot!(history(
        r#"
        message "hi"
        answer from a; thinking; text "1"
        message "more"
        answer thinking; text "2"
        message "and"
        answer from b; thinking; text "3"
        message "end"
        "#
    ), @r#"
    user: "hi"
    assistant: thinking "hm" of a | "1"
    user: "more"
    assistant: thinking "hm" | "2"
    user: "and"
    assistant: thinking "hm" of b | "3"
    user: "end"
    "#);
}

#[test]
fn nothing_stands_beside_an_answer_that_did_not_end_or_says_nothing() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        interrupt
        stale text "late"; beside reasoning "hm"
        message "two"
        answer thinking; beside reasoning "hm"
        woke
        fail overloaded
        woke
        answer text "ok"
        message "three"
        "#
    ), @r#"
    user: "one" | "two"
    assistant: "ok"
    user: "three"
    "#);
}

#[test]
fn what_stands_beside_a_call_that_is_not_made_is_dropped_with_it() {
    insta::assert_snapshot!(history(
        r#"
        message "hi"
        answer text "no"; tool look_up; refusal; beside reasoning "hm"; beside 1 extra_content {"n": 1}
        message "more"
        "#
    ), @r#"
    user: "hi"
    assistant: beside reasoning "hm" of r | "no"
    user: "more"
    "#);
}

#[test]
fn each_thread_has_its_own_and_a_delegation_keeps_what_stands_beside_it() {
    insta::assert_snapshot!(histories(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; beside 0 extra_content {"n": 1}; beside reasoning "a"
        answer text "started"
        @1 answer tool no_such; beside 0 extra_content {"n": 2}; beside reasoning "b"
        @1 answer text "spun"
        "#
    ), @r#"
    primary:
    user: "go"
    assistant: beside toolu_0 extra_content {"n": 1} of r | beside reasoning "a" of r | call toolu_0 create_agent {"agent":"spinner","task":"spin"}
    user: result toolu_0 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
    assistant: "started"
    user: "Message from spinner (child1):" | "spun"
    child1:
    user: "spin"
    assistant: beside toolu_0 extra_content {"n": 2} of r | beside reasoning "b" of r | call toolu_0 no_such {}
    user: result toolu_0 error "There is no tool named `no_such`. Use one of the tools you were given."
    assistant: "spun"
    "#);
}
