//! A published formula as the choices that make it: what it counts, and how. Two formulas differ in some of them, which is
//! what explains the difference between their figures.

/// A choice among few, each of which says what it counts.
pub(crate) trait Choice: Copy + PartialEq {
    /// What is counted so.
    fn says(self) -> &'static str;
}

macro_rules! choices {
    ($($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $says:literal),* $(,)? })*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub(crate) enum $name { $($(#[$doc])* $variant),* }

            impl Choice for $name {
                fn says(self) -> &'static str {
                    match self { $(Self::$variant => $says),* }
                }
            }
        )*
    };
}

// The reasons for which two figures differ, all of them.
choices! {
    /// Several documents in a row.
    Documents {
        Apart => "each document of a row by itself",
        Joined => "a row as one document",
    }
    /// Windows and chunks.
    Windows {
        Seen => "windows as tokens see them",
        /// Of w tokens: S·w − w²/2.
        Cut => "S·w − w²/2 pairs in windows of w",
        /// Half of S·w, as of a square.
        HalfRectangles => "S·w/2 pairs in windows of w",
        Ignored => "no windows",
    }
    /// Pairs of a token and one that it attends to.
    Pairs {
        Seen => "the pairs that are seen, S·(S + 1)/2",
        HalfSquares => "half the square of attention, S²/2",
        Squares => "the full square of attention",
        Left => "no scores and values of attention",
    }
    /// Width of all heads together.
    Widths {
        Own => "heads as wide as they are",
        Queries => "values as wide as queries",
        Model => "heads together as wide as the model",
    }
    /// Latent attention.
    Latents {
        Cheapest => "latents in their cheaper form",
        Expanded => "latents expanded, each once",
    }
    /// Query, key, value and output projections.
    Projections {
        Own => "the projections of attention as they are",
        Squares => "four projections as wide as the model",
        Grouped => "projections of heads that are together as wide as the model",
    }
    /// Feed-forward layers.
    FeedForward {
        Own => "feed-forward layers as they are",
        FourTimes => "two matrices of four times the width in each feed-forward layer",
        Gated => "three matrices in each dense feed-forward layer",
        GatedInHybrids => "three matrices in each dense feed-forward layer of a hybrid",
        EveryLayer => "one gated feed-forward layer of the config's width everywhere, no experts",
        EveryLayerByRatio => "one feed-forward layer of the config's width everywhere, gated where it is 3.5 times the model's, no experts",
    }
    /// Routers.
    Routers {
        Counted => "routers",
        Left => "no routers",
    }
    /// Experts that every token runs through.
    Shared {
        Counted => "shared experts",
        /// Where the config states how many there are.
        IfNumbered => "shared experts where their number is stated, without gates",
        Ungated => "shared experts without their gates",
    }
    /// Routed experts.
    Experts {
        Active => "the experts that a token is routed to",
        All => "all experts",
    }
    /// The table of tokens.
    TokenTable {
        Left => "no table of tokens",
        /// A tied one is the head.
        Untied => "the table of tokens as a product",
        Always => "the table of tokens as a product, be it the head's or not",
    }
    /// Other tables.
    OtherTables {
        Left => "no tables of positions",
        Counted => "tables of positions as products",
    }
    /// Norms, biases and the like.
    Norms {
        Left => "no norms and biases",
        Latents => "the norms of compressed queries and latents as products",
        /// And the three around a layer that predicts a further token.
        LatentsAndThree => "the norms of compressed queries and latents and three of a further layer as products",
        Apertus => "norms of queries and keys as products",
        Counted => "norms and biases as products",
    }
    /// The head.
    Heads {
        Own => "the head as it runs",
        Every => "the head on every position",
        Padded => "the head with a vocabulary padded to a multiple of 128",
        Left => "no head",
    }
    /// Whatever has no choice of its own: hyper-connections, embedding projections, adapters, towers.
    Rest {
        Own => "parts beside attention, feed-forward layers and head",
        Left => "no parts beside attention, feed-forward layers and head",
    }
    /// Recurrent layers.
    States {
        Own => "states of recurrent layers",
        AsParameters => "parameters of recurrent layers as products, without their states",
        /// Megatron's: of Mamba-2 no convolution.
        Squares => "Mamba-2 as wide as twice the model with 7 for an element of its state, delta nets with 8 for a square one",
        /// NeMo's.
        ReadOut => "Mamba-2 with 2 for an element of its state, without its convolution",
    }
    /// Weights that are passed more often than once.
    Weights {
        Passed => "weights as often as they are multiplied",
        Stored => "weights as they are stored, each once a token",
    }
    /// Towers over text.
    Towers {
        Idle => "no weights of towers, which no token of text passes",
        Counted => "the weights of towers for each token of text",
    }
    /// Size.
    Size {
        Exact => "the exact number of parameters",
        Nominal => "the number of parameters that the name states",
    }
}

impl FeedForward {
    /// Whether it is of one width everywhere, which is instead of experts.
    pub fn is_of_one_width(self) -> bool {
        matches!(self, Self::FourTimes) || self.takes_the_configs_width()
    }

    /// Whether the config has to state one width for every layer.
    pub fn takes_the_configs_width(self) -> bool {
        matches!(self, Self::EveryLayer | Self::EveryLayerByRatio)
    }
}

