//! Between the protocol's types and ours. Only this file knows the protocol's types.

use std::collections::HashMap;

use flow_compiler::diagnostics::{Code, Diagnostic, Fix, Severity};
use flow_ir::span::Span;
use gen_lsp_types as lsp;
use lsp_server::Message;
use serde_json::{Value, from_value, json};

use super::documents::{Change, Document, FILE, Position};
use crate::ide::{Call, Completion, Completions, Hover, Kind, Symbol, SymbolKind};

type Parsed<T> = Result<T, serde_json::Error>;

/// What the client can do that matters here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Client {
    /// Completions may say where the cursor goes.
    snippets: bool,
}

impl Client {
    /// From the parameters of initialize.
    pub(super) fn of(params: &Value) -> Self {
        let path = "/capabilities/textDocument/completion/completionItem/snippetSupport";
        Self { snippets: params.pointer(path).and_then(Value::as_bool).unwrap_or(false) }
    }
}

/// The answer to initialize.
pub(super) fn capabilities() -> Value {
    let capabilities = lsp::ServerCapabilities {
        position_encoding: Some(lsp::PositionEncodingKind::UTF16),
        text_document_sync: Some(lsp::TextDocumentSync::Options(lsp::TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(lsp::TextDocumentSyncKind::Incremental),
            save: Some(true.into()),
            ..Default::default()
        })),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: Some([".", "'"].map(String::from).to_vec()),
            ..Default::default()
        }),
        signature_help_provider: Some(lsp::SignatureHelpOptions {
            trigger_characters: Some(["(", ","].map(String::from).to_vec()),
            ..Default::default()
        }),
        hover_provider: Some(true.into()),
        definition_provider: Some(true.into()),
        document_symbol_provider: Some(true.into()),
        code_action_provider: Some(true.into()),
        document_formatting_provider: Some(true.into()),
        ..Default::default()
    };
    let version = env!("CARGO_PKG_VERSION");
    json!({ "capabilities": capabilities, "serverInfo": { "name": "flow", "version": version } })
}

/// A message as it is sent.
pub(super) fn message(message: Message) -> Value {
    let mut value = serde_json::to_value(message).unwrap_or_default();
    value["jsonrpc"] = "2.0".into();
    value
}

fn ours(at: lsp::Position) -> Position {
    (at.line, at.character)
}

/// Document and position of a request about a position.
pub(super) fn position_params(params: Value) -> Parsed<(String, Position)> {
    let params: lsp::TextDocumentPositionParams = from_value(params)?;
    Ok((params.text_document.uri.to_string(), ours(params.position)))
}

/// The document of a message about one.
pub(super) fn document_params(params: Value) -> Parsed<String> {
    let document = params.get("textDocument").cloned().unwrap_or_default();
    Ok(from_value::<lsp::TextDocumentIdentifier>(document)?.uri.to_string())
}

/// Document and range of a request for actions.
pub(super) fn range_params(params: Value) -> Parsed<(String, Position, Position)> {
    let params: lsp::CodeActionParams = from_value(params)?;
    let range = params.range;
    Ok((params.text_document.uri.to_string(), ours(range.start), ours(range.end)))
}

/// Document, version and text of didOpen.
pub(super) fn open_params(params: Value) -> Parsed<(String, i32, String)> {
    let document = from_value::<lsp::DidOpenTextDocumentParams>(params)?.text_document;
    Ok((document.uri.to_string(), document.version, document.text))
}

/// Document, version and edits of didChange.
pub(super) fn change_params(params: Value) -> Parsed<(String, i32, Vec<Change>)> {
    use lsp::TextDocumentContentChangeEvent as Event;
    let params: lsp::DidChangeTextDocumentParams = from_value(params)?;
    let changes = params.content_changes.into_iter().map(|event| match event {
        Event::TextDocumentContentChangePartial(part) => {
            Change { range: Some((ours(part.range.start), ours(part.range.end))), text: part.text }
        }
        Event::TextDocumentContentChangeWholeDocument(whole) => {
            Change { range: None, text: whole.text }
        }
    });
    let document = params.text_document;
    let uri = document.text_document_identifier.uri.to_string();
    Ok((uri, document.version, changes.collect()))
}

fn position(document: &Document, offset: usize) -> lsp::Position {
    let (line, character) = document.position(offset);
    lsp::Position { line, character }
}

