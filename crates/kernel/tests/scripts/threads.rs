//! Threads: waits that need the client, archive, limits, interrupts, the end of a session
//! (docs/rules.md 1, 3 to 6).

#![expect(clippy::too_many_lines, reason = "a script shows the whole order of events")]

use kernel::Tree;

use crate::script::{last_result, play_deep, play_team};

fn play(script: &str) -> String {
    play_team(Tree::default(), script)
}

#[test]
fn a_wait_on_a_child_that_needs_the_client_is_idle_and_archive_ends_it() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}
        @1 answer tool look_up; tool write
        message "refused"
        allow 2
        archive 1
        result 1 "too late"
        again 1 "too late"
        archive 1
        archive primary
        archive unknown
        answer tool list_agents
        answer text "ok"
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
    > @1 answer tool look_up; tool write
      @1 #12 agent.custom_tool_use look_up {}
      @1 #13 agent.tool_use write {} asked
      @1 #14 span.model_request_end #11 answered
      @1 #15 session.thread_status_idle child1 requires_action #12 #13
      #16 session.thread_status_idle primary requires_action #12 #13
      #17 session.usage 20 in, 10 out, 2.0 s
      #18 session.status_idle requires_action #12 #13
      = idle, requires_action #12 #13
    > message "refused"
      refused: events.0: waiting on responses to events [#12, #13]; answer these first, or send user.interrupt
    > allow 2
      @1 #19 user.tool_confirmation #13 allow null
      @1 #20 session.thread_status_idle child1 requires_action #12
      #21 session.thread_status_idle primary requires_action #12
      #22 session.usage 20 in, 10 out, 2.0 s
      #23 session.status_idle requires_action #12
      = idle, requires_action #12
    > archive 1
      @1 #24 user.custom_tool_result #12 "The thread was ended before this was answered." error
      @1 #25 agent.tool_result #13 "The thread was ended before this was answered." error
      @1 note ended archived
      @1 #27 session.thread_status_terminated child1
      #28 session.status_running
      #29 session.thread_status_running primary
      note settled #5 "Agent cancelled."
      #31 span.model_request_start
      = running, ask #31
    > result 1 "too late"
      refused: events.0.custom_tool_use_id: #12 does not match any custom_tool_use event in this session; answer the ids in the `stop_reason.event_ids` of its last session.status_idle
    > again 1 "too late"
      refused: events.0.custom_tool_use_id: the thread child1 that made this call is terminated and takes no answers
    > archive 1
      = running, ask #31
    > archive primary
      refused: primary is the primary thread and ends with its session: archive sesn_1111111111111111111112 instead
    > archive unknown
      refused: this session has no thread sthr_111111111111111111111A
    > answer tool list_agents
      note delegated #32 list_agents {}
      #33 span.model_request_end #31 answered
      note settled #32 "{\"agents\":[{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"terminated\",\"pending_messages\":0}]}"
      #35 span.model_request_start
      = running, ask #35
    > answer text "ok"
      #36 agent.message "ok"
      #37 span.model_request_end #35 answered
      #38 session.thread_status_idle primary end_turn
      #39 session.usage 40 in, 20 out, 9.0 s
      #40 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_child_is_answered_from_the_session_and_wakes_who_waits() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}
        @1 answer tool look_up
        result 1 "found"
        again 1 "twice"
        again 1 "found"
        @1 answer text "spun"
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
    > @1 answer tool look_up
      @1 #12 agent.custom_tool_use look_up {}
      @1 #13 span.model_request_end #11 answered
      @1 #14 session.thread_status_idle child1 requires_action #12
      #15 session.thread_status_idle primary requires_action #12
      #16 session.usage 20 in, 10 out, 2.0 s
      #17 session.status_idle requires_action #12
      = idle, requires_action #12
    > result 1 "found"
      @1 #18 user.custom_tool_result #12 "found"
      #19 session.status_running
      #20 session.thread_status_running primary
      @1 #21 session.thread_status_running child1
      @1 #22 span.model_request_start
      = running, ask #22
    > again 1 "twice"
      refused: events.0.custom_tool_use_id: #12 has been answered with another result, and the first one counts; send that one again, or none
    > again 1 "found"
      @1 #23 user.custom_tool_result #12 "found"
      = running, ask #22
    > @1 answer text "spun"
      @1 #24 agent.message "spun"
      @1 #25 span.model_request_end #22 answered
      @1 #26 agent.thread_message_sent to primary "spun"
      @1 #27 session.thread_status_idle child1 end_turn
      #28 agent.thread_message_received from child1 from spinner "spun" as result
      note settled #5 "spun"
      #30 span.model_request_start
      = running, ask #30
    "#);
}

