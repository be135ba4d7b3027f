//! Where an id's token is: ids are names, and inside a token is its index.

use std::collections::HashMap;

use crate::error::Result;
use crate::tokens::invalid;

/// From an id to an index: by position where ids are dense, by hash where they are strewn.
#[derive(Debug)]
pub(crate) enum IdIndex {
    Dense(Vec<u32>),
    Sparse(HashMap<u32, u32>),
}

const NO_TOKEN: u32 = u32::MAX;

impl IdIndex {
    /// `ids` by index, all different.
    pub(crate) fn new(ids: &[u32]) -> Result<IdIndex> {
        let twice = |id: u32| invalid(format!("two tokens have the id {id}: ids are unique"));
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

    #[inline(always)]
    pub(crate) fn get(&self, id: u32) -> Option<u32> {
        match self {
            IdIndex::Dense(index_of_id) => index_of_id.get(id as usize).copied().filter(|&index| index != NO_TOKEN),
            IdIndex::Sparse(index_of_id) => index_of_id.get(&id).copied(),
        }
    }
}
