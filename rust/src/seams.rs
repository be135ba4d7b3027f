//! Where tokens can cross from one character to the next.
//!
//! Where no token crosses, merges on the two sides never meet: a piece becomes what its left part is merged to, then what its right part is
//! merged to. So a piece may be cut there, and the parts, being shorter, are more often in the cache. This pays for scripts written without
//! spaces: a Chinese sentence is one piece, but many words.
//!
//! Tokens are bytes, and may begin or end inside a character. So for a character on the left of a seam, what matters is at
//! which of its last bytes crossing tokens begin; for one on the right, at which of its first bytes they end. Characters
//! that agree in this make a class, and a grid of classes has the answer. But tokens that cross between two whole
//! characters are so many, and those characters nearly all different, that they go into a hashed bit set instead. The set
//! says yes by mistake about once in sixteen times, and then a piece is cut less.

use crate::hash::{MULTIPLIER, NumberMap};

/// Characters of two or three bytes, by code point; nothing is cut at any other.
const CHARACTERS: usize = 1 << 16;

/// Which characters tokens cross between.
pub(crate) struct Seams {
    /// For each character, its class on the left of a seam and its class on the right: `left << 16 | right`.
    classes: Vec<u32>,
    /// A bit for each class on the left and each on the right: whether a token crosses that has only a part of one of the two characters.
    grid: Vec<u64>,
    /// Words of a row of the grid: there is a row for each class on the left.
    row: usize,
    /// A bit for each hash of two characters: set if some token has two such characters side by side.
    whole: Vec<u64>,
}

/// Some bytes of a character, as a number below `PARTS`: one byte, two bytes, or a character of three by its code point.
type Part = u32;

const PARTS: usize = 0x100 + 0x1_0000 + CHARACTERS;

/// The number of these bytes; `None` if no character of two or three bytes can have them.
fn part(bytes: &[u8]) -> Option<Part> {
    match *bytes {
        [byte] => Some(byte.into()),
        [first, second] => Some(0x100 + u32::from(u16::from_be_bytes([first, second]))),
        _ => character(bytes).map(|character| 0x1_0100 + u32::from(character)),
    }
}

impl Seams {
    /// The seams of these tokens; `None` if they cross in so many ways that there would be little to cut. Takes some 5 ms
    /// for 100,000 tokens.
    pub(crate) fn new<'a>(tokens: impl Iterator<Item = &'a [u8]>) -> Option<Seams> {
        /// The most words of the grid: 2 MB. Published vocabularies have a twentieth of it.
        const MOST: usize = 1 << 18;
        let mut whole = Vec::new();
        let mut parts = Vec::new();
        for token in tokens.filter(|token| !token.is_ascii()) {
            for (before, after) in crossings(token) {
                match (character(before), character(after)) {
                    (Some(before), Some(after)) => whole.push((before, after)),
                    _ => parts.extend(part(before).zip(part(after))),
                }
            }
        }
        parts.sort_unstable();
        parts.dedup();
        let left =
            Classes::new(parts.iter().map(|&(before, _)| before), |bytes, length| &bytes[bytes.len() - length..]);
        let right = Classes::new(parts.iter().map(|&(_, after)| after), |bytes, length| &bytes[..length]);
        let row = right.count.div_ceil(64);
        if left.count * row > MOST {
            return None;
        }
        let mut grid = vec![0; left.count * row];
        for &(before, after) in &parts {
            for &before in left.having(before) {
                for &after in right.having(after) {
                    grid[usize::from(before) * row + usize::from(after) / 64] |= 1 << (after % 64);
                }
            }
        }
        let words = (whole.len() / 4).next_power_of_two();
        let classes = left.of.iter().zip(&right.of).map(|(&left, &right)| u32::from(left) << 16 | u32::from(right));
        let mut seams = Seams { classes: classes.collect(), grid, row, whole: vec![0; words] };
        for (before, after) in whole {
            let (word, bit) = seams.bit(before, after);
            seams.whole[word] |= bit;
        }
        Some(seams)
    }

    #[inline(always)]
    fn bit(&self, before: u16, after: u16) -> (usize, u64) {
        let hash = (u64::from(before) << 16 | u64::from(after)).wrapping_mul(MULTIPLIER) >> 32;
        ((hash >> 6) as usize & (self.whole.len() - 1), 1 << (hash & 63))
    }

    /// Where `text[start..end]` may be cut.
    #[inline(always)]
    pub(crate) fn cuts<'a>(&'a self, text: &'a [u8], start: usize, end: usize) -> Cuts<'a> {
        Cuts { seams: self, text, at: start, end, before: None }
    }
}

/// The seams of a piece that no token crosses, one after the other.
pub(crate) struct Cuts<'a> {
    seams: &'a Seams,
    text: &'a [u8],
    at: usize,
    end: usize,
    /// The character before `at`, and its class.
    before: Option<(u16, usize)>,
}

