#!/usr/bin/env bash
# The journey of ../README.md with curl and jq.
set -Eeuo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
step=start
trap 'echo "the step $step went wrong" >&2' ERR

model=claude-sonnet-4-5
common=(-sS --globoff -H "anthropic-version: 2023-06-01" -H "content-type: application/json")
key=(-H "x-api-key: $JOURNEY_KEY")
scratch=$(mktemp -d)
streams=()
leave() {
    if [ ${#streams[@]} -gt 0 ]; then kill "${streams[@]}" 2>/dev/null || true; fi
    rm -rf "$scratch"
}
trap leave EXIT

# tell TEXT: one line of the transcript.
tell() { printf '%s  %s\n' "$step" "$1"; }
# made FILTER: a line from JSON on standard input.
made() { jq -L "$here" -r --arg step "$step" "include \"lines\"; \"\\(\$step)  \" + ($1)"; }
# all FILTER: the same from all things of a list.
all() { jq -L "$here" -rs --arg step "$step" "include \"lines\"; \"\\(\$step)  \" + ($1)"; }
# body [JQ-ARGUMENTS] FILTER: a body of a request; $name and $model are known to it.
body() { jq -cn --arg name "$JOURNEY_NAME" --arg model "$model" "$@"; }

# call METHOD PATH [BODY]: prints the answer; an error ends the journey.
call() {
    curl --fail-with-body "${key[@]}" "${common[@]}" -X "$1" "$JOURNEY_URL$2" ${3+--data-binary "$3"}
}

# pages PATH: what all pages of a list hold, a thing a line.
pages() {
    local page="" next answer mark="?"
    [[ $1 == *\?* ]] && mark="&"
    while :; do
        answer=$(call GET "$1$page")
        jq -c '.data[]' <<<"$answer"
        next=$(jq -r '.next_page // empty' <<<"$answer")
        [ -n "$next" ] || break
        page="${mark}page=$next"
    done
}

# refused WHAT CURL-ARGUMENTS: an error that must come.
refused() {
    local what=$1 status
    shift
    status=$(curl -D "$scratch/head" -o "$scratch/body" -w '%{http_code}' "${common[@]}" "$@")
    [ "$status" -ge 400 ]
    [ "$(sed -n 's/^request-id: \([^\r]*\).*/\1/ip' "$scratch/head")" = "$(jq -r .request_id "$scratch/body")" ]
    made "\"$what $status \" + refusal" <"$scratch/body"
}

# open PATH: opens a stream; returns once its head has come, with its descriptor in $stream.
open() {
    local line
    exec {stream}< <(exec curl -N -D - "${key[@]}" "${common[@]}" "$JOURNEY_URL$1")
    streams[stream]=$!
    IFS= read -r -u "$stream" line
    [[ $line == *" 200"* ]]
    while IFS= read -r -u "$stream" line && [ "$line" != $'\r' ]; do :; done
}

# close DESCRIPTOR: closes a stream.
close() {
    kill "${streams[$1]}" 2>/dev/null || true
    unset "streams[$1]"
    local descriptor=$1
    exec {descriptor}<&-
}

# One jq reads all events: for each it says the type, the thread, the id, the line, and what else is of use.
coproc reader { exec jq -L "$here" --unbuffered -r 'include "lines"; .type, .session_thread_id, .id, event, detail'; }

# next DESCRIPTOR: the next event of a stream in $kind, $thread, $id, $told and $detail; fails at the end.
next() {
    local line
    while IFS= read -r -u "$1" line; do
        if [[ $line == data:* ]]; then
            printf '%s\n' "${line#data: }" >&"${reader[1]}"
            for line in kind thread id told detail; do IFS= read -r -u "${reader[0]}" "${line?}"; done
            return
        fi
    done
    return 1
}

# follow DESCRIPTOR TYPE [THREAD]: prints events up to one of this type, and of this thread.
follow() {
    while next "$1"; do
        tell "$told"
        if [ "$kind" = "$2" ] && [ "${3:-$thread}" = "$thread" ]; then return; fi
    done
    return 1
}

# script WHICH: the event that scripts the model so.
script() {
    jq -c --arg name "$JOURNEY_NAME" --arg which "$1" '.[$which] | gsub("NAME"; $name)
        | {type: "user.message", content: [{type: "text", text: .}]}' "$JOURNEY_FIXTURES/scripts.json"
}

seen=()
# talk EVENT [QUERY]: sends an event and prints what the session shows until it rests; the ids of the calls
# that it waits for are in $waits then, and what was previewed in $begun, $pieces and $said.
talk() {
    open "/v1/sessions/$session/events/stream${2:-}"
    call POST "/v1/sessions/$session/events" "{\"events\":[$1]}" | made '"sent " + echo'
    begun="" pieces="" said="" kind=""
    while [ "$kind" != session.status_idle ]; do
        next "$stream"
        case $kind in
        event_start) begun+=${begun:+,}$detail ;;
        event_delta) pieces+=$detail ;;
        *)
            tell "$told"
            seen+=("$id")
            if [ "$kind" = agent.message ]; then said=$detail; fi
            ;;
        esac
    done
    waits=$detail
    close "$stream"
}

