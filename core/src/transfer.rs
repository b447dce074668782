//! Alerts on their way from one daemon to another: what is carried of each, and what became of it on arrival (`docs/api.md`, *Export and import*).

use serde::{Deserialize, Serialize};

use crate::{alert::AlertId, time::Timestamp};

/// The most bytes of a file of alerts, and of the request that brings it.
pub const MAX_IMPORT_BYTES: usize = 8 << 20;
/// The most alerts that are taken at once.
pub const MAX_IMPORT_ALERTS: usize = 10_000;

/// One alert as it is carried: the wish alone, without number, version or history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CarriedAlert {
    /// The whole alert in its canonical text.
    pub expr: String,
    /// Whether it is set aside.
    #[serde(default)]
    pub paused: bool,
    /// Silent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<Timestamp>,
}

/// `POST /alerts/import`: alerts to be made, all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CarriedAlerts {
    /// The alerts, at most [`MAX_IMPORT_ALERTS`].
    #[serde(default)]
    pub alerts: Vec<CarriedAlert>,
}

/// Where one of the carried alerts stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Placed {
    /// Which one of the request, from 0.
    pub index: usize,
    /// Its number here.
    pub id: AlertId,
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportAnswer {
    /// Those that were made.
    pub made: Vec<Placed>,
    /// Those that stood already, word for word; nothing was changed for them.
    pub existing: Vec<Placed>,
    /// What to know about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
