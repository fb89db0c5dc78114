//! Metrics in the text format of `OpenMetrics`, as those of OTLP: each metric is defined once, for Prometheus and for
//! collectors. It reads what this program writes, and ignores what it does not know.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::attributes::attributes;

/// The sums of counters and histograms count from the start of the process.
const CUMULATIVE: u8 = 2;

/// A metric with its samples.
#[derive(Default)]
struct Metric {
    name: String,
    kind: String,
    help: String,
    unit: String,
    samples: Vec<Sample>,
}

/// A line of a metric.
struct Sample {
    /// What follows the name of the metric, such as `_total`.
    end: String,
    labels: Vec<(String, String)>,
    value: String,
}

/// Returns the metrics of a text, which count from `start` to `end`, in nanoseconds since 1970.
pub(super) fn converted(text: &str, start: &str, end: &str) -> Vec<Value> {
    let mut metrics: Vec<Metric> = Vec::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            describe(&mut metrics, described);
        } else if let Some(metric) = metrics.last_mut() {
            metric.samples.extend(sample(line, &metric.name));
        }
    }
    let times = (start, end);
    metrics.iter().filter(|metric| !metric.samples.is_empty()).map(|metric| metric.converted(times)).collect()
}

/// Reads a line with the help, the type or the unit of a metric. The first of them begins the metric.
fn describe(metrics: &mut Vec<Metric>, line: &str) {
    let mut parts = line.splitn(3, ' ');
    let (Some(what), Some(name), Some(text)) = (parts.next(), parts.next(), parts.next()) else { return };
    if metrics.last().is_none_or(|metric| metric.name != name) {
        metrics.push(Metric { name: name.to_owned(), ..Metric::default() });
    }
    let Some(metric) = metrics.last_mut() else { return };
    match what {
        "HELP" => text.trim_end_matches('.').clone_into(&mut metric.help),
        "TYPE" => text.clone_into(&mut metric.kind),
        "UNIT" if text == "seconds" => "s".clone_into(&mut metric.unit),
        "UNIT" if text == "bytes" => "By".clone_into(&mut metric.unit),
        _ => {}
    }
}

/// Reads a line of a metric.
fn sample(line: &str, metric: &str) -> Option<Sample> {
    let rest = line.strip_prefix(metric)?;
    let (end, labels, value) = if let Some((end, rest)) = rest.split_once('{') {
        let (labels, value) = rest.rsplit_once("} ")?;
        (end, read_labels(labels), value)
    } else {
        let (end, value) = rest.split_once(' ')?;
        (end, Vec::new(), value)
    };
    // a time may follow
    let value = value.split(' ').next()?;
    Some(Sample { end: end.to_owned(), labels, value: value.to_owned() })
}

/// Reads `name="value",…`, in which values have escapes.
fn read_labels(text: &str) -> Vec<(String, String)> {
    let (mut labels, mut rest) = (Vec::new(), text);
    while let Some((name, after)) = rest.split_once("=\"") {
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let mut end = after.len();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => value.extend(chars.next().map(|(_, char)| if char == 'n' { '\n' } else { char })),
                '"' => {
                    end = at + 1;
                    break;
                }
                other => value.push(other),
            }
        }
        labels.push((name.trim_start_matches(',').to_owned(), value));
        rest = &after[end..];
    }
    labels
}

impl Metric {
    fn converted(&self, times: (&str, &str)) -> Value {
        // in the text, the samples of one that informs have this suffix
        let suffix = if self.kind == "info" { "_info" } else { "" };
        let name = format!("{}{suffix}", self.name);
        let mut metric = json!({"name": name, "description": self.help, "unit": self.unit});
        match self.kind.as_str() {
            "histogram" => {
                let points = self.distributions(times);
                metric["histogram"] = json!({"dataPoints": points, "aggregationTemporality": CUMULATIVE});
            }
            "counter" => {
                metric["sum"] = json!({
                    "dataPoints": self.numbers(times),
                    "aggregationTemporality": CUMULATIVE,
                    "isMonotonic": true,
                });
            }
            _ => metric["gauge"] = json!({"dataPoints": self.numbers(times)}),
        }
        metric
    }

    fn numbers(&self, (start, end): (&str, &str)) -> Vec<Value> {
        let point = |sample: &Sample| {
            let value: f64 = sample.value.parse().ok()?;
            let mut point =
                json!({"attributes": of_labels(&sample.labels), "timeUnixNano": end, "asDouble": value});
            if self.kind == "counter" {
                point["startTimeUnixNano"] = start.into();
            }
            Some(point)
        };
        self.samples.iter().filter_map(point).collect()
    }