fn range(document: &Document, start: usize, end: usize) -> lsp::Range {
    lsp::Range { start: position(document, start), end: position(document, end) }
}

fn span_range(document: &Document, span: Span) -> lsp::Range {
    range(document, span.start as usize, span.end as usize)
}

/// The notification with the diagnostics of a document.
pub(super) fn diagnostics(
    uri: &str,
    found: &[Diagnostic],
    document: &Document,
    page: &mut dyn FnMut(Code) -> Option<String>,
) -> Value {
    let shown = found.iter().map(|d| diagnostic(uri, d, document, page(d.code))).collect();
    publish(uri, Some(document.version), shown)
}

/// The notification that a document has no diagnostics any more.
pub(super) fn no_diagnostics(uri: &str) -> Value {
    publish(uri, None, Vec::new())
}

fn publish(uri: &str, version: Option<i32>, diagnostics: Vec<lsp::Diagnostic>) -> Value {
    let params = lsp::PublishDiagnosticsParams { uri: uri.into(), version, diagnostics };
    let method = "textDocument/publishDiagnostics";
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

fn diagnostic(
    uri: &str,
    d: &Diagnostic,
    document: &Document,
    page: Option<String>,
) -> lsp::Diagnostic {
    let severity = match d.severity {
        Severity::Error => lsp::DiagnosticSeverity::Error,
        Severity::Warning => lsp::DiagnosticSeverity::Warning,
        Severity::Note => lsp::DiagnosticSeverity::Information,
    };
    let mut text = d.message.clone();
    if !d.at.text.is_empty() {
        text.push_str(&format!(" ({})", d.at.text));
    }
    if let Some(help) = &d.help {
        text.push_str(&format!("\n{help}"));
    }
    let related = d.related.iter().filter(|label| label.span.file == FILE);
    let related = related.map(|label| lsp::DiagnosticRelatedInformation {
        location: lsp::Location { uri: uri.into(), range: span_range(document, label.span) },
        message: label.text.clone(),
    });
    lsp::Diagnostic {
        range: span_range(document, d.at.span),
        severity: Some(severity),
        code: Some(lsp::Code::String(d.code.id().into())),
        code_description: page.map(|href| lsp::CodeDescription { href: href.into() }),
        source: Some("flow".into()),
        message: lsp::Message::String(text),
        tags: None,
        related_information: Some(related.collect()),
        data: None,
    }
}

/// A result of hover.
pub(super) fn hover(hover: &Hover, document: &Document) -> Value {
    json!(lsp::Hover {
        contents: lsp::Contents::MarkupContent(markdown(&hover.markdown)),
        range: Some(span_range(document, hover.span)),
    })
}

fn markdown(text: &str) -> lsp::MarkupContent {
    lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value: text.to_string() }
}

/// A result of signatureHelp.
pub(super) fn signatures(call: &Call) -> Value {
    let signature = |label: &String| lsp::SignatureInformation {
        label: label.clone(),
        documentation: Some(lsp::Documentation::MarkupContent(markdown(&call.doc))),
        ..Default::default()
    };
    json!(lsp::SignatureHelp {
        signatures: call.signatures.iter().map(signature).collect(),
        active_signature: None,
        active_parameter: Some(call.argument.into()),
    })
}

/// A result of definition.
pub(super) fn location(uri: &str, span: Span, document: &Document) -> Value {
    json!(lsp::Location { uri: uri.into(), range: span_range(document, span) })
}

/// A result of documentSymbol.
pub(super) fn symbols(symbols: &[Symbol], document: &Document) -> Value {
    json!(symbols.iter().map(|s| symbol(s, document)).collect::<Vec<_>>())
}

