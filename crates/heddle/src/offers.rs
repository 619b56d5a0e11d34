//! `heddle models list`: the routes, and what the provider of each says it has.

use models::RoutedModels;
use protocol::routes::{OfferedModel, Route};
use serde_json::{Value, json};

use crate::{
    Outcome,
    config::{HeddleSettings, SettingsFlags},
    say, table, trial,
};

/// Models that a line of the table names.
const NAMED: usize = 4;
/// What stands there if there is none: of what a provider names, only what the route answers for is listed.
const NONE: &str = "(the provider names none that this route answers for)";

/// What to do with models.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelFlags {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Lists the routes, and asks the provider of each what models it has.
    List {
        /// Print JSON, with every model.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        beside: SettingsFlags,
    },
}

pub(crate) async fn run(flags: ModelFlags) -> Outcome {
    let Verb::List { json, beside } = flags.verb;
    let settled = beside.settle(None)?;
    let models = RoutedModels::new(settled.routes.clone(), settled.keys.clone(), settled.net.clone())?;
    let offers = trial::offers(&models, &settled.routes, &|route| keyless(&settled, route)).await;
    let rows = settled.routes.0.iter().zip(&offers);
    if json {
        let rows: Vec<Value> = rows.map(|(route, offered)| object(route, offered)).collect();
        say(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
    } else {
        let head = ["route", "provider", "base URL", "window", "max output", "models"].map(str::to_owned);
        let rows: Vec<_> = rows.map(|(route, offered)| row(route, offered)).collect();
        say(&table::columns(&[&[head][..], &rows].concat()));
    }
    Ok(())
}

/// Why a route need not be asked: the one that is there without being named, while nobody has set its key.
pub(crate) fn keyless(settled: &HeddleSettings, route: &Route) -> Option<String> {
    let name = settled.unset_key(route)?;
    settled.is_built_in(route).then(|| format!("not asked: {name} is not set"))
}

fn row(route: &Route, offered: &Result<Vec<OfferedModel>, String>) -> [String; 6] {
    let models = match offered {
        Ok(offered) if offered.is_empty() => NONE.to_owned(),
        Ok(offered) => {
            let mut named: Vec<&str> = offered.iter().take(NAMED).map(|model| model.id.as_str()).collect();
            let more = format!("and {} more", offered.len().saturating_sub(NAMED));
            if offered.len() > NAMED {
                named.push(&more);
            }
            named.join(", ")
        }
        Err(wrong) => wrong.clone(),
    };
    let base_url = if route.base_url.is_empty() { "-" } else { route.base_url.as_str() };
    let (window, output) = (route.window.to_string(), route.max_output.to_string());
    [route.pattern.clone(), route.provider.name().into(), base_url.into(), window, output, models]
}

fn object(route: &Route, offered: &Result<Vec<OfferedModel>, String>) -> Value {
    let models = offered.as_ref().ok().map(|offered| {
        let model = |model: &OfferedModel| {
            json!({"id": model.id, "display_name": model.display_name, "created_at": model.created_at})
        };
        offered.iter().map(model).collect::<Vec<_>>()
    });
    let url = Some(&route.base_url).filter(|url| !url.is_empty());
    json!({
        "route": route.pattern,
        "provider": route.provider,
        "base_url": url,
        "window": route.window,
        "max_output": route.max_output,
        "models": models,
        "error": offered.as_ref().err(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::routes::RouteProvider;

    fn route() -> Route {
        let base_url = "http://there".to_owned();
        Route { provider: RouteProvider::ChatCompletions, base_url, ..Route::script("m-*") }
    }

    fn offered(count: usize) -> Vec<OfferedModel> {
        let model = |at| OfferedModel { id: format!("m-{at}"), display_name: None, created_at: None };
        (0..count).map(model).collect()
    }

    #[test]
    fn a_row_names_a_few_models_or_the_failure() {
        let begin = ["m-*", "chat-completions", "http://there", "128000", "8192"];
        for (offered, models) in [
            (Ok(offered(0)), "(the provider names none that this route answers for)"),
            (Ok(offered(2)), "m-0, m-1"),
            (Ok(offered(6)), "m-0, m-1, m-2, m-3, and 2 more"),
            (Err("no connection".into()), "no connection"),
        ] {
            assert_eq!(row(&route(), &offered), [&begin[..], &[models]].concat()[..]);
        }
    }

    #[test]
    fn an_object_holds_every_model_or_the_error() {
        let plain = json!({
            "route": "m-*", "provider": "chat-completions", "base_url": "http://there",
            "window": 128_000, "max_output": 8_192,
            "models": [{"id": "m-0", "display_name": null, "created_at": null}], "error": null,
        });
        assert_eq!(object(&route(), &Ok(offered(1))), plain);
        let failed = object(&route(), &Err("no connection".into()));
        assert_eq!((&failed["models"], &failed["error"]), (&Value::Null, &json!("no connection")));
    }
}
