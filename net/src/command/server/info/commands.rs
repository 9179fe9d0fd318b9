//! The sections of INFO about commands: Commandstats, Errorstats, Latencystats. Field names and forms are those of
//! redis-server 7.0.

use super::Text;
use crate::command::HistoryContext;
use crate::command::statistics::Totals;

fn totals(context: &HistoryContext<'_>) -> Totals {
    context.server.command_totals()
}

/// `usec` is the number of calls times the mean of the timed runs.
pub fn commandstats(context: &HistoryContext<'_>, text: &mut Text) {
    for (name, command) in totals(context).used() {
        let mean = command.micros_per_call();
        let micros = (mean * command.calls as f64).round() as u64;
        text.row(
            &format!("cmdstat_{name}"),
            format_args!(
                "calls={},usec={micros},usec_per_call={mean:.2},rejected_calls={},failed_calls={}",
                command.calls, command.rejected, command.failed
            ),
        );
    }
}

pub fn errorstats(context: &HistoryContext<'_>, text: &mut Text) {
    for (code, count) in totals(context).errors {
        text.row(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub fn latencystats(context: &HistoryContext<'_>, text: &mut Text) {
    for (name, command) in totals(context).used() {
        let [Some(half), Some(most), Some(nearly_all)] = [0.5, 0.99, 0.999].map(|part| command.percentile(part)) else {
            continue;
        };
        text.row(
            &format!("latency_percentiles_usec_{name}"),
            format_args!("p50={half:.3},p99={most:.3},p99.9={nearly_all:.3}"),
        );
    }
}
