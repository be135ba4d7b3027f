//! A vocabulary as a value: ordinary tokens, special tokens, and the pattern that splits text first.
//!
//! Checked once, when made; never changed after. Vocabularies that differ only in special tokens share the rest.

use std::sync::Arc;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::split::Splitter;
use crate::staged::{LastStage, Stage};
use crate::tokens::Tokens;

/// The version of the Unicode tables that patterns split by, those of regex-syntax. It is part of a vocabulary: Python's `regex` and Rust's
/// tables differ on 17,144 code points of `\p{L}`.
pub const UNICODE_VERSION: &str = "16.0.0";

/// The most stages. Each stage but the first holds the vocabulary of those before it.
const MOST_STAGES: usize = 16;

/// Tokens by id, and how text becomes them.
#[derive(Clone)]
pub struct Vocabulary {
    tokens: Arc<Tokens>,
    /// The caches that no thread is using.
    pub(crate) caches: Arc<Pool>,
    /// The last stage's splitter.
    splitter: Arc<Splitter>,
    /// `None` if there is only one stage.
    last_stage: Option<Arc<LastStage>>,
    /// Sorted by id, then text.
    special: Vec<(String, u32)>,
}

impl Vocabulary {
    /// Makes a vocabulary from the ids of the 256 bytes, the merges in rank order as pairs of ids, the id of each merge, and the pattern
    /// that splits text, or several, each of which splits the pieces of the one before.
    pub fn from_merges(
        byte_ids: &[u32; 256],
        merges: &[(u32, u32)],
        ids: &[u32],
        special: Vec<(String, u32)>,
        patterns: impl IntoIterator<Item = String>,
    ) -> Result<Vocabulary> {
        Vocabulary::new(Tokens::from_merges(byte_ids, merges, ids)?, None, special, patterns)
    }

    /// Like `from_merges`, in stages: the first begins at rank 0, and none begins before the one it follows.
    pub fn from_stages(
        byte_ids: &[u32; 256],
        merges: &[(u32, u32)],
        ids: &[u32],
        special: Vec<(String, u32)>,
        stages: &[Stage],
    ) -> Result<Vocabulary> {
        let (last, before) = match stages {
            [] => return Err(Error::Vocabulary("a vocabulary has one stage at least: give its pattern".into())),
            [Stage { first_rank: 0, patterns }] => {
                return Vocabulary::from_merges(byte_ids, merges, ids, special, patterns.clone());
            }
            [Stage { first_rank, .. }] => {
                return Err(Error::Vocabulary(format!("the first stage begins at rank {first_rank}: it begins at 0")));
            }
            [before @ .., last] => (last, before),
        };
        if stages.len() > MOST_STAGES {
            return Err(Error::Vocabulary(format!(
                "{} stages are too many: a vocabulary has up to {MOST_STAGES}",
                stages.len()
            )));
        }
        let from = last.first_rank;
        if !(before[before.len() - 1].first_rank..=merges.len()).contains(&from) {
            return Err(Error::Vocabulary(format!(
                "a stage begins at rank {from}: order the stages by rank, and there are {} merges",
                merges.len()
            )));
        }
        let tokens = Tokens::from_merges(byte_ids, merges, ids)?;
        let narrower = Vocabulary::from_stages(byte_ids, &merges[..from], &ids[..from], vec![], before)?;
        let last_stage = LastStage::new(narrower, tokens.parents());
        Vocabulary::new(tokens, Some(last_stage), special, last.patterns.clone())
    }

    /// Makes a vocabulary from tiktoken's form: each token's bytes with its rank, which is its id.
    pub fn from_ranks(
        ranks: Vec<(Vec<u8>, u32)>,
        special: Vec<(String, u32)>,
        patterns: impl IntoIterator<Item = String>,
    ) -> Result<Vocabulary> {
        Vocabulary::new(Tokens::from_ranks(ranks)?, None, special, patterns)
    }

