//! Delegation: children, their reports and letters, and what each model is told of it
//! (docs/rules.md 3, 6, 9).

#![expect(clippy::too_many_lines, reason = "a script shows the whole order of events")]

use kernel::Tree;

use crate::script::{histories, offers, play_team};

fn play(script: &str) -> String {
    play_team(Tree::default(), script)
}

#[test]
fn a_coordinator_starts_children_and_gets_their_reports_as_mail() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        answer text "started"
        @1 answer text "spun"
        answer text "one is done"
        @2 answer text "dyed"
        answer text "all done"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
      note delegated #5 create_agent {"agent":"spinner","task":"spin"}
      note delegated #6 create_agent {"agent":"dyer","task":"dye"}
      #7 span.model_request_end #4 answered
      #8 session.thread_created child1
      #9 agent.thread_message_sent to child1 to spinner "spin"
      @1 #10 session.thread_status_running child1
      @1 #11 agent.thread_message_received from primary from weaver "spin" as task
      @1 #12 span.model_request_start
      note settled #5 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #14 session.thread_created child2
      #15 agent.thread_message_sent to child2 to dyer "dye"
      @2 #16 session.thread_status_running child2
      @2 #17 agent.thread_message_received from primary from weaver "dye" as task
      @2 #18 span.model_request_start
      note settled #6 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      #20 span.model_request_start
      = running, ask #20, ask #12, ask #18
    > answer text "started"
      #21 agent.message "started"
      #22 span.model_request_end #20 answered
      #23 session.thread_status_idle primary end_turn
      = running, ask #12, ask #18
    > @1 answer text "spun"
      @1 #24 agent.message "spun"
      @1 #25 span.model_request_end #12 answered
      @1 #26 agent.thread_message_sent to primary "spun"
      @1 #27 session.thread_status_idle child1 end_turn
      #28 session.thread_status_running primary
      #29 agent.thread_message_received from child1 from spinner "spun" as letter
      #30 span.model_request_start
      = running, ask #30, ask #18
    > answer text "one is done"
      #31 agent.message "one is done"
      #32 span.model_request_end #30 answered
      #33 session.thread_status_idle primary end_turn
      = running, ask #18
    > @2 answer text "dyed"
      @2 #34 agent.message "dyed"
      @2 #35 span.model_request_end #18 answered
      @2 #36 agent.thread_message_sent to primary "dyed"
      @2 #37 session.thread_status_idle child2 end_turn
      #38 session.thread_status_running primary
      #39 agent.thread_message_received from child2 from dyer "dyed" as letter
      #40 span.model_request_start
      = running, ask #40
    > answer text "all done"
      #41 agent.message "all done"
      #42 span.model_request_end #40 answered
      #43 session.thread_status_idle primary end_turn
      #44 session.usage 60 in, 30 out, 6.0 s
      #45 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_parent_that_waits_gets_the_report_as_the_result() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "self", "task": "weave"}
        @2 answer text "woven"
        @1 answer text "spun"
        answer text "done"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "self", "task": "weave"}
      note delegated #5 Agent {"agent":"spinner","task":"spin"}
      note delegated #6 Agent {"agent":"self","task":"weave"}
      #7 span.model_request_end #4 answered
      #8 session.thread_created child1
      #9 agent.thread_message_sent to child1 to spinner "spin"
      @1 #10 session.thread_status_running child1
      @1 #11 agent.thread_message_received from primary from weaver "spin" as task
      @1 #12 span.model_request_start
      #13 session.thread_created child2
      #14 agent.thread_message_sent to child2 to weaver "weave"
      @2 #15 session.thread_status_running child2
      @2 #16 agent.thread_message_received from primary from weaver "weave" as task
      @2 #17 span.model_request_start
      = running, ask #12, ask #17
    > @2 answer text "woven"
      @2 #18 agent.message "woven"
      @2 #19 span.model_request_end #17 answered
      @2 #20 agent.thread_message_sent to primary "woven"
      @2 #21 session.thread_status_idle child2 end_turn
      #22 agent.thread_message_received from child2 from weaver "woven" as result
      note settled #6 "woven"
      = running, ask #12
    > @1 answer text "spun"
      @1 #24 agent.message "spun"
      @1 #25 span.model_request_end #12 answered
      @1 #26 agent.thread_message_sent to primary "spun"
      @1 #27 session.thread_status_idle child1 end_turn
      #28 agent.thread_message_received from child1 from spinner "spun" as result
      note settled #5 "spun"
      #30 span.model_request_start
      = running, ask #30
    > answer text "done"
      #31 agent.message "done"
      #32 span.model_request_end #30 answered
      #33 session.thread_status_idle primary end_turn
      #34 session.usage 40 in, 20 out, 4.0 s
      #35 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn what_a_child_sends_before_its_end_is_mail_or_kept_for_who_waits() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "dyer", "task": "dye"}
        @1 answer tool send_to_parent {"message": "half spun"}
        @2 answer tool send_to_parent {"message": "half dyed"}
        @2 answer tool send_to_parent {"message": "nearly"}
        @1 answer text "spun"
        @2 answer text "dyed"
        answer text "done"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool create_agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "dyer", "task": "dye"}
      note delegated #5 create_agent {"agent":"spinner","task":"spin"}
      note delegated #6 Agent {"agent":"dyer","task":"dye"}
      #7 span.model_request_end #4 answered
      #8 session.thread_created child1
      #9 agent.thread_message_sent to child1 to spinner "spin"
      @1 #10 session.thread_status_running child1
      @1 #11 agent.thread_message_received from primary from weaver "spin" as task
      @1 #12 span.model_request_start
      note settled #5 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #14 session.thread_created child2
      #15 agent.thread_message_sent to child2 to dyer "dye"
      @2 #16 session.thread_status_running child2
      @2 #17 agent.thread_message_received from primary from weaver "dye" as task
      @2 #18 span.model_request_start
      = running, ask #12, ask #18
    > @1 answer tool send_to_parent {"message": "half spun"}
      @1 note delegated #19 send_to_parent {"message":"half spun"}
      @1 #20 span.model_request_end #12 answered
      @1 #21 agent.thread_message_sent to primary "half spun"
      #22 note queued "half spun"
      @1 note settled #19 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @1 #24 span.model_request_start
      = running, ask #24, ask #18, 1 queued
    > @2 answer tool send_to_parent {"message": "half dyed"}
      @2 note delegated #25 send_to_parent {"message":"half dyed"}
      @2 #26 span.model_request_end #18 answered
      @2 note kept "half dyed"
      @2 note settled #25 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @2 #29 span.model_request_start
      = running, ask #24, ask #29, 1 queued
    > @2 answer tool send_to_parent {"message": "nearly"}
      @2 note delegated #30 send_to_parent {"message":"nearly"}
      @2 #31 span.model_request_end #29 answered
      @2 note kept "nearly"
      @2 note settled #30 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @2 #34 span.model_request_start
      = running, ask #24, ask #34, 1 queued
    > @1 answer text "spun"
      @1 #35 agent.message "spun"
      @1 #36 span.model_request_end #24 answered
      @1 #37 session.thread_status_idle child1 end_turn
      = running, ask #34, 1 queued
    > @2 answer text "dyed"
      @2 #38 agent.message "dyed"
      @2 #39 span.model_request_end #34 answered
      @2 #40 agent.thread_message_sent to primary "half dyed" "nearly"
      @2 #41 session.thread_status_idle child2 end_turn
      #42 agent.thread_message_received from child2 from dyer "half dyed" "nearly" as result
      note settled #6 "half dyed" "nearly"
      #22 agent.thread_message_received from child1 from spinner "half spun" as letter
      #45 span.model_request_start
      = running, ask #45
    > answer text "done"
      #46 agent.message "done"
      #47 span.model_request_end #45 answered
      #48 session.thread_status_idle primary end_turn
      #49 session.usage 70 in, 35 out, 7.0 s
      #50 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_turn_that_goes_on_with_a_letter_reports_what_was_kept_and_what_came_after_mail() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}; tool send_to_agent {"thread_id": "unknown", "message": "m"}
        @2 answer tool send_to_parent {"message": "half dyed"}
        @1 answer tool send_to_parent {"message": "half spun"}
        interrupt primary
        message "write to both"
        answer tool send_to_agent {"thread_id": "child1", "message": "spin more"}; tool send_to_agent {"thread_id": "child2", "message": "dye more"}
        answer text "written"
        @2 answer text "dyed"
        @1 answer text "spun"
        @2 answer text "dyed more"
        @1 answer text "spun more"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}; tool send_to_agent {"thread_id": "unknown", "message": "m"}
      note delegated #5 Agent {"agent":"spinner","task":"spin"}
      note delegated #6 create_agent {"agent":"dyer","task":"dye"}
      note delegated #7 send_to_agent {"thread_id":"unknown","message":"m"}
      #8 span.model_request_end #4 answered
      #9 session.thread_created child1
      #10 agent.thread_message_sent to child1 to spinner "spin"
      @1 #11 session.thread_status_running child1
      @1 #12 agent.thread_message_received from primary from weaver "spin" as task
      @1 #13 span.model_request_start
      #14 session.thread_created child2
      #15 agent.thread_message_sent to child2 to dyer "dye"
      @2 #16 session.thread_status_running child2
      @2 #17 agent.thread_message_received from primary from weaver "dye" as task
      @2 #18 span.model_request_start
      note settled #6 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      note settled #7 error "You have no agent with the thread_id `unknown`. `list_agents` shows those you have."
      = running, ask #13, ask #18
    > @2 answer tool send_to_parent {"message": "half dyed"}
      @2 note delegated #21 send_to_parent {"message":"half dyed"}
      @2 #22 span.model_request_end #18 answered
      @2 #23 agent.thread_message_sent to primary "half dyed"
      #24 note queued "half dyed"
      @2 note settled #21 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @2 #26 span.model_request_start
      = running, ask #13, ask #26, 1 queued
    > @1 answer tool send_to_parent {"message": "half spun"}
      @1 note delegated #27 send_to_parent {"message":"half spun"}
      @1 #28 span.model_request_end #13 answered
      @1 note kept "half spun"
      @1 note settled #27 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @1 #31 span.model_request_start
      = running, ask #31, ask #26, 1 queued
    > interrupt primary
      note settled #5 error "Tool execution was interrupted before completion. Please retry."
      #24 agent.thread_message_received from child2 from dyer "half dyed" as letter
      #34 user.interrupt primary
      #35 session.thread_status_idle primary end_turn
      = running, ask #31, ask #26
    > message "write to both"
      #36 session.thread_status_running primary
      #37 user.message "write to both"
      #38 span.model_request_start
      = running, ask #38, ask #31, ask #26
    > answer tool send_to_agent {"thread_id": "child1", "message": "spin more"}; tool send_to_agent {"thread_id": "child2", "message": "dye more"}
      note delegated #39 send_to_agent {"thread_id":"child1","message":"spin more"}
      note delegated #40 send_to_agent {"thread_id":"child2","message":"dye more"}
      #41 span.model_request_end #38 answered
      #42 agent.thread_message_sent to child1 to spinner "spin more"
      @1 #43 note queued "spin more"
      note settled #39 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #45 agent.thread_message_sent to child2 to dyer "dye more"
      @2 #46 note queued "dye more"
      note settled #40 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      #48 span.model_request_start
      = running, ask #48, ask #31, ask #26, 2 queued
    > answer text "written"
      #49 agent.message "written"
      #50 span.model_request_end #48 answered
      #51 session.thread_status_idle primary end_turn
      = running, ask #31, ask #26, 2 queued
    > @2 answer text "dyed"
      @2 #52 agent.message "dyed"
      @2 #53 span.model_request_end #26 answered
      @2 #46 agent.thread_message_received from primary from weaver "dye more" as letter
      @2 #55 span.model_request_start
      = running, ask #31, ask #55, 1 queued
    > @1 answer text "spun"
      @1 #56 agent.message "spun"
      @1 #57 span.model_request_end #31 answered
      @1 #43 agent.thread_message_received from primary from weaver "spin more" as letter
      @1 #59 span.model_request_start
      = running, ask #59, ask #55
    > @2 answer text "dyed more"
      @2 #60 agent.message "dyed more"
      @2 #61 span.model_request_end #55 answered
      @2 #62 agent.thread_message_sent to primary "dyed more"
      @2 #63 session.thread_status_idle child2 end_turn
      #64 session.thread_status_running primary
      #65 agent.thread_message_received from child2 from dyer "dyed more" as letter
      #66 span.model_request_start
      = running, ask #66, ask #59
    > @1 answer text "spun more"
      @1 #67 agent.message "spun more"
      @1 #68 span.model_request_end #59 answered
      @1 #69 agent.thread_message_sent to primary "half spun"
      @1 #70 session.thread_status_idle child1 end_turn
      #71 note queued "half spun"
      = running, ask #66, 1 queued
    "#);
}