#[test]
fn only_what_rests_is_archived() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}
        archive 1
        @1 fail overloaded
        archive 1
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool create_agent {"agent": "spinner", "task": "spin"}
      note delegated #5 create_agent {"agent":"spinner","task":"spin"}
      #6 span.model_request_end #4 answered
      #7 session.thread_created child1
      #8 agent.thread_message_sent to child1 to spinner "spin"
      @1 #9 session.thread_status_running child1
      @1 #10 agent.thread_message_received from primary from weaver "spin" as task
      @1 #11 span.model_request_start
      note settled #5 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #13 span.model_request_start
      = running, ask #13, ask #11
    > archive 1
      refused: cannot archive while the status of thread child1 is `running`: only idle threads can be archived. Send user.interrupt with its session_thread_id, or wait until it is idle
    > @1 fail overloaded
      @1 #14 span.model_request_end #11 failed error
      @1 #15 session.error model_overloaded_error, retrying: "it failed"
      @1 note retry at 4.315 s
      @1 #17 session.thread_status_rescheduled child1
      = running, ask #13, wake at 4.315 s
    > archive 1
      refused: cannot archive while the status of thread child1 is `rescheduling`: only idle threads can be archived. Send user.interrupt with its session_thread_id, or wait until it is idle
    "#);
}

#[test]
fn the_limit_is_an_error_to_act_on_and_an_archived_child_frees_its_slot() {
    let tree = Tree { max_threads: 1, max_depth: 1 };
    insta::assert_snapshot!(play_team(tree,
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "spinner", "task": "spin too"}
        answer text "one"
        @1 answer text "spun"
        answer text "done"
        archive 1
        message "again"
        answer tool create_agent {"agent": "spinner", "task": "spin again"}
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "spinner", "task": "spin too"}
      note delegated #5 create_agent {"agent":"spinner","task":"spin"}
      note delegated #6 create_agent {"agent":"spinner","task":"spin too"}
      #7 span.model_request_end #4 answered
      #8 session.thread_created child1
      #9 agent.thread_message_sent to child1 to spinner "spin"
      @1 #10 session.thread_status_running child1
      @1 #11 agent.thread_message_received from primary from weaver "spin" as task
      @1 #12 span.model_request_start
      note settled #5 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      note settled #6 error "This session has 1 agents already, which is the most it may have. Give the task to one of them with `send_to_agent` (`list_agents` shows who is idle), or do it yourself."
      #15 span.model_request_start
      = running, ask #15, ask #12
    > answer text "one"
      #16 agent.message "one"
      #17 span.model_request_end #15 answered
      #18 session.thread_status_idle primary end_turn
      = running, ask #12
    > @1 answer text "spun"
      @1 #19 agent.message "spun"
      @1 #20 span.model_request_end #12 answered
      @1 #21 agent.thread_message_sent to primary "spun"
      @1 #22 session.thread_status_idle child1 end_turn
      #23 session.thread_status_running primary
      #24 agent.thread_message_received from child1 from spinner "spun" as letter
      #25 span.model_request_start
      = running, ask #25
    > answer text "done"
      #26 agent.message "done"
      #27 span.model_request_end #25 answered
      #28 session.thread_status_idle primary end_turn
      #29 session.usage 40 in, 20 out, 4.0 s
      #30 session.status_idle end_turn
      = idle, end_turn
    > archive 1
      @1 note ended archived
      @1 #32 session.thread_status_terminated child1
      = idle, end_turn
    > message "again"
      #33 session.status_running
      #34 session.thread_status_running primary
      #35 user.message "again"
      #36 span.model_request_start
      = running, ask #36
    > answer tool create_agent {"agent": "spinner", "task": "spin again"}
      note delegated #37 create_agent {"agent":"spinner","task":"spin again"}
      #38 span.model_request_end #36 answered
      #39 session.thread_created child2
      #40 agent.thread_message_sent to child2 to spinner "spin again"
      @2 #41 session.thread_status_running child2
      @2 #42 agent.thread_message_received from primary from weaver "spin again" as task
      @2 #43 span.model_request_start
      note settled #37 "{\"thread_id\":\"child2\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #45 span.model_request_start
      = running, ask #45, ask #43
    "#);
}

