//! What ranks send to each other.

use crate::exact::times;
use crate::op::Rows;
use crate::workload::{Phase, Workload};

/// How ranks exchange what they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collective {
    /// Everyone has a summand and gets the sum.
    AllReduce,
    /// Everyone has a part and gets the whole.
    AllGather,
    /// Everyone has a summand and gets a part of the sum.
    ReduceScatter,
    /// Everyone has something for each.
    AllToAll,
    /// One sends to the next.
    PointToPoint,
}

impl Collective {
    /// The name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllReduce => "all-reduce",
            Self::AllGather => "all-gather",
            Self::ReduceScatter => "reduce-scatter",
            Self::AllToAll => "all-to-all",
            Self::PointToPoint => "point-to-point",
        }
    }

    /// Bytes that a rank sends of `bytes`, the whole of what is exchanged, among `ranks` of them; a fraction is rounded
    /// up.
    ///
    /// ```text
    /// all-reduce      2·(n − 1)/n · S    a ring reduces and scatters, then gathers
    /// all-gather        (n − 1)/n · S    (Patarasuk and Yuan, 2009: bandwidth optimal all-reduce algorithms)
    /// reduce-scatter    (n − 1)/n · S
    /// all-to-all        (n − 1)/n · S    S is what a rank has; one part of it is its own
    /// point-to-point              S
    /// ```
    ///
    /// ```
    /// use flopmeter::Collective;
    /// assert_eq!(Collective::AllReduce.sent(800, 8), Some(1400));
    /// assert_eq!(Collective::AllToAll.sent(800, 8), Some(700));
    /// ```
    pub fn sent(self, bytes: u128, ranks: u64) -> Option<u128> {
        let ranks = u128::from(ranks.max(1));
        let steps = match self {
            Self::AllReduce => 2 * (ranks - 1),
            Self::AllGather | Self::ReduceScatter | Self::AllToAll => ranks - 1,
            Self::PointToPoint => return Some(bytes),
        };
        Some(bytes.checked_mul(steps)?.div_ceil(ranks))
    }
}

/// What a rank sends by one kind of collective, for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// How.
    pub collective: Collective,
    /// What.
    pub of: &'static str,
    /// Among how many ranks.
    pub ranks: u64,
    /// Bytes that a rank sends in each phase.
    pub sent: [u128; 2],
}

/// What ranks of a stage exchange, by the row.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// Width of an element of an activation.
    element_bits: u64,
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    collective: Collective,
    of: &'static str,
    ranks: u64,
    over: Over,
    /// Bits of a row.
    bits: u64,
    /// Ranks among which the rows are shared out already.
    shared_by: u64,
}

/// What is exchanged of which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Those of every new token.
    All,
    /// Those after which a token is sampled.
    Sampled,
    /// Those of a prompt's new tokens.
    Prompt,
    /// Those of a prompt's cached tokens, where it has new ones.
    Cached,
    /// Those of tokens that are generated.
    Decoded,
}

impl Exchange {
    /// Nothing yet, of elements of such a width.
    pub fn new(element_bits: u64) -> Self {
        Self { element_bits, items: Vec::new() }
    }

    /// Adds `elements` of every row to what is exchanged so; rows may be shared out already.
    pub fn add(
        &mut self,
        kind: (Collective, &'static str),
        ranks: u64,
        rows: (Over, u64),
        elements: u64,
    ) {
        self.add_bits(kind, ranks, rows, elements.saturating_mul(self.element_bits));
    }

    /// The same of so many bits.
    pub fn add_bits(
        &mut self,
        (collective, of): (Collective, &'static str),
        ranks: u64,
        (over, shared_by): (Over, u64),
        bits: u64,
    ) {
        if (ranks <= 1 && collective != Collective::PointToPoint) || bits == 0 {
            return;
        }
        let alike = |item: &&mut Item| {
            (item.collective, item.of, item.ranks) == (collective, of, ranks)
                && (item.over, item.shared_by) == (over, shared_by)
        };
        match self.items.iter_mut().find(alike) {
            Some(item) => item.bits = item.bits.saturating_add(bits),
            None => self.items.push(Item { collective, of, ranks, over, bits, shared_by }),
        }
    }

    /// Adds what other layers exchange, so often.
    pub fn add_times(&mut self, other: &Self, times: u64) {
        for item in &other.items {
            let Item { collective, of, ranks, over, bits, shared_by } = *item;
            self.add_bits((collective, of), ranks, (over, shared_by), bits.saturating_mul(times));
        }
    }

    /// Adds the sum of all tensor ranks' results, `elements` a row.
    pub fn add_sum(&mut self, of: &'static str, ranks: u64, sequence: bool, elements: u64) {
        let rows = (Over::All, 1);
        if sequence {
            self.add((Collective::ReduceScatter, of), ranks, rows, elements);
            self.add((Collective::AllGather, of), ranks, rows, elements);
        } else {
            self.add((Collective::AllReduce, of), ranks, rows, elements);
        }
    }

    /// What a rank sends for a workload as the decoder runs it, whose rows some ranks share; `None` if it does not fit. What
    /// a workload has no rows for is left out.
    pub fn transfers(&self, workload: &Workload, shared_by: u64) -> Option<Vec<Transfer>> {
        let mut all = [0_u128; 2];
        let mut sampled = [0_u128; 2];
        let mut cached = 0_u128;
        for sequence in workload.sequences().iter().filter(|it| it.prompt > it.cached) {
            let tokens = times(sequence.cached.into(), sequence.count.into())?;
            cached = cached.checked_add(tokens)?;
        }
        for (at, phase) in Phase::ALL.into_iter().enumerate() {
            for sequence in workload.sequences() {
                let count = u128::from(sequence.count);
                let tokens = workload.passes(sequence, phase).tokens()?;
                all[at] = all[at].checked_add(times(tokens, count)?)?;
                let samples = u128::from(workload.sampled(sequence, phase));
                sampled[at] = sampled[at].checked_add(times(samples, count)?)?;
            }
        }
        let transfer = |item: &Item| {
            let rows = match item.over {
                Over::All => all,
                Over::Sampled => sampled,
                Over::Prompt => [all[0], 0],
                Over::Cached => [cached, 0],
                Over::Decoded => [0, all[1]],
            };
            let mut sent = [0_u128; 2];
            for (sent, rows) in sent.iter_mut().zip(rows) {
                let bits = times(rows, item.bits.into())?;
                let ranks = 8 * u128::from(item.shared_by) * u128::from(shared_by);
                *sent = item.collective.sent(bits.div_ceil(ranks), item.ranks)?;
            }
            Some(Transfer { collective: item.collective, of: item.of, ranks: item.ranks, sent })
        };
        let mut transfers: Vec<Transfer> =
            self.items.iter().map(transfer).collect::<Option<_>>()?;
        transfers.retain(|transfer| transfer.sent != [0, 0]);
        Some(transfers)
    }
}

impl From<Rows> for Over {
    fn from(rows: Rows) -> Self {
        if rows == Rows::Sampled { Self::Sampled } else { Self::All }
    }
}
