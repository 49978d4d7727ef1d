//! What is done with each message. Requests are answered in the order in which they come, by the
//! text as it is then; diagnostics are found when nothing else is to be done, so that of many
//! changes in a row only the last text is checked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flow_compiler::check::CheckOptions;
use flow_compiler::diagnostics::{Code, Fix};
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::format::format;
use flow_ir::span::Span;
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use serde_json::Value;

use super::convert::{self, Client};
use super::documents::{Checked, Document, FILE};
use super::registry::Remembered;
use super::transport::{self, Incoming};
use super::{Event, pages};
use crate::exit::{Exit, Failure, Result};
use crate::ide::{self, Analysis};

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before initialize.
    New,
    /// Between initialize and shutdown.
    Serving,
    /// After shutdown.
    Down,
}

/// One conversation.
pub(super) struct Server<W> {
    out: W,
    phase: Phase,
    client: Client,
    documents: BTreeMap<String, Document>,
    /// Documents whose diagnostics are to be published.
    stale: BTreeSet<String>,
    catalog: Remembered,
    options: CheckOptions,
    /// Addresses of pages that were linked to.
    pages: BTreeMap<Code, Option<String>>,
}

/// What a client is told where the compiler failed.
const BUG: &str = "a bug in flow lsp; see its standard error";

/// The result of a request.
type Answer<T> = std::result::Result<T, Refusal>;

/// Why a request has no result.
struct Refusal {
    code: ErrorCode,
    why: String,
}

impl Refusal {
    fn new(code: ErrorCode, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::new(ErrorCode::InvalidParams, format!("the parameters are not as agreed: {error}"))
    }
}

impl<W: Write> Server<W> {
    pub(super) fn new(out: W, catalog: Remembered, options: CheckOptions) -> Self {
        Self {
            out,
            phase: Phase::New,
            client: Client::default(),
            documents: BTreeMap::new(),
            stale: BTreeSet::new(),
            catalog,
            options,
            pages: BTreeMap::new(),
        }
    }

    fn send(&mut self, message: &Value) -> Result {
        let sent = transport::write(&mut self.out, message);
        sent.map_err(|e| Failure::failed(format!("the client does not read: {e}")))
    }

    fn respond(&mut self, id: RequestId, result: Answer<Value>) -> Result {
        let response = match result {
            Ok(value) => Response::new_ok(id, value),
            Err(refusal) => Response::new_err(id, refusal.code as i32, refusal.why),
        };
        self.send(&convert::message(Message::Response(response)))
    }

    /// Answers requests that wait and were taken back.
    pub(super) fn cancel_waiting(&mut self, queue: &mut VecDeque<Event>) -> Result {
        let cancelled: Vec<RequestId> = queue.iter().filter_map(cancels).collect();
        for id in cancelled {
            let waits = |event: &Event| match event {
                Event::Incoming(Incoming::Message(Message::Request(request))) => request.id == id,
                Event::Incoming(_) | Event::Closed(_) | Event::Answered => false,
            };
            if let Some(at) = queue.iter().position(waits) {
                queue.remove(at);
                let refusal = Refusal::new(ErrorCode::RequestCanceled, "taken back");
                self.respond(id, Err(refusal))?;
            }
        }
        queue.retain(|event| cancels(event).is_none());
        Ok(())
    }