    /// Returns the points of a histogram. Its buckets are cumulative in the text, and each by itself in OTLP.
    fn distributions(&self, (start, end): (&str, &str)) -> Vec<Value> {
        let mut by_labels: BTreeMap<Vec<(String, String)>, Distribution> = BTreeMap::new();
        for Sample { end, labels, value } in &self.samples {
            let (bounds, labels): (Vec<_>, Vec<_>) =
                labels.iter().cloned().partition(|(name, _)| name == "le");
            let point = by_labels.entry(labels).or_default();
            match (end.as_str(), bounds.first()) {
                ("_sum", _) => point.sum = value.parse().unwrap_or_default(),
                ("_count", _) => point.count = value.parse().unwrap_or_default(),
                ("_bucket", Some((_, bound))) => {
                    point.bounds.extend(bound.parse::<f64>().ok().filter(|bound| bound.is_finite()));
                    point.cumulative.push(value.parse().unwrap_or_default());
                }
                _ => {}
            }
        }
        let point = |(labels, distribution): (Vec<(String, String)>, Distribution)| {
            let Distribution { sum, count, bounds, cumulative } = distribution;
            let before = std::iter::once(0).chain(cumulative.iter().copied());
            let counts = cumulative.iter().zip(before).map(|(upto, before)| upto.saturating_sub(before));
            json!({
                "attributes": of_labels(&labels),
                "startTimeUnixNano": start,
                "timeUnixNano": end,
                "sum": sum,
                "count": count.to_string(),
                "explicitBounds": bounds,
                "bucketCounts": counts.map(|count| count.to_string()).collect::<Vec<_>>(),
            })
        };
        by_labels.into_iter().map(point).collect()
    }
}

/// The samples of a histogram with the same labels.
#[derive(Default)]
struct Distribution {
    sum: f64,
    count: u64,
    bounds: Vec<f64>,
    cumulative: Vec<u64>,
}

fn of_labels(labels: &[(String, String)]) -> Value {
    attributes(labels.iter().map(|(name, value)| (name.as_str(), value.as_str().into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_gauges_and_histograms_are_converted() {
        let text = "# HELP a_lines Lines.\n# TYPE a_lines counter\na_lines_total{level=\"w\\\"\\n}\",of=\"x\"} 2\n\
                    # HELP a_up Up.\n# TYPE a_up gauge\n# UNIT a_up bytes\na_up 1\n\
                    # HELP a_build Build.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n\
                    # HELP a_time_seconds Time.\n# TYPE a_time_seconds histogram\n# UNIT a_time_seconds seconds\n\
                    a_time_seconds_sum{r=\"/\"} 3.5\na_time_seconds_count{r=\"/\"} 4\n\
                    a_time_seconds_bucket{le=\"0.5\",r=\"/\"} 1\na_time_seconds_bucket{le=\"1.0\",r=\"/\"} 3\n\
                    a_time_seconds_bucket{le=\"+Inf\",r=\"/\"} 4\n\
                    # HELP a_none None.\n# TYPE a_none counter\n# EOF\n";
        let found = converted(text, "1", "2");
        let [lines, up, build, time] = &found[..] else { panic!("{found:?}") };
        let point = &lines["sum"]["dataPoints"][0];
        assert_eq!((&point["asDouble"], &point["startTimeUnixNano"]), (&json!(2.0), &json!("1")));
        assert_eq!(point["attributes"][0]["value"]["stringValue"], "w\"\n}");
        assert_eq!(point["attributes"][1], json!({"key": "of", "value": {"stringValue": "x"}}));
        assert_eq!(lines["sum"]["isMonotonic"], true);
        let gauge = json!([{"attributes": [], "timeUnixNano": "2", "asDouble": 1.0}]);
        assert_eq!((&up["gauge"]["dataPoints"], &up["description"]), (&gauge, &json!("Up")));
        assert_eq!((&up["unit"], &build["name"]), (&json!("By"), &json!("a_build_info")));
        assert_eq!((&time["name"], &time["unit"]), (&json!("a_time_seconds"), &json!("s")));
        let point = &time["histogram"]["dataPoints"][0];
        assert_eq!((&point["count"], &point["sum"]), (&json!("4"), &json!(3.5)));
        assert_eq!(point["explicitBounds"], json!([0.5, 1.0]));
        assert_eq!(point["bucketCounts"], json!(["1", "2", "1"]));
        assert_eq!(point["attributes"], json!([{"key": "r", "value": {"stringValue": "/"}}]));
    }
}
