//! The commands, from their own help; the HTTP API, from the document that a server gives.

use std::sync::Arc;

use clap::{Command, CommandFactory};
use flow::cli::Cli;
use flow::server::inside::Inside;
use flow::server::logs::LogBook;
use libtest_mimic::Failed;
use serde_json::Value;

use super::{code, head, row};

/// The page of commands.
pub(crate) fn commands() -> Result<String, Failed> {
    let mut out = String::from(
        "# Commands\n\nWhat `flow --help` and `flow COMMAND --help` say, written by them. Exit \
         codes are on the page [Operations](../../operations.md#exit-codes).\n",
    );
    let mut flow = Cli::command().term_width(100);
    flow.build();
    help(&flow, "flow", &mut out);
    Ok(out)
}

/// A command and those below it.
fn help(command: &Command, path: &str, out: &mut String) {
    let shown = command.clone().bin_name(path).render_long_help().to_string();
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    out.push_str(&format!("\n## {}\n\n```text\n{}\n```\n", code(path), lines.join("\n").trim()));
    for sub in
        command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
    {
        help(sub, &format!("{path} {}", sub.get_name()), out);
    }
}

/// The page of operations of the HTTP API.
pub(crate) fn http() -> Result<String, Failed> {
    let folder = tempfile::tempdir()?;
    let server = Inside::start(folder.path(), Arc::new(LogBook::default()))
        .map_err(|e| format!("no server: {e:?}"))?;
    let mut answer = ureq::get(&format!("{}/v1/openapi.json", server.url())).call()?;
    let document: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    let mut out = String::from(
        "# Operations of the HTTP API\n\nWritten by the OpenAPI document of a server, \
         `/v1/openapi.json`, which has parameters, bodies and answers too. What they are for is on \
         the page [HTTP API](../../http.md).\n\n",
    );
    out.push_str(&head(&["request", "what it does"]));
    let paths = document["paths"].as_object().ok_or("no paths")?;
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().ok_or("no operations")? {
            let text = |name: &str| operation[name].as_str().unwrap_or("").replace('\n', " ");
            let request = code(&format!("{} {path}", method.to_uppercase()));
            let both = format!("{} {}", text("summary"), text("description"));
            out.push_str(&row(&[&request, both.trim()]));
        }
    }
    Ok(out)
}
