//! The ordinary tokens of a vocabulary: their bytes, their ids, and which pairs make them.
//!
//! Internally a token is its *index*: byte b has index b, the merge of rank r has index 256 + r. Externally it is its *id*, which may be
//! any number. Checked once, when made; never changed after.

use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::id_index::IdIndex;
use crate::meetings::Meetings;
use crate::merge::Rules;
use crate::progress::Look;
use crate::seams::Seams;
use crate::table::{MAX_TOKENS, PairTable, Pairs, TokenTable};

/// The most bytes that all tokens may have together. A file of forty merges, each doubling the last, would otherwise ask for terabytes.
pub(crate) const MAX_BYTES: usize = 1 << 30;

/// Ordinary tokens by index, with the tables that find them.
pub struct Tokens {
    /// The bytes of all tokens, one after the other. For a packaged vocabulary they are put together on first use: encoding a short text
    /// does without them.
    arena: OnceLock<Vec<u8>>,
    /// Token i is `arena[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    ids: Vec<u32>,
    /// The parents of token 256 + i, as indices; empty when merges could not be recovered from ranks.
    parents: Vec<(u32, u32)>,
    pairs: PairTable,
    /// Tokens by their bytes. Making this takes half the time of loading a packaged vocabulary, and short texts do well without it.
    table: OnceLock<TokenTable>,
    /// Where pieces may be cut; made once there is enough text to cut (`lookup.rs`).
    seams: OnceLock<Option<Seams>>,
    /// Which bytes stand side by side in tokens; made for the first huge piece.
    meetings: OnceLock<Meetings>,
    /// Whether a piece that equals a token becomes it without merging. True if each token's bytes merge to it, and by definition for ranks.
    pub(crate) whole_pieces: bool,
    index_of_id: IdIndex,
}

impl Tokens {
    /// Makes tokens from the ids of the 256 bytes, by byte value, and the merges in rank order: the two ids that each
    /// joins, and its own id.
    pub fn from_merges(byte_ids: &[u32; 256], merges: &[(u32, u32)], ids: &[u32]) -> Result<Tokens> {
        if merges.len() != ids.len() {
            return Err(invalid(format!("{} merges have {} ids: give one id for each merge", merges.len(), ids.len())));
        }
        let all_ids = byte_ids.iter().chain(ids).copied().collect();
        let mut tokens = Tokens::from_sound_merges(all_ids, merges.iter().copied())?;
        tokens.table = token_table(tokens.arena(), &tokens.starts, &tokens.ids)?.into();
        tokens.whole_pieces = tokens.each_token_merges_to_itself();
        Ok(tokens)
    }

    /// The same, with the ids of all tokens by index. Skips the checks that no two tokens are equal and that each merges to itself, which a test
    /// does for each packaged table.
    pub(crate) fn from_sound_merges(ids: Vec<u32>, merges: impl Iterator<Item = (u32, u32)>) -> Result<Tokens> {
        let count = ids.len();
        check_count(count)?;
        let index_of_id = IdIndex::new(&ids)?;
        let mut parents = Vec::with_capacity(count - 256);
        for (rank, (left, right)) in merges.enumerate() {
            let parent = |id: u32| index_of_id.get(id).filter(|&index| (index as usize) < 256 + rank);
            if let (Some(left), Some(right)) = (parent(left), parent(right)) {
                parents.push((left, right));
                continue;
            }
            let id = if parent(left).is_none() { left } else { right };
            let why = match index_of_id.get(id) {
                Some(_) => format!("{id} is made by a later merge: order the merges by rank"),
                None => format!("no token has the id {id}"),
            };
            return Err(invalid(format!("merge {rank} joins ({left}, {right}), but {why}")));
        }
        let mut starts: Vec<u32> = Vec::with_capacity(count + 1);
        starts.extend(0..=256);
        for (rank, &(left, right)) in parents.iter().enumerate() {
            let length = |index: u32| starts[index as usize + 1] - starts[index as usize];
            let end = starts[256 + rank] + length(left) + length(right);
            if end as usize > MAX_BYTES {
                return Err(invalid(format!(
                    "the tokens up to merge {rank} hold over {MAX_BYTES} bytes together: truncate the vocabulary before it"
                )));
            }
            starts.push(end);
        }
        let mut pairs = PairTable::with_capacity(parents.len());
        pairs.insert_all(&parents).map_err(|rank| {
            let (left, right) = parents[rank];
            let (left, right) = (ids[left as usize], ids[right as usize]);
            invalid(format!("merge {rank} joins ({left}, {right}), as an earlier one does"))
        })?;
        let (arena, table, seams, meetings) = Default::default();
        Ok(Tokens { arena, starts, ids, parents, pairs, table, seams, meetings, whole_pieces: true, index_of_id })
    }

