//! What is compiled for a job, as text: the programs and plans of each operator, their CLIF, or the
//! machine code. Payloads are taken to be written with the schemas that were the latest when the
//! program was compiled.

use std::fmt::Write as _;

use flow_ir::aggregate::AggregateCall;
use flow_ir::connector::{DEBEZIUM_AVRO, is_json, parse_duration};
use flow_ir::decode_plan::DecodePlan;
use flow_ir::encode_plan::{EncodePlan, JsonTimestamps};
use flow_ir::ids::VertexId;
use flow_ir::kernel::{KernelError, KernelSpec, ScanSpec};
use flow_ir::physical::{JobGraph, PhysicalOp, Source, Stream};
use flow_ir::types::{Field, Type};
use flow_schema::{
    CsvFormat, EncodeFormat, PayloadFormat, csv_dialect, csv_format, decode_plan, encode_plan,
    parse,
};
use flow_stdlib::aggregates;

use super::work::Work;
use super::{Form, Native, encode, scan, update};

impl Native {
    /// All work of a job's operators that is compiled, in a text form.
    ///
    /// # Errors
    /// If a plan is not well formed.
    pub fn explain(&self, graph: &JobGraph, form: Form) -> Result<String, KernelError> {
        let mut text = String::new();
        for (i, vertex) in graph.vertices.iter().enumerate() {
            for work in work_of(graph, VertexId::from(i), &vertex.op)? {
                let shown = self.show(&work, form)?;
                let _ = writeln!(text, "v{i} {}\n{}\n", vertex.name, indented(&shown));
            }
        }
        Ok(text)
    }

    fn show(&self, work: &Work, form: Form) -> Result<String, KernelError> {
        if form == Form::Scalar {
            return Ok(plain(work));
        }
        match work {
            Work::Scan(spec) if !scan::is_compiled(spec) => self.show_staged(spec, form),
            Work::Encode(plan) if !encode::is_compiled(plan) => Ok("interpreted".into()),
            Work::Update(program) if !update::is_compiled(program) => Ok("interpreted".into()),
            Work::Scan(_) | Work::Map(_) | Work::Encode(_) | Work::Update(_) => {
                self.compiler.text(work, form)
            }
        }
    }

    /// A scan whose payloads are interpreted: its programs are compiled by themselves.
    fn show_staged(&self, spec: &ScanSpec, form: Form) -> Result<String, KernelError> {
        let mut text = "decode: interpreted\n".to_string();
        for (name, program) in [("watermark", &spec.watermark), ("map", &spec.map)] {
            if let Some(program) = program {
                let code = self.show(&Work::Map(program.clone()), form)?;
                let _ = writeln!(text, "{name}\n{code}");
            }
        }
        Ok(text)
    }
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}\n")).collect::<String>().trim_end().into()
}

/// Programs and plans by their own printers.
fn plain(work: &Work) -> String {
    match work {
        Work::Scan(spec) => {
            let mut text = format!("decode\n{}", spec.decode);
            for (name, program) in [("watermark", &spec.watermark), ("map", &spec.map)] {
                if let Some(program) = program {
                    let _ = write!(text, "{name}\n{}", kernel_text(program));
                }
            }
            text
        }
        Work::Map(spec) => kernel_text(spec),
        Work::Encode(plan) => format!("encode\n{plan}"),
        Work::Update(program) => format!("update\n{program}"),
    }
}

fn kernel_text(spec: &KernelSpec) -> String {
    let mut text = spec.program.to_string();
    if let Some(filter) = spec.filter {
        let _ = writeln!(text, "filter r{}", filter.0);
    }
    let outputs: Vec<String> = spec.outputs.iter().map(|r| format!("r{}", r.0)).collect();
    let _ = writeln!(text, "output {}", outputs.join(" "));
    text
}

fn work_of(graph: &JobGraph, id: VertexId, op: &PhysicalOp) -> Result<Vec<Work>, KernelError> {
    Ok(match op {
        PhysicalOp::Source(source) => {
            let map = graph.map_above(id).map(|(_, map)| map.kernel.clone());
            let stream = graph.stream(source.stream);
            let max_future_skew = stream.option("max.future.skew").and_then(parse_duration);
            let scan = |decode| {
                let watermark = source.watermark.clone();
                Work::Scan(Box::new(ScanSpec { decode, watermark, max_future_skew, map }))
            };
            decode_of(stream, source)?.map(scan).into_iter().collect()
        }
        PhysicalOp::Map(map) => {
            let of_scan = graph
                .inputs(id)
                .iter()
                .any(|edge| graph.map_above(edge.from).is_some_and(|(above, _)| above == id));
            if of_scan { Vec::new() } else { vec![Work::Map(map.kernel.clone())] }
        }
        PhysicalOp::Sink(sink) => {
            encode_of(graph.stream(sink.stream))?.map(Work::Encode).into_iter().collect()
        }
        PhysicalOp::PreAggregate(op) => adding_of(graph, id, &op.calls)?,
        PhysicalOp::SessionAggregate(op) => adding_of(graph, id, &op.calls)?,
        PhysicalOp::GroupAggregate(op) => merging_of(graph, id, &op.calls, op.keys, false)?,
        PhysicalOp::WindowAggregate(op) => merging_of(graph, id, &op.calls, op.keys, true)?,
        PhysicalOp::Unnest(_)
        | PhysicalOp::Late(_)
        | PhysicalOp::WindowExpand(_)
        | PhysicalOp::SessionWindow(_)
        | PhysicalOp::WindowJoin(_)
        | PhysicalOp::Join(_)
        | PhysicalOp::IntervalJoin(_)
        | PhysicalOp::TemporalJoin(_)
        | PhysicalOp::LookupJoin(_)
        | PhysicalOp::Deduplicate(_)
        | PhysicalOp::TopN(_)
        | PhysicalOp::Over(_)
        | PhysicalOp::Normalize(_)
        | PhysicalOp::Materialize(_)
        | PhysicalOp::Union(_) => Vec::new(),
    })
}

