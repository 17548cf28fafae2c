//! Webhooks: where X delivers, and whether it does.

use crate::crc::CrcReport;

/// An address that an app has registered.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) id: u64,
    pub(crate) app: String,
    pub(crate) url: String,
    /// Where it is listed.
    pub(crate) place: Place,
    /// Whether X delivers to it.
    pub(crate) valid: bool,
    pub(crate) created_at_ms: i64,
    pub(crate) validated_at_ms: i64,
    pub(crate) last_crc: Option<CrcReport>,
}

/// Which of X's lists a webhook is in; one that was there from the start may be in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// v2.
    pub(crate) v2: bool,
    /// Account Activity v1.1, under this label.
    pub(crate) environment: Option<String>,
}

impl Place {
    pub(crate) fn v2() -> Self {
        Self {
            v2: true,
            environment: None,
        }
    }

    pub(crate) fn environment(label: &str) -> Self {
        Self {
            v2: false,
            environment: Some(label.to_owned()),
        }
    }

    /// Whether all that is asked for in `other` is here too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.v2 || !other.v2)
            && (other.environment.is_none() || self.environment == other.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_in_both_lists_is_found_in_each_and_another_label_is_another_list() {
        let both = Place {
            v2: true,
            environment: Some("prod".to_owned()),
        };
        assert!(both.covers(&Place::v2()));
        assert!(both.covers(&Place::environment("prod")));
        assert!(!both.covers(&Place::environment("Prod")));
        assert!(!Place::environment("prod").covers(&Place::v2()));
        assert!(!Place::v2().covers(&Place::environment("prod")));
    }
}
