//! How a simulator is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use crate::api::ApiSettings;
use crate::model::Clock;

/// All there is to choose when a simulator starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the page, the control API and the media are; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Two simulators with the same seed and clock give the same ids and bodies.
    pub seed: u64,
    /// What time it is.
    pub clock: Clock,
    /// Factor on X's waits of 3, 27 and 242 s before it delivers again.
    pub time_scale: f64,
    /// How long an answer to a delivery may take.
    pub delivery_timeout: Duration,
    /// How long an answer to a CRC may take.
    pub crc_timeout: Duration,
    /// The time from one unasked CRC to the next, by this machine's clock and by the simulator's
    /// when it is moved on; none when absent.
    pub crc_interval: Option<Duration>,
    /// What media addresses in deliveries begin with.
    pub media_base: MediaBase,
    /// How many deliveries the record keeps.
    pub kept_deliveries: usize,
    /// What goes wrong with deliveries from the start.
    pub disturbances: Disturbances,
    /// How the API side behaves.
    pub api: ApiSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            clock: Clock::default(),
            time_scale: 1.0,
            delivery_timeout: Duration::from_secs(10),
            // X's pages say 10 s and 3 s; who passes the shorter passes both.
            crc_timeout: Duration::from_secs(3),
            crc_interval: None,
            media_base: MediaBase::X,
            kept_deliveries: 1000,
            disturbances: Disturbances::default(),
            api: ApiSettings::default(),
        }
    }
}

/// What media addresses in deliveries begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaBase {
    /// X's hosts: the addresses look right and lead nowhere.
    #[default]
    X,
    /// This simulator, with X's paths: the addresses can be fetched.
    Simulator,
    /// X's paths below another address.
    Url(String),
}

/// What goes wrong with deliveries, as it does at X.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disturbances {
    /// Each delivery is sent this many times more.
    pub copies: u32,
    /// Each delivery waits this long first.
    pub delay_ms: u64,
    /// So many deliveries are held back, then sent together; 0 sends each at once.
    pub gather: usize,
    /// Gathered deliveries are sent in any order.
    pub shuffle: bool,
    /// Gathered Account Activity deliveries for one account are put into one body.
    pub merge: bool,
    /// The first attempts whose connection breaks.
    pub cuts: u32,
    /// Where it breaks.
    pub cut_point: CutPoint,
}

/// Where a connection breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutPoint {
    /// After half of the body.
    #[default]
    InBody,
    /// After the whole body: the service has taken it, and X never hears so.
    BeforeAnswer,
}
