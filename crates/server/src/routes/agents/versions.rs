//! `GET /v1/agents/{agent_id}/versions`: an agent's versions, newest first.

use engine::DocumentPage;
use protocol::{agent::Agent, page::RESOURCES};
use store::ListOrder;

use crate::{
    answer::ApiAnswer,
    call::ApiRequest,
    error::ApiProblem,
    page::{ListName, Listing, PageItems, PageToken},
    routes::verbs,
};

/// Answers with a page of versions. Whether the agent is archived is the same for all of them.
pub(crate) async fn run(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id = verbs::named::<Agent>(&call)?;
    let limit = call.query.limit(RESOURCES)?;
    let listing = Listing { list: ListName::Versions, parent: id.bits(), order: ListOrder::Descending };
    let mut after = listing.asked(&call.query)?.map(|token| token.key);
    let (workspace, bytes) = (call.workspace(), call.page_bytes());
    let (mut items, mut last) = (PageItems::new(limit, bytes), None);
    'page: loop {
        let most = limit + 1 - items.len();
        let found = call.engine().versions::<Agent>(workspace, id, after, most, bytes).await?;
        let DocumentPage { items: versions, more } = found;
        for agent in versions {
            if !items.push(&agent)? {
                break 'page;
            }
            last = Some(agent.definition.version);
        }
        let Some(more) = more else { break };
        after = Some(more);
    }
    let next = last.filter(|_| items.more);
    let next = next.map(|key| listing.seal(PageToken { backwards: false, key, id: 0, at: None }));
    items.answer(next)
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestServer, id};
    use serde_json::json;

    #[tokio::test]
    async fn every_version_is_listed_once_newest_first() {
        let house = TestServer::open().await;
        let mut made = vec![house.agent().await];
        let path = format!("/v1/agents/{}", id(&made[0]));
        for name in ["b", "c", "d"] {
            made.push(house.post(&path, &json!({"name": name})).await.ok());
        }
        made.reverse();
        assert_eq!(house.pages(&format!("{path}/versions?limit=3"), &[3, 1]).await, made);
    }

    #[tokio::test]
    async fn another_agents_token_is_refused_and_an_unknown_agent_is_404() {
        let house = TestServer::open().await;
        let (one, two) = (house.agent().await, house.agent().await);
        let path = format!("/v1/agents/{}", id(&one));
        house.post(&path, &json!({"name": "b"})).await.ok();
        let page = house.get(&format!("{path}/versions?limit=1")).await.ok();
        let token = page["next_page"].as_str().unwrap_or_default();
        let told = house.get(&format!("/v1/agents/{}/versions?page={token}", id(&two))).await;
        told.refused(400, "invalid_request_error", "page: this page token belongs to another list");
        let told = house.get("/v1/agents/agent_1111111111111111111111/versions").await;
        told.refused(404, "not_found_error", "there is no agent");
    }
}
