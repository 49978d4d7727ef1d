//! Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use flow::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(feature = "run")]
    let logging = match cli.logs_by_itself() {
        true => Ok(None),
        false => flow::logging::of_command().map(Some),
    };
    #[cfg(feature = "run")]
    let ended = logging.and_then(|logging| {
        let ended = cli.run();
        logging.map(flow::logging::Logging::end);
        ended
    });
    #[cfg(not(feature = "run"))]
    let ended = cli.run();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("error: {}", flow::plain::lines(&failure.message));
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}
