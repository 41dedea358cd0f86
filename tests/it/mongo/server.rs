//! A MongoDB server of a test's own, which it may kill.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use convoke::clock::Env;
use convoke::config::MongoDb;
use convoke::mongo::Mongo;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};

use crate::services;

/// A server that ends with the test.
pub struct Server {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    has_transactions: bool,
    process: Child,
}

impl Server {
    /// Starts one, with or without transactions; `None` when the program was not installed.
    pub async fn start(has_transactions: bool) -> Option<Self> {
        let program = PathBuf::from(services::need("CONVOKE_TEST_MONGOD")?);
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = run(&program, &folder, port, has_transactions);
        let server = Self { program, folder, port, has_transactions, process };
        server.ready().await;
        Some(server)
    }

    /// Short times, so that a test does not wait for long.
    pub fn config(&self) -> MongoDb {
        MongoDb {
            url: format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port),
            server_selection_ms: 1_000,
            connect_ms: 1_000,
            operation_ms: 2_000,
            ..MongoDb::default()
        }
    }

    pub async fn connect(&self) -> Mongo {
        Mongo::connect(&self.config(), Env::system()).await.unwrap()
    }

    /// Ends it as a power cut would, except that what was written stays written.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on its data and its port.
    pub async fn revive(&mut self) {
        self.process = run(&self.program, &self.folder, self.port, self.has_transactions);
        self.ready().await;
    }

    /// Makes commands fail: `mode` says when, `how` what happens.
    pub async fn fail(&self, commands: &[&str], mode: impl Into<Bson>, how: Document) {
        let mut data = doc! { "failCommands": commands.to_vec(), "appName": "convoke" };
        data.extend(how);
        let point = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
        self.admin().await.database("admin").run_command(point).await.unwrap();
    }

    /// Holds up one command of a program; what comes back waits until it is held up.
    pub async fn stall(&self, program: &str, command: &str, time: Duration) -> impl Future<Output = ()> + use<> {
        let admin = self.admin().await.database("admin");
        let time = i32::try_from(time.as_millis()).unwrap();
        let data = doc! {
            "failCommands": [command], "appName": program, "blockConnection": true, "blockTimeMS": time,
        };
        let point = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
        let before = admin.run_command(point).await.unwrap();
        let entered = i64::from(before.get_i32("count").unwrap()) + 1;
        async move {
            let wait = doc! { "waitForFailPoint": "failCommand", "timesEntered": entered, "maxTimeMS": 20_000 };
            admin.run_command(wait).await.unwrap();
        }
    }

    /// Nothing fails any more.
    pub async fn heal(&self) {
        let point = doc! { "configureFailPoint": "failCommand", "mode": "off" };
        self.admin().await.database("admin").run_command(point).await.unwrap();
    }

    async fn admin(&self) -> Client {
        Client::with_uri_str(format!("{}&appName=test&serverSelectionTimeoutMS=500", self.config().url)).await.unwrap()
    }

    async fn ready(&self) {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        let client = self.admin().await;
        let admin = client.database("admin");
        loop {
            assert!(std::time::Instant::now() < end, "the server is not ready in time");
            if self.has_transactions {
                let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", self.port) };
                // Refused when it is done already.
                let _ = admin.run_command(doc! { "replSetInitiate": { "_id": "rs0", "members": [member] } }).await;
            }
            match admin.run_command(doc! { "hello": 1 }).await {
                Ok(hello) if hello.get_bool("isWritablePrimary").unwrap_or(false) => return,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(program: &PathBuf, folder: &tempfile::TempDir, port: u16, has_transactions: bool) -> Child {
    let mut command = Command::new(program);
    command
        .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"])
        .args(["--setParameter", "diagnosticDataCollectionEnabled=false", "--setParameter", "enableTestCommands=1"])
        .arg("--port")
        .arg(port.to_string())
        .arg("--dbpath")
        .arg(folder.path());
    if has_transactions {
        command.args(["--replSet", "rs0", "--oplogSize", "64"]);
        // So long a transaction of a dead process keeps its locks.
        command.args(["--setParameter", "transactionLifetimeLimitSeconds=3"]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
