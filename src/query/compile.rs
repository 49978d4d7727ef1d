//! A question's text to a compiled query, which is kept for the next time that it is asked.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use flow_compiler::compile::{CompileOptions, CompiledQuery, compile_query};
use flow_compiler::diagnostics::render::{RenderStyle, render};
use flow_compiler::source::SourceMap;
use flow_ir::physical::JobGraph;
use flow_runtime::world::{Clock, SystemClock};

use super::{Offer, Unanswered};
use crate::catalog::RegistryCatalog;
use crate::registries::Registries;

/// Compiled queries that are kept; when there are more, the keeping begins anew.
const KEPT_MAX: usize = 2_000;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Question {
    /// CREATE statements for the streams that it reads.
    pub declarations: String,
    /// One SELECT or SUBSCRIBE.
    pub sql: String,
}

/// A query, and for each of its sources the offer that it reads.
#[derive(Debug)]
pub struct Compiled {
    /// The query.
    pub query: CompiledQuery,
    /// Its graph, to be run.
    pub graph: Arc<JobGraph>,
    /// The offers that it reads, each once.
    pub reads: Vec<Offer>,
    /// When it was compiled, microseconds since 1970: the clock of one that reads streams does not
    /// show less.
    pub asked_at: i64,
}

/// Compiled questions, by text and by what was offered: jobs and their versions.
type Kept = HashMap<(Question, Vec<(String, u32)>), Arc<Compiled>>;

/// Compiles questions.
pub struct Compiler {
    registries: Registries,
    kept: Mutex<Kept>,
}

impl Compiler {
    /// A compiler that finds schemas in these registries.
    pub fn new(registries: Registries) -> Self {
        Self { registries, kept: Mutex::default() }
    }

    /// Compiles a question to what is offered.
    ///
    /// # Errors
    /// The mistakes in its text, rendered.
    pub fn compile(
        &self,
        question: &Question,
        offers: &[Offer],
    ) -> Result<Arc<Compiled>, Unanswered> {
        let offered = offers.iter().map(|offer| (offer.job.clone(), offer.version)).collect();
        let key = (question.clone(), offered);
        if let Some(kept) = self.kept().get(&key) {
            return Ok(kept.clone());
        }
        let compiled = Arc::new(self.compile_anew(question, offers)?);
        let mut kept = self.kept();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        // What reads streams may be meant for schemas that come later.
        if !compiled.query.streams {
            kept.insert(key, compiled.clone());
        }
        Ok(compiled)
    }

    fn compile_anew(&self, question: &Question, offers: &[Offer]) -> Result<Compiled, Unanswered> {
        let mut sources = SourceMap::new();
        if !question.declarations.trim().is_empty() {
            sources.add("declarations", question.declarations.clone());
        }
        sources.add("query", question.sql.clone());
        let mut options = CompileOptions::default();
        options.check.views = offers.iter().flat_map(|o| o.views.iter().cloned()).collect();
        let asked_at = SystemClock::default().now_micros();
        options.asked_at = Some(asked_at);
        let catalog = RegistryCatalog::new(&self.registries);
        let query = compile_query(&sources, &catalog, &options).map_err(|diagnostics| {
            Unanswered::Mistakes(render(&diagnostics, &sources, RenderStyle::Plain))
        })?;
        let of = |job: &str| offers.iter().find(|offer| offer.job == job).cloned();
        let read = query.graph.views_read();
        let jobs: BTreeSet<&str> = read.iter().map(|(job, _)| *job).collect();
        let reads = jobs.into_iter().filter_map(of).collect();
        Ok(Compiled { graph: Arc::new(query.graph.clone()), reads, query, asked_at })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|e| e.into_inner())
    }
}