#[test]
fn a_child_that_sent_nothing_and_said_nothing_reports_so() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}
        @1 answer tool nope
        @1 answer thinking
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
    > @1 answer tool nope
      @1 #12 agent.tool_use nope {} denied
      @1 #13 span.model_request_end #11 answered
      @1 #14 agent.tool_result #12 "There is no tool named `nope`. Use one of the tools you were given." error
      @1 #15 span.model_request_start
      = running, ask #15
    > @1 answer thinking
      @1 #16 agent.thinking
      @1 #17 span.model_request_end #15 answered
      @1 #18 agent.thread_message_sent to primary "(no output)"
      @1 #19 session.thread_status_idle child1 end_turn
      #20 agent.thread_message_received from child1 from spinner "(no output)" as result
      note settled #5 "(no output)"
      #22 span.model_request_start
      = running, ask #22
    "#);
}

#[test]
fn a_refusal_and_a_failure_end_a_wait_with_an_error_and_are_mail_to_others() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "dyer", "task": "dye"}; tool create_agent {"agent": "self", "task": "weave"}
        @1 answer text "no"; refusal
        @2 fail invalid
        @3 fail invalid
        answer text "well"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool Agent {"agent": "dyer", "task": "dye"}; tool create_agent {"agent": "self", "task": "weave"}
      note delegated #5 Agent {"agent":"spinner","task":"spin"}
      note delegated #6 Agent {"agent":"dyer","task":"dye"}
      note delegated #7 create_agent {"agent":"self","task":"weave"}
      #8 span.model_request_end #4 answered
      #9 session.thread_created child1
      #10 agent.thread_message_sent to child1 to spinner "spin"
      @1 #11 session.thread_status_running child1
      @1 #12 agent.thread_message_received from primary from weaver "spin" as task
      @1 #13 span.model_request_start
      #14 session.thread_created child2
      #15 agent.thread_message_sent to child2 to dyer "dye"
      @2 #16 session.thread_status_running child2
      @2 #17 agent.thread_message_received from primary from weaver "dye" as task
      @2 #18 span.model_request_start
      #19 session.thread_created child3
      #20 agent.thread_message_sent to child3 to weaver "weave"
      @3 #21 session.thread_status_running child3
      @3 #22 agent.thread_message_received from primary from weaver "weave" as task
      @3 #23 span.model_request_start
      note settled #7 "{\"thread_id\":\"child3\",\"agent\":\"weaver\",\"status\":\"running\"}"
      = running, ask #13, ask #23, ask #18
    > @1 answer text "no"; refusal
      @1 #25 agent.message "no"
      @1 #26 span.model_request_end #13 refused
      @1 #27 agent.thread_message_sent to primary "The agent declined to continue."
      @1 #28 session.thread_status_idle child1 refusal "bio"
      #29 agent.thread_message_received from child1 from spinner "The agent declined to continue." as result
      note settled #5 error "The agent declined to continue."
      = running, ask #23, ask #18
    > @2 fail invalid
      @2 #31 span.model_request_end #18 failed error
      @2 #32 session.error model_request_failed_error, exhausted: "it failed"
      @2 #33 agent.thread_message_sent to primary "Agent failed: it failed"
      @2 note ended exhausted
      @2 #35 session.thread_status_idle child2 retries_exhausted
      @2 #36 session.thread_status_terminated child2
      #37 agent.thread_message_received from child2 from dyer "Agent failed: it failed" as result
      note settled #6 error "Agent failed: it failed"
      #39 span.model_request_start
      = running, ask #39, ask #23
    > @3 fail invalid
      @3 #40 span.model_request_end #23 failed error
      @3 #41 session.error model_request_failed_error, exhausted: "it failed"
      @3 #42 agent.thread_message_sent to primary "Agent failed: it failed"
      @3 note ended exhausted
      @3 #44 session.thread_status_idle child3 retries_exhausted
      @3 #45 session.thread_status_terminated child3
      #46 note queued "Agent failed: it failed"
      = running, ask #39, 1 queued
    > answer text "well"
      #47 agent.message "well"
      #48 span.model_request_end #39 answered
      #46 agent.thread_message_received from child3 from weaver "Agent failed: it failed" as letter
      #50 span.model_request_start
      = running, ask #50
    "#);
}

