# The lines that a journey prints, made from JSON; ../README.md says what they are.

def shown: if type == "string" then gsub("\n"; "\\n") else tostring end;
def listed: if length == 0 then "none" else map(shown) | join(",") end;
def pairs: to_entries | sort_by(.key) | map("\(.key):\(.value)") | listed;
def ids: map(.id) | listed;
# Of a list of things, those whose name this journey gave.
def ours: map(select(.name | endswith("-" + env.JOURNEY_NAME))) | ids;

def environment:
  "\(.id) name=\(.name) type=\(.config.type) networking=\(.config.networking.type)"
  + " description=\(.description | shown) metadata=\(.metadata | pairs) archived=\(.archived_at)";

def tool:
  if .type == "custom" then "custom(\(.name))"
  else
    ["default:\(.default_config.permission_policy.type)"]
    + (.configs | map("\(.name):\(.permission_policy.type)"))
    | join(" ")
  end;
def tools: map(if .type == "custom" then tool else "\(.type)(\(tool))" end) | listed;
def roster: if . == null then "null" else .agents | map("\(.id)@\(.version)") | listed end;
def agent:
  "\(.id) name=\(.name) version=\(.version) model=\(.model.id) description=\(.description | shown)"
  + " system=\(.system | shown) metadata=\(.metadata | pairs) tools=\(.tools | tools)"
  + " roster=\(.multiagent | roster) archived=\(.archived_at)";

def session:
  "\(.id) status=\(.status) title=\(.title | shown) metadata=\(.metadata | pairs)"
  + " agent=\(.agent.id)@\(.agent.version) environment=\(.environment_id) archived=\(.archived_at)";

def thread:
  "\(.id) status=\(.status) agent=\(.agent.name)@\(.agent.version) parent=\(.parent_thread_id)"
  + " archived=\(.archived_at)";

def echo: .data | map("\(.type) \(.id) processed=\(.processed_at)") | listed;

def texts: map(.text) | join("") | if startswith("script:") then "script" else shown end;

def of_thread: " thread=\(.session_thread_id) agent=\(.agent_name)";
def waits:
  if .stop_reason.type == "requires_action" then " waits=\(.stop_reason.event_ids | listed)" else "" end;
def values:
  if .type == "agent.custom_tool_use" then " name=\(.name) word=\(.input.word)"
  elif .type == "agent.tool_use" then " name=\(.name) permission=\(.evaluated_permission)"
  elif .type == "agent.tool_result" then " for=\(.tool_use_id) error=\(.is_error)"
  elif .type == "user.custom_tool_result" then " for=\(.custom_tool_use_id)"
  elif .type == "user.tool_confirmation" then
    " for=\(.tool_use_id) result=\(.result) deny=\(.deny_message | shown)"
  elif .type == "user.interrupt" then " thread=\(.session_thread_id)"
  elif .type == "session.updated" then " title=\(.title | shown)"
  elif .type == "session.status_idle" then " stop=\(.stop_reason.type)" + waits
  elif .type == "session.thread_status_idle" then of_thread + " stop=\(.stop_reason.type)"
  elif .type == "agent.thread_message_sent" then " to=\(.to_agent_name)"
  elif .type == "agent.thread_message_received" then " from=\(.from_agent_name)"
  elif .type == "session.thread_created" or (.type | startswith("session.thread_status_")) then of_thread
  else ""
  end;
def event:
  "\(.type) \(.id)" + values + (if .content == null then "" else " text=\(.content | texts)" end);
# What a journey remembers of an event: a preview's start, its piece, a message's text, the calls waited for.
def detail:
  if .type == "event_start" then "\(.event.type):\(.event.id)"
  elif .type == "event_delta" then .delta.content.text | shown
  elif .type == "agent.message" then .content | texts
  elif .type == "session.status_idle" then .stop_reason.event_ids // [] | join(" ")
  else ""
  end;

def refusal:
  "\(.error.type) request=\(.request_id) message=\(.error.message | split(" ")[:4] | join(" "))";
