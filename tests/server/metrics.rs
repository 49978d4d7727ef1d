//! What is counted: for Prometheus, over the API, and in plans.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::exposition::{Family, families};
use super::{COUNTS, LOG, Sandbox, Server, until};

/// Counts per page and minute, late ones aside; and copies what is not late.
const WINDOWS: &str = r#"
SET 'job.name' = 'windows';
CREATE STREAM `odd "\, name` (
  page STRING NOT NULL, at TIMESTAMP(3), WATERMARK FOR at AS at
) WITH (connector = 'kafka', topic = 'visits', format = 'json', 'late.topic' = 'late');
CREATE MATERIALIZED VIEW minutes AS SELECT page, window_end, COUNT(*) AS n
FROM TUMBLE(`odd "\, name`, at, INTERVAL '1' MINUTE) GROUP BY page, window_start, window_end;
"#;

/// One late record among them; the first minute closes, the second does not.
const VISITS: &str = r#"{"page":"a","at":"2026-01-01 12:00:10"}
{"page":"b","at":"2026-01-01 12:00:20"}
{"page":"a","at":"2026-01-01 12:01:00"}
{"page":"a","at":"2026-01-01 12:00:30"}
{"page":"a","at":"2026-01-01 12:01:30"}
"#;

/// 2026-01-01 12:01:30.
const WATERMARK_SECONDS: u64 = 1_767_268_890;

impl Server {
    fn page(&self) -> Vec<Family> {
        let page = self.get("/metrics").text;
        families(&page).unwrap_or_else(|why| panic!("{why}\n{page}"))
    }
}

/// The value of the one sample with these labels.
fn value(page: &[Family], name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |have: &BTreeMap<String, String>| {
        labels.iter().all(|(label, value)| have.get(*label).is_some_and(|v| v == value))
    };
    let all = page.iter().flat_map(|family| &family.samples);
    let found: Vec<_> = all.filter(|s| s.name == name && fits(&s.labels)).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].value
}

#[test]
fn metrics_are_told_by_job_stream_and_partition() {
    let server = Server::with_clicks(0..20);
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..20);
    let page = server.page();
    let job = ("job", "counts");
    assert_eq!(value(&page, "flow_job_state", &[job, ("state", "running")]), 1.0);
    assert_eq!(value(&page, "flow_job_state", &[job, ("state", "failed")]), 0.0);
    assert!(value(&page, "flow_job_memory_bytes", &[job]) > 1e6);
    assert_eq!(value(&page, "flow_records_in_total", &[job, ("stream", "clicks")]), 20.0);
    assert!(value(&page, "flow_bytes_in_total", &[job, ("stream", "clicks")]) > 20.0 * 10.0);
    assert!(value(&page, "flow_bytes_out_total", &[job, ("stream", "counts")]) > 3.0 * 10.0);
    for name in ["flow_late_total", "flow_skipped_total", "flow_dead_letters_total"] {
        assert_eq!(value(&page, name, &[job, ("stream", "clicks")]), 0.0);
    }
    let labels = [job, ("stream", "clicks"), ("partition", "clicks-0")];
    assert_eq!(value(&page, "flow_partition_lag_records", &labels), 0.0);
    assert_eq!(value(&page, "flow_attempts_restarted_total", &[job]), 0.0);
    let epochs = value(&page, "flow_epochs_total", &[job]);
    for name in ["flow_epoch_duration_seconds", "flow_commit_duration_seconds"] {
        let family = page.iter().find(|family| family.name == name).expect(name);
        assert_eq!(family.kind, "histogram");
        assert!(value(&page, &format!("{name}_sum"), &[job]) > 0.0);
    }
    assert_eq!(value(&page, "flow_commit_duration_seconds_count", &[job]), epochs);
    assert!(value(&page, "process_resident_memory_bytes", &[]) > 1e6);
    assert!(value(&page, "flow_http_request_duration_seconds_count", &[]) > 0.0);
    let counts = server.get("/v1/jobs/counts/metrics").expect(200);
    assert_eq!(counts["records_in"], 20);
    let plan = server.get("/v1/jobs/counts/plan");
    assert!(plan.status == 200 && plan.text.contains("clicks"), "{plan:?}");
    assert!(server.sandbox.read(LOG).contains("job counts: running"));
    // What libraries do inside is not told.
    let lines = server.get("/v1/jobs/counts/logs").expect(200)["lines"].to_string();
    assert!(!lines.contains("function") && lines.contains("running"), "{lines}");
}