#[test]
fn mail_waits_for_the_tool_boundary_and_wakes_who_rests() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        @2 answer text "dyed"
        @1 answer tool bash
        answer tool list_agents
        answer text "waiting"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
      note delegated #5 create_agent {"agent":"spinner","task":"spin"}
      note delegated #6 create_agent {"agent":"dyer","task":"dye"}
      #7 span.model_request_end #4 answered
      #8 session.thread_created child1
      #9 agent.thread_message_sent to child1 to spinner "spin"
      @1 #10 session.thread_status_running child1
      @1 #11 agent.thread_message_received from primary from weaver "spin" as task
      @1 #12 span.model_request_start
      note settled #5 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #14 session.thread_created child2
      #15 agent.thread_message_sent to child2 to dyer "dye"
      @2 #16 session.thread_status_running child2
      @2 #17 agent.thread_message_received from primary from weaver "dye" as task
      @2 #18 span.model_request_start
      note settled #6 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      #20 span.model_request_start
      = running, ask #20, ask #12, ask #18
    > @2 answer text "dyed"
      @2 #21 agent.message "dyed"
      @2 #22 span.model_request_end #18 answered
      @2 #23 agent.thread_message_sent to primary "dyed"
      @2 #24 session.thread_status_idle child2 end_turn
      #25 note queued "dyed"
      = running, ask #20, ask #12, 1 queued
    > @1 answer tool bash
      @1 #26 agent.tool_use bash {} allowed
      @1 #27 span.model_request_end #12 answered
      = running, ask #20, run bash #26, 1 queued
    > answer tool list_agents
      note delegated #28 list_agents {}
      #29 span.model_request_end #20 answered
      note settled #28 (210 characters)
      #25 agent.thread_message_received from child2 from dyer "dyed" as letter
      #32 span.model_request_start
      = running, ask #32, run bash #26
    > answer text "waiting"
      #33 agent.message "waiting"
      #34 span.model_request_end #32 answered
      #35 session.thread_status_idle primary end_turn
      = running, run bash #26
    "#);
}