#[allow(deprecated)] // The struct has a field that is.
fn symbol(of: &Symbol, document: &Document) -> lsp::DocumentSymbol {
    let (kind, detail) = match of.kind {
        SymbolKind::Stream => (lsp::SymbolKind::Event, "stream"),
        SymbolKind::Table => (lsp::SymbolKind::Struct, "table"),
        SymbolKind::View => (lsp::SymbolKind::Interface, "view"),
        SymbolKind::Function => (lsp::SymbolKind::Function, "function"),
        SymbolKind::Index => (lsp::SymbolKind::Key, "index"),
        SymbolKind::Query => (lsp::SymbolKind::Method, ""),
        SymbolKind::Column => (lsp::SymbolKind::Field, ""),
    };
    lsp::DocumentSymbol {
        name: of.name.clone(),
        detail: Some(detail.to_string()).filter(|d| !d.is_empty()),
        kind,
        tags: None,
        deprecated: None,
        range: span_range(document, of.span),
        selection_range: span_range(document, of.named),
        children: Some(of.children.iter().map(|s| symbol(s, document)).collect()),
    }
}

/// A result of codeAction.
pub(super) fn actions(uri: &str, fixes: &[Fix], document: &Document) -> Value {
    let action = |fix: &Fix| {
        let edits = fix.edits.iter().map(|edit| lsp::TextEdit {
            range: span_range(document, edit.span),
            new_text: edit.replacement.clone(),
        });
        let changes = HashMap::from([(uri.into(), edits.collect())]);
        lsp::CodeAction {
            title: fix.title.clone(),
            kind: Some(lsp::CodeActionKind::QuickFix),
            is_preferred: Some(true),
            edit: Some(lsp::WorkspaceEdit { changes: Some(changes), ..Default::default() }),
            ..Default::default()
        }
    };
    json!(fixes.iter().map(action).collect::<Vec<_>>())
}

/// The edit that makes a document this text: what differs, without what is the same before and
/// behind it.
pub(super) fn rewritten(new: &str, document: &Document) -> Value {
    let old = document.text();
    if old == new {
        return json!([]);
    }
    let same = |(a, b): &(char, char)| a == b;
    let length = |pairs: &mut dyn Iterator<Item = (char, char)>| -> usize {
        pairs.take_while(same).map(|(c, _)| c.len_utf8()).sum()
    };
    let before = length(&mut old.chars().zip(new.chars()));
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let behind = length(&mut old_rest.chars().rev().zip(new_rest.chars().rev()));
    let range = range(document, before, old.len() - behind);
    let new_text = new_rest[..new_rest.len() - behind].to_string();
    json!([lsp::TextEdit { range, new_text }])
}

/// A result of completion.
pub(super) fn completions(found: &Completions, document: &Document, client: Client) -> Value {
    let replace = range(document, found.replace.start, found.replace.end);
    let called = document.text().get(found.replace.end..).is_some_and(|t| t.starts_with('('));
    let snippets = client.snippets && !called;
    let items = found.items.iter().enumerate();
    let items = items.map(|(at, item)| completion(item, at, replace, snippets)).collect();
    json!(lsp::CompletionList { is_incomplete: false, items, ..Default::default() })
}

fn completion(
    item: &Completion,
    at: usize,
    replace: lsp::Range,
    snippets: bool,
) -> lsp::CompletionItem {
    let kind = match item.kind {
        Kind::Column => lsp::CompletionItemKind::Field,
        Kind::Relation => lsp::CompletionItemKind::Struct,
        Kind::Function => lsp::CompletionItemKind::Function,
        Kind::Type => lsp::CompletionItemKind::TypeParameter,
        Kind::Option => lsp::CompletionItemKind::Property,
        Kind::Value => lsp::CompletionItemKind::EnumMember,
        Kind::Keyword => lsp::CompletionItemKind::Keyword,
    };
    let as_snippet = snippets && item.takes_arguments;
    let new_text = match as_snippet {
        true => format!("{}($0)", item.insert),
        false => item.insert.clone(),
    };
    let is_quoted = item.insert.starts_with('\'');
    let format = match as_snippet {
        true => lsp::InsertTextFormat::Snippet,
        false => lsp::InsertTextFormat::PlainText,
    };
    lsp::CompletionItem {
        label: item.label.clone(),
        kind: Some(kind),
        detail: Some(item.detail.clone()).filter(|d| !d.is_empty()),
        documentation: Some(lsp::Documentation::MarkupContent(markdown(&item.doc)))
            .filter(|_| !item.doc.is_empty()),
        sort_text: Some(format!("{at:05}")),
        filter_text: is_quoted.then(|| item.insert.clone()),
        insert_text_format: Some(format),
        text_edit: Some(lsp::TextEdit { range: replace, new_text }.into()),
        ..Default::default()
    }
}
