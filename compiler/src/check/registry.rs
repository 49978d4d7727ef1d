//! Schemas: columns from a registry's subject, declared columns against it, and the schemas that
//! outputs are written with.

use std::collections::BTreeMap;

use flow_ir::connector::{DEBEZIUM_AVRO, FILE, is_avro, is_json};
use flow_ir::decode_plan::{DecodeColumn, Metadata, Origin};
use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::physical::SubjectSchema;
use flow_ir::span::Span;
use flow_ir::types::Field;
use flow_schema::{CsvFormat, EncodeFormat, Level, PayloadFormat, Schema};

use super::Checker;
use super::catalog::{CatalogError, CatalogSchema, RegistryRef};
use super::options::Options;
use super::typed::{ColumnSource, RelationId};
use crate::diagnostics::connectors as problems;

/// The two payloads of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Key,
    Value,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Side::Key => "key",
            Side::Value => "value",
        }
    }
}

impl Options {
    fn format_of(&self, side: Side) -> Option<&'static str> {
        let format = match side {
            Side::Key => self.key_format,
            Side::Value => self.value_format,
        };
        format.map(|f| f.name)
    }

    fn is_bare(&self, side: Side) -> bool {
        self.connector.name == FILE
            || self.is_generated()
            || self.format_option(side.word(), "avro.bare") == Some("true")
    }

    /// Whether a side's payloads are framed with the id of a registered schema.
    fn is_registered(&self, side: Side) -> bool {
        self.format_of(side).is_some_and(is_avro) && !self.is_bare(side)
    }

    /// The registry of a side: options with the side's name before them win over those without,
    /// and these over the program's settings.
    fn registry(&self, side: Side, settings: &BTreeMap<String, String>) -> RegistryRef {
        let side = format!("{}.", side.word());
        let mut options = BTreeMap::new();
        for (given, prefix) in [(settings, ""), (&self.values, ""), (&self.values, &side)] {
            let own = given.iter().filter_map(|(k, value)| Some((k.strip_prefix(prefix)?, value)));
            let own = own.filter(|(key, _)| key.starts_with("avro-confluent."));
            options.extend(own.map(|(key, value)| (key.to_string(), value.clone())));
        }
        let url = options.remove("avro-confluent.url");
        RegistryRef { url: url.or_else(|| settings.get("schema.registry.url").cloned()), options }
    }

    fn subject(&self, side: Side, stream: &str) -> String {
        let own = self.format_option(side.word(), "avro-confluent.subject");
        match own
            .filter(|_| side == Side::Value || self.get("key.avro-confluent.subject").is_some())
        {
            Some(subject) => subject.to_string(),
            None => format!("{}-{}", self.get("topic").unwrap_or(stream), side.word()),
        }
    }
}