#[test]
fn letters_reach_a_child_at_rest_at_work_and_waiting_and_not_after_its_end() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        @2 answer tool look_up
        answer tool send_to_agent {"thread_id": "child1", "message": "at work"}; tool send_to_agent {"thread_id": "child2", "message": "waiting"}
        @1 answer text "spun"
        @1 answer text "spun more"
        answer tool list_agents
        answer tool send_to_agent {"thread_id": "child1", "message": "at rest"}
        archive 2
        answer tool send_to_agent {"thread_id": "child2", "message": "too late"}
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
      note delegated #5 create_agent {"agent":"spinner","task":"spin"}
      note delegated #6 create_agent {"agent":"dyer","task":"dye"}
      #7 span.model_request_end #4 answered
      #8 session.thread_created child1
      #9 agent.thread_message_sent to child1 to spinner "spin"
      @1 #10 session.thread_status_running child1
      @1 #11 agent.thread_message_received from primary from weaver "spin" as task
      @1 #12 span.model_request_start
      note settled #5 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #14 session.thread_created child2
      #15 agent.thread_message_sent to child2 to dyer "dye"
      @2 #16 session.thread_status_running child2
      @2 #17 agent.thread_message_received from primary from weaver "dye" as task
      @2 #18 span.model_request_start
      note settled #6 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      #20 span.model_request_start
      = running, ask #20, ask #12, ask #18
    > @2 answer tool look_up
      @2 #21 agent.custom_tool_use look_up {}
      @2 #22 span.model_request_end #18 answered
      @2 #23 session.thread_status_idle child2 requires_action #21
      = running, ask #20, ask #12
    > answer tool send_to_agent {"thread_id": "child1", "message": "at work"}; tool send_to_agent {"thread_id": "child2", "message": "waiting"}
      note delegated #24 send_to_agent {"thread_id":"child1","message":"at work"}
      note delegated #25 send_to_agent {"thread_id":"child2","message":"waiting"}
      #26 span.model_request_end #20 answered
      #27 agent.thread_message_sent to child1 to spinner "at work"
      @1 #28 note queued "at work"
      note settled #24 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #30 agent.thread_message_sent to child2 to dyer "waiting"
      @2 #31 note queued "waiting"
      note settled #25 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"idle\"}"
      #33 span.model_request_start
      = running, ask #33, ask #12, 2 queued
    > @1 answer text "spun"
      @1 #34 agent.message "spun"
      @1 #35 span.model_request_end #12 answered
      @1 #28 agent.thread_message_received from primary from weaver "at work" as letter
      @1 #37 span.model_request_start
      = running, ask #33, ask #37, 1 queued
    > @1 answer text "spun more"
      @1 #38 agent.message "spun more"
      @1 #39 span.model_request_end #37 answered
      @1 #40 agent.thread_message_sent to primary "spun more"
      @1 #41 session.thread_status_idle child1 end_turn
      #42 note queued "spun more"
      = running, ask #33, 2 queued
    > answer tool list_agents
      note delegated #43 list_agents {}
      #44 span.model_request_end #33 answered
      note settled #43 (207 characters)
      #42 agent.thread_message_received from child1 from spinner "spun more" as letter
      #47 span.model_request_start
      = running, ask #47, 1 queued
    > answer tool send_to_agent {"thread_id": "child1", "message": "at rest"}
      note delegated #48 send_to_agent {"thread_id":"child1","message":"at rest"}
      #49 span.model_request_end #47 answered
      #50 agent.thread_message_sent to child1 to spinner "at rest"
      @1 #51 session.thread_status_running child1
      @1 #52 agent.thread_message_received from primary from weaver "at rest" as letter
      @1 #53 span.model_request_start
      note settled #48 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #55 span.model_request_start
      = running, ask #55, ask #53, 1 queued
    > archive 2
      @2 #56 user.custom_tool_result #21 "The thread was ended before this was answered." error
      @2 note cancelled #31
      @2 note ended archived
      @2 #59 session.thread_status_terminated child2
      = running, ask #55, ask #53
    > answer tool send_to_agent {"thread_id": "child2", "message": "too late"}
      note delegated #60 send_to_agent {"thread_id":"child2","message":"too late"}
      #61 span.model_request_end #55 answered
      note settled #60 error "The agent `child2` has ended and takes no more messages. Make another with `create_agent`."
      #63 span.model_request_start
      = running, ask #63, ask #53
    "#);
}