impl Cuts<'_> {
    /// Where the next part ends: at the next cut, or at the end of the piece.
    #[inline(always)]
    pub(crate) fn next_end(&mut self) -> usize {
        let Cuts { seams, text, end, .. } = *self;
        while self.at < end {
            let Some((character, length)) = character_at(&text[self.at..end]) else {
                self.before = None;
                self.at += 1;
                continue;
            };
            let classes = seams.classes[usize::from(character)];
            let before = self.before.replace((character, classes as usize >> 16));
            let seam = self.at;
            self.at += length;
            if let Some((other, left)) = before {
                let (word, bit) = seams.bit(other, character);
                let right = classes as usize & 0xffff;
                if (seams.whole[word] & bit) | (seams.grid[left * seams.row + right / 64] >> (right % 64) & 1) == 0 {
                    return seam;
                }
            }
        }
        end
    }
}

/// The character of two or three bytes that `bytes` begin with, and its length.
#[inline(always)]
fn character_at(bytes: &[u8]) -> Option<(u16, usize)> {
    match *bytes {
        [first @ 0xe0..=0xef, second, third, ..] if second & 0xc0 == 0x80 && third & 0xc0 == 0x80 => {
            let character = u16::from(first) << 12 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f);
            (character >= 0x800 && character & 0xf800 != 0xd800).then_some((character, 3))
        }
        [first @ 0xc2..=0xdf, second, ..] if second & 0xc0 == 0x80 => {
            Some((u16::from(first & 0x1f) << 6 | u16::from(second & 0x3f), 2))
        }
        _ => None,
    }
}

/// The seams in a token between two characters beyond ASCII, each as the bytes that the token has of the two.
fn crossings(token: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let continues = |at: usize| token.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (1..token.len()).filter(move |&seam| token[seam] >= 0xc0 && token[seam - 1] >= 0x80).map(move |seam| {
        let (mut start, mut end) = (seam - 1, seam + 1);
        while start > 0 && continues(start) && token[start - 1] >= 0x80 {
            start -= 1;
        }
        while continues(end) {
            end += 1;
        }
        (&token[start..seam], &token[seam..end])
    })
}

/// The character that these bytes are, if it is one of two or three bytes.
fn character(bytes: &[u8]) -> Option<u16> {
    character_at(bytes).filter(|&(_, length)| length == bytes.len()).map(|(character, _)| character)
}

/// Characters, classified by the parts they have on one side.
struct Classes {
    /// The class of each character; class 0 has no part.
    of: Vec<u16>,
    count: usize,
    /// The number of each part, from 1 on; 0 if it does not matter.
    numbers: Vec<u32>,
    /// The classes that have each part, by its number.
    having: Vec<Vec<u16>>,
}

impl Classes {
    /// Classifies characters by `parts`. `side` takes a number of a character's bytes from the side of the seam.
    fn new(parts: impl Iterator<Item = Part>, side: impl Fn(&[u8], usize) -> &[u8]) -> Classes {
        let (mut numbers, mut having) = (vec![0; PARTS], vec![Vec::new()]);
        for part in parts {
            let number = &mut numbers[part as usize];
            if *number == 0 {
                *number = having.len() as u32;
                having.push(Vec::new());
            }
        }
        let mut of = vec![0; CHARACTERS];
        let mut known = NumberMap::from_iter([([0; 3], 0)]);
        let (mut last, mut class) = ([0; 3], 0);
        for character in ('\u{80}'..='\u{ffff}').filter(|character| character.len_utf8() < 4) {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            let mut own = [0; 3];
            for (length, own) in (1..=bytes.len()).zip(&mut own) {
                *own = part(side(bytes, length)).map_or(0, |part| numbers[part as usize]);
            }
            if own != last {
                let next = known.len() as u16;
                last = own;
                class = *known.entry(own).or_insert(next);
                if class == next {
                    own.iter().filter(|&&number| number != 0).for_each(|&number| having[number as usize].push(next));
                }
            }
            of[character as usize] = class;
        }
        Classes { of, count: known.len(), numbers, having }
    }

    fn having(&self, part: Part) -> &[u16] {
        &self.having[self.numbers[part as usize] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seam_is_crossed_if_a_token_has_the_end_of_one_character_and_the_beginning_of_the_other() {
        let (a, b, c, d) = ('中', '文', 'é', 'ж');
        let text = |characters: &[char]| characters.iter().collect::<String>().into_bytes();
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        tokens.push(text(&[a, b]));
        tokens.push(text(&['x', b, d, 'y']));
        // The last byte of c and the first of a; the last two of b and the first two of a.
        tokens.push([&text(&[c])[1..], &text(&[a])[..1]].concat());
        tokens.push([&text(&[b])[1..], &text(&[a])[..2]].concat());
        let seams = Seams::new(tokens.iter().map(Vec::as_slice)).expect("few");
        for before in [a, b, c, d] {
            for after in [a, b, c, d] {
                let both = text(&[before, after]);
                let seam = before.len_utf8();
                let crossed = tokens.iter().any(|token| {
                    (1..token.len()).any(|at| {
                        at <= seam && token.len() - at <= both.len() - seam && both[seam - at..].starts_with(token)
                    })
                }) || text(&['x', before, after, 'y']) == tokens[257];
                let mut cuts = seams.cuts(&both, 0, both.len());
                assert_eq!(cuts.next_end(), if crossed { both.len() } else { seam }, "{before} {after}");
                assert_eq!(cuts.next_end(), both.len());
            }
        }
    }
}
