//! Scalar programs: any well-typed program over any rows, in batches of several sizes, with both
//! error policies.

mod calls;
mod each;
mod program;

pub(crate) use program::random_over;

use flow_ir::ids::Reg;
use flow_ir::kernel::{
    ErrorBuffer, Kernel, KernelCx, KernelFactory, KernelSpec, OnError, RowError,
};
use flow_ir::row::{BatchBuilder, RowBatch};
use flow_stdlib::interp::Interpreter;

use crate::batch::{difference, error_difference, row_of, show_row};
use crate::source::Source;

/// Rows of the batches that each kernel is given, one after the other.
const BATCH_ROWS: [usize; 4] = [7, 0, 1_024, 1];
/// The largest batch has fewer rows if all registers of its rows took more than this.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// 2026-08-13T12:00:00Z, the epoch's clock.
const CLOCK: i64 = 1_786_622_400_000_000;

/// One random program over random batches.
///
/// # Errors
/// What the engines disagree on.
pub fn hold(bytes: &[u8]) -> Result<(), String> {
    let mut s = Source::new(bytes);
    let (spec, mut pool) = program::random(&mut s);
    spec.verify()
        .map_err(|e| format!("the generator made a bad program: {e}\n{}", program_text(&spec)))?;
    let (ours, native) = (Interpreter.kernel(&spec), crate::native().kernel(&spec));
    let (mut ours, mut native) = match (ours, native) {
        (Ok(ours), Ok(native)) => (ours, native),
        (Err(_), Err(_)) => return Ok(()),
        (ours, native) => {
            let (ours, native) = (ours.err(), native.err());
            return Err(format!(
                "interpreted: {ours:?}, native: {native:?}\n{}",
                program_text(&spec)
            ));
        }
    };
    let on_error = if s.once_in(2) { OnError::KeepNull } else { OnError::DropRow };
    let cx = KernelCx { clock: CLOCK, on_error };
    let probe = pool.batch(BATCH_ROWS[0]);
    let most = rows_that_fit(&spec, &probe, &cx);
    let mut outs = [0; 2].map(|_| BatchBuilder::new(spec.output_layout()));
    let appends = s.once_in(2);
    for rows in BATCH_ROWS {
        let batch = pool.batch(rows.min(most));
        let before = outs[0].len();
        let [a, b] = &mut outs;
        let answers = [run(&mut *ours, &batch, &cx, a), run(&mut *native, &batch, &cx, b)];
        let told = |why| describe(&spec, &batch, &cx, why);
        if let Some(why) = error_difference(&answers[0], &answers[1]) {
            return Err(told(why));
        }
        if appends && rows > 1 {
            continue;
        }
        let [a, b] = [a.take(), b.take()];
        if let Some(why) = difference(&a, &b) {
            return Err(told(format!("with {before} rows before: {why}")));
        }
    }
    Ok(())
}

fn run(
    kernel: &mut dyn Kernel,
    rows: &RowBatch,
    cx: &KernelCx,
    out: &mut BatchBuilder,
) -> Vec<RowError> {
    let mut bad = ErrorBuffer::default();
    kernel.run(rows, cx, out, &mut bad);
    bad.errors
}

/// How many rows take no more memory than a case may, by what a few take.
fn rows_that_fit(spec: &KernelSpec, probe: &RowBatch, cx: &KernelCx) -> usize {
    let outputs = (0..spec.program.insts.len()).map(Reg::from).collect();
    let all = KernelSpec { filter: None, outputs, ..spec.clone() };
    let mut out = BatchBuilder::new(all.output_layout());
    if let Ok(mut kernel) = Interpreter.kernel(&all) {
        let cx = KernelCx { on_error: OnError::KeepNull, ..*cx };
        run(&mut *kernel, probe, &cx, &mut out);
    }
    let rows = out.take();
    let largest = rows.rows().map(|row| row.words().len() * 8).max().unwrap_or(0);
    (BATCH_BYTES_MAX / largest.max(1)).max(1)
}

/// The program and what is known about the difference: the first row that differs by itself, and
/// the first register that does.
fn describe(spec: &KernelSpec, batch: &RowBatch, cx: &KernelCx, why: String) -> String {
    let policy = cx.on_error;
    let mut out = format!("{policy:?}, a batch of {}; {why}\n", batch.len());
    let alone = (0..batch.len()).find_map(|i| {
        let row = row_of(batch, i);
        answers_differ(spec, &row, cx).map(|why| (row, why))
    });
    let Some((row, why)) = alone else {
        return format!("{out}no row differs by itself\n{}", program_text(spec));
    };
    out.push_str(&format!("by itself this row differs, {}\n{why}\n", show_row(&row, 0)));
    for register in (0..spec.program.insts.len()).map(Reg::from) {
        let only = KernelSpec { filter: None, outputs: vec![register], ..spec.clone() };
        if let Some(why) = answers_differ(&only, &row, cx) {
            out.push_str(&format!("the first register to differ is r{}: {why}\n", register.0));
            break;
        }
    }
    out + &program_text(spec)
}

/// What differs between kernels that were made anew.
fn answers_differ(spec: &KernelSpec, batch: &RowBatch, cx: &KernelCx) -> Option<String> {
    let answer = |factory: &dyn KernelFactory| {
        let mut kernel = factory.kernel(spec).ok()?;
        let mut out = BatchBuilder::new(spec.output_layout());
        let errors = run(&mut *kernel, batch, cx, &mut out);
        Some((out.take(), errors))
    };
    let (ours, native) = (answer(&Interpreter)?, answer(&crate::native())?);
    difference(&ours.0, &native.0).or_else(|| error_difference(&ours.1, &native.1))
}

/// The program that the bytes make.
///
/// # Errors
/// None.
pub fn show(bytes: &[u8]) -> Result<String, String> {
    Ok(program_text(&program::random(&mut Source::new(bytes)).0))
}

/// A program and what of it is used, as text.
pub(crate) fn program_text(spec: &KernelSpec) -> String {
    let input = spec.program.input.iter().enumerate();
    let input: String = input.map(|(i, ty)| format!("column {i}: {ty}\n")).collect();
    let outputs: Vec<String> = spec.outputs.iter().map(|r| format!("r{}", r.0)).collect();
    let filter = spec.filter.map_or("all".into(), |r| format!("where r{}", r.0));
    format!("{input}{}outputs {}, {filter}\n", spec.program, outputs.join(" "))
}