    /// Makes tokens from tiktoken's form: each token's bytes with its rank, which is its id. The merges behind the ranks are recovered:
    /// what the earlier merges make of a token's bytes are its two parents. Where that fails for some token, pieces are encoded by rank
    /// alone: whole tokens first, then any two neighbours that together are a token, lowest rank first.
    pub fn from_ranks(mut ranks: Vec<(Vec<u8>, u32)>) -> Result<Tokens> {
        ranks.sort_unstable_by_key(|&(_, rank)| rank);
        let mut byte_ids = [None; 256];
        let mut longer = Vec::with_capacity(ranks.len());
        for (bytes, rank) in ranks {
            match *bytes {
                [] => return Err(invalid(format!("token {rank} is empty: a token has at least one byte"))),
                [byte] => {
                    if let Some(other) = byte_ids[usize::from(byte)].replace(rank) {
                        return Err(invalid(format!("tokens {other} and {rank} are both the byte 0x{byte:02x}")));
                    }
                }
                _ => longer.push((bytes, rank)),
            }
        }
        let mut ids = Vec::with_capacity(256 + longer.len());
        for (byte, id) in byte_ids.into_iter().enumerate() {
            ids.push(id.ok_or_else(|| {
                invalid(format!("the byte 0x{byte:02x} has no token: a vocabulary needs all 256 bytes, or some text cannot be encoded"))
            })?);
        }
        ids.extend(longer.iter().map(|&(_, rank)| rank));
        check_count(ids.len())?;
        let index_of_id = IdIndex::new(&ids)?;

        let mut arena: Vec<u8> = (0..=255).collect();
        let mut starts: Vec<u32> = (0..=256).collect();
        for (bytes, rank) in &longer {
            if arena.len() + bytes.len() > MAX_BYTES {
                return Err(invalid(format!("the tokens up to rank {rank} hold over {MAX_BYTES} bytes together")));
            }
            arena.extend_from_slice(bytes);
            starts.push(arena.len() as u32);
        }
        let table = token_table(&arena, &starts, &ids)?;
        let (parents, pairs) = match recover_parents(&arena, &starts) {
            Some(recovered) => recovered,
            None => (vec![], pairs_by_rank(&arena, &starts, &table)),
        };
        let (arena, table) = (arena.into(), table.into());
        let (seams, meetings) = Default::default();
        Ok(Tokens { arena, starts, ids, parents, pairs, table, seams, meetings, whole_pieces: true, index_of_id })
    }

    /// The number of tokens, the 256 bytes included.
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// The bytes of a token.
    #[inline(always)]
    pub fn bytes(&self, index: u32) -> &[u8] {
        bytes_of(self.arena(), &self.starts, index)
    }

    /// The bytes of all tokens, made now if they were not yet.
    #[inline(always)]
    fn arena(&self) -> &Vec<u8> {
        get_or_make(&self.arena, || spelled(&self.parents, &self.starts))
    }

    /// The bytes of all tokens, and where those of this one begin and end among them.
    #[inline(always)]
    pub(crate) fn place(&self, index: u32) -> (&[u8], usize, usize) {
        (self.arena(), self.starts[index as usize] as usize, self.starts[index as usize + 1] as usize)
    }

