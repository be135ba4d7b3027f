//! From a token's id, which is its name outside, to its index, which is its name inside.

use std::collections::HashMap;

use crate::error::Result;
use crate::tokens::invalid;

/// From an id to an index: by position where ids are dense, by hash where they are scattered.
pub(crate) enum IdIndex {
    /// Each token except the bytes has its index as its id, and the bytes have the ids below 256. Holds the byte of each of these ids, and
    /// the number of tokens. This is nearly always so, and takes no memory that loading a vocabulary would wait for.
    Same(Box<[u32; 256]>, u32),
    Dense(Vec<u32>),
    Sparse(HashMap<u32, u32>),
}

const NO_TOKEN: u32 = u32::MAX;

impl IdIndex {
    /// From the `ids` by index, which must all differ.
    pub(crate) fn new(ids: &[u32]) -> Result<IdIndex> {
        let twice = |id: u32| invalid(format!("two tokens have the id {id}: ids are unique"));
        if let Some(bytes) = bytes_before_same(ids) {
            return Ok(IdIndex::Same(bytes, ids.len() as u32));
        }
        let end = ids.iter().max().map_or(0, |&highest| highest as usize + 1);
        if end > 4 * ids.len() + (1 << 16) {
            let mut index_of_id = HashMap::with_capacity(ids.len());
            for (index, &id) in ids.iter().enumerate() {
                if index_of_id.insert(id, index as u32).is_some() {
                    return Err(twice(id));
                }
            }
            return Ok(IdIndex::Sparse(index_of_id));
        }
        let mut index_of_id = vec![NO_TOKEN; end];
        for (index, &id) in ids.iter().enumerate() {
            if std::mem::replace(&mut index_of_id[id as usize], index as u32) != NO_TOKEN {
                return Err(twice(id));
            }
        }
        Ok(IdIndex::Dense(index_of_id))
    }

    /// Whether each token but the bytes has its index for its id.
    #[inline(always)]
    pub(crate) fn is_same(&self) -> bool {
        matches!(self, IdIndex::Same(..))
    }

    #[inline(always)]
    pub(crate) fn get(&self, id: u32) -> Option<u32> {
        match self {
            IdIndex::Same(bytes, count) => match bytes.get(id as usize) {
                Some(&byte) => Some(byte),
                None => (id < *count).then_some(id),
            },
            IdIndex::Dense(index_of_id) => index_of_id.get(id as usize).copied().filter(|&index| index != NO_TOKEN),
            IdIndex::Sparse(index_of_id) => index_of_id.get(&id).copied(),
        }
    }
}

/// The byte of each id below 256, if all other tokens' ids are their indices.
fn bytes_before_same(ids: &[u32]) -> Option<Box<[u32; 256]>> {
    let (of_bytes, others) = ids.split_at_checked(256)?;
    let mut bytes = Box::new([NO_TOKEN; 256]);
    for (byte, &id) in (0..).zip(of_bytes) {
        *bytes.get_mut(id as usize)? = byte;
    }
    let same = (256..).zip(others).all(|(index, &id)| index == id);
    (same && !bytes.contains(&NO_TOKEN)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_leads_to_its_token_and_no_other_id_to_any() {
        let swapped: Vec<u32> = [1, 0].into_iter().chain(2..300).collect();
        let holes: Vec<u32> = (0..300).map(|index| 2 * index).collect();
        let strewn: Vec<u32> = (0..300).map(|index| index << 22).collect();
        let moved: Vec<u32> = (1..301).collect();
        let is_same = |ids: &[u32]| IdIndex::new(ids).unwrap().is_same();
        assert!(is_same(&swapped) && is_same(&swapped[..256]));
        for ids in [&swapped, &holes, &strewn, &moved] {
            assert_eq!(is_same(ids), ids == &swapped);
            let index = IdIndex::new(ids).unwrap();
            for id in (0..700).chain((0..1000).map(|n| n << 22)).chain([u32::MAX]) {
                assert_eq!(index.get(id), ids.iter().position(|&other| other == id).map(|at| at as u32), "{id}");
            }
        }
    }

    #[test]
    fn an_id_that_two_tokens_have_is_refused() {
        for (ids, twice) in
            [((0..300).collect::<Vec<u32>>(), 7), ((0..300).map(|index| index << 22).collect(), 1 << 22)]
        {
            for at in [0, 255, 256, 299] {
                let mut ids = ids.clone();
                ids[at] = twice;
                assert!(IdIndex::new(&ids).is_err());
            }
        }
    }
}