#[test]
fn operators_are_told_with_rows_time_state_and_watermark() {
    let sandbox = Sandbox::new();
    sandbox.fill("visits", 1, "page", VISITS);
    let server = Server::start_in(sandbox, &[]);
    server.submit("", WINDOWS).expect(201);
    // The watermark has come to the view, in an epoch that is committed.
    let details = until("the first minute is closed", || {
        let details = server.get("/v1/jobs/windows/metrics").expect(200);
        (details["lag"] == 0 && details["records_out"] == 2).then_some(details)
    });
    let of = |kind: &str| -> &Value {
        let all = details["operators"].as_array().expect("operators");
        let found: Vec<&Value> = all.iter().filter(|o| o["kind"] == kind).collect();
        assert_eq!(found.len(), 1, "{kind}: {details}");
        found[0]
    };
    let rows = |operator: &Value| (operator["rows_in"].clone(), operator["rows_out"].clone());
    assert_eq!(rows(of("Source")), (json!(5), json!(5)));
    assert_eq!(rows(of("Late")), (json!(5), json!(4)));
    // Of the second minute the group of page a is open still.
    let aggregate = of("WindowAggregate");
    assert_eq!((&aggregate["rows_out"], &aggregate["state_rows"]), (&json!(2), &json!(1)));
    assert!(aggregate["state_bytes"].as_u64() > Some(0), "{aggregate}");
    assert_eq!(aggregate["watermark_micros"], json!(WATERMARK_SECONDS * 1_000_000));
    assert_eq!(of("Source")["state_rows"], Value::Null);
    assert_eq!(rows(of("Materialize")), (json!(2), json!(2)));
    assert!(of("Source")["busy_seconds"].as_f64() > Some(0.0));
    assert!(details["busy_seconds"].as_f64() >= of("Source")["busy_seconds"].as_f64());
    assert!(details["epoch_durations"]["count"].as_u64() > Some(0), "{details}");
    assert!(details["commit_durations"]["p99_seconds"].as_f64() > Some(0.0), "{details}");

    let page = server.page();
    let number = |operator: &Value| operator["vertex"].to_string();
    let number = number(aggregate);
    let labels = [
        ("job", "windows"),
        ("vertex", number.as_str()),
        ("operator", aggregate["operator"].as_str().expect("a name")),
    ];
    assert_eq!(value(&page, "flow_operator_rows_out_total", &labels), 2.0);
    assert_eq!(value(&page, "flow_operator_state_rows", &labels), 1.0);
    let watermark = value(&page, "flow_operator_watermark_seconds", &labels);
    assert_eq!(watermark, WATERMARK_SECONDS as f64);
    assert!(value(&page, "flow_operator_busy_seconds_total", &labels) > 0.0);
    let job = ("job", "windows");
    assert_eq!(value(&page, "flow_late_total", &[job, ("stream", "odd \"\\, name")]), 1.0);
    let held = [job, ("held_by", "visits-0")];
    assert_eq!(value(&page, "flow_watermark_seconds", &held), WATERMARK_SECONDS as f64);
}

#[test]
fn a_plan_is_told_with_what_its_operators_did() {
    let server = Server::with_clicks(0..20);
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..20);
    let shown = server.get("/v1/jobs/counts/plan?analyze=true");
    assert_eq!(shown.status, 200, "{shown:?}");
    let mut lines = shown.text.lines();
    assert_eq!(lines.next(), Some("counts: running, workers: 1"));
    assert!(lines.next().is_some_and(|line| line.starts_with("  epochs: ")), "{shown:?}");
    assert!(lines.next().is_some_and(|line| line.starts_with("  commits: ")), "{shown:?}");
    // The lines of the plan alone, each with one below it.
    let plan = server.get("/v1/jobs/counts/plan").text;
    let rest: Vec<&str> = lines.collect();
    let (of_plan, remarks): (Vec<&str>, Vec<&str>) =
        rest.iter().partition(|line| !line.starts_with(' '));
    assert_eq!(of_plan, plan.lines().collect::<Vec<_>>());
    assert_eq!(of_plan.len(), remarks.len());
    assert!(remarks[0].starts_with("     20 records in, 20 out, "), "{shown:?}");
    assert!(remarks.iter().any(|line| line.contains(", state 3 rows, ")), "{shown:?}");

    // What it did is known while it rests, and no longer after a start of the server.
    server.ask("POST", "/v1/jobs/counts/pause", None).expect(200);
    let rests = server.get("/v1/jobs/counts/plan?analyze=true").text;
    assert!(rests.starts_with("counts: paused, ") && rests.contains("20 records in"), "{rests}");
    let server = Server::start_in(server.kill(), &[]);
    server.get("/v1/jobs/counts/plan?analyze=true").tells(409, "has not run");
    server.get("/v1/jobs/counts/plan").tells(200, "GroupAggregate");
    server.get("/v1/jobs/none/plan?analyze=true").tells(404, "there is no job none");
    server.get("/v1/jobs/counts/plan?analyse=true").tells(400, "analyse");
}