    /// The ids by index: the 256 bytes by value, then the merges by rank.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The id of an index. From 256 on the two are usually equal, which spares a lookup.
    #[inline(always)]
    pub(crate) fn id(&self, index: u32) -> u32 {
        if index >= 256 && self.index_of_id.is_same() { index } else { self.ids[index as usize] }
    }

    /// The index of an id.
    #[inline(always)]
    pub fn index_of_id(&self, id: u32) -> Option<u32> {
        self.index_of_id.get(id)
    }

    /// The id of the token that is `bytes`.
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        let table = get_or_make(&self.table, || {
            // Of a packaged table, which is checked by a test and not when it is loaded: where two tokens were equal, the first would count.
            let mut table = TokenTable::with_capacity(self.count());
            for index in 0..self.count() as u32 {
                table.insert(self.bytes(index), index, |other| self.bytes(other));
            }
            table
        });
        table.get(bytes, |index| self.bytes(index)).map(|index| self.id(index))
    }

    /// Where tokens cross from one character to the next; `None` if the merges are not known or tokens cross in too many
    /// ways. Made when it is first asked for.
    #[inline(always)]
    pub(crate) fn seams(&self) -> Option<&Seams> {
        let seams = get_or_make(&self.seams, || {
            let tokens = (0..self.count() as u32).map(|index| self.bytes(index));
            if self.parents.is_empty() { None } else { Seams::new(tokens) }
        });
        seams.as_ref()
    }

    /// The seams, if they have been made, and there are any.
    pub(crate) fn seams_if_made(&self) -> Option<&Seams> {
        self.seams.get()?.as_ref()
    }

    /// The id of the token that equals `piece`, if tokens may be used whole and their table is made.
    #[inline(always)]
    pub(crate) fn whole_piece(&self, piece: &[u8]) -> Option<u32> {
        let table = self.table.get().filter(|_| self.whole_pieces)?;
        table.get(piece, |index| self.bytes(index)).map(|index| self.id(index))
    }

    /// Whether the merges behind the ranks could not be recovered.
    pub fn by_rank(&self) -> bool {
        self.parents.is_empty() && self.count() > 256
    }

    /// The merges as pairs of indices; none when `by_rank`.
    pub fn parents(&self) -> &[(u32, u32)] {
        &self.parents
    }

    /// Appends the tokens that merging makes of `piece`, as indices.
    pub(crate) fn merge(&self, piece: &[u8], out: &mut Vec<u32>) {
        self.merge_unless_stopped(piece, out, &mut |_| Ok(())).expect("nothing stops it");
    }

    /// As `merge`, but an error of `look` ends it.
    pub(crate) fn merge_unless_stopped(&self, piece: &[u8], out: &mut Vec<u32>, look: &mut Look<'_>) -> Result<()> {
        /// Merging a piece of this many bytes takes as long as finding out which bytes meet.
        const HUGE: usize = 1 << 13;
        if piece.len() > HUGE {
            get_or_make(&self.meetings, || Meetings::new(&self.parents));
        }
        self.rules().merge(piece, out, look)
    }

    /// The merges by their pairs.
    #[inline(always)]
    pub(crate) fn pairs(&self) -> Pairs<'_> {
        self.pairs.view()
    }

    fn rules(&self) -> Rules<'_> {
        Rules { pairs: self.pairs(), parents: &self.parents, starts: &self.starts, meetings: self.meetings.get() }
    }

    /// A token's bytes merge to it if both parents' do and nothing of lower rank crosses the seam between them.
    fn each_token_merges_to_itself(&self) -> bool {
        let rules = self.rules();
        self.parents
            .iter()
            .enumerate()
            .all(|(rank, &(left, right))| rules.seam_holds_below(left, right, 256 + rank as u32))
    }
}

/// What `cell` holds, made now if it holds nothing yet; made before the cell is claimed, because if the process forked while another
/// thread held it, the child would wait for a thread that it does not have.
#[inline(always)]
pub(crate) fn get_or_make<T>(cell: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    #[cold]
    fn make_now<T>(cell: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
        let made = make();
        cell.get_or_init(|| made)
    }
    match cell.get() {
        Some(value) => value,
        None => make_now(cell, make),
    }
}

