//! Where a span stands in its trace, and how others are told (W3C Trace Context).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::samples;
use crate::domain::ids::{CommandId, EventId};
use crate::domain::text::written;

/// Longest `tracestate` that is handed on, bytes: what the recommendation wants kept at least.
const LONGEST_STATE: usize = 512;

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) trace: u128,
    pub(super) span: u64,
    /// Whether its spans are recorded.
    pub sampled: bool,
    /// Somebody else's span.
    pub(super) remote: bool,
}

impl TraceContext {
    /// What all spans of an event hang on; any repeat of the event continues the same trace.
    pub fn of_event(id: EventId) -> Self {
        let trace = u128::from_be_bytes(id.0);
        // The lower half.
        let span = trace as u64;
        Self {
            trace,
            span,
            sampled: samples(trace),
            remote: false,
        }
    }

    /// A trace of its own.
    pub(super) fn random() -> Self {
        let trace = rand::random::<u128>().max(1);
        Self {
            trace,
            span: random_span(),
            sampled: samples(trace),
            remote: false,
        }
    }

    /// Below this place; the same one where nothing is recorded.
    #[must_use]
    pub fn child(self) -> Self {
        match self.sampled && super::is_on() {
            true => Self {
                span: random_span(),
                remote: false,
                ..self
            },
            false => self,
        }
    }

    /// The header of the same name.
    pub fn traceparent(self) -> String {
        let Self { trace, span, .. } = self;
        let flags = u8::from(self.sampled);
        written(55, format_args!("00-{trace:032x}-{span:016x}-{flags:02x}"))
    }

    /// Reads the header; of a version to come what this one knows.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let parts: Vec<_> = traceparent.splitn(5, '-').collect();
        let [version, trace, span, flags, rest @ ..] = parts.as_slice() else {
            return None;
        };
        let known = *version != "ff" && (*version != "00" || rest.is_empty());
        let (trace, span) = (hex(trace, 32)?, hex(span, 16)?);
        let flags = hex(flags, 2)?;
        hex(version, 2).filter(|_| known && trace != 0 && span != 0)?;
        Some(Self {
            trace,
            span: u64::try_from(span).ok()?,
            sampled: flags & 1 == 1,
            remote: true,
        })
    }
}

fn random_span() -> u64 {
    rand::random::<u64>().max(1)
}

/// Exactly so many lower-case digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let valid = text.len() == digits && text.bytes().all(is_digit);
    u128::from_str_radix(text, 16).ok().filter(|_| valid)
}

/// What a sender told of its own trace; kept with its command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderTrace {
    /// A header that can be read.
    pub traceparent: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tracestate: String,
}

impl SenderTrace {
    /// From the headers of the same names; `None` where the first cannot be read.
    pub fn read(traceparent: Option<&str>, tracestate: Option<&str>) -> Option<Self> {
        let traceparent = traceparent.filter(|text| TraceContext::parse(text).is_some())?;
        let fits = |text: &&str| {
            text.len() <= LONGEST_STATE && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        Some(Self {
            traceparent: traceparent.chars().take(55).collect(),
            tracestate: tracestate.filter(fits).unwrap_or_default().to_owned(),
        })
    }
}

/// The place of a command: that of its sender, and the one that all of ours hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandTrace {
    pub sender: Option<TraceContext>,
    pub own: TraceContext,
}

impl CommandTrace {
    /// Of a command by its id, in the trace of its sender where there is one.
    pub fn of(id: &CommandId, upstream: Option<&SenderTrace>) -> Self {
        let sender = upstream.and_then(|it| TraceContext::parse(&it.traceparent));
        let digest: [u8; 32] = Sha256::digest(id.as_str().as_bytes()).into();
        let number = |from: usize, count: usize| {
            let bytes = digest.iter().skip(from).take(count);
            bytes.fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };
        let trace = sender.map_or_else(|| number(0, 16), |sender| sender.trace);
        let own = TraceContext {
            trace,
            span: u64::try_from(number(16, 8)).unwrap_or(1),
            sampled: match sender {
                Some(sender) => sender.sampled && super::is_on(),
                None => samples(trace),
            },
            remote: false,
        };
        Self { sender, own }
    }

    /// What an outcome's message hangs on: while traces are off, the sender's own span.
    pub fn of_outcome(self) -> Option<TraceContext> {
        match super::is_on() {
            true => Some(self.own),
            false => self.sender,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_is_read_as_it_is_written() {
        let read = TraceContext::parse(SENT).unwrap();
        assert!(read.sampled && read.remote);
        assert_eq!(read.traceparent(), SENT);
        let newer = format!("01{}-more", SENT.strip_prefix("00").unwrap());
        assert_eq!(TraceContext::parse(&newer), Some(read));
    }

    #[test]
    fn what_is_no_header_is_none() {
        for wrong in [
            "",
            "00-1-2-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-+7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_event_is_the_trace_of_its_id() {
        let id: EventId = "1092a1b2c3d4e5f60718293a4b5c6d7e".parse().unwrap();
        let header = TraceContext::of_event(id).traceparent();
        assert_eq!(
            header,
            "00-1092a1b2c3d4e5f60718293a4b5c6d7e-0718293a4b5c6d7e-00"
        );
    }

    #[test]
    fn a_command_goes_on_in_its_senders_trace() {
        let id: CommandId = "b7c1".parse().unwrap();
        let upstream = SenderTrace::read(Some(SENT), Some("vendor=1")).unwrap();
        assert_eq!(upstream.tracestate, "vendor=1");
        let trace = CommandTrace::of(&id, Some(&upstream));
        assert_eq!(trace.own.trace, trace.sender.unwrap().trace);
        assert_ne!(trace.own.span, trace.sender.unwrap().span);
        // Off: what the sender told is handed on as it is.
        assert_eq!(trace.of_outcome().unwrap().traceparent(), SENT);
        assert_eq!(CommandTrace::of(&id, None), CommandTrace::of(&id, None));
    }

    #[test]
    fn a_state_that_is_too_long_or_no_text_is_left_out() {
        for state in ["x".repeat(513), "a=\u{e9}".to_owned()] {
            let upstream = SenderTrace::read(Some(SENT), Some(&state)).unwrap();
            assert_eq!(upstream.tracestate, "");
        }
        assert_eq!(SenderTrace::read(Some("00-1-2-01"), None), None);
    }
}