    /// Makes a vocabulary from a packaged table: for each id below 256, the byte that has it; then the two ids of each merge, three bytes
    /// each, little-endian. Merge r makes the id 256 + r. The `extra` merges follow those of the table, as (left, right, id).
    pub fn from_table(
        table: &[u8],
        extra: &[(u32, u32, u32)],
        special: Vec<(String, u32)>,
        patterns: impl IntoIterator<Item = String>,
    ) -> Result<Vocabulary> {
        let damaged =
            |what: &str| Error::Vocabulary(format!("a packaged vocabulary is damaged ({what}): install minbpe again"));
        let (bytes, merges) = table.split_at_checked(256).ok_or_else(|| damaged("it is too short"))?;
        let (merges, rest) = merges.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(damaged("it ends within a merge"));
        }
        let mut ids = vec![u32::MAX; 256];
        for (id, &byte) in bytes.iter().enumerate() {
            ids[usize::from(byte)] = id as u32;
        }
        if ids.contains(&u32::MAX) {
            return Err(damaged("it lacks a byte"));
        }
        ids.extend((256..).take(merges.len()));
        ids.extend(extra.iter().map(|&(_, _, id)| id));
        let merges = merges
            .iter()
            .map(|m| (u32::from_le_bytes([m[0], m[1], m[2], 0]), u32::from_le_bytes([m[3], m[4], m[5], 0])))
            .chain(extra.iter().map(|&(left, right, _)| (left, right)));
        let tokens = Tokens::from_sound_merges(ids, merges).map_err(|error| damaged(&error.to_string()))?;
        Vocabulary::new(tokens, None, special, patterns)
    }

    fn new(
        tokens: Tokens,
        last_stage: Option<LastStage>,
        special: Vec<(String, u32)>,
        patterns: impl IntoIterator<Item = String>,
    ) -> Result<Vocabulary> {
        let splitter = Arc::new(Splitter::new(patterns)?);
        let caches = Arc::new(Pool::new(Cache::ample(tokens.count())));
        let last_stage = last_stage.map(Arc::new);
        Vocabulary { tokens: Arc::new(tokens), caches, splitter, last_stage, special }.checked()
    }

    /// The same with its special tokens sorted, if none is empty or there twice, or has the id of an ordinary token.
    fn checked(mut self) -> Result<Vocabulary> {
        let Vocabulary { tokens, special, .. } = &mut self;
        for (text, id) in special.iter() {
            if text.is_empty() {
                return Err(Error::SpecialToken(format!("the special token with id {id} is empty: give it some text")));
            }
            if let Some(index) = tokens.index_of_id(*id) {
                return Err(Error::SpecialToken(format!(
                    "the special token {text:?} cannot have the id {id}, which is the ordinary token b\"{}\": ids from {} on are free",
                    tokens.bytes(index).escape_ascii(),
                    tokens.ids().iter().max().map_or(0, |&highest| u64::from(highest) + 1)
                )));
            }
        }
        special.sort_unstable_by(|(a, a_id), (b, b_id)| a_id.cmp(b_id).then_with(|| a.cmp(b)));
        let mut texts: Vec<&str> = special.iter().map(|(text, _)| text.as_str()).collect();
        texts.sort_unstable();
        if let Some(two) = texts.windows(2).find(|two| two[0] == two[1]) {
            return Err(Error::SpecialToken(format!("the special token {:?} is given twice", two[0])));
        }
        Ok(self)
    }

    /// The same vocabulary, with a cache of at most `bytes` bytes for each thread that encodes; with none if that is less than 288 KB. By
    /// default a cache has room for all tokens and for as many other pieces.
    pub fn with_cache_size(&self, bytes: usize) -> Vocabulary {
        let mut other = self.clone();
        other.caches = Arc::new(Pool::new(bytes));
        if let Some(last) = &self.last_stage {
            let narrower = last.narrower.with_cache_size(bytes);
            other.last_stage = Some(Arc::new(LastStage::new(narrower, self.tokens.parents())));
        }
        other
    }

    /// The same vocabulary with other special tokens. Tokens, splitter and caches are shared, not copied.
    pub fn with_special(&self, special: Vec<(String, u32)>) -> Result<Vocabulary> {
        Vocabulary { special, ..self.clone() }.checked()
    }

    /// The vocabulary that training to `count` ordinary tokens would have made: a merge depends only on those before it. Special tokens
    /// move to the ids after the highest one kept. Stages left without merges are dropped, except the first.
    pub fn truncate(&self, count: usize) -> Result<Vocabulary> {
        if !(256..=self.tokens.count()).contains(&count) {
            return Err(Error::Vocabulary(format!(
                "cannot truncate to {count} tokens: this vocabulary has {count_now} besides its special ones, of which 256 are bytes: \
                 give 256 to {count_now}",
                count_now = self.tokens.count()
            )));
        }
        if let Some(last) = &self.last_stage
            && count <= last.narrower.tokens().count()
        {
            return last.narrower.with_special(self.special.clone())?.truncate(count);
        }
        let ids = self.tokens.ids();
        let kept = &ids[..count];
        let tokens = if self.tokens.by_rank() {
            Tokens::from_ranks((0..).zip(kept).map(|(index, &id)| (self.tokens.bytes(index).to_vec(), id)).collect())?
        } else {
            Tokens::from_merges(&self.byte_ids(), &self.merges()[..count - 256], &kept[256..])?
        };
        let first = kept.iter().max().map_or(0, |&highest| u64::from(highest) + 1);
        let groups: Vec<_> = self.special.chunk_by(|(_, a), (_, b)| a == b).collect();
        if first + groups.len() as u64 > 1 << 32 {
            return Err(Error::Vocabulary(format!(
                "no ids are left for the special tokens after {}, the highest id that is kept: give the tokens lower ids",
                first - 1
            )));
        }
        let groups = (first as u32..=u32::MAX).zip(groups);
        let moved = groups.flat_map(|(id, group)| group.iter().map(move |(text, _)| (text.clone(), id))).collect();
        let last_stage =
            self.last_stage.as_ref().map(|last| LastStage::new(last.narrower.clone(), tokens.parents()).into());
        let caches = Arc::new(Pool::new(Cache::ample(count)));
        Vocabulary { tokens: Arc::new(tokens), caches, last_stage, special: moved, ..self.clone() }.checked()
    }

    /// The ordinary tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The last stage, if there are several.
    #[inline]
    pub(crate) fn last_stage(&self) -> Option<&LastStage> {
        self.last_stage.as_deref()
    }

    /// The vocabulary after each stage. The last is this one; the others have no special tokens.
    pub fn after_each_stage(&self) -> Vec<&Vocabulary> {
        let mut stages = self.last_stage.as_ref().map_or(vec![], |last| last.narrower.after_each_stage());
        stages.push(self);
        stages
    }

    /// All stages, the first of which begins at rank 0.
    pub fn stages(&self) -> Vec<Stage> {
        let after = self.after_each_stage();
        let first_ranks = std::iter::once(0).chain(after.iter().map(|stage| stage.tokens.count() - 256));
        first_ranks
            .zip(&after)
            .map(|(first_rank, stage)| Stage { first_rank, patterns: stage.splitter.patterns().to_vec() })
            .collect()
    }

    /// The splitter of text that is to be encoded; with several stages, the last one's.
    pub fn splitter(&self) -> &Splitter {
        &self.splitter
    }

    /// The special tokens, sorted by id, then text.
    pub fn special(&self) -> &[(String, u32)] {
        &self.special
    }

    /// The highest id plus one.
    pub fn n_vocab(&self) -> u64 {
        let ordinary = self.tokens.ids().iter().max().copied().unwrap_or(0);
        u64::from(self.special.last().map_or(ordinary, |&(_, id)| id.max(ordinary))) + 1
    }

    /// The ids of the 256 bytes, by byte value.
    pub fn byte_ids(&self) -> [u32; 256] {
        std::array::from_fn(|byte| self.tokens.ids()[byte])
    }

    /// The merges in rank order, as pairs of ids.
    pub fn merges(&self) -> Vec<(u32, u32)> {
        let ids = self.tokens.ids();
        self.tokens.parents().iter().map(|&(left, right)| (ids[left as usize], ids[right as usize])).collect()
    }

    /// The bytes of an id, special tokens included.
    #[inline]
    pub fn bytes_of_id(&self, id: u32) -> Result<&[u8]> {
        if let Some(index) = self.tokens.index_of_id(id) {
            return Ok(self.tokens.bytes(index));
        }
        // If special tokens share an id, it decodes to the first of them by text.
        match self.special.get(self.special.partition_point(|&(_, other)| other < id)) {
            Some((text, found)) if *found == id => Ok(text.as_bytes()),
            _ => Err(Error::UnknownToken(format!("no token has the id {id}: ids go up to {}", self.n_vocab() - 1))),
        }
    }

    /// How many bytes an id of this vocabulary has.
    #[inline]
    pub(crate) fn length_of_id(&self, id: u32) -> usize {
        self.bytes_of_id(id).map_or(0, <[u8]>::len)
    }

    /// Appends the bytes of `ids`.
    pub fn decode(&self, ids: &[u32], out: &mut Vec<u8>) -> Result<()> {
        out.reserve(4 * ids.len());
        for &id in ids {
            out.extend_from_slice(self.bytes_of_id(id)?);
        }
        Ok(())
    }

    /// The canonical form, whose sha256 is the vocabulary's digest: the same whether made from ranks or from merges. Numbers are
    /// little-endian u32, texts follow their length, and special tokens are sorted by (id, text).
    pub fn canonical(&self) -> Vec<u8> {
        let mut form = Vec::new();
        let number = |form: &mut Vec<u8>, n: u32| form.extend(n.to_le_bytes());
        let bytes = |form: &mut Vec<u8>, bytes: &[u8]| {
            number(form, bytes.len() as u32);
            form.extend(bytes);
        };
        bytes(&mut form, b"minbpe vocabulary 1");
        bytes(&mut form, UNICODE_VERSION.as_bytes());
        match &self.stages()[..] {
            [Stage { patterns, .. }] if patterns.is_empty() => number(&mut form, 0),
            stages => {
                number(&mut form, stages.len() as u32);
                for Stage { first_rank, patterns } in stages {
                    number(&mut form, *first_rank as u32);
                    // In place of a missing pattern, and before several: lengths that no pattern has.
                    match &patterns[..] {
                        [] => number(&mut form, u32::MAX),
                        [_] => {}
                        several => [u32::MAX - 1, several.len() as u32].into_iter().for_each(|n| number(&mut form, n)),
                    }
                    patterns.iter().for_each(|pattern| bytes(&mut form, pattern.as_bytes()));
                }
            }
        }
        let ids = self.tokens.ids();
        ids[..256].iter().for_each(|&id| number(&mut form, id));
        number(&mut form, ids.len() as u32 - 256);
        if self.tokens.by_rank() {
            bytes(&mut form, b"ranks");
            for index in 256..ids.len() as u32 {
                number(&mut form, ids[index as usize]);
                bytes(&mut form, self.tokens.bytes(index));
            }
        } else {
            bytes(&mut form, b"merges");
            for (&id, (left, right)) in ids[256..].iter().zip(self.merges()) {
                [id, left, right].into_iter().for_each(|n| number(&mut form, n));
            }
        }
        number(&mut form, self.special.len() as u32);
        for (text, id) in &self.special {
            number(&mut form, *id);
            bytes(&mut form, text.as_bytes());
        }
        form
    }
}
