//! `flow lsp`: the Language Server Protocol on standard input and output, a thin shell over `ide`.
//!
//! One thread reads messages, one answers them in order, and one for each registry that is asked
//! waits for it; so a silent registry delays nothing. Answers are about the text as it is when the
//! request's turn comes. Nothing is read from disk but what the user's options name.
//!
//! | file | what it does |
//! | --- | --- |
//! | `transport` | bytes to messages and back |
//! | `server` | what is done with each message |
//! | `documents` | open files: text, edits, positions, and what was found in them |
//! | `registry` | registries as a check sees them that never waits |
//! | `pages` | explanations of codes as files, for links |
//! | `convert` | the protocol's types; nothing else knows them |

mod convert;
mod documents;
mod pages;
mod registry;
mod server;
mod transport;

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use flow_compiler::check::CheckOptions;

use crate::exit::{Exit, Failure, Result};
use crate::registries::Registries;
use registry::{PATIENCE, Remembered};
use server::Server;
use transport::Incoming;

/// What wakes the server.
enum Event {
    /// Something arrived.
    Incoming(Incoming),
    /// Nothing more will arrive, and why, if that is not the input's end.
    Closed(Option<String>),
    /// A registry answered.
    Answered,
}

/// Serves one client until it says exit or closes the input.
///
/// # Errors
/// If the input is no messages, the output is closed, or exit comes without shutdown.
pub fn run(registries: Registries, options: CheckOptions) -> Result {
    let (wake, events) = channel();
    let answered = wake.clone();
    let catalog = Remembered::new(registries, move || answered.send(Event::Answered).is_ok());
    let reader = thread::Builder::new().name("lsp-read".into()).spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        loop {
            let event = match transport::read(&mut input) {
                Ok(Some(incoming)) => Event::Incoming(incoming),
                Ok(None) => Event::Closed(None),
                Err(e) => Event::Closed(Some(e.to_string())),
            };
            let last = matches!(event, Event::Closed(_));
            if wake.send(event).is_err() || last {
                return;
            }
        }
    });
    reader.map_err(|e| Failure::failed(format!("no thread can be started: {e}")))?;
    let mut server = Server::new(std::io::stdout(), catalog, options);
    serve(&mut server, &events)
}

/// Takes all that has arrived, so that later messages can take earlier ones back, then does one
/// thing: the oldest message, or with none left the diagnostics of a file.
fn serve<W: Write>(server: &mut Server<W>, events: &Receiver<Event>) -> Result {
    let mut queue = VecDeque::new();
    loop {
        queue.extend(events.try_iter());
        server.cancel_waiting(&mut queue)?;
        let event = match queue.pop_front() {
            Some(event) => event,
            None if server.publish_next()? => continue,
            None => match wait(server, events) {
                Some(event) => event,
                None => continue,
            },
        };
        match event {
            Event::Incoming(incoming) => {
                if let ControlFlow::Break(exit) = server.handle(incoming)? {
                    return end(exit);
                }
            }
            Event::Answered => server.registries_answered(),
            Event::Closed(None) => return Ok(()),
            Event::Closed(Some(why)) => {
                return Err(Failure::failed(format!("the input is no protocol messages: {why}")));
            }
        }
    }
}

/// The next event; `None`: a registry has been silent for too long.
fn wait<W: Write>(server: &mut Server<W>, events: &Receiver<Event>) -> Option<Event> {
    let closed = Event::Closed(None);
    if !server.waits_for_registries() {
        return Some(events.recv().unwrap_or(closed));
    }
    match events.recv_timeout(PATIENCE) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Disconnected) => Some(closed),
        Err(RecvTimeoutError::Timeout) => {
            server.registries_answered();
            None
        }
    }
}

fn end(exit: Exit) -> Result {
    if exit == Exit::Success { Ok(()) } else { Err(Failure::shown(exit)) }
}
