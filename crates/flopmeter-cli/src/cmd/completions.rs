//! `flopmeter completions`: a script that a shell sources.

use crate::args::{Cli, CompletionsArgs};
use clap::CommandFactory;
use flopmeter::Result;

pub fn run(args: &CompletionsArgs) -> Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "flopmeter", &mut script);
    Ok(String::from_utf8_lossy(&script).into_owned())
}
