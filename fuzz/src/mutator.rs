//! A simple mutator, the same in every run: what plain tests have instead of libFuzzer.

/// Numbers that look random and are the same for the same seed (xorshift).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins anew; any seed is good.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 24).unwrap_or(usize::MAX) % bound.max(1)
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

/// Bytes at which lengths, counts and flags turn over.
const EDGES: [u8; 8] = [0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, b'"'];

/// Changes `input` in one to eight places, with pieces of `others` and of the `dictionary`.
pub fn mutate(
    input: &mut Vec<u8>,
    others: &[Vec<u8>],
    dictionary: &[Vec<u8>],
    max_len: usize,
    random: &mut Random,
) {
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let length = 1 + random.below(8);
        let end = (at + length).min(input.len());
        match random.below(8) {
            0 => flip(input, at, 1 << random.below(8)),
            1 => flip(input, at, u8::try_from(random.below(256)).unwrap_or_default()),
            2 => drop(random.pick(&EDGES).map(|edge| input.splice(at..end.min(at + 1), [*edge]))),
            3 => drop(input.drain(at..end)),
            4 => drop(input.splice(at..at, [*random.pick(&EDGES).unwrap_or(&0)].repeat(length))),
            5 => drop(random.pick(dictionary).map(|token| input.splice(at..at, token.iter().copied()))),
            6 => {
                let to = random.below(input.len() - (end - at) + 1);
                input.copy_within(at..end, to);
            }
            _ => {
                if let Some(other) = random.pick(others) {
                    let from = random.below(other.len() + 1);
                    let piece = other.get(from..).unwrap_or_default();
                    input.splice(at.., piece.iter().copied());
                }
            }
        }
    }
    input.truncate(max_len);
}

fn flip(input: &mut [u8], at: usize, bits: u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= bits;
    }
}