/// How rows are added to the groups of an operator.
fn adding_of(
    graph: &JobGraph,
    id: VertexId,
    calls: &[AggregateCall],
) -> Result<Vec<Work>, KernelError> {
    let program = aggregates::adding(calls, &input_of(graph, id)).map_err(KernelError)?;
    Ok(vec![Work::Update(program)])
}

/// How partials with so many keys are merged into the groups of an operator.
fn merging_of(
    graph: &JobGraph,
    id: VertexId,
    calls: &[AggregateCall],
    keys: usize,
    windowed: bool,
) -> Result<Vec<Work>, KernelError> {
    let input = input_of(graph, id);
    let program = aggregates::merging(calls, &input, keys, windowed).map_err(KernelError)?;
    Ok(vec![Work::Update(program)])
}

/// Types of the columns of an operator's first input.
fn input_of(graph: &JobGraph, id: VertexId) -> Vec<Type> {
    let edges = graph.inputs(id);
    let columns = edges.first().map(|edge| &graph.vertices[edge.from.index()].columns);
    columns.into_iter().flatten().map(|column| column.ty.clone()).collect()
}

/// How a scan reads its stream; `None` for streams without a format of their own.
fn decode_of(stream: &Stream, source: &Source) -> Result<Option<DecodePlan>, KernelError> {
    let parsed = |schema: Option<&flow_ir::physical::SubjectSchema>| {
        schema.map(|s| parse(&s.schema)).transpose().map_err(|e| KernelError(e.to_string()))
    };
    let (key, value) =
        (parsed(stream.schemas.key.as_ref())?, parsed(stream.schemas.value.as_ref())?);
    fn format<'a>(
        name: Option<&str>,
        schema: Option<&'a flow_schema::Schema>,
        csv: &'a CsvFormat,
    ) -> Option<PayloadFormat<'a>> {
        match (name, schema) {
            (Some("avro" | DEBEZIUM_AVRO), Some(writer)) => {
                Some(PayloadFormat::Avro { writer, reader: None })
            }
            (Some(format), _) if is_json(format) => Some(PayloadFormat::Json),
            (Some("raw"), _) => Some(PayloadFormat::Raw),
            (Some("csv"), _) => Some(PayloadFormat::Csv(csv)),
            _ => None,
        }
    }
    let csv = |side, format: &Option<String>| match format.as_deref() == Some("csv") {
        true => csv_format(stream, side).map_err(KernelError),
        false => Ok(CsvFormat::default()),
    };
    let key_csv = csv("key", &stream.key_format)?;
    let value_csv = csv("value", &stream.value_format)?;
    let key = format(stream.key_format.as_deref(), key.as_ref(), &key_csv);
    let value = format(stream.value_format.as_deref(), value.as_ref(), &value_csv);
    let Some(value) = value else {
        return Ok(None);
    };
    decode_plan(key, value, &source.columns).map(Some).map_err(|e| KernelError(e.to_string()))
}

/// How a sink writes its stream's values.
fn encode_of(stream: &Stream) -> Result<Option<EncodePlan>, KernelError> {
    let fields: Vec<Field> =
        (stream.columns.iter()).map(|c| Field { name: c.name.clone(), ty: c.ty.clone() }).collect();
    let written: Vec<usize> = (0..fields.len()).filter(|&c| stream.in_value(c)).collect();
    let schema = stream.schemas.value.as_ref().map(|s| parse(&s.schema)).transpose();
    let schema = schema.map_err(|e| KernelError(e.to_string()))?;
    let dialect;
    let format = match (stream.value_format.as_deref(), &schema) {
        (Some("avro"), Some(schema)) => EncodeFormat::Avro(schema),
        (Some("json" | "debezium-json"), _) => EncodeFormat::Json(JsonTimestamps::Iso),
        (Some("csv"), _) => {
            dialect = csv_dialect(stream, "value").map_err(|(name, _)| KernelError(name))?;
            EncodeFormat::Csv(&dialect)
        }
        _ => return Ok(None),
    };
    encode_plan(format, &fields, &written).map(Some).map_err(|e| KernelError(e.to_string()))
}
