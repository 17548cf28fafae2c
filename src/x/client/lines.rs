//! A long answer, line by line.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::time::timeout;

use crate::telemetry::chain;

/// Why there is no next line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// Not a byte for as long as was to be waited.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("a line is longer than {0} bytes")]
    TooLong(usize),
}

/// Reads lines that end in `\n` or `\r\n`.
pub(super) struct Lines {
    response: Response,
    /// What has come and is no line yet.
    pending: BytesMut,
    /// How much of it holds no line end.
    searched: usize,
    longest: usize,
    silence: Duration,
}

impl Lines {
    /// Lines of at most `longest` bytes, with no pause longer than `silence`.
    pub(super) fn new(response: Response, longest: usize, silence: Duration) -> Self {
        Self {
            response,
            pending: BytesMut::new(),
            searched: 0,
            longest,
            silence,
        }
    }

    /// The next line without its end; `None` at the end of the answer, whose last line may have none
    /// and is then the [`rest`](Self::rest). A call that is dropped loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, LineError> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.pending.len() > self.longest {
                return Err(LineError::TooLong(self.longest));
            }
            match timeout(self.silence, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.pending.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(LineError::Lost(chain(&error.without_url()))),
                Err(_late) => return Err(LineError::Silent(self.silence)),
            }
        }
    }

    fn take_line(&mut self) -> Option<Bytes> {
        let mut fresh = self.pending.iter().skip(self.searched);
        let Some(found) = fresh.position(|byte| *byte == b'\n') else {
            self.searched = self.pending.len();
            return None;
        };
        let mut line = self.pending.split_to(self.searched + found + 1);
        self.searched = 0;
        line.truncate(line.len() - 1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Some(line.freeze())
    }

    /// What came behind the last line end.
    pub(super) fn rest(&mut self) -> Bytes {
        self.searched = 0;
        self.pending.split().freeze()
    }
}
