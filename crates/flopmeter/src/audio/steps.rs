//! Rows for a number of frames.

/// What becomes of a number of frames on their way through a tower: divided a few times, then multiplied.
///
/// A convolution of stride s that is filled up at its ends leaves ⌈n ÷ s⌉; one of k positions that is not, ⌊(n − k) ÷ s⌋ + 1;
/// pooling, or putting vectors together, ⌊n ÷ s⌋.
///
/// ```
/// use flopmeter::audio::Steps;
///
/// // Whisper's convolution of stride 2, and pooling by two.
/// let steps = Steps::ALL.up(2).down(2);
/// assert_eq!(steps.of(3000), 750);
/// assert_eq!(steps.of(5), 1);
/// // Three positions, two apart: 0–2 and 2–4.
/// assert_eq!(Steps::ALL.within(3, 2).of(6), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Steps {
    /// Divisors, and what is added before they divide.
    by: [(u64, i64); 4],
    times: u64,
}

impl Steps {
    /// Every frame.
    pub const ALL: Self = Self { by: [(1, 0); 4], times: 1 };

    /// One row for every `by` more, or less of the last ones.
    #[must_use]
    #[allow(clippy::cast_possible_wrap)] // A size is at most 2^24.
    pub const fn up(self, by: u64) -> Self {
        self.then(by, by as i64 - 1)
    }

    /// One row for every `by` more, and none for what is left.
    #[must_use]
    pub const fn down(self, by: u64) -> Self {
        self.then(by, 0)
    }

    /// One row wherever `kernel` fit, `by` apart.
    #[must_use]
    #[allow(clippy::cast_possible_wrap)] // A size is at most 2^24.
    pub const fn within(self, kernel: u64, by: u64) -> Self {
        self.then(by, by as i64 - kernel as i64)
    }

    /// So many rows for each.
    #[must_use]
    pub const fn times(mut self, times: u64) -> Self {
        self.times *= times;
        self
    }

    /// The fourth division and those after it take the place of the last.
    const fn then(mut self, by: u64, more: i64) -> Self {
        let mut at = 0;
        while at < 3 && self.by[at].0 != 1 {
            at += 1;
        }
        self.by[at] = (if by == 0 { 1 } else { by }, more);
        self
    }

    /// Rows for so many frames.
    pub fn of(self, frames: u64) -> u64 {
        // Less than nothing is nothing.
        let divide = |n: u64, (by, more): (u64, i64)| n.saturating_add_signed(more) / by;
        self.by.into_iter().fold(frames, divide).saturating_mul(self.times)
    }
}
