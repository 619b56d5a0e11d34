//! Threads: waits that need the client, archive, limits, depth, the end of a session
//! (docs/rules.md 1, 3 to 6).

#![expect(clippy::too_many_lines, reason = "a script shows the whole order of events")]

use kernel::ThreadLimits;

use crate::script::{last_result, play_deep, play_team};

fn play(script: &str) -> String {
    play_team(ThreadLimits::default(), script)
}

#[test]
fn a_wait_on_a_child_that_needs_the_client_is_idle_and_archive_ends_it() {
    insta::assert_snapshot!(play(
        r#"
        given spinner is waited for
        ---
        @1 answer tool look_up; tool write
        message "refused"
        allow write@1
        archive child1
        result look_up@1 "too late"
        again look_up@1 "too late"
        archive child1
        archive primary
        archive unknown
        answer tool list_agents
        answer text "ok"
        "#
    ), @r#"
    --- running, ask@1
    > @1 answer tool look_up; tool write
      @1 agent.custom_tool_use look_up {}
      @1 agent.tool_use write {} asked
      @1 span.model_request_end ask answered
      @1 session.thread_status_idle child1 requires_action look_up write
      session.thread_status_idle primary requires_action look_up@1 write@1
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle requires_action look_up@1 write@1
      = idle, requires_action look_up@1 write@1
    > message "refused"
      refused: events.0: waiting on responses to events [look_up@1, write@1]; answer these first, or send user.interrupt
    > allow write@1
      @1 user.tool_confirmation write allow null
      @1 session.thread_status_idle child1 requires_action look_up
      session.thread_status_idle primary requires_action look_up@1
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle requires_action look_up@1
      = idle, requires_action look_up@1
    > archive child1
      @1 user.custom_tool_result look_up "The thread was ended before this was answered." error
      @1 agent.tool_result write "The thread was ended before this was answered." error
      @1 note ended archived
      @1 session.thread_status_terminated child1
      session.status_running
      session.thread_status_running primary
      note settled Agent "Agent cancelled."
      span.model_request_start ask.2
      = running, ask.2
    > result look_up@1 "too late"
      refused: events.0.custom_tool_use_id: look_up@1 does not match any custom_tool_use event in this session; answer the ids in the `stop_reason.event_ids` of its last session.status_idle
    > again look_up@1 "too late"
      refused: events.0.custom_tool_use_id: the thread child1 that made this call is terminated and takes no answers
    > archive child1
      = running, ask.2
    > archive primary
      refused: primary is the primary thread and ends with its session: archive sesn_1111111111111111111112 instead
    > archive unknown
      refused: this session has no thread sthr_111111111111111111111A
    > answer tool list_agents
      note delegated list_agents {}
      span.model_request_end ask.2 answered
      note settled list_agents "{\"agents\":[{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"terminated\",\"pending_messages\":0}]}"
      span.model_request_start ask.3
      = running, ask.3
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      session.usage 40 in, 20 out, 9.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_child_is_answered_from_the_session_and_wakes_who_waits() {
    insta::assert_snapshot!(play(
        r#"
        given spinner is waited for
        ---
        @1 answer tool look_up
        result look_up@1 "found"
        again look_up@1 "twice"
        again look_up@1 "found"
        @1 answer text "spun"
        "#
    ), @r#"
    --- running, ask@1
    > @1 answer tool look_up
      @1 agent.custom_tool_use look_up {}
      @1 span.model_request_end ask answered
      @1 session.thread_status_idle child1 requires_action look_up
      session.thread_status_idle primary requires_action look_up@1
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle requires_action look_up@1
      = idle, requires_action look_up@1
    > result look_up@1 "found"
      @1 user.custom_tool_result look_up "found"
      session.status_running
      session.thread_status_running primary
      @1 session.thread_status_running child1
      @1 span.model_request_start ask.2
      = running, ask.2@1
    > again look_up@1 "twice"
      refused: events.0.custom_tool_use_id: look_up@1 has been answered with another result, and the first one counts; send that one again, or none
    > again look_up@1 "found"
      @1 user.custom_tool_result look_up "found"
      = running, ask.2@1
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask.2 answered
      @1 agent.thread_message_sent to primary "spun"
      @1 session.thread_status_idle child1 end_turn
      agent.thread_message_received from child1 from spinner "spun" as result
      note settled Agent "spun"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn only_what_rests_is_archived() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        ---
        answer tool create_agent {"agent": "spinner", "task": "spin"}
        archive child1
        @1 fail overloaded
        archive child1
        "#
    ), @r#"
    --- running, ask
    > answer tool create_agent {"agent": "spinner", "task": "spin"}
      note delegated create_agent {"agent":"spinner","task":"spin"}
      span.model_request_end ask answered
      session.thread_created child1
      agent.thread_message_sent to child1 to spinner "spin"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "spin" as task
      @1 span.model_request_start ask
      note settled create_agent "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      span.model_request_start ask.2
      = running, ask.2, ask@1
    > archive child1
      refused: cannot archive while the status of thread child1 is `running`: only idle threads can be archived. Send user.interrupt with its session_thread_id, or wait until it is idle
    > @1 fail overloaded
      @1 span.model_request_end ask failed error
      @1 session.error model_overloaded_error, retrying: "it failed"
      @1 note retry at 4.315 s
      @1 session.thread_status_rescheduled child1
      = running, ask.2, wake@1 at 4.315 s
    > archive child1
      refused: cannot archive while the status of thread child1 is `rescheduling`: only idle threads can be archived. Send user.interrupt with its session_thread_id, or wait until it is idle
    "#);
}

#[test]
fn the_limit_is_an_error_to_act_on_and_an_archived_child_frees_its_slot() {
    let tree = ThreadLimits { max_threads: 1, max_depth: 1 };
    insta::assert_snapshot!(play_team(tree,
        r#"
        message "go"
        ---
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "spinner", "task": "spin too"}
        answer text "one"
        @1 answer text "spun"
        answer text "done"
        archive child1
        message "again"
        answer tool create_agent {"agent": "spinner", "task": "spin again"}
        "#
    ), @r#"
    --- running, ask
    > answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "spinner", "task": "spin too"}
      note delegated create_agent {"agent":"spinner","task":"spin"}
      note delegated create_agent.2 {"agent":"spinner","task":"spin too"}
      span.model_request_end ask answered
      session.thread_created child1
      agent.thread_message_sent to child1 to spinner "spin"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "spin" as task
      @1 span.model_request_start ask
      note settled create_agent "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
      note settled create_agent.2 error "This session has 1 agents already, which is the most it may have. Give the task to one of them with `send_to_agent` (`list_agents` shows who is idle), or do it yourself."
      span.model_request_start ask.2
      = running, ask.2, ask@1
    > answer text "one"
      agent.message "one"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      = running, ask@1
    > @1 answer text "spun"
      @1 agent.message "spun"
      @1 span.model_request_end ask answered
      @1 agent.thread_message_sent to primary "spun"
      @1 session.thread_status_idle child1 end_turn
      session.thread_status_running primary
      agent.thread_message_received from child1 from spinner "spun" as letter
      span.model_request_start ask.3
      = running, ask.3
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      session.usage 40 in, 20 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    > archive child1
      @1 note ended archived
      @1 session.thread_status_terminated child1
      = idle, end_turn
    > message "again"
      session.status_running
      session.thread_status_running primary
      user.message "again"
      span.model_request_start ask.4
      = running, ask.4
    > answer tool create_agent {"agent": "spinner", "task": "spin again"}
      note delegated create_agent.3 {"agent":"spinner","task":"spin again"}
      span.model_request_end ask.4 answered
      session.thread_created child2
      agent.thread_message_sent to child2 to spinner "spin again"
      @2 session.thread_status_running child2
      @2 agent.thread_message_received from primary from weaver "spin again" as task
      @2 span.model_request_start ask
      note settled create_agent.3 "{\"thread_id\":\"child2\",\"agent\":\"spinner\",\"status\":\"running\"}"
      span.model_request_start ask.5
      = running, ask.5, ask@2
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
fn the_session_ends_its_children_first_and_cancels_their_mail() {
    insta::assert_snapshot!(play(
        r#"
        given spinner and dyer work
        @1 answer tool look_up
        @2 answer text "dyed"
        answer text "ok"
        ---
        answer text "still ok"
        archive
        interrupt child1
        archive child1
        "#
    ), @r#"
    --- running, ask.3
    > answer text "still ok"
      agent.message "still ok"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      session.usage 50 in, 25 out, 5.0 s
      session.status_idle requires_action look_up@1
      = idle, requires_action look_up@1
    > archive
      @2 session.thread_status_terminated child2
      @1 session.thread_status_terminated child1
      note archived
      session.thread_status_terminated primary
      session.status_terminated
      = terminated
    > interrupt child1
      refused: the session is archived and takes no more events; create a new session
    > archive child1
      = terminated
    "#);
}

#[test]
fn threads_lie_deeper_where_the_server_lets_them() {
    let tree = ThreadLimits { max_threads: 25, max_depth: 2 };
    insta::assert_snapshot!(play_deep(tree,
        r#"
        message "go"
        ---
        answer tool Agent {"agent": "spinner", "task": "spin"}
        @1 answer tool Agent {"agent": "helper", "task": "help"}
        @2 answer tool create_agent {"agent": "helper", "task": "deeper"}
        @2 answer tool look_up
        archive child1
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > answer tool Agent {"agent": "spinner", "task": "spin"}
      note delegated Agent {"agent":"spinner","task":"spin"}
      span.model_request_end ask answered
      session.thread_created child1
      agent.thread_message_sent to child1 to spinner "spin"
      @1 session.thread_status_running child1
      @1 agent.thread_message_received from primary from weaver "spin" as task
      @1 span.model_request_start ask
      = running, ask@1
    > @1 answer tool Agent {"agent": "helper", "task": "help"}
      @1 note delegated Agent {"agent":"helper","task":"help"}
      @1 span.model_request_end ask answered
      @1 session.thread_created child2
      @1 agent.thread_message_sent to child2 to helper "help"
      @2 session.thread_status_running child2
      @2 agent.thread_message_received from child1 from spinner "help" as task
      @2 span.model_request_start ask
      = running, ask@2
    > @2 answer tool create_agent {"agent": "helper", "task": "deeper"}
      @2 agent.tool_use create_agent {"agent":"helper","task":"deeper"} denied
      @2 span.model_request_end ask answered
      @2 agent.tool_result create_agent "There is no tool named `create_agent`. Use one of the tools you were given." error
      @2 span.model_request_start ask.2
      = running, ask.2@2
    > @2 answer tool look_up
      @2 agent.custom_tool_use look_up {}
      @2 span.model_request_end ask.2 answered
      @2 session.thread_status_idle child2 requires_action look_up
      @1 session.thread_status_idle child1 requires_action look_up@2
      session.thread_status_idle primary requires_action look_up@2
      session.usage 40 in, 20 out, 4.0 s
      session.status_idle requires_action look_up@2
      = idle, requires_action look_up@2
    > archive child1
      @2 user.custom_tool_result look_up "The thread was ended before this was answered." error
      @2 note ended archived
      @2 session.thread_status_terminated child2
      @1 note settled Agent error "The thread was ended before this was answered."
      @1 note ended archived
      @1 session.thread_status_terminated child1
      session.status_running
      session.thread_status_running primary
      note settled Agent "Agent cancelled."
      span.model_request_start ask.2
      = running, ask.2
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 50 in, 25 out, 5.0 s
      session.status_idle end_turn
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
        ---
        delete
        archive child1
        "#
    ), @r#"
    --- idle, end_turn
    > delete
      session.deleted
      = idle, end_turn
    > archive child1
      refused: the session is archived and takes no more events; create a new session
    "#);
}