#[test]
fn of_many_ended_children_the_latest_are_listed() {
    let told = last_result(
        r#"
        message "go"
        repeat 52 answer tool create_agent {"agent": "spinner", "task": "spin"} then interrupt newest then archive newest
        answer tool create_agent {"agent": "dyer", "task": "dye"}; tool list_agents
        "#,
    );
    let shown = |number: usize| told.contains(&format!("\"child{number}\""));
    assert_eq!([1, 2, 3, 52, 53].map(shown), [false, false, true, true, true], "{told}");
    assert!(told.ends_with("],\"ended_earlier\":2}"), "{told}");
}

#[test]
fn a_session_makes_so_many_children_in_its_life_and_no_more() {
    let told = last_result(
        r#"
        message "go"
        repeat 1000 answer tool create_agent {"agent": "spinner", "task": "spin"} then @newest fail invalid
        answer tool create_agent {"agent": "dyer", "task": "dye"}
        "#,
    );
    assert!(told.starts_with("This session has made 1000 agents in its life"), "{told}");
}

#[test]
fn an_interrupt_of_all_stops_every_thread_and_files_the_mail() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}; tool create_agent {"agent": "self", "task": "weave"}
        @3 answer text "woven"
        @1 answer tool look_up
        interrupt
        message "hello"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}; tool create_agent {"agent": "self", "task": "weave"}
      note delegated #5 Agent {"agent":"spinner","task":"spin"}
      note delegated #6 create_agent {"agent":"dyer","task":"dye"}
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
      note settled #6 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      #20 session.thread_created child3
      #21 agent.thread_message_sent to child3 to weaver "weave"
      @3 #22 session.thread_status_running child3
      @3 #23 agent.thread_message_received from primary from weaver "weave" as task
      @3 #24 span.model_request_start
      note settled #7 "{\"thread_id\":\"child3\",\"agent\":\"weaver\",\"status\":\"running\"}"
      = running, ask #13, ask #24, ask #18
    > @3 answer text "woven"
      @3 #26 agent.message "woven"
      @3 #27 span.model_request_end #24 answered
      @3 #28 agent.thread_message_sent to primary "woven"
      @3 #29 session.thread_status_idle child3 end_turn
      #30 note queued "woven"
      = running, ask #13, ask #18, 1 queued
    > @1 answer tool look_up
      @1 #31 agent.custom_tool_use look_up {}
      @1 #32 span.model_request_end #13 answered
      @1 #33 session.thread_status_idle child1 requires_action #31
      #34 session.thread_status_idle primary requires_action #31
      = running, ask #18, 1 queued
    > interrupt
      note settled #5 error "Tool execution was interrupted before completion. Please retry."
      #30 agent.thread_message_received from child3 from weaver "woven" as letter
      @1 #37 user.custom_tool_result #31 "Tool execution was interrupted before completion. Please retry." error
      @2 #38 span.model_request_end #18 cut error
      #39 user.interrupt
      @2 #40 session.thread_status_idle child2 end_turn
      @1 #41 session.thread_status_idle child1 end_turn
      #42 session.thread_status_idle primary end_turn
      #43 session.usage 30 in, 15 out, 4.0 s
      #44 session.status_idle end_turn
      = idle, end_turn
    > message "hello"
      #45 session.status_running
      #46 session.thread_status_running primary
      #47 user.message "hello"
      #48 span.model_request_start
      = running, ask #48
    "#);
}