impl Checker<'_> {
    /// A relation is read: its connector and format can, and its columns are known and fit.
    pub(super) fn read(&mut self, id: RelationId, used: Span) -> Option<()> {
        if let Some(known) = self.declared(id).read {
            return known.then_some(());
        }
        let declared = self.module.relation(id).span;
        let options = self.declared(id).options.clone();
        let fine = self
            .direction(&options, true, used, declared)
            .and_then(|()| self.readable(id, &options, used))
            .is_some();
        self.declared(id).read = Some(fine);
        fine.then_some(())
    }

    fn readable(&mut self, id: RelationId, options: &Options, used: Span) -> Option<()> {
        let stream = self.module.relation(id).stream.name.clone();
        let at = self.module.relation(id).span;
        let value = match options.own_schema() {
            Some(schema) => Some(schema),
            None if self.declared(id).open && options.format_of(Side::Value) == Some("avro") => {
                match options.get("path").filter(|_| options.connector.name == FILE) {
                    Some(path) => self.schema_of_file(path, options, at)?,
                    None => self.input_schema(options, Side::Value, &stream, at)?,
                }
            }
            None => self.input_schema(options, Side::Value, &stream, at)?,
        };
        if self.declared(id).open {
            let fields = self.fields_of_subject(options, value.as_ref(), &stream, at, used)?;
            self.build_columns(id, fields);
            self.fill_schema(id, Side::Value, value, options);
            return self.generated(id, options);
        }
        self.check_side(id, Side::Value, value.as_ref())?;
        let keyed = self.module.relation(id).stream.columns.iter();
        let keyed = keyed.clone().any(|c| matches!(c.origin, Origin::Key(_)));
        if keyed {
            let key = self.input_schema(options, Side::Key, &stream, at)?;
            self.check_side(id, Side::Key, key.as_ref())?;
            self.fill_schema(id, Side::Key, key, options);
        }
        self.fill_schema(id, Side::Value, value, options);
        self.generated(id, options)?;
        self.decodable(id, options)
    }

    /// The schema of a container file.
    fn schema_of_file(
        &mut self,
        path: &str,
        options: &Options,
        at: Span,
    ) -> Option<Option<(String, CatalogSchema)>> {
        match self.catalog.file(path) {
            Ok(found) => Some(found.map(|schema| (path.to_string(), schema))),
            Err(CatalogError { message, .. }) => {
                let at = options.value_span("path").unwrap_or(at);
                self.report(problems::unusable_schema(message, "has no schema", at))
            }
        }
    }

    /// The latest schema of a registered side's subject.
    fn input_schema(
        &mut self,
        options: &Options,
        side: Side,
        stream: &str,
        at: Span,
    ) -> Option<Option<(String, CatalogSchema)>> {
        if !options.is_registered(side) {
            return Some(None);
        }
        let registry = options.registry(side, &self.module.settings.other);
        let subject = options.subject(side, stream);
        let answer = self.catalog.subject(&registry, &subject);
        let found = self.answered(answer, options, at)?;
        let Some(mut schema) = found else { return Some(None) };
        if options.format_of(side) == Some(DEBEZIUM_AVRO) {
            schema.text = self.row_of_envelope(&subject, &schema.text, at)?;
        }
        Some(Some((subject, schema)))
    }

    /// The schema of the rows in a subject's envelopes.
    fn row_of_envelope(&mut self, subject: &str, text: &str, at: Span) -> Option<String> {
        let parsed = self.parsed(subject, text, at)?;
        match flow_schema::envelope(&parsed) {
            Ok(envelope) => Some(flow_schema::text_of(&envelope.row)),
            Err(error) => {
                let message = format!("the schema of {subject} is no envelope: {error}");
                self.report(problems::unusable_schema(message, "has no rows", at))
            }
        }
    }

    fn answered<T>(
        &mut self,
        answer: Result<T, CatalogError>,
        options: &Options,
        at: Span,
    ) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                let at = options.value_span("avro-confluent.url").unwrap_or(at);
                let help = error.help.as_deref();
                self.report(problems::registry_failed(&error.message, help, at))
            }
        }
    }

    fn parsed(&mut self, subject: &str, text: &str, at: Span) -> Option<Schema> {
        match flow_schema::parse(text) {
            Ok(schema) => Some(schema),
            Err(error) => {
                let message = format!("the schema of {subject} cannot be used: {error}");
                self.report(problems::unusable_schema(message, "needs this schema", at))
            }
        }
    }

    /// The columns that a subject gives to a declaration without columns.
    fn fields_of_subject(
        &mut self,
        options: &Options,
        value: Option<&(String, CatalogSchema)>,
        stream: &str,
        at: Span,
        used: Span,
    ) -> Option<Vec<Field>> {
        let Some((subject, schema)) = value else {
            let why = if options.is_registered(Side::Value) {
                format!("the registry has no subject {}", options.subject(Side::Value, stream))
            } else {
                format!(
                    "format {} has no registry",
                    options.format_of(Side::Value).unwrap_or("none")
                )
            };
            let problem = problems::no_columns(stream, &why, at).with_related(used, "read here");
            return self.report(problem);
        };
        let parsed = self.parsed(subject, &schema.text, at)?;
        match flow_schema::columns_of(&parsed) {
            Ok(columns) => Some(columns.fields),
            Err(error) => {
                let message = format!("the schema of {subject} gives no columns: {error}");
                self.report(problems::unusable_schema(message, "has no columns of its own", at))
            }
        }
    }

    /// Compares one side's columns with the subject's schema.
    fn check_side(
        &mut self,
        id: RelationId,
        side: Side,
        schema: Option<&(String, CatalogSchema)>,
    ) -> Option<()> {
        let Some((subject, schema)) = schema else { return Some(()) };
        let relation = self.module.relation(id);
        let at = relation.span;
        let columns: Vec<(Field, Span)> = relation
            .columns
            .iter()
            .filter_map(|column| {
                let ColumnSource::Record(position) = column.source else { return None };
                let path = match (&relation.stream.columns[position].origin, side) {
                    (Origin::Key(path), Side::Key) | (Origin::Value(path), Side::Value) => path,
                    (Origin::Key(_) | Origin::Value(_) | Origin::Metadata(_), _) => return None,
                };
                Some((Field::new(path.first()?.clone(), column.ty.clone()), column.span))
            })
            .collect();
        let parsed = self.parsed(subject, &schema.text, at)?;
        let fields: Vec<Field> = columns.iter().map(|(field, _)| field.clone()).collect();
        let found = flow_schema::check_declared(&fields, &parsed);
        for problem in &found {
            let span = columns.get(problem.column).map_or(at, |(_, span)| *span);
            let why = problem.to_string();
            self.found.push(problems::schema_mismatch(&problem.name, &why, subject, span));
        }
        found.is_empty().then_some(())
    }

    fn fill_schema(
        &mut self,
        id: RelationId,
        side: Side,
        schema: Option<(String, CatalogSchema)>,
        options: &Options,
    ) {
        let schemas = &mut self.module.relations[id.0 as usize].stream.schemas;
        let place = match side {
            Side::Key => &mut schemas.key,
            Side::Value => &mut schemas.value,
        };
        if let (None, Some((subject, schema))) = (place.as_ref(), schema) {
            let subject = Some(subject).filter(|_| options.is_registered(side));
            *place = Some(SubjectSchema { subject, schema: schema.text });
        }
    }

    /// Whether the formats have a form for every column; for bare Avro this makes the schema.
    fn decodable(&mut self, id: RelationId, options: &Options) -> Option<()> {
        for side in [Side::Key, Side::Value] {
            let known = match side {
                Side::Key => self.module.relation(id).stream.schemas.key.is_some(),
                Side::Value => self.module.relation(id).stream.schemas.value.is_some(),
            };
            if options.format_of(side) == Some("avro") && options.is_bare(side) && !known {
                self.bare_schema(id, side)?;
            }
        }
        let stream = &self.module.relation(id).stream;
        let values = stream.columns.iter().filter(|c| matches!(c.origin, Origin::Value(_))).count();
        if options.format_of(Side::Value) == Some("raw") && values != 1 {
            return self.no_form(id, "raw takes exactly one column");
        }
        let columns: Vec<DecodeColumn> = stream
            .columns
            .iter()
            .map(|c| DecodeColumn {
                name: c.name.clone(),
                ty: c.ty.clone(),
                origin: c.origin.clone(),
            })
            .collect();
        let [key, value] = [&self.csv(id, Side::Key)?, &self.csv(id, Side::Value)?];
        let formats = [Side::Key, Side::Value].map(|side| match options.format_of(side) {
            Some(format) if is_json(format) => Some(PayloadFormat::Json),
            Some("raw") => Some(PayloadFormat::Raw),
            Some("csv") => Some(PayloadFormat::Csv(if side == Side::Key { key } else { value })),
            Some(_) | None => None,
        });
        let [key, Some(value)] = formats else { return Some(()) };
        let failed = !self.declared(id).poisoned.is_empty();
        match flow_schema::decode_plan(key, value, &columns) {
            Ok(_) => Some(()),
            Err(_) if failed => Some(()),
            Err(error) => self.no_form(id, &error.to_string()),
        }
    }

    /// The text of a side whose format is `csv`; the default for others.
    fn csv(&mut self, id: RelationId, side: Side) -> Option<CsvFormat> {
        let relation = self.module.relation(id);
        let options = &self.declared[id.0 as usize].options;
        if options.format_of(side) != Some("csv") {
            return Some(CsvFormat::default());
        }
        match flow_schema::csv_dialect(&relation.stream, side.word()) {
            Ok(_) => flow_schema::csv_format(&relation.stream, side.word()).ok(),
            Err((name, takes)) => {
                let own = format!("{}.{name}", side.word());
                let given = [own, name.clone()].into_iter().find(|n| options.get(n).is_some());
                let given = given.unwrap_or(name);
                let at = options.value_span(&given).unwrap_or(relation.span);
                let value = options.get(&given).unwrap_or_default().to_string();
                self.report(problems::bad_option(&given, &value, takes, at))
            }
        }
    }

    fn no_form<T>(&mut self, id: RelationId, why: &str) -> Option<T> {
        let relation = self.module.relation(id);
        let format = relation.stream.value_format.clone().unwrap_or_default();
        let column = relation.columns.iter().find(|c| why.contains(&format!("column {}", c.name)));
        let at = column.map_or(relation.span, |c| c.span);
        let message = format!("format '{format}' cannot hold {}: {why}", relation.stream.name);
        self.report(problems::unusable_schema(message, "does not fit the format", at))
    }

    fn side_fields(&self, id: RelationId, side: Side) -> Vec<Field> {
        let relation = self.module.relation(id);
        let options = &self.declared[id.0 as usize].options;
        let keys = self.key_positions(id);
        let only_value = options.get("value.fields-include") == Some("EXCEPT_KEY");
        let prefix = options.get("key.fields-prefix").unwrap_or("");
        let columns = relation.stream.columns.iter().enumerate();
        let fields = columns.filter_map(|(at, column)| {
            let is_key = keys.contains(&at);
            let here = match (side, &column.origin) {
                (_, Origin::Metadata(_)) => false,
                (Side::Key, _) => is_key,
                (Side::Value, _) => !(is_key && only_value),
            };
            let name = match side {
                Side::Key => column.name.strip_prefix(prefix).unwrap_or(&column.name),
                Side::Value => &column.name,
            };
            here.then(|| Field::new(name, column.ty.clone()))
        });
        fields.collect()
    }

    /// Positions of the record key in `stream.columns`.
    pub(super) fn key_positions(&self, id: RelationId) -> Vec<usize> {
        let stream = &self.module.relation(id).stream;
        if !stream.primary_key.is_empty() {
            return stream.primary_key.clone();
        }
        let fields = self.declared[id.0 as usize].options.key_fields();
        let find = |name: &String| {
            let names = stream.columns.iter().map(|c| c.name.as_str());
            match super::scope::find(name, names) {
                super::scope::Found::One(at) => Some(at),
                super::scope::Found::None | super::scope::Found::Many(_) => None,
            }
        };
        fields.iter().filter_map(find).collect()
    }

    /// The schema of a side without a registry, from its columns.
    fn bare_schema(&mut self, id: RelationId, side: Side) -> Option<()> {
        let fields = self.side_fields(id, side);
        if fields.is_empty() {
            return Some(());
        }
        let name = self.record_name(id, side);
        let schema = self.derived(id, &name, "", &fields)?;
        self.set_schema(id, side, SubjectSchema { subject: None, schema });
        Some(())
    }

    fn record_name(&self, id: RelationId, side: Side) -> String {
        let stream = &self.module.relation(id).stream.name;
        match side {
            Side::Key => format!("{stream}_key"),
            Side::Value => stream.clone(),
        }
    }

    fn derived(
        &mut self,
        id: RelationId,
        name: &str,
        namespace: &str,
        fields: &[Field],
    ) -> Option<String> {
        match flow_schema::derive(name, namespace, fields) {
            Ok(schema) => Some(schema),
            Err(_) if !self.declared(id).poisoned.is_empty() => None,
            Err(error) => self.no_form(id, &error.to_string()),
        }
    }

    fn set_schema(&mut self, id: RelationId, side: Side, schema: SubjectSchema) {
        let schemas = &mut self.module.relations[id.0 as usize].stream.schemas;
        match side {
            Side::Key => schemas.key = Some(schema),
            Side::Value => schemas.value = Some(schema),
        }
    }

    /// A relation is written: the schemas of its records, compatible with what is registered.
    pub(super) fn writable(&mut self, id: RelationId, at: Span) -> Option<()> {
        let options = self.declared(id).options.clone();
        let mut sides = vec![Side::Value];
        if !self.key_positions(id).is_empty() && options.has_record_keys() {
            sides.push(Side::Key);
        }
        for side in sides {
            match options.format_of(side) {
                Some("avro") if options.is_bare(side) => self.bare_schema(id, side)?,
                Some("avro") => self.registered_schema(id, side, &options, at)?,
                Some("json" | "debezium-json") => {
                    let fields = self.side_fields(id, side);
                    self.encodable(id, EncodeFormat::Json(JsonTimestamps::Iso), &fields)?;
                }
                Some("csv") => {
                    let fields = self.side_fields(id, side);
                    let csv = self.csv(id, side)?;
                    self.encodable(id, EncodeFormat::Csv(&csv.dialect), &fields)?;
                }
                Some("raw") => {
                    let fields = self.side_fields(id, side);
                    self.encodable(id, EncodeFormat::Raw, &fields)?;
                }
                Some(_) | None => {}
            }
        }
        Some(())
    }

    fn encodable(
        &mut self,
        id: RelationId,
        format: EncodeFormat<'_>,
        fields: &[Field],
    ) -> Option<()> {
        let all: Vec<usize> = (0..fields.len()).collect();
        match flow_schema::encode_plan(format, fields, &all) {
            Ok(_) => Some(()),
            Err(error) => self.no_form(id, &error.to_string()),
        }
    }

    fn registered_schema(
        &mut self,
        id: RelationId,
        side: Side,
        options: &Options,
        at: Span,
    ) -> Option<()> {
        let stream = self.module.relation(id).stream.name.clone();
        let registry = options.registry(side, &self.module.settings.other);
        let subject = options.subject(side, &stream);
        let level = self.catalog.compatibility(&registry, &subject);
        let level = self.answered(level, options, at)?;
        let versions = self.catalog.versions(&registry, &subject);
        let versions = self.answered(versions, options, at)?;
        let mut parsed = Vec::with_capacity(versions.len());
        for version in &versions {
            parsed.push(self.parsed(&subject, &version.text, at)?);
        }
        let (name, namespace) = match parsed.last() {
            Some(Schema::Record(record)) => {
                let name = &record.name;
                (name.name().to_string(), name.namespace().unwrap_or("").to_string())
            }
            Some(_) | None => (self.record_name(id, side), String::new()),
        };
        let fields = self.side_fields(id, side);
        let text = self.derived(id, &name, &namespace, &fields)?;
        let new = self.parsed(&subject, &text, at)?;
        self.compatible(level, &new, &parsed, &subject, at)?;
        self.set_schema(id, side, SubjectSchema { subject: Some(subject), schema: text });
        Some(())
    }

    fn compatible(
        &mut self,
        level: Level,
        new: &Schema,
        versions: &[Schema],
        subject: &str,
        at: Span,
    ) -> Option<()> {
        let found = flow_schema::compat::check(level, new, versions);
        for problem in &found {
            let why = problem.to_string();
            self.found.push(problems::incompatible_schema(subject, level.word(), &why, at));
        }
        found.is_empty().then_some(())
    }
}

/// Whether a column is something about the record rather than in it.
pub(super) fn is_metadata(origin: &Origin) -> bool {
    match origin {
        Origin::Metadata(
            Metadata::Timestamp
            | Metadata::Topic
            | Metadata::Partition
            | Metadata::Offset
            | Metadata::Headers
            | Metadata::BatchPosition
            | Metadata::Tombstone
            | Metadata::Watermark,
        ) => true,
        Origin::Key(_) | Origin::Value(_) => false,
    }
}
