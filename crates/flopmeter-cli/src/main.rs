//! The command `flopmeter`: parse, call, render, exit.

mod args;
mod cmd;
mod output;
mod request;
mod sweep;

use args::{Cli, Command};
use clap::Parser;
use flopmeter::Error;
use flopmeter_report::paint::ERROR;
use flopmeter_source::visible;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use sweep::Stop;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(error),
    };
    let result = match &cli.command {
        Command::Estimate(args) => cmd::estimate::run(args),
        Command::Utilization(args) => cmd::utilization::run(args),
        Command::Train(args) => cmd::train::run(args),
        Command::Sweep(args) => {
            return match cmd::sweep::run(args) {
                Ok(()) => ExitCode::SUCCESS,
                Err(Stop::Count(error)) => failure(&error),
                Err(Stop::Output(error)) => unwritten(&error),
            };
        }
        Command::Plot(args) => cmd::plot::run(args),
        Command::Audit(args) => cmd::audit::run(args),
        Command::Explain(args) => cmd::explain::run(args),
        Command::Models(args) => cmd::models::run(args),
        Command::Conventions(args) => cmd::conventions::run(args),
        Command::Compare(args) => cmd::compare::run(args),
        Command::Devices(args) => cmd::devices::run(args),
        Command::Completions(args) => cmd::completions::run(args),
    };
    match result {
        Ok(text) => print(&text),
        Err(error) => failure(&error),
    }
}

/// Prints data.
fn print(text: &str) -> ExitCode {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => unwritten(&error),
    }
}

/// Standard output is closed, or full. A reader that went away (`| head`) is no failure.
fn unwritten(error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    say(format_args!("{}: standard output: {error}", ERROR.apply("error")));
    ExitCode::from(1)
}

/// An error on one line, and the candidates that it has, one a line.
fn failure(error: &Error) -> ExitCode {
    let text = visible::visible(&error.to_string());
    say(format_args!("{}: {text}", ERROR.apply("error")));
    for candidate in error.candidate_list() {
        say(format_args!("  {}", visible::visible(candidate)));
    }
    ExitCode::from(1)
}

/// Help that was asked for, or what is wrong with the arguments.
fn usage(error: clap::Error) -> ExitCode {
    // The message quotes what was typed, which may be a command to the terminal: it is made anew from
    // arguments that are none.
    let typed = std::env::args_os().map(|arg| visible::visible(&arg.to_string_lossy()));
    let error = Cli::try_parse_from(typed).err().unwrap_or(error);
    // Nobody is left to tell if this fails.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// A line on standard error. If nobody can read it, the exit code still says it.
fn say(line: impl Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}
