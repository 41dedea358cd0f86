//! A real engine of a test's own, to be killed and revived: what `scripts/services` starts, beside the shared ones.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::services;

/// An instance of a service with its own data and ports. Stopped, and its data removed, when dropped.
pub struct Instance {
    name: String,
    state: tempfile::TempDir,
    env: HashMap<String, String>,
}

impl Instance {
    /// Starts an instance of a service, e.g. `redis`. `None`, with a loud word, when this run is one without services:
    /// the shared instance of the same service was not started either. With `CI=true` that is a failure.
    pub async fn start(name: &str) -> Option<Self> {
        let started = services::need("CONVOKE_TEST_SERVICES")?;
        if !started.split(' ').any(|s| s == name) {
            assert!(!services::must_run(), "{name} was not started: in CI every service must run (scripts/test)");
            eprintln!("SKIPPED: {name} was not started; scripts/test starts it");
            return None;
        }
        let mut instance = Self { name: name.to_owned(), state: tempfile::tempdir().unwrap(), env: HashMap::new() };
        instance.ask("start", name).await;
        let env = std::fs::read_to_string(instance.state.path().join("env")).unwrap();
        let pairs = env.lines().filter_map(|line| line.split_once('='));
        instance.env = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Some(instance)
    }

    /// What the service published, e.g. `CONVOKE_TEST_REDIS_URL`.
    pub fn env(&self, key: &str) -> &str {
        self.env.get(key).unwrap_or_else(|| panic!("{} does not publish {key}", self.name))
    }

    /// Ends all its processes at once; data, ports and environment stay.
    pub async fn kill(&self) {
        self.ask("kill", &self.name).await;
    }

    /// Starts it again on the same data and ports, and waits until it is ready.
    pub async fn revive(&self) {
        self.ask("revive", &self.name).await;
    }

    /// Stops its processes where they are: connections stay open and nothing answers.
    pub async fn pause(&self) {
        self.ask("pause", &self.name).await;
    }

    /// Lets them go on.
    pub async fn resume(&self) {
        self.ask("resume", &self.name).await;
    }

    /// Ends one of its processes, by the name it was launched as.
    pub async fn kill_process(&self, process: &str) {
        self.ask("kill", &format!("{}:{process}", self.name)).await;
    }

    /// Starts one of its processes again.
    pub async fn revive_process(&self, process: &str) {
        self.ask("revive", &format!("{}:{process}", self.name)).await;
    }

    async fn ask(&self, command: &'static str, target: &str) {
        let (state, target) = (self.state.path().to_owned(), target.to_owned());
        tokio::task::spawn_blocking(move || {
            let output = services_script(&state, command, &target);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "scripts/services {command} {target}: {said}");
        })
        .await
        .unwrap();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        services_script(self.state.path(), "stop", &self.name);
    }
}

fn services_script(state: &Path, command: &str, target: &str) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
    Command::new(script)
        .args([command, target])
        .env("CONVOKE_SERVICES_DIR", state)
        .stdin(Stdio::null())
        .output()
        .expect("scripts/services and bash are there, since the shared services were started")
}

#[tokio::test]
async fn an_instance_dies_and_comes_back_at_the_same_place() {
    let Some(mailer) = Instance::start("smtp-failures").await else { return };
    let address = mailer.env("CONVOKE_TEST_SMTP_FAILURES").to_owned();
    assert_ne!(std::env::var("CONVOKE_TEST_SMTP_FAILURES").unwrap(), address, "it is not the shared one");
    assert!(greets(&address).await);
    mailer.kill().await;
    assert!(!greets(&address).await);
    mailer.revive().await;
    assert!(greets(&address).await);
    mailer.pause().await;
    assert!(!greets(&address).await, "a connection is taken, and nothing said");
    mailer.resume().await;
    assert!(greets(&address).await);
    drop(mailer);
    assert!(!greets(&address).await);
}

#[tokio::test]
async fn one_process_of_several_dies_alone() {
    let Some(radicale) = Instance::start("radicale").await else { return };
    let address = |key: &str| radicale.env(key).trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (direct, proxied) = (address("CONVOKE_TEST_RADICALE_URL"), address("CONVOKE_TEST_RADICALE_PROXIED_URL"));
    radicale.kill_process("proxied").await;
    assert!(tokio::net::TcpStream::connect(&direct).await.is_ok());
    assert!(tokio::net::TcpStream::connect(&proxied).await.is_err());
    radicale.revive_process("proxied").await;
    assert!(tokio::net::TcpStream::connect(&proxied).await.is_ok());
}

async fn greets(address: &str) -> bool {
    use tokio::io::AsyncReadExt as _;
    let greeting = async {
        let mut connection = tokio::net::TcpStream::connect(address).await?;
        connection.read_u8().await
    };
    matches!(tokio::time::timeout(std::time::Duration::from_secs(1), greeting).await, Ok(Ok(b'2')))
}