pub(crate) fn invalid(message: String) -> Error {
    Error::Vocabulary(message)
}

fn bytes_of<'a>(arena: &'a [u8], starts: &[u32], index: u32) -> &'a [u8] {
    &arena[starts[index as usize] as usize..starts[index as usize + 1] as usize]
}

fn check_count(count: usize) -> Result<()> {
    if count < MAX_TOKENS {
        return Ok(());
    }
    Err(invalid(format!("{count} tokens are too many: a vocabulary holds fewer than {MAX_TOKENS}")))
}

/// The bytes of all tokens: the 256 single ones, then those of each merge's parents. They are copied 16 at a time, and a surplus is
/// overwritten by the next copy: copying each parent exactly takes 2 ms more for 200,000 short tokens.
fn spelled(parents: &[(u32, u32)], starts: &[u32]) -> Vec<u8> {
    const BLOCK: usize = 16;
    let end = starts[256 + parents.len()] as usize;
    let mut arena: Vec<u8> = Vec::with_capacity(end + BLOCK);
    arena.extend(0..=255);
    arena.resize(end + BLOCK, 0);
    let mut at = 256;
    for index in parents.iter().flat_map(|&(left, right)| [left, right]) {
        let (from, to) = (starts[index as usize] as usize, starts[index as usize + 1] as usize);
        for block in (from..to).step_by(BLOCK) {
            arena.copy_within(block..block + BLOCK, at + (block - from));
        }
        at += to - from;
    }
    arena.truncate(end);
    arena
}

/// The table that finds tokens by bytes; refuses two tokens with the same bytes.
fn token_table(arena: &[u8], starts: &[u32], ids: &[u32]) -> Result<TokenTable> {
    let mut table = TokenTable::with_capacity(ids.len());
    let token = |index: u32| bytes_of(arena, starts, index);
    for index in 0..ids.len() as u32 {
        if let Some(other) = table.insert(token(index), index, token) {
            return Err(invalid(format!(
                "tokens {} and {} have the same bytes, {}: remove one",
                ids[other as usize],
                ids[index as usize],
                token(index).escape_ascii()
            )));
        }
    }
    Ok(table)
}

/// The two parents of each token of two bytes or more, if each has them.
fn recover_parents(arena: &[u8], starts: &[u32]) -> Option<(Vec<(u32, u32)>, PairTable)> {
    let count = starts.len() - 1;
    let mut pairs = PairTable::with_capacity(count - 256);
    let mut parents = Vec::with_capacity(count - 256);
    let mut parts = Vec::new();
    for index in 256..count as u32 {
        parts.clear();
        Rules { pairs: pairs.view(), parents: &parents, starts, meetings: None }
            .merge(bytes_of(arena, starts, index), &mut parts, &mut |_| Ok(()))
            .ok()?;
        let &[left, right] = &parts[..] else { return None };
        pairs.insert(left, right, index);
        parents.push((left, right));
    }
    Some((parents, pairs))
}

/// Every way to put a token together from two others.
fn pairs_by_rank(arena: &[u8], starts: &[u32], table: &TokenTable) -> PairTable {
    let count = starts.len() as u32 - 1;
    let token = |index: u32| bytes_of(arena, starts, index);
    // A token can begin another only at a length that some token has: trying no others keeps one huge token from costing its square.
    let mut lengths: Vec<usize> = (0..count).map(|index| token(index).len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let mut ways = Vec::new();
    for index in 256..count {
        let bytes = token(index);
        for &length in lengths.iter().take_while(|&&length| length < bytes.len()) {
            let (left, right) = bytes.split_at(length);
            if let Some(left) = table.get(left, token)
                && let Some(right) = table.get(right, token)
            {
                ways.push((left, right, index));
            }
        }
    }
    let mut pairs = PairTable::with_capacity(ways.len());
    for (left, right, index) in ways {
        pairs.insert(left, right, index);
    }
    pairs
}
