//! When a value is not as it should be. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::report::Status;

/// Where a check begins to warn and to fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Threshold {
    /// It only informs.
    None,
    /// A number that should be lower than these.
    Below { warn: f64, fail: f64 },
    /// A number that should be higher than this.
    Above { warn: f64 },
    /// A number that should be lower than these shares of its limit.
    ShareOfLimit { warn: f64, fail: f64 },
    /// A list that should have fewer entries than these.
    Fewer { warn: usize, fail: usize },
}

/// A threshold as the report has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Shown {
    warn: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fail: Option<f64>,
    /// Whether lower is worse.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lower_is_worse: bool,
}

impl Threshold {
    /// What the threshold says of a value, and the threshold itself in the value's unit. A value that is not there passes: there is nothing
    /// to complain of.
    pub(crate) fn judge(self, value: &Value, limit: Option<f64>) -> (Status, Option<Shown>) {
        let shown = |warn: f64, fail: f64| Some(Shown { warn, fail: Some(fail), lower_is_worse: false });
        let number = value.as_f64();
        match self {
            Self::None => (Status::Pass, None),
            Self::Below { warn, fail } => (grade(number, warn, fail), shown(warn, fail)),
            Self::ShareOfLimit { warn, fail } => match limit {
                Some(limit) => {
                    // To a thousandth: more digits are the product's, and nobody's.
                    let of_limit = |share: f64| (share * limit * 1e3).round() / 1e3;
                    (grade(number, of_limit(warn), of_limit(fail)), shown(of_limit(warn), of_limit(fail)))
                }
                None => (Status::Pass, None),
            },
            Self::Above { warn } => {
                let status = if number.is_some_and(|number| number <= warn) { Status::Warn } else { Status::Pass };
                (status, Some(Shown { warn, fail: None, lower_is_worse: true }))
            }
            #[allow(clippy::cast_precision_loss, reason = "lists of the report are short")]
            Self::Fewer { warn, fail } => {
                let count = value.as_array().map(|list| list.len() as f64);
                (grade(count, warn as f64, fail as f64), shown(warn as f64, fail as f64))
            }
        }
    }
}

fn grade(number: Option<f64>, warn: f64, fail: f64) -> Status {
    match number {
        Some(number) if number >= fail => Status::Fail,
        Some(number) if number >= warn => Status::Warn,
        _ => Status::Pass,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_threshold_grades_its_values() {
        use Status::{Fail, Pass, Warn};
        let below = Threshold::Below { warn: 10.0, fail: 60.0 };
        let share = Threshold::ShareOfLimit { warn: 0.8, fail: 0.95 };
        let above = Threshold::Above { warn: 0.9 };
        let fewer = Threshold::Fewer { warn: 1, fail: 3 };
        for (threshold, value, limit, status) in [
            (Threshold::None, json!(1e9), None, Pass),
            (below, json!(9.9), None, Pass),
            (below, json!(10), None, Warn),
            (below, json!(60.5), None, Fail),
            (below, json!(null), None, Pass),
            (share, json!(79), Some(100.0), Pass),
            (share, json!(80), Some(100.0), Warn),
            (share, json!(95), Some(100.0), Fail),
            (above, json!(0.91), None, Pass),
            (above, json!(0.9), None, Warn),
            (above, json!(null), None, Pass),
            (fewer, json!([]), None, Pass),
            (fewer, json!([1]), None, Warn),
            (fewer, json!([1, 2, 3]), None, Fail),
        ] {
            assert_eq!(threshold.judge(&value, limit).0, status, "{threshold:?} {value}");
        }
    }
}