#[test]
fn an_interrupted_child_answers_who_waits_and_nobody_else() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        interrupt 2
        @1 answer tool look_up
        interrupt 1
        interrupt 1
        interrupt unknown
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
      note delegated #5 Agent {"agent":"spinner","task":"spin"}
      note delegated #6 create_agent {"agent":"dyer","task":"dye"}
      #7 span.model_request_end #4 answered
      #8 session.thread_created child1
      #9 agent.thread_message_sent to child1 to spinner "spin"
      @1 #10 session.thread_status_running child1
      @1 #11 agent.thread_message_received from primary from weaver "spin" as task
      @1 #12 span.model_request_start
      #13 session.thread_created child2
      #14 agent.thread_message_sent to child2 to dyer "dye"
      @2 #15 session.thread_status_running child2
      @2 #16 agent.thread_message_received from primary from weaver "dye" as task
      @2 #17 span.model_request_start
      note settled #6 "{\"thread_id\":\"child2\",\"agent\":\"dyer\",\"status\":\"running\"}"
      = running, ask #12, ask #17
    > interrupt 2
      @2 #19 span.model_request_end #17 cut error
      @2 #20 user.interrupt child2
      @2 #21 session.thread_status_idle child2 end_turn
      = running, ask #12
    > @1 answer tool look_up
      @1 #22 agent.custom_tool_use look_up {}
      @1 #23 span.model_request_end #12 answered
      @1 #24 session.thread_status_idle child1 requires_action #22
      #25 session.thread_status_idle primary requires_action #22
      #26 session.usage 20 in, 10 out, 3.0 s
      #27 session.status_idle requires_action #22
      = idle, requires_action #22
    > interrupt 1
      @1 #28 user.custom_tool_result #22 "Tool execution was interrupted before completion. Please retry." error
      @1 #29 user.interrupt child1
      @1 #30 session.thread_status_idle child1 end_turn
      #31 session.status_running
      #32 session.thread_status_running primary
      note settled #5 error "Agent interrupted."
      #34 span.model_request_start
      = running, ask #34
    > interrupt 1
      @1 #35 user.interrupt child1
      = running, ask #34
    > interrupt unknown
      refused: events.0.session_thread_id: this session has no thread sthr_111111111111111111111A
    "#);
}

#[test]
fn an_interrupted_coordinator_waits_no_more_and_gets_the_report_as_mail() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}
        @1 answer tool send_to_parent {"message": "half"}
        interrupt primary
        @1 answer text "spun"
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
    > @1 answer tool send_to_parent {"message": "half"}
      @1 note delegated #12 send_to_parent {"message":"half"}
      @1 #13 span.model_request_end #11 answered
      @1 note kept "half"
      @1 note settled #12 "{\"thread_id\":\"primary\",\"agent\":\"weaver\",\"status\":\"running\"}"
      @1 #16 span.model_request_start
      = running, ask #16
    > interrupt primary
      note settled #5 error "Tool execution was interrupted before completion. Please retry."
      #18 user.interrupt primary
      #19 session.thread_status_idle primary end_turn
      = running, ask #16
    > @1 answer text "spun"
      @1 #20 agent.message "spun"
      @1 #21 span.model_request_end #16 answered
      @1 #22 agent.thread_message_sent to primary "half"
      @1 #23 session.thread_status_idle child1 end_turn
      #24 session.thread_status_running primary
      #25 agent.thread_message_received from child1 from spinner "half" as letter
      #26 span.model_request_start
      = running, ask #26
    "#);
}

