//! The connection itself: that it never hangs, how it is, and the indexes.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use convoke::clock::Env;
use convoke::config::MongoDb;
use convoke::health::{Examine, Finding, Health, HealthCheck, Verdict};
use convoke::mongo::{Mongo, schema};
use convoke::store::mongo::MongoDav;
use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;

use super::server::Server;
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

fn impatient(url: &str) -> MongoDb {
    MongoDb { url: url.to_owned(), server_selection_ms: 300, connect_ms: 300, operation_ms: 500, ..MongoDb::default() }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), nobody] {
        let begun = Instant::now();
        let error = Mongo::connect(&impatient(&format!("mongodb://{address}")), Env::system()).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_url_is_told_without_its_password() {
    for url in ["mongodb://bob:hun/ter2@localhost", "mongodb:/x", "mongodb://localhost:port"] {
        let error = Mongo::connect(&impatient(url), Env::system()).await.unwrap_err().to_string();
        assert!(error.starts_with("mongodb.url: "), "{error}");
        assert!(!error.contains("hun") && !error.contains("ter2"), "{error}");
    }
}

fn the<'f>(findings: &'f [Finding], subject: &str) -> &'f Verdict {
    &findings.iter().find(|f| f.subject == subject).unwrap_or_else(|| panic!("{subject} in {findings:?}")).verdict
}

#[tokio::test]
async fn an_examination_tells_what_kind_of_server_it_is_and_what_it_lacks() {
    for (variable, has_transactions) in [(REPLICA_SET, true), (STANDALONE, false)] {
        let Some(databases) = TestMongo::on(variable) else { return };
        let mongo = databases.connect().await;
        assert_eq!(mongo.has_transactions(), has_transactions);
        assert_eq!(mongo.check().await, Health::Healthy);
        let findings = mongo.examine().await;
        assert_eq!(matches!(the(&findings, "transactions"), Verdict::Good(_)), has_transactions);
        for good in ["connection", "version", "clock", "encryption"] {
            assert!(matches!(the(&findings, good), Verdict::Good(_)), "{findings:?}");
        }
        for database in [mongo.platform(), mongo.dav()] {
            let subject = format!("rights on {}", database.name());
            assert!(matches!(the(&findings, &subject), Verdict::Good(_)), "{findings:?}");
            assert!(database.list_collection_names().await.unwrap().is_empty(), "nothing was written");
        }
        let index = "index principaluri_1_uri_1 of calendarinstances";
        assert!(matches!(the(&findings, index), Verdict::Doubtful { .. }));
        MongoDav::open(mongo.clone()).await.unwrap();
        assert_eq!(the(&mongo.examine().await, "indexes"), &Verdict::Good("all there".to_owned()));
    }
}

#[tokio::test]
async fn health_follows_the_server() {
    let Some(mut server) = Server::start(false).await else { return };
    let mongo = server.connect().await;
    assert_eq!(mongo.check().await, Health::Healthy);
    server.kill();
    assert!(matches!(mongo.check().await, Health::Unhealthy(_)));
    assert!(matches!(mongo.examine().await[0].verdict, Verdict::Bad { .. }));
    server.revive().await;
    assert_eq!(mongo.check().await, Health::Healthy);
}

#[tokio::test]
async fn an_index_of_somebody_else_is_left_as_it_is() {
    let Some(databases) = TestMongo::on(REPLICA_SET) else { return };
    let mongo = databases.connect().await;
    let inbox = mongo.dav().collection::<Document>("schedulingobjects");
    let a_week = IndexOptions::builder().expire_after(Duration::from_secs(7 * 86_400)).build();
    inbox.create_index(IndexModel::builder().keys(doc! { "dateCreated": 1 }).options(a_week).build()).await.unwrap();
    let missing = schema::missing_indexes(&mongo).await.unwrap();
    assert_eq!(missing.len(), schema::indexes().count());
    let left = schema::ensure(&mongo).await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(matches!(&left[0].lack, schema::Lack::Expiry { found_s: 604_800, .. }), "{left:?}");
    // Again, and from two nodes at once: nothing happens.
    let (a, b) = tokio::join!(schema::ensure(&mongo), schema::ensure(&mongo));
    assert_eq!((a.unwrap().len(), b.unwrap().len()), (1, 1));
}
