//! Sessions of the book: the commands of a page are run one after another in a folder of its own,
//! by bash, with variables kept from one to the next, and say what the page shows.
//!
//! `…` in what is shown stands for any text, and alone in a line for any lines. A command that ends
//! in `&` goes on behind the others once it has said what is shown, until the page ends. A command
//! that fails is followed by `$ echo $?`. Of the repository the folder holds `examples`; the port
//! of a server, 7878, is another one of each page.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::block::{Block, Page};
use crate::in_repository;

/// The port that pages show.
const PORT: &str = "7878";

/// What a command has not said in this time it never will.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a command with what the ones before it have set.
const WRAPPED: &str = r#"[ -f .session ] && source ./.session; (exit "$LAST")
eval "$COMMAND"; code=$?; export -p | grep -v -e ' COMMAND=' -e ' LAST=' >.session; exit $code"#;

/// A command and what it shows.
struct Step<'a> {
    line: usize,
    command: &'a str,
    shown: Vec<&'a str>,
}

/// Runs all sessions of a page.
pub(crate) fn run(page: &Page) -> Result<(), Failed> {
    let mut session = Session::new()?;
    for block in &page.blocks {
        if let Some(name) = block.value("file") {
            session.write(name, &block.text)?;
        }
        if block.language == "console" {
            for (step, next) in with_next(steps(block)) {
                let at = format!("docs/src/{}:{}: $ {}", page.name, step.line, step.command);
                session.step(&step, next).map_err(|why| format!("{at}\n{why}"))?;
            }
        }
    }
    Ok(())
}

/// The commands of a block.
fn steps(block: &Block) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for (line, text) in (block.line + 1..).zip(block.text.lines()) {
        match (text.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { line, command, shown: Vec::new() }),
            (None, Some(step)) => step.shown.push(text),
            // Shown before any command: nothing says it.
            (None, None) => steps.push(Step { line, command: "true", shown: vec![text] }),
        }
    }
    steps
}

/// Each step, and whether the code of its end is asked for next.
fn with_next(steps: Vec<Step<'_>>) -> Vec<(Step<'_>, bool)> {
    let asked: Vec<bool> =
        (1..=steps.len()).map(|at| steps.get(at).is_some_and(|s| s.command == "echo $?")).collect();
    steps.into_iter().zip(asked).collect()
}

/// What the commands of a page share.
struct Session {
    folder: tempfile::TempDir,
    port: String,
    code: i32,
    behind: Vec<Behind>,
}

/// A command that goes on; it ends with the page.
struct Behind(Child);

impl Drop for Behind {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Session {
    fn new() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        std::os::unix::fs::symlink(in_repository("examples"), folder.path().join("examples"))?;
        // Free now, and nobody else is told of it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        Ok(Self { folder, port, code: 0, behind: Vec::new() })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failed> {
        let path = self.folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text.replace(PORT, &self.port))?;
        Ok(())
    }

    /// A command of bash with what `flow` needs to be found and to be alone.
    fn bash(&self, script: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_flow"));
        let mut path = binary.parent().unwrap_or(Path::new("")).as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut bash = Command::new("bash");
        bash.args(["-c", script]).current_dir(self.folder.path());
        for variable in
            ["SCHEMA_REGISTRY_URL", "KAFKA_BOOTSTRAP_SERVERS", "FLOW_CRASH_AT", "FLOW_TOKEN"]
        {
            bash.env_remove(variable);
        }
        bash.env("PATH", path).env("HOME", self.folder.path()).env("NO_COLOR", "1");
        bash.env("FLOW_SERVER", format!("http://127.0.0.1:{}", self.port));
        bash.stdin(Stdio::null()).stdout(Stdio::piped());
        bash
    }

    fn step(&mut self, step: &Step<'_>, code_is_shown: bool) -> Result<(), String> {
        let command = step.command.replace(PORT, &self.port);
        if let Some(command) = command.strip_suffix(" &") {
            return self.start(command, &step.shown);
        }
        let mut bash = self.bash(&format!("exec 2>&1\n{WRAPPED}"));
        bash.env("COMMAND", &command).env("LAST", self.code.to_string());
        let output = bash.output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).replace(&self.port, PORT);
        let lines: Vec<&str> = said.lines().collect();
        self.code = output.status.code().unwrap_or(-1);
        if !fits(&step.shown, &lines) {
            return Err(format!("it shows\n{}\nand says\n{said}", step.shown.join("\n")));
        }
        match self.code == 0 || code_is_shown {
            true => Ok(()),
            false => Err(format!("it fails with {}:\n{said}", self.code)),
        }
    }

    /// Starts a command that goes on, and waits until it has said what is shown.
    fn start(&mut self, command: &str, shown: &[&str]) -> Result<(), String> {
        // The port is free for a server of this page only.
        let listen = match command.split_whitespace().collect::<Vec<_>>()[..] {
            ["flow", "server", ..]
                if !command.contains("--listen") && !command.contains("--config") =>
            {
                format!(" --listen 127.0.0.1:{}", self.port)
            }
            _ => String::new(),
        };
        let script =
            format!("[ -f .session ] && source ./.session; exec 2>&1; exec {command}{listen}");
        let mut child = self.bash(&script).spawn().map_err(|e| e.to_string())?;
        let lines = child.stdout.take().map(follow);
        self.behind.push(Behind(child));
        let lines = lines.ok_or("it has no output")?;
        let (began, mut said) = (Instant::now(), Vec::new());
        loop {
            let all: Vec<&str> = said.iter().map(String::as_str).collect();
            if fits(shown, &all) {
                return Ok(());
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            match lines.recv_timeout(left) {
                Ok(line) => said.push(line.replace(&self.port, PORT)),
                Err(_) => return Err(format!("it goes on, and says\n{}", said.join("\n"))),
            }
        }
    }
}

/// The lines of a pipe as they come, on a thread that ends with it.
fn follow(pipe: std::process::ChildStdout) -> Receiver<String> {
    let (to, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Nobody listens once everything was said; the pipe has to be read all the same.
            let _ = to.send(line);
        }
    });
    lines
}

/// Whether lines are what is shown; a line `…` stands for any lines.
fn fits(shown: &[&str], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((&"…", rest)) => (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..])),
        Some((line, rest)) => lines
            .split_first()
            .is_some_and(|(said, more)| line_fits(line, said) && fits(rest, more)),
    }
}

/// Whether a line is what is shown; `…` in it stands for any text.
fn line_fits(shown: &str, said: &str) -> bool {
    match shown.split_once('…') {
        None => shown.trim_end() == said.trim_end(),
        Some((start, rest)) => said.strip_prefix(start).is_some_and(|more| {
            let ends = more.char_indices().map(|(at, _)| at).chain([more.len()]);
            ends.into_iter().any(|at| line_fits(rest, &more[at..]))
        }),
    }
}
