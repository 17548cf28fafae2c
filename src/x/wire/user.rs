//! A user as any of X's forms shows one.

use serde::Deserialize;

use super::{Lenient, List, Raw, Text};

/// One type for both generations, since the maps of direct messages hold either: v1.1
/// (`screen_name`, `followers_count`), its variant in direct messages (`id` as a string,
/// `created_timestamp`), and v2 (`username`, `public_metrics`), which may be wrapped in `data`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct User<'a> {
    /// X Activity wraps some users as `{"data": {...}}`.
    pub(crate) data: Option<Raw<'a>>,
    pub(crate) id: Option<Raw<'a>>,
    pub(crate) id_str: Option<Raw<'a>>,
    pub(crate) screen_name: Text<'a>,
    pub(crate) username: Text<'a>,
    pub(crate) name: Text<'a>,
    pub(crate) profile_image_url_https: Text<'a>,
    pub(crate) profile_image_url: Text<'a>,
    pub(crate) location: Text<'a>,
    pub(crate) description: Text<'a>,
    pub(crate) url: Text<'a>,
    pub(crate) entities: Lenient<UserEntities<'a>>,
    pub(crate) followers_count: Lenient<u32>,
    pub(crate) public_metrics: Lenient<PublicMetrics>,
    pub(crate) verified: Lenient<bool>,
    pub(crate) verified_type: Text<'a>,
    pub(crate) protected: Lenient<bool>,
    pub(crate) created_at: Text<'a>,
    pub(crate) created_timestamp: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PublicMetrics {
    pub(crate) followers_count: Lenient<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct UserEntities<'a> {
    pub(crate) url: Lenient<ProfileLink<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ProfileLink<'a> {
    pub(crate) urls: List<ProfileUrl<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ProfileUrl<'a> {
    pub(crate) expanded_url: Text<'a>,
}
