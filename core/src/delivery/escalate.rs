//! Where a firing goes and when: its own channels, the default ones, or, for an urgent one, step by step (`docs/alerts.md`, C9).

use serde::Deserialize;

use super::quiet::matches;
use crate::{condition::ChannelName, firing::Firing, time::Span};

/// A step of the escalation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How long after the firing.
    #[serde(deserialize_with = "crate::config::span_or_zero")]
    pub after: Span,
    /// To which channels: a name, or a kind such as `webhook` for all of it.
    pub channels: Vec<ChannelName>,
}

impl Step {
    /// What holds where the configuration says nothing: desktop and webhooks at once, mail after 2 minutes, a text message
    /// after 5 and after 15.
    pub fn defaults() -> Vec<Self> {
        [(0, vec!["desktop", "webhook"]), (2, vec!["email"]), (5, vec!["sms"]), (15, vec!["sms"])]
            .into_iter()
            .map(|(minutes, channels)| Self {
                after: Span::from_seconds(minutes * 60),
                channels: channels.into_iter().map(ChannelName::new).collect(),
            })
            .collect()
    }
}

/// One delivery that a firing needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Where to.
    pub channel: ChannelName,
    /// The step: 0 goes at once.
    pub step: u32,
    /// How long after the firing at the earliest.
    pub after: Span,
}

/// The deliveries of a firing. `defaults` are the channels of alerts that name none, `known` those that are set up.
///
/// An urgent firing without channels of its own takes the steps, as far as their channels are set up; the first that has one goes at
/// once, and the others keep their distance to it.
pub fn plan(firing: &Firing, steps: &[Step], defaults: &[ChannelName], known: &[ChannelName]) -> Vec<Planned> {
    let at_once = |names: &[ChannelName]| {
        let mut planned: Vec<Planned> = Vec::new();
        for channel in names {
            if planned.iter().all(|p| p.channel != *channel) {
                planned.push(Planned { channel: channel.clone(), step: 0, after: Span::ZERO });
            }
        }
        planned
    };
    if !firing.via().is_empty() {
        return at_once(firing.via());
    }
    if !firing.urgent {
        return at_once(defaults);
    }
    let mut planned: Vec<Planned> = Vec::new();
    let mut possible: Vec<(Span, Vec<&ChannelName>)> = steps
        .iter()
        .map(|step| (step.after, known.iter().filter(|c| step.channels.iter().any(|w| matches(w, c))).collect()))
        .filter(|(_, channels): &(Span, Vec<_>)| !channels.is_empty())
        .collect();
    possible.sort_by_key(|(after, _)| *after);
    let first = possible.first().map_or(Span::ZERO, |(after, _)| *after);
    for (step, (after, channels)) in (0..).zip(possible) {
        let after = Span::from_micros(after.as_micros() - first.as_micros());
        for channel in channels {
            if planned.iter().all(|p| p.channel != *channel || p.after != after) {
                planned.push(Planned { channel: channel.clone(), step, after });
            }
        }
    }
    // Steps of one time are one step.
    for place in 1..planned.len() {
        if planned[place].after == planned[place - 1].after {
            planned[place].step = planned[place - 1].step;
        }
    }
    if planned.is_empty() { at_once(defaults) } else { planned }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        alert::{AlertId, UserId},
        firing::{FiringId, Told},
        instrument::FeedId,
        time::Timestamp,
    };

    fn names(text: &str) -> Vec<ChannelName> {
        text.split(',').filter(|name| !name.is_empty()).map(ChannelName::new).collect()
    }

    fn firing(urgent: bool, via: &str) -> Firing {
        Firing {
            id: FiringId { alert: AlertId(1), version: 1, number: 1 },
            owner: UserId::OWNER,
            symbol: "BTC".parse().expect("a symbol"),
            time: Timestamp::default(),
            received: Timestamp::default(),
            price: None,
            previous: None,
            direction: None,
            source: FeedId::Coinbase,
            late: false,
            more: 0,
            delayed: false,
            urgent,
            story: Told { via: names(via), ..Told::default() }.into(),
        }
    }

    fn planned(urgent: bool, via: &str, defaults: &str, known: &str) -> String {
        let plan = plan(&firing(urgent, via), &Step::defaults(), &names(defaults), &names(known));
        plan.iter().map(|p| format!("{}:{}@{}", p.step, p.channel, p.after)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_urgent_firing_climbs_and_any_other_goes_at_once() {
        let all = "desktop,email,sms,webhook,webhook:phone";
        for (urgent, via, defaults, known, expected) in [
            (false, "", "desktop", all, "0:desktop@0s"),
            (false, "email,sms,email", "desktop", all, "0:email@0s 0:sms@0s"),
            (false, "", "", all, ""),
            // Channels that were named are the user's own choice.
            (true, "sms", "desktop", all, "0:sms@0s"),
            (true, "", "desktop", all, "0:desktop@0s 0:webhook@0s 0:webhook:phone@0s 1:email@2m 2:sms@5m 3:sms@15m"),
            (true, "", "desktop", "desktop,email", "0:desktop@0s 1:email@2m"),
            // Nothing that is urgent waits for a step that does not exist.
            (true, "", "desktop", "email,sms", "0:email@0s 1:sms@3m 2:sms@13m"),
            (true, "", "desktop", "", "0:desktop@0s"),
        ] {
            assert_eq!(planned(urgent, via, defaults, known), expected, "{urgent} via {via} of {known}");
        }
    }

    proptest! {
        /// Whatever the steps are: the first goes at once, times and steps ascend, and no delivery is planned twice.
        #[test]
        fn steps_ascend_and_none_is_doubled(
            steps in prop::collection::vec((0_i64..20, prop::collection::vec(0..5_usize, 0..4)), 0..6),
            known in prop::collection::vec(0..5_usize, 0..5),
        ) {
            let all = ["desktop", "email", "sms", "webhook", "webhook:a"];
            let name = |place: &usize| ChannelName::new(all[*place]);
            let steps: Vec<Step> = steps
                .iter()
                .map(|(after, channels)| Step {
                    after: Span::from_seconds(*after),
                    channels: channels.iter().map(name).collect(),
                })
                .collect();
            let mut known: Vec<ChannelName> = known.iter().map(name).collect();
            known.sort_by_key(ToString::to_string);
            known.dedup();
            let plan = plan(&firing(true, ""), &steps, &names("desktop"), &known);
            prop_assert!(!plan.is_empty());
            prop_assert!(plan[0].after.is_zero() && plan[0].step == 0);
            for pair in plan.windows(2) {
                prop_assert!(pair[0].after <= pair[1].after);
                prop_assert_eq!(pair[0].after == pair[1].after, pair[0].step == pair[1].step);
            }
            for (place, one) in plan.iter().enumerate() {
                prop_assert!(!plan[..place].iter().any(|p| (&p.channel, p.step) == (&one.channel, one.step)));
            }
        }
    }
}
