//! MongoDB for a test: a pair of databases of its own on the server that `scripts/services` starts.

use convoke::clock::Env;
use convoke::config::MongoDb;
use convoke::mongo::Mongo;

use super::services;

/// The server with transactions.
pub const REPLICA_SET: &str = "CONVOKE_TEST_MONGODB_URL";
/// The server without.
pub const STANDALONE: &str = "CONVOKE_TEST_MONGODB_STANDALONE_URL";

/// Databases that are dropped with it.
pub struct TestMongo {
    pub config: MongoDb,
}

impl TestMongo {
    /// Names two databases that nobody else uses; `None` when the server was not started.
    pub fn on(variable: &str) -> Option<Self> {
        let url = services::need(variable)?;
        let name = Env::system().object_id();
        let (database, dav_database) = (format!("esn_{name}"), format!("sabre_{name}"));
        Some(Self { config: MongoDb { url, database, dav_database, ..MongoDb::default() } })
    }

    /// One more connection.
    pub async fn connect(&self) -> Mongo {
        Mongo::connect(&self.config, Env::system()).await.unwrap()
    }
}

impl Drop for TestMongo {
    fn drop(&mut self) {
        let config = self.config.clone();
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mongo = Mongo::connect(&config, Env::system()).await.unwrap();
                mongo.platform().drop().await.unwrap();
                mongo.dav().drop().await.unwrap();
            });
        });
        let cleaned = cleaner.join();
        if !std::thread::panicking() {
            cleaned.unwrap();
        }
    }
}
