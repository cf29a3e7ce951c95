//! The command `flopmeter`: parse, call, render, exit.

mod args;
mod cmd;
mod render;
mod report;
mod request;
mod source;

use args::{Cli, Command};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Estimate(args) => cmd::estimate::run(args),
        Command::Utilization(args) => cmd::utilization::run(args),
        Command::Explain(args) => cmd::explain::run(args),
        Command::Models(args) => cmd::models::run(args),
        Command::Devices(args) => cmd::devices::run(args),
        Command::Completions(args) => cmd::completions::run(args),
    };
    match result {
        Ok(text) => print(&text),
        Err(error) => {
            anstream::eprintln!("{}: {error}", args::ERROR.apply("error"));
            for candidate in error.candidate_list() {
                anstream::eprintln!("  {candidate}");
            }
            ExitCode::from(1)
        }
    }
}

/// Prints data. A reader that went away (`| head`) is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{}: standard output: {error}", args::ERROR.apply("error"));
            ExitCode::from(1)
        }
    }
}
