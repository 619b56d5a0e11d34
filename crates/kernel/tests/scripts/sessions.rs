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
      session.status_running
      session.thread_status_running primary
      user.message "one"
      span.model_request_start ask
      note queued "two"
      = running, ask, 1 queued
    > answer text "to one"
      agent.message "to one"
      span.model_request_end ask answered
      user.message "two" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    > answer text "to two"
      agent.message "to two"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn an_idle_session_is_archived_once() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "ok"
        ---
        archive
        archive
        message "hi"
        interrupt
        update title "x"
        recovered
        "#
    ), @r#"
    --- idle, end_turn
    > archive
      note archived
      session.thread_status_terminated primary
      session.status_terminated
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
        given look_up is called
        ---
        archive
        result look_up "a"
        "#
    ), @r#"
    --- idle, requires_action look_up
    > archive
      note archived
      session.thread_status_terminated primary
      session.status_terminated
      = terminated
    > result look_up "a"
      refused: the session is archived and takes no more events; create a new session
    "#);
}

#[test]
fn a_busy_session_is_neither_archived_nor_deleted() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        archive
        delete
        fail cut
        archive
        delete
        "#
    ), @r#"
    --- running, ask
    > archive
      refused: cannot archive this session while its status is `running`: only pending or idle sessions allow that. Send user.interrupt, or wait until it is idle
    > delete
      refused: cannot delete this session while its status is `running`: only pending or idle sessions allow that. Send user.interrupt, or wait until it is idle
    > fail cut
      span.model_request_end ask failed error
      session.error model_request_failed_error, retrying: "it failed"
      note retry at 4.315 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
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
        ---
        delete
        delete
        archive
        message "hi"
        update title "x"
        recovered
        "#
    ), @r#"
    --- idle, end_turn
    > delete
      session.deleted
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
        ---
        delete
        delete
        archive
        "
    ), @r#"
    --- terminated
    > delete
      session.deleted
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
      session.updated title "new"
      = idle, end_turn
    > update title "new"
      = idle, end_turn
    > update title null
      session.updated title cleared
      = idle, end_turn
    > update metadata {"a": "1", "b": "2"}
      session.updated metadata {"a":"1","b":"2"}
      = idle, end_turn
    > update metadata {"a": null}
      session.updated metadata {"b":"2"}
      = idle, end_turn
    > update metadata {"a": null}
      = idle, end_turn
    > update metadata {"b": null}
      session.updated metadata cleared
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
        result weigh "a"
        answer tool look_up
        "#
    ), @r#"
    > update tools weigh
      session.updated tools ["weigh"]
      = idle, end_turn
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask
      = running, ask
    > update title "fine"
      session.updated title "fine"
      = running, ask
    > update tools look_up
      refused: cannot update the agent of this session while its status is `running`: only pending or idle sessions allow that. Send user.interrupt, or wait until it is idle
    > update tools weigh
      = running, ask
    > answer tool look_up; tool weigh
      agent.tool_use look_up {} denied
      agent.custom_tool_use weigh {}
      span.model_request_end ask answered
      agent.tool_result look_up "There is no tool named `look_up`. Use one of the tools you were given." error
      session.thread_status_idle primary requires_action weigh
      session.usage 10 in, 5 out, 4.0 s
      session.status_idle requires_action weigh
      = idle, requires_action weigh
    > update tools look_up
      session.updated tools ["look_up"]
      = idle, requires_action weigh
    > result weigh "a"
      user.custom_tool_result weigh "a"
      session.status_running
      session.thread_status_running primary
      span.model_request_start ask.2
      = running, ask.2
    > answer tool look_up
      agent.custom_tool_use look_up.2 {}
      span.model_request_end ask.2 answered
      session.thread_status_idle primary requires_action look_up.2
      session.usage 20 in, 10 out, 5.0 s
      session.status_idle requires_action look_up.2
      = idle, requires_action look_up.2
    "#);
}
