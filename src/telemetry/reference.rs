//! The reference of metrics, `docs/metrics.md`, out of the one list that describes them.

use std::fmt::Write;

use super::metrics::all;

const HEAD: &str = "# Metrics

`/metrics` of the private listener, in Prometheus's text format. This page is made from the list in
`src/telemetry/metrics.rs`; a test keeps it up to date.

Names end in their unit (`_seconds`, `_bytes`, `_usd`; `_timestamp_seconds` are seconds since 1970), counters in
`_total`. Labels hold names out of the configuration and words of closed lists; what X or strangers choose is counted as
`other` or `unknown` once it becomes too much. Gauges of the store are read for each scrape and are the same in each
replica: take their `max`. Counters and histograms are of one process and begin anew with it: take their `sum`. What
only the leader measures (RabbitMQ, inboxes, dead letters, faults of accounts, the certificate) keeps its last figure in a
replica that led before: ask for it `and on (instance) twitter_channel_leader == 1`, as alerts and dashboard do.

";

/// The page.
pub fn metrics() -> String {
    let mut page = HEAD.to_owned();
    page += "| Metric | Kind | What it tells |\n|---|---|---|\n";
    for metric in all() {
        let help = metric.help.replace('|', "\\|");
        // Writing into memory cannot fail.
        let _ = writeln!(page, "| `{}` | {} | {help} |", metric.name, metric.kind());
    }
    page += "\nA histogram is scraped as `_bucket` (with the label `le`), `_sum` and `_count`, all in seconds.\n";
    page
}