# same LIST LIST: whether two lists of ids are the same.
same() { if [ "$1" = "$2" ]; then echo true; else echo false; fi; }

step=environment
loom=$(call POST /v1/environments "$(body '{name: "loom-\($name)", description: "a quiet room",
    config: {type: "cloud", networking: {type: "unrestricted"}}, metadata: {b: "2", a: "1"}}')")
made '"created " + environment' <<<"$loom"
loom=$(jq -r .id <<<"$loom")
spare=$(call POST /v1/environments "$(body '{name: "spare-\($name)"}')" | jq -r .id)
call GET "/v1/environments/$spare" | made '"retrieved " + environment'
call POST "/v1/environments/$loom" '{"description": "a bright room", "metadata": {"c": "3"}}' |
    made '"updated " + environment'
pages "/v1/environments?limit=1" | all '"listed " + ours'

step=agents
helper=$(call POST /v1/agents "$(body --slurpfile tools "$JOURNEY_FIXTURES/tools.json" '{name: "helper-\($name)",
    model: $model, description: "helps", system: "You help at the loom.", metadata: {b: "2", a: "1"},
    tools: $tools[0]}')")
made '"created " + agent' <<<"$helper"
helper=$(jq -r .id <<<"$helper")
call POST "/v1/agents/$helper" '{"version": 1, "description": "helps a lot", "metadata": {"c": "3"}}' |
    made '"updated " + agent'
call POST "/v1/agents/$helper" '{"version": 2, "description": "helps a lot"}' |
    made '"unchanged version=\(.version)"'
refused stale "${key[@]}" "$JOURNEY_URL/v1/agents/$helper" -d '{"version": 1, "description": "late"}'
pages "/v1/agents/$helper/versions?limit=1" | all '"versions " + (map(.version) | listed)'
call GET "/v1/agents/$helper?version=1" | made '"retrieved " + agent'

step=coordinator
lead=$(call POST /v1/agents "$(body --arg helper "$helper" '{name: "lead-\($name)", model: $model,
    multiagent: {type: "coordinator", agents: [$helper]}}')")
made '"created " + agent' <<<"$lead"
lead=$(jq -r .id <<<"$lead")
call GET "/v1/agents/$lead" | made '"retrieved " + agent'
pages "/v1/agents?limit=1" | all '"listed " + ours'

step=sessions
# session_of AGENT [FIELDS]: makes a session of this agent, given as JSON, in the environment.
session_of() {
    call POST /v1/sessions "$(body --arg loom "$loom" --argjson agent "$1" --argjson more "${2:-{\}}" \
        '{agent: $agent, environment_id: $loom} + $more')"
}
session=$(session_of "{\"type\": \"agent\", \"id\": \"$helper\", \"version\": 1}" \
    '{"title": "first cloth", "metadata": {"b": "2", "a": "1"}}')
made '"created " + session' <<<"$session"
session=$(jq -r .id <<<"$session")
other=$(session_of "\"$helper\"" | jq -r .id)
call GET "/v1/sessions/$other" | made '"retrieved " + session'
call POST "/v1/sessions/$other" '{"title": "second cloth", "metadata": {"c": "3"}}' | made '"updated " + session'
pages "/v1/sessions/$other/events" | made '"event " + event'
one="/v1/sessions?agent_id=$helper&limit=1"
first=$(call GET "$one")
made '"page \(.data | ids) prev=\(.prev_page)"' <<<"$first"
second=$(call GET "$one&page=$(jq -r .next_page <<<"$first")")
made '"next " + (.data | ids)' <<<"$second"
call GET "$one&page=$(jq -r .prev_page <<<"$second")" | made '"prev " + (.data | ids)'
pages "$one" | all '"listed " + ids'

step=turn
talk "$(script turn)" "?event_deltas[]=agent.message&event_deltas[]=agent.thinking"
tell "begun ${begun:-none}"
tell "previews $pieces"
tell "same $(same "$pieces" "$said")"

step=custom
talk "$(script look_up)"
talk "$(body --arg call "$waits" '{type: "user.custom_tool_result", custom_tool_use_id: $call,
    content: [{type: "text", text: "Wool: see sheep."}]}')"

step=confirmation
talk "$(script allowed)"
talk "$(body --arg call "$waits" '{type: "user.tool_confirmation", tool_use_id: $call, result: "allow"}')"
talk "$(script denied)"
talk "$(body --arg call "$waits" '{type: "user.tool_confirmation", tool_use_id: $call, result: "deny",
    deny_message: "Not on a Saturday."}')"

