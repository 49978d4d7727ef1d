//! Artifacts: a graph comes back as it was; anything else is refused with its reason.

use flow_ir::decode_plan::{DecodeColumn, Origin};
use flow_ir::ids::{SiteId, StreamId, VertexId};
use flow_ir::kernel::KernelSpec;
use flow_ir::physical::{
    ArtifactError, Changelog, Edge, FORMAT_VERSION, JobGraph, Map, Partitioning, PhysicalOp,
    Settings, Sink, SinkMode, Source, Stream, StreamColumn, StreamSchemas, Vertex, decode, encode,
    verify,
};
use flow_ir::scalar::{Inst, ScalarOp, ScalarProgram};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;

fn stream(name: &str, ty: &Type) -> Stream {
    let origin = Origin::Value(vec!["n".into()]);
    Stream {
        name: name.into(),
        connector: "case".into(),
        options: [("topic".to_string(), "t".to_string())].into(),
        value_format: Some("json".into()),
        key_format: None,
        columns: vec![StreamColumn { name: "n".into(), ty: ty.clone(), origin }],
        primary_key: vec![],
        schemas: StreamSchemas::default(),
    }
}

/// Source → map → sink, with a constant of 128 bits.
fn graph() -> JobGraph {
    let ty = Type::nullable(DataType::Decimal { precision: 38, scale: 0 });
    let columns = vec![Field::new("n", ty.clone())];
    let mut program = ScalarProgram::new(vec![ty.clone()]);
    let inst = |op, site| Inst { op, ty: ty.clone(), guard: None, site };
    let n = program.push(inst(ScalarOp::Column(0), None));
    let big = Value::Decimal(10i128.pow(37) + 1);
    let c = program.push(inst(ScalarOp::Const(big), None));
    let add = ScalarOp::Arith(flow_ir::scalar::ArithOp::Add, n, c);
    let sum = program.push(inst(add, Some(SiteId(0))));
    let kernel = KernelSpec { program, filter: None, outputs: vec![sum] };
    let origin = Origin::Value(vec!["n".into()]);
    let decoded = vec![DecodeColumn { name: "n".into(), ty: ty.clone(), origin }];
    let source = Source {
        stream: StreamId(0),
        columns: decoded,
        watermark: None,
        ranges: Vec::new(),
        since: None,
    };
    let sink = Sink { stream: StreamId(1), mode: SinkMode::Append, keys: vec![] };
    let vertex = |name: &str, op| Vertex {
        name: name.into(),
        identity: 7,
        op,
        columns: columns.clone(),
        changelog: Changelog::Append,
        span: Span::default(),
    };
    let edge = |from, to| Edge {
        from: VertexId(from),
        to: VertexId(to),
        port: 0,
        partitioning: Partitioning::Forward,
    };
    JobGraph {
        name: "job".into(),
        settings: Settings::default(),
        streams: vec![stream("in", &ty), stream("out", &ty)],
        vertices: vec![
            vertex("source", PhysicalOp::Source(source)),
            vertex("map", PhysicalOp::Map(Map { kernel })),
            vertex("sink", PhysicalOp::Sink(sink)),
        ],
        edges: vec![edge(0, 1), edge(1, 2)],
        tables: vec![],
        sites: vec![],
        sources: vec![],
    }
}

#[test]
fn a_graph_comes_back_as_it_was() {
    let graph = graph();
    assert_eq!(decode(&encode(&graph)), Ok(graph));
}

#[test]
fn what_was_altered_or_cut_is_told_from_what_is_old() {
    let bytes = encode(&graph());
    assert_eq!(decode(b""), Err(ArtifactError::NotAnArtifact));
    assert_eq!(decode(b"SELECT 1;\n"), Err(ArtifactError::NotAnArtifact));
    assert_eq!(decode(&bytes[..bytes.len() - 1]), Err(ArtifactError::Altered));
    let mut altered = bytes.clone();
    let last = altered.len() - 2;
    altered[last] ^= 1;
    assert_eq!(decode(&altered), Err(ArtifactError::Altered));
    let text = String::from_utf8(bytes).expect("an artifact is text");
    let next = FORMAT_VERSION + 1;
    let old = text.replacen(&format!(" {FORMAT_VERSION} "), &format!(" {next} "), 1);
    assert_eq!(decode(old.as_bytes()), Err(ArtifactError::OtherVersion(next.to_string())));
}

#[test]
fn graphs_that_break_a_rule_are_refused() {
    /// What the error says, and the change that causes it.
    type Break = (&'static str, fn(&mut JobGraph));
    let broken: [Break; 7] = [
        ("name", |g| g.name = "a/b".into()),
        ("shards", |g| g.settings.shards = 3),
        ("goes backwards", |g| g.edges[1].to = VertexId(0)),
        ("no such stream", |g| {
            if let PhysicalOp::Source(source) = &mut g.vertices[0].op {
                source.stream = StreamId(9);
            }
        }),
        ("wrong number of inputs", |g| {
            g.edges.pop();
        }),
        ("not defined before", |g| {
            if let PhysicalOp::Map(map) = &mut g.vertices[1].op {
                map.kernel.program.insts[2].op = ScalarOp::Neg(flow_ir::ids::Reg(5));
            }
        }),
        ("out of range", |g| {
            if let PhysicalOp::Sink(sink) = &mut g.vertices[2].op {
                sink.keys = vec![4];
            }
        }),
    ];
    for (why, breaks) in broken {
        let mut graph = graph();
        breaks(&mut graph);
        let error = verify(&graph).expect_err(why).to_string();
        assert!(error.contains(why), "{error:?} should say {why:?}");
        assert!(matches!(decode(&encode(&graph)), Err(ArtifactError::Invalid(_))), "{why}");
    }
}