macro_rules! formula {
    ($($field:ident: $choice:ident),* $(,)?) => {
        /// What is counted, choice by choice.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct Formula {
            $(pub $field: $choice,)*
            /// What a step computes a second time.
            pub recomputed: Recomputed,
            /// Whether parts that come from the number of parameters are shown as one.
            pub lumped: bool,
            /// What it applies to.
            pub knows: &'static Knows,
        }

        impl Formula {
            /// The formulas from one to another, each with one choice more of the other's, and what that choice is and was.
            pub fn towards(self, other: Self) -> Vec<(Self, [&'static str; 2])> {
                let mut at = self;
                let mut steps = Vec::new();
                $(if at.$field != other.$field {
                    let says = [other.$field.says(), at.$field.says()];
                    at.$field = other.$field;
                    steps.push((at, says));
                })*
                steps
            }
        }
    };
}

formula! {
    documents: Documents,
    windows: Windows,
    pairs: Pairs,
    widths: Widths,
    latents: Latents,
    projections: Projections,
    feed_forward: FeedForward,
    routers: Routers,
    shared: Shared,
    experts: Experts,
    token_table: TokenTable,
    other_tables: OtherTables,
    norms: Norms,
    head: Heads,
    rest: Rest,
    states: States,
    weights: Weights,
    towers: Towers,
    size: Size,
}

/// What a formula says of recomputation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recomputed {
    /// What the step computes again: layers without the head, or scores and values.
    AsTheStep,
    /// With the head, where anything is.
    WithTheHead,
    /// Every layer, whatever the step does.
    Always,
    /// Scores and values three times, where they are.
    ScoresThrice,
}

/// What a formula applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Knows {
    /// Types of models, if not all; and why only these.
    pub types: Option<(&'static [&'static str], &'static str)>,
    /// Types whose windows it takes for what they are; those of others are ignored.
    pub windows: &'static [&'static str],
    pub latents: bool,
    pub recurrence: Recurrence,
    /// Attention by an indexer's choice, by distances, to a source.
    pub other_attention: bool,
    pub encoders: bool,
    pub further: Further,
}

/// What a formula says of recurrent layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recurrence {
    /// All that it counts of any.
    Any,
    /// Something of Mamba-2, and of gated delta nets.
    DualAndDelta,
    /// Something of Mamba-2, in models without experts.
    Dual,
    /// Nothing.
    None,
    /// Something that is not followed.
    NotFollowed,
}

/// What a formula says of layers that predict further tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Further {
    /// They are counted whole, as all else.
    Whole,
    /// A layer, its head and what joins its two inputs; Megatron adds its three norms.
    Joined { norms: bool },
    /// A layer, and neither its head nor what joins its inputs.
    Bare,
    /// Nothing.
    None,
}

impl Further {
    /// A formula as it is for such a layer, `None` if it says nothing of one.
    pub fn formula(self, formula: Formula) -> Option<Formula> {
        Some(match self {
            Self::Whole => formula,
            Self::Joined { norms: false } => Formula { rest: Rest::Own, ..formula },
            Self::Joined { norms: true } => {
                Formula { rest: Rest::Own, norms: Norms::LatentsAndThree, ..formula }
            }
            Self::Bare => Formula { head: Heads::Left, ..formula },
            Self::None => return None,
        })
    }
}

impl Knows {
    pub const EVERYTHING: Self = Self {
        types: None,
        windows: &[],
        latents: true,
        recurrence: Recurrence::Any,
        other_attention: true,
        encoders: true,
        further: Further::Whole,
    };
    pub const DECODERS: Self = Self {
        recurrence: Recurrence::None,
        other_attention: false,
        encoders: false,
        ..Self::EVERYTHING
    };
    /// Decoders layer by layer, without those that predict further tokens.
    pub const LAYERS: Self = Self { further: Further::None, ..Self::DECODERS };
}

impl Formula {
    /// What the convention `model` counts.
    pub const MODEL: Self = Self {
        documents: Documents::Apart,
        windows: Windows::Seen,
        pairs: Pairs::Seen,
        widths: Widths::Own,
        latents: Latents::Cheapest,
        projections: Projections::Own,
        feed_forward: FeedForward::Own,
        routers: Routers::Counted,
        shared: Shared::Counted,
        experts: Experts::Active,
        token_table: TokenTable::Left,
        other_tables: OtherTables::Left,
        norms: Norms::Left,
        head: Heads::Own,
        rest: Rest::Own,
        states: States::Own,
        weights: Weights::Passed,
        towers: Towers::Idle,
        size: Size::Exact,
        recomputed: Recomputed::AsTheStep,
        lumped: false,
        knows: &Knows::EVERYTHING,
    };

    /// What the convention `torch` counts, but for what the reference implementation does besides.
    pub const TORCH: Self = Self {
        documents: Documents::Joined,
        windows: Windows::Ignored,
        pairs: Pairs::Squares,
        latents: Latents::Expanded,
        head: Heads::Every,
        ..Self::MODEL
    };

    /// Two for each parameter and token.
    pub const PER_PARAMETER: Self = Self {
        pairs: Pairs::Left,
        latents: Latents::Expanded,
        experts: Experts::All,
        token_table: TokenTable::Untied,
        other_tables: OtherTables::Counted,
        norms: Norms::Counted,
        head: Heads::Every,
        states: States::AsParameters,
        weights: Weights::Stored,
        towers: Towers::Counted,
        lumped: true,
        knows: &Knows { other_attention: true, ..Knows::DECODERS },
        ..Self::MODEL
    };

    /// The same for all that models have, as a step on the way from one formula to another.
    pub fn known(self) -> Self {
        Self { knows: &Knows::EVERYTHING, ..self }
    }
}