step=children
team=$(session_of "\"$lead\"")
made '"created " + session' <<<"$team"
team=$(jq -r .id <<<"$team")
primary=$(pages "/v1/sessions/$team/threads")
made '"thread " + thread' <<<"$primary"
primary=$(jq -r .id <<<"$primary")
open "/v1/sessions/$team/events/stream"
outside=$stream
call POST "/v1/sessions/$team/events" "{\"events\":[$(script children)]}" >"$scratch/sent"
follow "$outside" session.thread_status_idle "$primary"
curl -sS --fail "$JOURNEY_MODEL/waiting/one-$JOURNEY_NAME"
curl -sS --fail "$JOURNEY_MODEL/waiting/two-$JOURNEY_NAME"
pages "/v1/sessions/$team/threads?limit=1" | made '"thread " + thread'
working=$(pages "/v1/sessions/$team/threads?statuses[]=running")
all '"running " + ids' <<<"$working"
first=$(jq -rs '.[0].id' <<<"$working")
second=$(jq -rs '.[1].id' <<<"$working")
step=inside
open "/v1/sessions/$team/threads/$first/stream"
inside=$stream
curl -sS --fail -X POST "$JOURNEY_MODEL/release/one-$JOURNEY_NAME"
follow "$inside" session.thread_status_idle "$first"
close "$inside"
step=children
follow "$outside" session.thread_status_idle "$primary"
call POST "/v1/sessions/$team/events" \
    "{\"events\":[{\"type\": \"user.interrupt\", \"session_thread_id\": \"$second\"}]}" >"$scratch/sent"
follow "$outside" session.status_idle
call POST "/v1/sessions/$team/threads/$first/archive" | made '"archived " + thread'
follow "$outside" session.thread_status_terminated "$first"
close "$outside"
pages "/v1/sessions/$team/threads?statuses[]=terminated" | all '"terminated " + ids'
call GET "/v1/sessions/$team/threads/$second" | made '"retrieved " + thread'
pages "/v1/sessions/$team/threads/$first/events?limit=3" | made '"inside " + event'

step=pages
events="/v1/sessions/$session/events"
pages "$events?limit=5" >"$scratch/all"
shown=$(printf '%s\n' "${seen[@]}")
tell "all $(wc -l <"$scratch/all") same=$(same "$(jq -r .id "$scratch/all")" "$shown")"
down=$(pages "$events?limit=5&order=desc" | jq -r .id)
tell "desc $(wc -l <<<"$down") same=$(same "$down" "$(tac <<<"$shown")")"
pages "$events?types[]=user.message&types[]=agent.message&limit=2" | made '"message " + event'
since=$(jq -rs '.[-4].processed_at' "$scratch/all")
pages "$events?created_at[gte]=$since" | made '"late " + event'

step=errors
agents="$JOURNEY_URL/v1/agents"
refused bad "${key[@]}" "$agents" -d "$(body '{name: "", model: $model}')"
refused key -H "x-api-key: wrong" "$agents"
refused workspace "${key[@]}" -H "anthropic-workspace-id: wrkspc_1111111111111111111zzz" "$agents"
refused missing "${key[@]}" "$JOURNEY_URL/v1/sessions/sesn_1111111111111111111112"
{
    printf '{"name": "x", "model": "%s", "system": "' "$model"
    head -c $((33 << 20)) /dev/zero | tr '\0' x
    printf '"}'
} >"$scratch/large"
refused large "${key[@]}" "$agents" --data-binary "@$scratch/large"
refused taken "${key[@]}" "$JOURNEY_URL/v1/environments" -d "$(body '{name: "loom-\($name)"}')"
refused unbuilt "${key[@]}" "$JOURNEY_URL/v1/vaults"

step=ends
call POST "/v1/sessions/$session/archive" | made '"archived " + session'
gone=$(call GET "/v1/sessions/$session")
made '"retrieved " + session' <<<"$gone"
made '"usage output=\(.usage.output_tokens)"' <<<"$gone"
open "/v1/sessions/$session/events/stream"
while next "$stream"; do tell "event $told"; done
close "$stream"
tell "stream ended"
for one in "$session" "$other" "$team"; do
    call DELETE "/v1/sessions/$one" | made '"deleted \(.id) \(.type)"'
done
refused gone "${key[@]}" "$JOURNEY_URL/v1/sessions/$session"
for one in "$lead" "$helper"; do call POST "/v1/agents/$one/archive" | made '"archived " + agent'; done
pages /v1/agents | all '"agents " + ours'
call POST "/v1/environments/$spare/archive" | made '"archived " + environment'
for one in "$spare" "$loom"; do
    call DELETE "/v1/environments/$one" | made '"deleted \(.id) \(.type)"'
done
refused gone "${key[@]}" "$JOURNEY_URL/v1/environments/$loom"
