//! Spans that reach a collector of the tests' own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tracing::field::Empty;
use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// The target of the spans that are sent.
const TARGET: &str = "test::trace";

/// What a collector got: path and body of each request.
type Got = Receiver<(String, Vec<u8>)>;

/// Where a collector listens, and what it gets.
fn collector() -> (String, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = format!("http://{}/v1/traces", listener.local_addr().expect("it is bound"));
    let (to, got) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let to = to.clone();
            std::thread::spawn(move || answer(connection, &to));
        }
    });
    (address, got)
}

/// Takes requests of a connection until it ends.
fn answer(connection: TcpStream, to: &Sender<(String, Vec<u8>)>) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut writer = connection;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
        let path = line.split(' ').nth(1)?.to_string();
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            match line.trim().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok()?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        to.send((path, body)).ok()?;
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

/// All spans that were sent, with the attributes of their resource.
fn spans(got: &Got) -> Vec<(Vec<KeyValue>, Span)> {
    let mut all = Vec::new();
    for (path, body) in got.try_iter() {
        assert_eq!(path, "/v1/traces");
        let request = ExportTraceServiceRequest::decode(&body[..]).expect("it is OTLP");
        for resource in request.resource_spans {
            let attributes = resource.resource.expect("a resource").attributes;
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            all.extend(spans.map(|span| (attributes.clone(), span)));
        }
    }
    all
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|a| a.key == key)?;
    found.value.as_ref().and_then(|AnyValue { value }| value.as_ref())
}

#[test]
fn spans_that_are_worth_it_reach_the_collector_with_their_parents() {
    let (address, got) = collector();
    let (layer, traces) = layer_to(TARGET, Some(&address)).expect("it is understood");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for outcome in ["committed", "merged"] {
            let epoch = tracing::debug_span!(
                target: TARGET, parent: None, "epoch",
                flow.job = "orders", flow.epoch = Empty, flow.outcome = Empty
            );
            if outcome == "committed" {
                epoch.record("flow.epoch", 7_i64);
                tracing::debug_span!(target: TARGET, parent: &epoch, "commit").in_scope(|| {});
            }
            epoch.record("flow.outcome", outcome);
        }
        tracing::debug_span!(target: "elsewhere", "not of this").in_scope(|| {});
        tracing::trace_span!(target: TARGET, "too fine").in_scope(|| {});
    });
    // What waits is sent at the end.
    drop(traces);
    let spans = spans(&got);
    let mut names: Vec<&str> = spans.iter().map(|(_, span)| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["commit", "epoch"]);
    let of = |name: &str| &spans.iter().find(|(_, span)| span.name == name).expect("it is there").1;
    let (epoch, commit) = (of("epoch"), of("commit"));
    assert_eq!((&commit.trace_id, &commit.parent_span_id), (&epoch.trace_id, &epoch.span_id));
    assert!(
        epoch.parent_span_id.is_empty() && epoch.end_time_unix_nano >= commit.end_time_unix_nano
    );
    let string = |text: &str| Some(Value::StringValue(text.into()));
    assert_eq!(attribute(&epoch.attributes, "flow.job").cloned(), string("orders"));
    assert_eq!(attribute(&epoch.attributes, "flow.epoch"), Some(&Value::IntValue(7)));
    let service = attribute(&spans[0].0, "service.name").cloned();
    assert_eq!(service, string(&std::env::var("OTEL_SERVICE_NAME").unwrap_or(SERVICE.into())));
}

#[test]
fn a_request_goes_on_with_its_callers_trace() {
    let (address, got) = collector();
    let (layer, traces) = layer_to(TARGET, Some(&address)).expect("it is understood");
    let mut headers = HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", parent.parse().expect("a header"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for headers in [&headers, &HeaderMap::new()] {
            let span = tracing::debug_span!(
                target: TARGET, parent: None, "request",
                otel.name = "GET /v1/jobs", otel.kind = "server", http.response.status_code = Empty
            );
            continue_trace(&span, headers);
            span.in_scope(|| span.record("http.response.status_code", 200_i64));
        }
    });
    drop(traces);
    let spans = spans(&got);
    assert_eq!(spans.len(), 2);
    let (of_caller, own) = (&spans[0].1, &spans[1].1);
    assert_eq!((of_caller.name.as_str(), of_caller.kind), ("GET /v1/jobs", 2));
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (trace, span) = (hex(&of_caller.trace_id), hex(&of_caller.parent_span_id));
    assert_eq!(format!("00-{trace}-{span}-01"), parent);
    assert!(own.parent_span_id.is_empty() && own.trace_id != of_caller.trace_id);
    let status = attribute(&own.attributes, "http.response.status_code");
    assert_eq!(status, Some(&Value::IntValue(200)));
}

#[test]
fn a_collector_that_is_away_stops_nothing() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = format!("http://{}/v1/traces", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    let (layer, traces) = layer_to(TARGET, Some(&address)).expect("it is understood");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::debug_span!(target: TARGET, "epoch").in_scope(|| {});
    });
    drop(traces);
    assert!(layer_to(TARGET, Some("no address")).is_err());
}
