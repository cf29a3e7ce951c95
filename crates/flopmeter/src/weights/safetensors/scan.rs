//! What the bytes of a JSON text begin with, many looked at at once.

/// How much white space a text begins with.
pub(super) fn spaces(rest: &[u8]) -> usize {
    let run = |bytes: &[u8]| bytes.iter().take_while(|byte| is_space(byte)).count();
    let mut passed = run(&rest[..rest.len().min(16)]);
    if passed == 16 {
        // Many at a time, for a text may be full of them.
        let all = |chunk: &&[u8; 16]| chunk.iter().fold(true, |all, it| all & is_space(it));
        passed = 16 * rest.as_chunks::<16>().0.iter().take_while(all).count();
        passed += run(&rest[passed..]);
    }
    passed
}

/// Without a branch, so that many are looked at at once.
fn is_space(byte: &u8) -> bool {
    (*byte == b' ') | (*byte == b'\n') | (*byte == b'\r') | (*byte == b'\t')
}

/// The number that a text begins with, as far as it fits, and how many digits it has.
#[inline]
pub(super) fn leading_number(text: &[u8]) -> (u64, usize) {
    let (mut number, mut digits) = (0_u64, 0);
    while let Some(digit @ b'0'..=b'9') = text.get(digits) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        digits += 1;
    }
    (number, digits)
}

/// The next byte that does not stand in a text as it is, and where: a quote, a backslash or a control character. Eight are
/// looked at at once, for most of a header are texts.
#[inline]
pub(super) fn next_special(bytes: &[u8]) -> Option<(usize, u8)> {
    const EACH: u64 = u64::MAX / 0xFF;
    // The highest bit of each byte that is less; of those after the first that is, maybe more.
    let less = |word: u64, than: u8| word.wrapping_sub(EACH * u64::from(than)) & !word;
    let is = |word: u64, byte: u8| less(word ^ (EACH * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let number = u64::from_le_bytes(*word);
        let found = less(number, b' ') | is(number, b'"') | is(number, b'\\');
        if found & (EACH << 7) != 0 {
            let within = (found & (EACH << 7)).trailing_zeros() as usize / 8;
            return Some((8 * at + within, word[within]));
        }
    }
    let from = bytes.len() - rest.len();
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
    Some((from + at, rest[at]))
}
