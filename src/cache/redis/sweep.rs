//! Removes what dead nodes left behind: their channels in the sets of registrations, on which nobody listens. A channel is
//! swept when nobody listened to it twice, a minute apart; a node that lives but was cut off for that long registers again
//! when it is back.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::link::NoAnswer;
use super::place::Wire;

/// Channels to suspect at most.
const SUSPECTS: usize = 1_000;
/// Registrations of one channel that are removed at once.
const BATCH: usize = 100;

/// Channels on which nobody was seen to listen.
#[derive(Debug, Default)]
pub(super) struct Sweeper(Mutex<Suspects>);

#[derive(Debug, Default)]
struct Suspects {
    /// Channels that did not answer, with the registration keys that they were found in.
    new: HashMap<String, BTreeSet<String>>,
    /// Those to which nobody listened when that was looked at last.
    silent: HashMap<String, BTreeSet<String>>,
}

impl Sweeper {
    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody seemed to listen to a channel that is registered under a key.
    pub fn suspect(&self, channel: String, key: String) {
        let mut suspects = self.suspects();
        if suspects.new.len() < SUSPECTS || suspects.new.contains_key(&channel) {
            let keys = suspects.new.entry(channel).or_default();
            if keys.len() < SUSPECTS {
                keys.insert(key);
            }
        }
    }
}

impl Shared {
    /// Looks at every channel that is known, and sweeps those on which nobody listened the last time either.
    pub(super) async fn sweep(&self) -> usize {
        self.try_sweep().await.unwrap_or_else(|e| {
            tracing::debug!(error = ?e, "what dead nodes left behind is looked for later");
            0
        })
    }

    async fn try_sweep(&self) -> Result<usize, NoAnswer> {
        let nodes = self.names.nodes();
        let question = async |mut wire: Wire| redis::cmd("SMEMBERS").arg(&nodes).query_async(&mut wire).await;
        let nodes: Vec<String> = self.link.ask("bus_sweep", question).await?;
        let (mut candidates, before) = {
            let mut suspects = self.sweeper.suspects();
            (std::mem::take(&mut suspects.new), std::mem::take(&mut suspects.silent))
        };
        for (channel, keys) in &before {
            candidates.entry(channel.clone()).or_default().extend(keys.iter().cloned());
        }
        for node in nodes {
            candidates.entry(node).or_default();
        }
        candidates.remove(&self.names.own_channel());
        let silent = self.silent(candidates).await?;
        let (dead, silent): (HashMap<_, _>, _) =
            silent.into_iter().partition(|(channel, _)| before.contains_key(channel));
        self.sweeper.suspects().silent = silent;
        for (channel, keys) in &dead {
            self.sweep_channel(channel, keys).await?;
            tracing::info!(channel, "removed what a dead node left behind on the bus");
        }
        Ok(dead.len())
    }

    /// Those to whom nobody listens.
    async fn silent(
        &self,
        mut channels: HashMap<String, BTreeSet<String>>,
    ) -> Result<HashMap<String, BTreeSet<String>>, NoAnswer> {
        let names: Vec<String> = channels.keys().cloned().collect();
        for names in names.chunks(BATCH) {
            // In a cluster every node is asked, and the counts are added up.
            let question =
                async |mut wire: Wire| redis::cmd("PUBSUB").arg("NUMSUB").arg(names).query_async(&mut wire).await;
            let listeners: HashMap<String, u64> = self.link.ask("bus_sweep", question).await?;
            channels.retain(|channel, _| listeners.get(channel).is_none_or(|n| *n == 0));
        }
        Ok(channels)
    }

    async fn sweep_channel(&self, channel: &str, found_in: &BTreeSet<String>) -> Result<(), NoAnswer> {
        let index = self.names.registered_by(channel);
        let question = async |mut wire: Wire| redis::cmd("SMEMBERS").arg(&index).query_async(&mut wire).await;
        let mut keys: BTreeSet<String> = self.link.ask("bus_sweep", question).await?;
        // Whoever may write to the set could name any key.
        keys.retain(|key| self.names.topic(key).is_some());
        keys.extend(found_in.iter().cloned());
        for keys in keys.into_iter().collect::<Vec<_>>().chunks(BATCH) {
            let commands = keys.iter().map(|key| redis::cmd("SREM").arg(key).arg(channel).to_owned()).collect();
            let question = async |mut wire: Wire| wire.each::<u64>(commands).await;
            self.link.ask("bus_sweep", question).await?;
        }
        let last = vec![
            redis::cmd("DEL").arg(&index).to_owned(),
            redis::cmd("SREM").arg(self.names.nodes()).arg(channel).to_owned(),
        ];
        let question = async |mut wire: Wire| wire.each::<u64>(last).await;
        self.link.ask("bus_sweep", question).await.map(drop)
    }
}
