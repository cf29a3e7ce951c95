//! What is said of a convention, as values.

use flopmeter::Convention;
use serde::Serialize;

/// A row of the JSON of `conventions`.
#[derive(Debug, Serialize)]
pub struct ConventionReport {
    pub id: &'static str,
    pub requests: bool,
    pub steps: bool,
    pub counts: &'static str,
    pub source: &'static str,
}

impl ConventionReport {
    pub fn of(convention: &Convention) -> Self {
        Self {
            id: convention.id,
            requests: convention.counts_requests(),
            steps: convention.counts_steps(),
            counts: convention.counts,
            source: convention.source,
        }
    }
}
