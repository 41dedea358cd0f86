//! From the messages of the queue to the bus (messaging §2.3, §3.11).

use serde_json::Value;

use super::Room;
use super::event::{ListChange, LiveEvent};
use super::place::{Key, Place};
use crate::config;
use crate::events::Topic;
use crate::ids::UserId;
use crate::queue::{ConsumerSpec, Delivery, Failure};
use crate::store::StoreError;

/// The consumers, by the names that existing installations have.
pub(super) fn specs(config: &config::Queue) -> Vec<ConsumerSpec> {
    let alone = [
        ("tcalendar:event:created:notification", Topic::EventCreated),
        ("tcalendar:event:updated:notification", Topic::EventUpdated),
        ("tcalendar:event:deleted:notification", Topic::EventDeleted),
        ("tcalendar:event:cancel:notification", Topic::EventCancel),
        ("tcalendar:event:request:notification", Topic::EventRequest),
        ("tcalendar:event:reply:notification", Topic::EventReply),
        ("tcalendar:contact:created:notification", Topic::ContactCreated),
        ("tcalendar:contact:updated:notification", Topic::ContactUpdated),
        ("tcalendar:contact:deleted:notification", Topic::ContactDeleted),
    ];
    let spec = |name, topics| ConsumerSpec { name, topics, concurrency: config.concurrency, retry: config.retry };
    let list = spec(
        "tcalendar:calendar:list:notification",
        vec![
            Topic::SubscriptionCreated,
            Topic::SubscriptionUpdated,
            Topic::SubscriptionDeleted,
            Topic::CalendarCreated,
            Topic::CalendarUpdated,
            Topic::CalendarDeleted,
        ],
    );
    alone.into_iter().map(|(name, topic)| spec(name, vec![topic])).chain([list]).collect()
}

/// What a message is about; of its payload only what is needed is read (messaging §8).
enum Told {
    /// Objects of a place changed.
    Changed(Place),
    /// A calendar in the list of whoever's home it is in changed.
    List(Place, ListChange),
}

/// Reads a message.
///
/// # Errors
/// [`Failure::Dead`] when it makes no sense, or is of a topic that is not pushed.
fn read(topic: Topic, payload: &Value) -> Result<Told, Failure> {
    let place = |field: &str, calendar: bool| {
        let path = payload.get(field).and_then(Value::as_str).unwrap_or_default();
        Place::of_message(path).filter(|place| place.is_calendar() == calendar).ok_or_else(|| {
            Failure::Dead(format!("{field} {path:?} names no {}", if calendar { "calendar" } else { "address book" }))
        })
    };
    let list = |change| Ok(Told::List(place("calendarPath", true)?, change));
    match topic {
        Topic::EventCreated
        | Topic::EventUpdated
        | Topic::EventDeleted
        | Topic::EventRequest
        | Topic::EventReply
        | Topic::EventCancel => Ok(Told::Changed(place("eventPath", true)?)),
        Topic::ContactCreated | Topic::ContactUpdated | Topic::ContactDeleted => {
            Ok(Told::Changed(place("path", false)?))
        }
        Topic::SubscriptionCreated => list(ListChange::Subscribed),
        Topic::SubscriptionUpdated | Topic::CalendarUpdated => list(ListChange::Updated),
        Topic::SubscriptionDeleted | Topic::CalendarDeleted => list(ListChange::Deleted),
        Topic::CalendarCreated => {
            let access = payload.pointer("/calendarProps/access").and_then(Value::as_str);
            // A free-busy share is no delegation.
            let delegated = matches!(access, Some("dav:read-write" | "dav:read" | "dav:administration"));
            list(if delegated { ListChange::Delegated } else { ListChange::Created })
        }
        other => Err(Failure::Dead(format!("{other} is not told to clients"))),
    }
}

impl Room {
    /// Tells the nodes of one message. Doing so again does no harm: clients look at the state itself.
    pub(super) async fn handle(&self, delivery: Delivery) -> Result<(), Failure> {
        let told = read(delivery.message.topic, &delivery.message.payload)?;
        let id = self.env.uuid().to_string();
        let (key, event) = match told {
            Told::Changed(place) => {
                let event = LiveEvent::changed(id, &place);
                (Key::Place(place), event)
            }
            Told::List(place, change) => {
                let home = place.base().parse::<UserId>().map_err(|e| Failure::Dead(e.to_string()))?;
                // Homes of resources and teams have no list that anybody looks at, and the directory knows people only.
                let Some(user) = self.directory.user(home).await.map_err(|e| store_failed(&e))? else {
                    tracing::debug!(%home, "a list of calendars changed that is no person's");
                    return Ok(());
                };
                let event = LiveEvent::list_changed(id, user.email(), &place, change);
                (Key::User(user.email().clone()), event)
            }
        };
        let body = serde_json::to_vec(&event).map_err(|e| Failure::Dead(e.to_string()))?;
        let sent = self.bus.publish(&key.to_string(), body.into()).await;
        sent.map_err(|e| Failure::Retry(e.to_string()))?;
        let lag = (self.env.now() - delivery.published).to_std().unwrap_or_default();
        metrics::histogram!("convoke_push_lag_seconds").record(lag);
        Ok(())
    }
}

fn store_failed(error: &StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) => Failure::Retry(error.to_string()),
        _ => Failure::Dead(error.to_string()),
    }
}
