//! Sessions: opening, changing, archiving, deleting.

use crate::script::play;

#[test]
fn opened_idle_it_says_nothing() {
    insta::assert_snapshot!(play(
        r"
        open
        "
    ), @r#"
    > open
      note opened
      = idle, end_turn
    "#);
}

#[test]
fn opened_with_messages_it_works_at_once() {
    insta::assert_snapshot!(play(
        r#"
        open message "one" + message "two"
        answer text "to one"
        answer text "to two"
        "#
    ), @r#"
    > open message "one" + message "two"
      note opened
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "one"
      #4 span.model_request_start
      #5 note queued "two"
      = running, ask #4, 1 queued
    > answer text "to one"
      #6 agent.message "to one"
      #7 span.model_request_end #4 answered
      #5 user.message "two"
      #9 span.model_request_start
      = running, ask #9
    > answer text "to two"
      #10 agent.message "to two"
      #11 span.model_request_end #9 answered
      #12 session.thread_status_idle primary end_turn
      #13 session.usage 20 in, 10 out, 2.0 s
      #14 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn an_idle_session_is_archived_once() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "ok"
        archive
        archive
        message "hi"
        interrupt
        update title "x"
        recovered
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "ok"
      #5 agent.message "ok"
      #6 span.model_request_end #4 answered
      #7 session.thread_status_idle primary end_turn
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle end_turn
      = idle, end_turn
    > archive
      note archived
      #11 session.thread_status_terminated primary
      #12 session.status_terminated
      = terminated
    > archive
      = terminated
    > message "hi"
      refused: the session is archived and takes no more events; create a new session
    > interrupt
      refused: the session is archived and takes no more events; create a new session
    > update title "x"
      refused: the session is archived and takes no more events; create a new session
    > recovered
      = terminated
    "#);
}

#[test]
fn a_session_that_requires_action_is_archived_with_its_calls_open() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer tool look_up
        archive
        result 1 "a"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer tool look_up
      #5 agent.custom_tool_use look_up {}
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
    > result 1 "a"
      refused: the session is archived and takes no more events; create a new session
    "#);
}

#[test]
fn a_busy_session_is_neither_archived_nor_deleted() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        archive
        delete
        fail cut
        archive
        delete
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > archive
      refused: cannot archive this session while its status is `running`: only pending or idle sessions allow that. Send user.interrupt, or wait until it is idle
    > delete
      refused: cannot delete this session while its status is `running`: only pending or idle sessions allow that. Send user.interrupt, or wait until it is idle
    > fail cut
      #5 span.model_request_end #4 failed error
      #6 session.error model_request_failed_error, retrying: "it failed"
      note retry at 4.315 s
      #8 session.thread_status_rescheduled primary
      #9 session.status_rescheduled
      = rescheduling, wake at 4.315 s
    > archive
      refused: cannot archive this session while its status is `rescheduling`: only pending or idle sessions allow that. Send user.interrupt, or wait until it is idle
    > delete
      refused: cannot delete this session while its status is `rescheduling`: only pending or idle sessions allow that. Send user.interrupt, or wait until it is idle
    "#);
}

#[test]
fn a_deleted_session_takes_nothing_more() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "ok"
        delete
        delete
        archive
        message "hi"
        update title "x"
        recovered
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "ok"
      #5 agent.message "ok"
      #6 span.model_request_end #4 answered
      #7 session.thread_status_idle primary end_turn
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle end_turn
      = idle, end_turn
    > delete
      #10 session.deleted
      = idle, end_turn
    > delete
      refused: the session is archived and takes no more events; create a new session
    > archive
      refused: the session is archived and takes no more events; create a new session
    > message "hi"
      refused: the session is archived and takes no more events; create a new session
    > update title "x"
      refused: the session is archived and takes no more events; create a new session
    > recovered
      = idle, end_turn
    "#);
}

#[test]
fn an_archived_session_is_deleted() {
    insta::assert_snapshot!(play(
        r"
        archive
        delete
        delete
        archive
        "
    ), @r#"
    > archive
      note archived
      #2 session.thread_status_terminated primary
      #3 session.status_terminated
      = terminated
    > delete
      #4 session.deleted
      = terminated
    > delete
      refused: the session is archived and takes no more events; create a new session
    > archive
      refused: the session is archived and takes no more events; create a new session
    "#);
}

#[test]
fn an_update_shows_what_changed_and_nothing_else() {
    insta::assert_snapshot!(play(
        r#"
        update title "new"
        update title "new"
        update title null
        update metadata {"a": "1", "b": "2"}
        update metadata {"a": null}
        update metadata {"a": null}
        update metadata {"b": null}
        "#
    ), @r#"
    > update title "new"
      #1 session.updated title "new"
      = idle, end_turn
    > update title "new"
      = idle, end_turn
    > update title null
      #2 session.updated title cleared
      = idle, end_turn
    > update metadata {"a": "1", "b": "2"}
      #3 session.updated metadata {"a":"1","b":"2"}
      = idle, end_turn
    > update metadata {"a": null}
      #4 session.updated metadata {"b":"2"}
      = idle, end_turn
    > update metadata {"a": null}
      = idle, end_turn
    > update metadata {"b": null}
      #5 session.updated metadata cleared
      = idle, end_turn
    "#);
}

#[test]
fn tools_change_only_on_an_idle_session() {
    insta::assert_snapshot!(play(
        r#"
        update tools weigh
        message "hi"
        update title "fine"
        update tools look_up
        update tools weigh
        answer tool look_up; tool weigh
        update tools look_up
        result 2 "a"
        answer tool look_up
        "#
    ), @r#"
    > update tools weigh
      #1 session.updated tools ["weigh"]
      = idle, end_turn
    > message "hi"
      #2 session.status_running
      #3 session.thread_status_running primary
      #4 user.message "hi"
      #5 span.model_request_start
      = running, ask #5
    > update title "fine"
      #6 session.updated title "fine"
      = running, ask #5
    > update tools look_up
      refused: cannot update the agent of this session while its status is `running`: only pending or idle sessions allow that. Send user.interrupt, or wait until it is idle
    > update tools weigh
      = running, ask #5
    > answer tool look_up; tool weigh
      #7 agent.tool_use look_up {} denied
      #8 agent.custom_tool_use weigh {}
      #9 span.model_request_end #5 answered
      #10 agent.tool_result #7 "There is no tool named `look_up`. Use one of the tools you were given." error
      #11 session.thread_status_idle primary requires_action #8
      #12 session.usage 10 in, 5 out, 4.0 s
      #13 session.status_idle requires_action #8
      = idle, requires_action #8
    > update tools look_up
      #14 session.updated tools ["look_up"]
      = idle, requires_action #8
    > result 2 "a"
      #15 user.custom_tool_result #8 "a"
      #16 session.status_running
      #17 session.thread_status_running primary
      #18 span.model_request_start
      = running, ask #18
    > answer tool look_up
      #19 agent.custom_tool_use look_up {}
      #20 span.model_request_end #18 answered
      #21 session.thread_status_idle primary requires_action #19
      #22 session.usage 20 in, 10 out, 5.0 s
      #23 session.status_idle requires_action #19
      = idle, requires_action #19
    "#);
}
