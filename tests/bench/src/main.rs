//! `flow-bench`: fills topics with Nexmark events, and reads and copies topics with plain Kafka
//! clients, as what Flow's speed is compared with; and asks a server. `./bench` runs it.
//!
//! What it measures goes to standard output as JSON, under the names of `flow run --stats`.

mod consume;
mod copy;
mod load;
mod measure;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// As the `flow` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(about = "Nexmark events for Kafka, and plain Kafka clients to compare with")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Creates the topics person, auction and bid, and fills them
    Load(load::Load),
    /// Reads a topic to its end and counts the records
    Consume {
        #[command(flatten)]
        input: Input,
        /// What reads
        #[arg(long, default_value = "poll")]
        reader: ReaderKind,
    },
    /// Reads a topic to its end and writes each record to another, in transactions
    Copy {
        #[command(flatten)]
        input: Input,
        /// The topic to write, made with as many partitions
        to: String,
        /// A transaction is committed after so many milliseconds
        #[arg(long, default_value = "100")]
        commit_interval: u64,
    },
    /// Asks a server for rows by key, and says how long that takes
    Lookup(serve::Lookup),
    /// Writes to a server, and says how long that takes to be seen
    Freshness(serve::Freshness),
}

/// Which topic is read.
#[derive(clap::Args)]
struct Input {
    /// HOST:PORT of a broker
    #[arg(long)]
    bootstrap: String,
    /// The topic to read
    topic: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum ReaderKind {
    /// rdkafka's BaseConsumer, a record a call
    Poll,
    /// Flow's own reader: librdkafka's batch call, with no decoding
    Batch,
}

fn main() -> ExitCode {
    let told = match Arguments::parse().command {
        Command::Load(load) => load.run(),
        Command::Consume { input, reader: ReaderKind::Poll } => consume::poll(&input),
        Command::Consume { input, reader: ReaderKind::Batch } => consume::batch(&input),
        Command::Copy { input, to, commit_interval } => {
            copy::run(&input, &to, Duration::from_millis(commit_interval))
        }
        Command::Lookup(lookup) => lookup.run(),
        Command::Freshness(freshness) => freshness.run(),
    };
    match told {
        Ok(figures) => {
            measure::tell(&figures);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("flow-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