    /// Does what a message asks; breaks when the conversation is over.
    pub(super) fn handle(&mut self, incoming: Incoming) -> Result<ControlFlow<Exit>> {
        match incoming {
            Incoming::Malformed(answer) => self.send(&answer)?,
            Incoming::Message(Message::Request(request)) => {
                let id = request.id.clone();
                let result = self.request(request);
                self.respond(id, result)?;
            }
            Incoming::Message(Message::Notification(notification)) => {
                if notification.method == "exit" {
                    let orderly = self.phase == Phase::Down;
                    let exit = if orderly { Exit::Success } else { Exit::Mistakes };
                    return Ok(ControlFlow::Break(exit));
                }
                if self.phase == Phase::Serving {
                    self.notified(&notification)?;
                }
            }
            // Nothing is asked of the client.
            Incoming::Message(Message::Response(_)) => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn request(&mut self, request: Request) -> Answer<Value> {
        match (self.phase, request.method.as_str()) {
            (Phase::New, "initialize") => {
                self.phase = Phase::Serving;
                self.client = Client::of(&request.params);
                return Ok(convert::capabilities());
            }
            (Phase::New, _) => {
                return Err(Refusal::new(
                    ErrorCode::ServerNotInitialized,
                    "initialize comes first",
                ));
            }
            (Phase::Serving, "shutdown") => {
                self.phase = Phase::Down;
                return Ok(Value::Null);
            }
            (Phase::Serving, "initialize") | (Phase::Down, _) => {
                let why = "not at this point of the conversation";
                return Err(Refusal::new(ErrorCode::InvalidRequest, why));
            }
            (Phase::Serving, _) => {}
        }
        // A bug met by one request must not end the conversation.
        let answer = catch_unwind(AssertUnwindSafe(|| self.answer(request)));
        answer.unwrap_or_else(|_| Err(Refusal::new(ErrorCode::InternalError, BUG)))
    }

    fn answer(&mut self, request: Request) -> Answer<Value> {
        match request.method.as_str() {
            "textDocument/hover" => self.hover(request.params),
            "textDocument/signatureHelp" => {
                let (uri, at) = convert::position_params(request.params)?;
                let document = self.document(&uri)?;
                let found = ide::call(document.text(), document.offset(at));
                Ok(found.map_or(Value::Null, |call| convert::signatures(&call)))
            }
            "textDocument/completion" => self.complete(request.params),
            "textDocument/definition" => self.define(request.params),
            "textDocument/documentSymbol" => self.symbols(request.params),
            "textDocument/codeAction" => self.actions(request.params),
            "textDocument/formatting" => {
                let uri = convert::document_params(request.params)?;
                let document = self.document(&uri)?;
                Ok(convert::rewritten(&format(document.text()), document))
            }
            other => {
                let why = format!("flow lsp has no {other}");
                Err(Refusal::new(ErrorCode::MethodNotFound, why))
            }
        }
    }

    fn document(&self, uri: &str) -> Answer<&Document> {
        let missing = || Refusal::new(ErrorCode::InvalidParams, format!("{uri} is not open"));
        self.documents.get(uri).ok_or_else(missing)
    }

    /// A document, and what is found in it.
    fn checked(&mut self, uri: &str) -> Answer<(&Document, &Checked, &Analysis)> {
        if let Some(document) = self.documents.get_mut(uri) {
            document.check(&name_of(uri), &self.catalog, &self.options);
        }
        let document = self.document(uri)?;
        let checked = document.checked();
        let whole = checked.and_then(|c| Some((document, c, c.analysis.as_ref()?)));
        whole.ok_or_else(|| Refusal::new(ErrorCode::InternalError, BUG))
    }

    fn hover(&mut self, params: Value) -> Answer<Value> {
        let (uri, at) = convert::position_params(params)?;
        let (document, checked, analysis) = self.checked(&uri)?;
        let found = ide::hover(&checked.sources, analysis, FILE, document.offset(at));
        Ok(found.map_or(Value::Null, |hover| convert::hover(&hover, document)))
    }

    fn define(&mut self, params: Value) -> Answer<Value> {
        let (uri, at) = convert::position_params(params)?;
        let (document, _, analysis) = self.checked(&uri)?;
        let found = ide::declaration(analysis, FILE, document.offset(at));
        Ok(found.map_or(Value::Null, |span| convert::location(&uri, span, document)))
    }

    fn symbols(&mut self, params: Value) -> Answer<Value> {
        let uri = convert::document_params(params)?;
        let (document, _, analysis) = self.checked(&uri)?;
        Ok(convert::symbols(&ide::symbols(analysis, FILE), document))
    }

    fn actions(&mut self, params: Value) -> Answer<Value> {
        let (uri, from, to) = convert::range_params(params)?;
        let (document, checked, _) = self.checked(&uri)?;
        let (from, to) = (document.offset(from), document.offset(to));
        let touches = |span: Span| span.start as usize <= to && from <= span.end as usize;
        let near = checked.diagnostics().filter(|d| touches(d.at.span));
        let fixes: Vec<Fix> = near.filter_map(|d| d.fix.clone()).collect();
        Ok(convert::actions(&uri, &fixes, document))
    }

    fn complete(&mut self, params: Value) -> Answer<Value> {
        let (uri, at) = convert::position_params(params)?;
        let document = self.document(&uri)?;
        let mut sources = SourceMap::new();
        sources.add(name_of(&uri), document.text());
        let (catalog, options) = (&self.catalog, &self.options);
        let program = ide::Program { sources: &sources, catalog, options };
        let found = ide::complete(&program, FILE, document.offset(at));
        Ok(convert::completions(&found, document, self.client))
    }

    fn notified(&mut self, notification: &Notification) -> Result {
        let params = notification.params.clone();
        let done = match notification.method.as_str() {
            "textDocument/didOpen" => convert::open_params(params).map(|(uri, version, text)| {
                self.documents.insert(uri.clone(), Document::new(version, text));
                self.stale.insert(uri);
            }),
            "textDocument/didChange" => {
                convert::change_params(params).map(|(uri, version, changes)| {
                    if let Some(document) = self.documents.get_mut(&uri) {
                        document.change(version, changes);
                        self.stale.insert(uri);
                    }
                })
            }
            "textDocument/didSave" => convert::document_params(params).map(|uri| {
                self.catalog.refresh();
                if let Some(document) = self.documents.get_mut(&uri) {
                    document.forget();
                    self.stale.insert(uri);
                }
            }),
            "textDocument/didClose" => return self.close(params),
            _ => Ok(()),
        };
        if let Err(e) = done {
            eprintln!("flow lsp: {}: {e}", notification.method);
        }
        Ok(())
    }

    fn close(&mut self, params: Value) -> Result {
        let Ok(uri) = convert::document_params(params) else { return Ok(()) };
        self.stale.remove(&uri);
        if self.documents.remove(&uri).is_some() {
            self.send(&convert::no_diagnostics(&uri))?;
        }
        Ok(())
    }

    /// Publishes the diagnostics of one document; whether there was one.
    pub(super) fn publish_next(&mut self) -> Result<bool> {
        let Some(uri) = self.stale.pop_first() else { return Ok(false) };
        let (catalog, options) = (&self.catalog, &self.options);
        if let Some(document) = self.documents.get_mut(&uri) {
            document.check(&name_of(&uri), catalog, options);
            let found = document.checked().map(|c| c.diagnostics().cloned().collect::<Vec<_>>());
            let found = found.unwrap_or_default();
            let pages = &mut self.pages;
            let mut page = |code| pages.entry(code).or_insert_with(|| pages::address(code)).clone();
            let message = convert::diagnostics(&uri, &found, document, &mut page);
            self.send(&message)?;
        }
        Ok(true)
    }

    /// What depends on registries is to be looked at again.
    pub(super) fn registries_answered(&mut self) {
        for (uri, document) in self.documents.iter_mut().filter(|(_, d)| d.asks()) {
            document.forget();
            self.stale.insert(uri.clone());
        }
    }

    /// Whether a document waits for a registry.
    pub(super) fn waits_for_registries(&self) -> bool {
        self.documents.values().any(Document::waits)
    }
}

/// The request that a notification takes back.
fn cancels(event: &Event) -> Option<RequestId> {
    let Event::Incoming(Incoming::Message(Message::Notification(notification))) = event else {
        return None;
    };
    let is_cancel = notification.method == "$/cancelRequest";
    let id = notification.params.get("id").filter(|_| is_cancel)?;
    serde_json::from_value(id.clone()).ok()
}

/// The name of a document in messages and for the job: its address without folders.
fn name_of(uri: &str) -> String {
    uri.rsplit('/').next().unwrap_or(uri).to_string()
}