#[test]
fn wrong_errands_say_what_to_do() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "nobody", "task": "spin"}; tool Agent {"agent": "spinner", "task": " "}; tool create_agent {"task": "x"}
        answer tool send_to_agent {"thread_id": "sthr_1", "message": "m"}; tool send_to_agent {"thread_id": "primary", "message": "m"}; tool send_to_parent {"message": "m"}
        answer cut create_agent; max_tokens
        answer text "ok"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool create_agent {"agent": "nobody", "task": "spin"}; tool Agent {"agent": "spinner", "task": " "}; tool create_agent {"task": "x"}
      note delegated #5 create_agent {"agent":"nobody","task":"spin"}
      note delegated #6 Agent {"agent":"spinner","task":" "}
      note delegated #7 create_agent {"task":"x"}
      #8 span.model_request_end #4 answered
      note settled #5 error "There is no agent named `nobody`. `agent` is one of: `spinner`, `dyer`, `weaver`."
      note settled #6 error "`task` is needed: a text that is not empty."
      note settled #7 error "`agent` is needed: a text that is not empty."
      #12 span.model_request_start
      = running, ask #12
    > answer tool send_to_agent {"thread_id": "sthr_1", "message": "m"}; tool send_to_agent {"thread_id": "primary", "message": "m"}; tool send_to_parent {"message": "m"}
      note delegated #13 send_to_agent {"thread_id":"sthr_1","message":"m"}
      note delegated #14 send_to_agent {"thread_id":"primary","message":"m"}
      #15 agent.tool_use send_to_parent {"message":"m"} denied
      #16 span.model_request_end #12 answered
      #17 agent.tool_result #15 "There is no tool named `send_to_parent`. Use one of the tools you were given." error
      note settled #13 error "You have no agent with the thread_id `sthr_1`. `list_agents` shows those you have."
      note settled #14 error "You have no agent with the thread_id `primary`. `list_agents` shows those you have."
      #20 span.model_request_start
      = running, ask #20
    > answer cut create_agent; max_tokens
      note delegated #21 create_agent {}
      #22 span.model_request_end #20 cut_off
      note settled #21 error "cut off at the output limit of about 5 tokens: this call did not run. Make it again with a shorter input, and write what is long in parts, one call each."
      #24 span.model_request_start
      = running, ask #24
    > answer text "ok"
      #25 agent.message "ok"
      #26 span.model_request_end #24 answered
      #27 session.thread_status_idle primary end_turn
      #28 session.usage 40 in, 20 out, 4.0 s
      #29 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn each_thread_is_told_what_concerns_it_as_its_model_reads_it() {
    insta::assert_snapshot!(histories(
        r#"
        message "go"
        answer text "so"; tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        @1 answer tool send_to_parent {"message": "half"}
        @2 answer text "dyed"
        @1 answer text "spun"
        answer text "done"
        "#
    ), @r#"
    primary:
    user: "go"
    assistant: "so" | call toolu_1 Agent {"agent":"spinner","task":"spin"} | call toolu_2 create_agent {"agent":"dyer","task":"dye"}
    user: result toolu_2 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}" | result toolu_1 "half" | "Message from dyer (child2):" | "dyed"
    assistant: "done"
    child1:
    user: "spin"
    assistant: call toolu_0 send_to_parent {"message":"half"}
    user: result toolu_0 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
    assistant: "spun"
    child2:
    user: "dye"
    assistant: "dyed"
    "#);
}

