//! Options of work that several devices share.

use super::whole;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use flopmeter::Parallelism;
use flopmeter_report::plan;

/// Into how many parts it is cut.
#[derive(Debug)]
pub struct ParallelArgs {
    sizes: Parallelism,
    /// Stages, if their number is given.
    pipeline: Option<u64>,
    /// Layers of each, if they are given.
    stages: Vec<u64>,
}

/// The most numbers of stages that are read; a model has fewer layers.
const MOST_STAGES: usize = 1 << 13;

/// Numbers of parts: the option, what it is, and what else there is to know.
const SIZES: [(&str, &str, &str); 8] = [
    (
        "tp",
        "Tensor ranks, which share every layer",
        "With any of these sizes, each kind of rank is counted: what it computes, holds, reads and sends.",
    ),
    ("pp", "Stages, which share the layers", ""),
    ("dp", "Replicas, which share the sequences", ""),
    (
        "cp",
        "Ranks that share the tokens of a sequence",
        "Of a request those of its prompt; what is generated each computes. To gradients and --zero they are replicas.",
    ),
    (
        "dcp",
        "Tensor ranks that share by tokens what each would cache",
        "As vLLM's --decode-context-parallel-size: KV heads that are fewer than ranks, or latents. They add no devices.",
    ),
    (
        "ep",
        "Groups of ranks, each with its share of the experts",
        "They are among the tensor ranks of all replicas and add no devices.",
    ),
    ("etp", "Ranks that share an expert", "1 with --ep, else as many as share a layer."),
    ("virtual-stages", "Stretches of layers that each stage has, interleaved", ""),
];

impl Args for ParallelArgs {
    fn augment_args(command: Command) -> Command {
        // Not in the short help, which is full.
        let option = |name: &'static str, help: &str, more: &str| {
            let long = if more.is_empty() { help.to_owned() } else { format!("{help}\n\n{more}") };
            Arg::new(name)
                .long(name)
                .help(help.to_owned())
                .long_help(long)
                .hide_short_help(true)
                .help_heading("Parallelism")
        };
        let command = SIZES.into_iter().fold(command, |command, (name, help, more)| {
            let size = option(name, help, more).value_name("N").value_parser(whole);
            let size = size.allow_hyphen_values(true);
            command.arg(if name == "etp" { size } else { size.default_value("1") })
        });
        let tokens = "Tensor ranks share the tokens between their products as well";
        let stages = option(
            "stages",
            "Layers of each stage",
            "`7,8*14,7` for one stage of 7, 14 of 8, one of 7; --pp follows. Of interleaved ones those of each stretch, the first stretches of all stages first. The first and the last may have none.",
        );
        command.arg(option("sp", tokens, "").action(ArgAction::SetTrue)).arg(
            stages
                .value_name("N[,…]")
                .value_delimiter(',')
                .value_parser(equal_stages)
                .action(ArgAction::Append),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ParallelArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |name: &str| matches.get_one::<u64>(name).copied();
        let size = |name: &str| given(name).ok_or_else(|| Error::new(ErrorKind::InvalidValue));
        let stages = matches.get_many::<(u64, usize)>("stages").into_iter().flatten();
        let stages = stages.flat_map(|(layers, count)| std::iter::repeat_n(*layers, *count));
        let stages: Vec<u64> = stages.take(MOST_STAGES).collect();
        let is_given = matches.value_source("pp") != Some(ValueSource::DefaultValue);
        let sizes = Parallelism {
            data: size("dp")?,
            context: size("cp")?,
            tensor: size("tp")?,
            decode_context: size("dcp")?,
            sequence: matches.get_flag("sp"),
            zero: 0,
            pipeline: 1,
            virtual_stages: size("virtual-stages")?,
            expert: size("ep")?,
            expert_tensor: given("etp"),
        };
        Ok(Self { sizes, pipeline: given("pp").filter(|_| is_given), stages })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ParallelArgs {
    /// The plan and the layers of each stage where they are given, `None` if nothing is cut.
    pub fn plan(&self, zero: u64) -> Option<(Parallelism, Vec<u64>)> {
        plan(Parallelism { zero, ..self.sizes }, self.pipeline, self.stages.clone())
    }
}

/// `15` or `15*3`: the layers of a stage, or of some equal ones.
fn equal_stages(text: &str) -> Result<(u64, usize), String> {
    let (layers, count) = text.split_once('*').unwrap_or((text, "1"));
    let count = whole(count)?;
    match usize::try_from(count) {
        Ok(count) if count <= MOST_STAGES => Ok((whole(layers)?, count)),
        _ => Err(format!("more than {MOST_STAGES} stages")),
    }
}
