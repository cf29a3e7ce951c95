//! Rows for a number of frames.

/// What becomes of a number of frames on their way through a tower: divided a few times, then multiplied.
///
/// A convolution of stride s that is filled up at its ends leaves ⌈n ÷ s⌉; pooling, or putting vectors together, ⌊n ÷ s⌋.
///
/// ```
/// use flopmeter::audio::Steps;
///
/// // Whisper's convolution of stride 2, and pooling by two.
/// let steps = Steps::ALL.up(2).down(2);
/// assert_eq!(steps.of(3000), 750);
/// assert_eq!(steps.of(5), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Steps {
    /// Divisors, and whether the quotient is rounded up.
    by: [(u64, bool); 4],
    times: u64,
}

impl Steps {
    /// Every frame.
    pub const ALL: Self = Self { by: [(1, true); 4], times: 1 };

    /// One row for every `by` more, or less of the last ones.
    #[must_use]
    pub const fn up(self, by: u64) -> Self {
        self.then(by, true)
    }

    /// One row for every `by` more, and none for what is left.
    #[must_use]
    pub const fn down(self, by: u64) -> Self {
        self.then(by, false)
    }

    /// So many rows for each.
    #[must_use]
    pub const fn times(mut self, times: u64) -> Self {
        self.times *= times;
        self
    }

    /// The fourth division and those after it take the place of the last.
    const fn then(mut self, by: u64, up: bool) -> Self {
        let mut at = 0;
        while at < 3 && self.by[at].0 != 1 {
            at += 1;
        }
        self.by[at] = (if by == 0 { 1 } else { by }, up);
        self
    }

    /// Rows for so many frames.
    pub fn of(self, frames: u64) -> u64 {
        let divide = |n: u64, (by, up): (u64, bool)| if up { n.div_ceil(by) } else { n / by };
        self.by.into_iter().fold(frames, divide).saturating_mul(self.times)
    }
}
