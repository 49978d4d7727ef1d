//! Kernels of finished programs, and the places in the text that their failures point to: the
//! graph's sites, each once.

use std::collections::HashMap;

use flow_ir::expr::Expr;
use flow_ir::ids::{Reg, SiteId};
use flow_ir::kernel::KernelSpec;
use flow_ir::physical::Site;
use flow_ir::span::Span;
use flow_ir::types::Type;

use crate::scalar::{Columns, Program, typed};
use crate::source::SourceMap;

/// The places of the graph's expressions.
pub(super) struct Sites<'a> {
    sources: &'a SourceMap,
    known: HashMap<Span, SiteId>,
    sites: Vec<Site>,
}

impl<'a> Sites<'a> {
    pub(super) fn new(sources: &'a SourceMap) -> Self {
        Self { sources, known: HashMap::new(), sites: Vec::new() }
    }

    /// The site of a span.
    pub(super) fn site(&mut self, span: Span) -> SiteId {
        *self.known.entry(span).or_insert_with(|| {
            let place = self.sources.get(span.file).map(|file| file.line_column(span.start));
            let (line, column) = place.map_or((0, 0), |at| (at.line as u32, at.column as u32));
            self.sites.push(Site { span, line, column });
            SiteId::from(self.sites.len() - 1)
        })
    }

    pub(super) fn finish(self) -> Vec<Site> {
        self.sites
    }

    /// A kernel whose one output is the expression over these columns, as `ty`.
    pub(super) fn output_kernel(&mut self, input: &[Type], expr: &Expr, ty: &Type) -> KernelSpec {
        let mut program = Program::new(input.to_vec());
        let reg = program.expr(expr, &Columns::Input);
        self.kernel(program, None, vec![(reg, ty.clone())])
    }

    /// A kernel without outputs that keeps the rows for which the condition is TRUE.
    pub(super) fn filter_kernel(&mut self, input: &[Type], condition: &Expr) -> KernelSpec {
        let mut program = Program::new(input.to_vec());
        let reg = program.expr(condition, &Columns::Input);
        self.kernel(program, Some(reg), Vec::new())
    }

    /// The kernel of a finished program: its sites are the graph's, its outputs of these types.
    pub(super) fn kernel(
        &mut self,
        program: Program,
        filter: Option<Reg>,
        outputs: Vec<(Reg, Type)>,
    ) -> KernelSpec {
        let (mut scalar, spans) = program.finish();
        for site in scalar.insts.iter_mut().filter_map(|inst| inst.site.as_mut()) {
            *site = self.site(spans[site.index()]);
        }
        let outputs = outputs.into_iter().map(|(reg, ty)| typed(&mut scalar, reg, ty)).collect();
        KernelSpec { program: scalar, filter, outputs }
    }
}
