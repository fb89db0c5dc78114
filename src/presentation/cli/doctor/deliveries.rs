//! The checks of `doctor` on the delivery of events: to subscribers, to the broker and to webhook endpoints.

use jiff::{SignedDuration, Timestamp};

use super::super::counted;
use super::{Finding, LATE};
use crate::application::Store;
use crate::application::jobs::event_log;
use crate::application::webhooks::endpoints;
use crate::infrastructure::events::RELAY;
use crate::infrastructure::repositories::WebhookCounts;
use crate::settings::Settings;

/// The age of an event above which it is reported that it is not published to the broker: longer than the lease of a
/// process that ended.
const UNPUBLISHED: SignedDuration = SignedDuration::from_mins(1);

/// Checks that events are delivered, and published to the broker if there is one.
pub(super) async fn events(store: &Store) -> Vec<Finding> {
    let lags = match event_log::lag(store).await {
        Ok(lags) => lags,
        Err(failure) => {
            return vec![Finding::problem("events", failure.report().to_string(), "check the database")];
        }
    };
    let (mut findings, now) = (Vec::new(), store.now());
    let mut late = lags.iter().filter_map(|lag| Some((lag.subscriber, lag.oldest_unread_at?)));
    let is_late = |&(subscriber, at): &(&str, Timestamp)| {
        now.duration_since(at) > if subscriber == RELAY { UNPUBLISHED } else { LATE }
    };
    if let Some((subscriber, at)) = late.find(is_late) {
        let found = format!("{subscriber} has not read the events since {at}");
        let advice = "is a server running? its log says why events are not delivered";
        findings.push(Finding::warning("events", found, advice));
    }
    let dead = lags.iter().map(|lag| lag.dead_letters).sum::<i64>();
    if let Ok(dead @ 1..) = u64::try_from(dead) {
        let found = format!("{} could not be delivered", counted(dead, "event", "events"));
        findings.push(Finding::warning("events", found, "`undercroft events dead list` shows the reasons"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("events", "no event is late, and there are no dead letters"));
    }
    findings
}

/// Checks that the broker that carries events responds and has what the store needs.
pub(super) async fn broker(store: &Store) -> Option<Finding> {
    let (kind, state) = event_log::broker_state(store).await?;
    Some(match state {
        Ok(true) => Finding::ok("broker", format!("{kind} responds and is set up")),
        Ok(false) => Finding::warning(
            "broker",
            format!("{kind} responds, and is not set up"),
            "a running server or worker sets it up; until then events are delivered late",
        ),
        Err(failure) => Finding::problem(
            "broker",
            format!("{kind}: {}", failure.report()),
            "start the broker, or correct `events.url` or `events.name` in the settings; until then events are delivered \
             late",
        ),
    })
}

/// Checks that webhook endpoints get the events. A store without any has no finding.
pub(super) async fn webhooks(store: &Store) -> Option<Finding> {
    let WebhookCounts { active, failing, inactive, .. } = match endpoints::counts(store).await {
        Ok(counts) => counts,
        Err(failure) => {
            return Some(Finding::problem("webhooks", failure.report().to_string(), "check the database"));
        }
    };
    let warning = |found| {
        let advice = "`undercroft webhooks list` shows them, `undercroft webhooks deliveries` the reasons";
        Some(Finding::warning("webhooks", found, advice))
    };
    let of = |count: i64, one, many| counted(count.cast_unsigned(), one, many);
    let inactive_text = of(inactive, "endpoint is deactivated and gets", "endpoints are deactivated and get");
    match (active, failing, inactive) {
        (0, 0, 0) => None,
        (_, 0, 0) => {
            let found = of(active, "endpoint acknowledges", "endpoints acknowledge") + " the events";
            Some(Finding::ok("webhooks", found))
        }
        (_, 0, _) => warning(inactive_text + " no events"),
        (_, _, 0) => warning(format!("the last delivery to {} failed", of(failing, "endpoint", "endpoints"))),
        _ => {
            let failing = of(failing, "endpoint", "endpoints");
            warning(format!("the last delivery to {failing} failed; {inactive_text} no events"))
        }
    }
}

/// Checks that the settings allow messages to the URLs of the active webhook endpoints.
pub(super) async fn private_webhooks(store: &Store) -> Option<Finding> {
    let refused = match endpoints::private(store).await {
        Ok(refused) => refused,
        Err(failure) => {
            return Some(Finding::problem("webhooks", failure.report().to_string(), "check the database"));
        }
    };
    let first = refused.first()?;
    let count = counted(refused.len() as u64, "active endpoint has", "active endpoints have");
    Some(Finding::warning(
        "webhooks",
        format!("{count} a URL that is not public, such as {}: nothing is sent there", first.id.0),
        "change it (`PATCH /admin/v1/webhook-endpoints/{id}`), or set `webhooks.allow_private`, for development",
    ))
}

/// Checks that a store which other machines reach sends webhooks to public addresses alone.
pub(super) fn allowed_webhooks(settings: &Settings) -> Option<Finding> {
    let address = settings.public_address().filter(|_| settings.webhooks.allow_private)?;
    Some(Finding::warning(
        "webhooks",
        format!("`webhooks.allow_private` is set, and other machines reach {address}"),
        "set it to false: with it, an administrator can make the store send requests to internal servers",
    ))
}
