//! What was captured of a running esn-sabre (`tests/data/esn-sabre`), replayed against the built-in server: the same requests
//! in the same order, over real HTTP, on each store. Status, meaning of the body and messages must be the same, but for the
//! differences that are listed with their reasons.
//!
//! `CONVOKE_BLESS=1` writes the page of differences anew from its list.

mod bindings;
mod captures;
mod house;
mod judge;
mod meaning;

use self::bindings::Bindings;
use self::captures::{Exchange, Run, Step};
use self::house::{Engine, House};
use self::judge::{Ledger, Outcome};

/// Replays one run, and tells how each exchange went.
async fn replay(engine: Engine, run: Run, exchanges: &[Exchange], steps: &[Step]) -> Option<Vec<(String, Outcome)>> {
    let house = House::build(engine, run).await?;
    let mut bindings = Bindings::default();
    let mut outcomes = Vec::new();
    for exchange in exchanges.iter().filter(|e| e.run == run) {
        for step in steps.iter().filter(|s| s.run == run && s.before == exchange.name) {
            house.prepare(step, exchanges, &mut bindings).await;
        }
        // What they caused is not this exchange's.
        house.published().await;
        bindings.find_instance(&exchange.request.path, &house, exchanges).await;
        bindings.find_objects(&exchange.request.path, &house, exchanges).await;
        let request = bindings.rewritten(&exchange.request);
        let answer = house.send(&request).await;
        let published = house.published().await;
        bindings.learn(exchange, &answer, &published);
        outcomes.push((exchange.name.clone(), judge::compare(exchange, &answer, &published, &bindings)));
    }
    Some(outcomes)
}

async fn judge_engine(engine: Engine) {
    let (exchanges, steps) = (captures::exchanges(), captures::steps());
    assert_eq!(exchanges.len(), 308);
    let mut outcomes = Vec::new();
    for run in [Run::Main, Run::Strict] {
        let Some(found) = replay(engine, run, &exchanges, &steps).await else { return };
        outcomes.extend(found);
    }
    Ledger::read().check(&outcomes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_everything_is_as_it_was_captured_or_differs_for_a_reason() {
    judge_engine(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mongodb_everything_is_as_it_was_captured_or_differs_for_a_reason() {
    judge_engine(Engine::Mongo).await;
}

#[test]
fn the_page_of_differences_is_made_of_their_list() {
    const PAGE: &str = "docs/esn-sabre-differences.md";
    let page = Ledger::read().page();
    if std::env::var_os("CONVOKE_BLESS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == page, "{PAGE} is not made of the list; CONVOKE_BLESS=1 writes it anew");
}