#[test]
fn a_crash_leaves_waits_and_mail_as_they_are() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}; tool bash
        begins 1
        @1 answer tool bash
        @1 begins 2
        recovered
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
    > answer tool Agent {"agent": "spinner", "task": "spin"}; tool bash
      note delegated #5 Agent {"agent":"spinner","task":"spin"}
      #6 agent.tool_use bash {} allowed
      #7 span.model_request_end #4 answered
      #8 session.thread_created child1
      #9 agent.thread_message_sent to child1 to spinner "spin"
      @1 #10 session.thread_status_running child1
      @1 #11 agent.thread_message_received from primary from weaver "spin" as task
      @1 #12 span.model_request_start
      = running, ask #12, run bash #6
    > begins 1
      note began #6
      = running, ask #12, run bash #6
    > @1 answer tool bash
      @1 #14 agent.tool_use bash {} allowed
      @1 #15 span.model_request_end #12 answered
      = running, run bash #6, run bash #14
    > @1 begins 2
      @1 note began #14
      = running, run bash #6, run bash #14
    > recovered
      #17 agent.tool_result #6 "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      @1 #18 agent.tool_result #14 "The server stopped while this ran; its outcome is unknown. Check before you repeat it." error
      @1 #19 span.model_request_start
      = running, ask #19
    > @1 answer text "spun"
      @1 #20 agent.message "spun"
      @1 #21 span.model_request_end #19 answered
      @1 #22 agent.thread_message_sent to primary "spun"
      @1 #23 session.thread_status_idle child1 end_turn
      #24 agent.thread_message_received from child1 from spinner "spun" as result
      note settled #5 "spun"
      #26 span.model_request_start
      = running, ask #26
    > answer text "done"
      #27 agent.message "done"
      #28 span.model_request_end #26 answered
      #29 session.thread_status_idle primary end_turn
      #30 session.usage 40 in, 20 out, 7.0 s
      #31 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn the_session_ends_its_children_first_and_cancels_their_mail() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        @1 answer tool look_up
        @2 answer text "dyed"
        answer text "ok"
        answer text "still ok"
        archive
        interrupt 1
        archive 1
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
    > @1 answer tool look_up
      @1 #21 agent.custom_tool_use look_up {}
      @1 #22 span.model_request_end #12 answered
      @1 #23 session.thread_status_idle child1 requires_action #21
      = running, ask #20, ask #18
    > @2 answer text "dyed"
      @2 #24 agent.message "dyed"
      @2 #25 span.model_request_end #18 answered
      @2 #26 agent.thread_message_sent to primary "dyed"
      @2 #27 session.thread_status_idle child2 end_turn
      #28 note queued "dyed"
      = running, ask #20, 1 queued
    > answer text "ok"
      #29 agent.message "ok"
      #30 span.model_request_end #20 answered
      #28 agent.thread_message_received from child2 from dyer "dyed" as letter
      #32 span.model_request_start
      = running, ask #32
    > answer text "still ok"
      #33 agent.message "still ok"
      #34 span.model_request_end #32 answered
      #35 session.thread_status_idle primary end_turn
      #36 session.usage 50 in, 25 out, 5.0 s
      #37 session.status_idle requires_action #21
      = idle, requires_action #21
    > archive
      @2 #38 session.thread_status_terminated child2
      @1 #39 session.thread_status_terminated child1
      note archived
      #41 session.thread_status_terminated primary
      #42 session.status_terminated
      = terminated
    > interrupt 1
      refused: the session is archived and takes no more events; create a new session
    > archive 1
      = terminated
    "#);
}