#[test]
fn a_thread_is_offered_what_its_place_allows() {
    insta::assert_snapshot!(offers(Tree::default(),
        r#"
        message "go"
        answer tool create_agent {"agent": "dyer", "task": "dye"}
        "#
    ), @r#"
    primary: None
    create_agent {"type":"object","properties":{"agent":{"type":"string","enum":["spinner","dyer","weaver","self"],"description":"Which agent."},"task":{"type":"string","description":"What it is to do, with all that it needs to know: it sees nothing of your conversation."}},"required":["agent","task"],"additionalProperties":false}
    Starts an agent on a task of its own and returns at once: several work in parallel, in the same files as you. Its report comes later as a message; end your turn to wait for it. The agents:
    - spinner: spins yarn
    - dyer
    - weaver
    Agent {"type":"object","properties":{"agent":{"type":"string","enum":["spinner","dyer","weaver","self"],"description":"Which agent."},"task":{"type":"string","description":"What it is to do, with all that it needs to know: it sees nothing of your conversation."}},"required":["agent","task"],"additionalProperties":false}
    Starts an agent on a task of its own, as `create_agent` does, and waits for its report, which is the result. Several calls in one answer run in parallel.
    send_to_agent {"type":"object","properties":{"thread_id":{"type":"string","description":"The agent's thread_id."},"message":{"type":"string","description":"What to tell it."}},"required":["thread_id","message"],"additionalProperties":false}
    Writes to an agent that you have started. One that rests goes to work on it; one that works reads it at its next step. It remembers its earlier tasks.
    list_agents {"type":"object","properties":{},"required":[],"additionalProperties":false}
    Lists the agents that you have started: thread_id, agent, status, and how many messages wait for each.
    child1: Some("Dye.")
    send_to_parent {"type":"object","properties":{"message":{"type":"string","description":"What to tell it."}},"required":["message"],"additionalProperties":false}
    Tells the agent that started you something before you are done: progress, or a question. You go on. Your last message of a turn is your report, unless you have sent something in that turn.
    "#);
}