#[test]
fn threads_lie_deeper_where_the_server_lets_them() {
    let tree = Tree { max_threads: 25, max_depth: 2 };
    insta::assert_snapshot!(play_deep(tree,
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}
        @1 answer tool Agent {"agent": "helper", "task": "help"}
        @2 answer tool create_agent {"agent": "helper", "task": "deeper"}
        @2 answer tool look_up
        archive 1
        answer text "ok"
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
    > @1 answer tool Agent {"agent": "helper", "task": "help"}
      @1 note delegated #12 Agent {"agent":"helper","task":"help"}
      @1 #13 span.model_request_end #11 answered
      @1 #14 session.thread_created child2
      @1 #15 agent.thread_message_sent to child2 to helper "help"
      @2 #16 session.thread_status_running child2
      @2 #17 agent.thread_message_received from child1 from spinner "help" as task
      @2 #18 span.model_request_start
      = running, ask #18
    > @2 answer tool create_agent {"agent": "helper", "task": "deeper"}
      @2 #19 agent.tool_use create_agent {"agent":"helper","task":"deeper"} denied
      @2 #20 span.model_request_end #18 answered
      @2 #21 agent.tool_result #19 "There is no tool named `create_agent`. Use one of the tools you were given." error
      @2 #22 span.model_request_start
      = running, ask #22
    > @2 answer tool look_up
      @2 #23 agent.custom_tool_use look_up {}
      @2 #24 span.model_request_end #22 answered
      @2 #25 session.thread_status_idle child2 requires_action #23
      @1 #26 session.thread_status_idle child1 requires_action #23
      #27 session.thread_status_idle primary requires_action #23
      #28 session.usage 40 in, 20 out, 4.0 s
      #29 session.status_idle requires_action #23
      = idle, requires_action #23
    > archive 1
      @2 #30 user.custom_tool_result #23 "The thread was ended before this was answered." error
      @2 note ended archived
      @2 #32 session.thread_status_terminated child2
      @1 note settled #12 error "The thread was ended before this was answered."
      @1 note ended archived
      @1 #35 session.thread_status_terminated child1
      #36 session.status_running
      #37 session.thread_status_running primary
      note settled #5 "Agent cancelled."
      #39 span.model_request_start
      = running, ask #39
    > answer text "ok"
      #40 agent.message "ok"
      #41 span.model_request_end #39 answered
      #42 session.thread_status_idle primary end_turn
      #43 session.usage 50 in, 25 out, 5.0 s
      #44 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn nothing_stands_behind_the_deletion() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}
        answer text "started"
        @1 answer text "spun"
        answer text "done"
        delete
        archive 1
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > answer tool create_agent {"agent": "spinner", "task": "spin"}
      note delegated #5 create_agent {"agent":"spinner","task":"spin"}
      #6 span.model_request_end #4 answered
      #7 session.thread_created child1
      #8 agent.thread_message_sent to child1 to spinner "spin"
      @1 #9 session.thread_status_running child1
      @1 #10 agent.thread_message_received from primary from weaver "spin" as task
      @1 #11 span.model_request_start
      note settled #5 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      #13 span.model_request_start
      = running, ask #13, ask #11
    > answer text "started"
      #14 agent.message "started"
      #15 span.model_request_end #13 answered
      #16 session.thread_status_idle primary end_turn
      = running, ask #11
    > @1 answer text "spun"
      @1 #17 agent.message "spun"
      @1 #18 span.model_request_end #11 answered
      @1 #19 agent.thread_message_sent to primary "spun"
      @1 #20 session.thread_status_idle child1 end_turn
      #21 session.thread_status_running primary
      #22 agent.thread_message_received from child1 from spinner "spun" as letter
      #23 span.model_request_start
      = running, ask #23
    > answer text "done"
      #24 agent.message "done"
      #25 span.model_request_end #23 answered
      #26 session.thread_status_idle primary end_turn
      #27 session.usage 40 in, 20 out, 4.0 s
      #28 session.status_idle end_turn
      = idle, end_turn
    > delete
      #29 session.deleted
      = idle, end_turn
    > archive 1
      refused: the session is archived and takes no more events; create a new session
    "#);
}
