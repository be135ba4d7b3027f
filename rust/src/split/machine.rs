//! The streaming machine: it never goes back in the text, and keeps what may still change in the output itself.
//!
//! Its state is a chain of runs of the automaton. Level 0 is the piece being read; if it has matched once and could match further on, level
//! 1 already reads what comes after that match, and so on. The match of level k waits in output slot k behind the settled ends: a new match
//! of level k overwrites slot k and drops the levels behind it, and when level 0 dies its match is settled by counting it. So the output is
//! the register file, nothing is copied, and a step writes the position to one slot, then settles some number of slots.
//!
//! Example, cl100k on "\n  x": at x, level 0 (`\s*[\r\n]`) dies with slot 0 = 1, level 1 (`\s+(?!\S)`) with slot 1 = 2, level 2 is " x".

use std::collections::HashMap;

use super::automaton::{Automaton, DEAD, Hit, START};
use super::parse::Compiled;

/// The longest chain. A pattern that needs a longer one looks ahead without bound, as `a+b|a` does, and is refused. Named patterns need 3.
pub(super) const MAX_LEVELS: usize = 7;
/// Named patterns have 16 to 49 chains.
const MAX_CHAINS: usize = 512;

/// A run of the automaton and its last match, which waits in the slot of the run's level.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Level {
    state: u32,
    matched: Hit,
}

/// What a symbol does to the output, and the state after it. States are classes of chains that behave the same for ever.
#[derive(Clone, Copy)]
pub(super) struct Move {
    /// The position before the symbol goes to this slot behind the settled ends (dead, if nothing ended).
    pub(super) slot: u8,
    /// How many slots are settled after that.
    pub(super) settle: u8,
    /// The state after the symbol.
    pub(super) to: usize,
    /// Whether the position is a boundary, is the last thing settled, and nothing before it matters any more.
    fresh: bool,
}

/// The machine of a pattern.
pub(super) struct Machine {
    /// For each state, a move for each symbol, then one for the end of the text. State 0 begins a text.
    pub(super) moves: Vec<Vec<Move>>,
    /// For each state, the first slot that holds nothing.
    pub(super) free: Vec<u8>,
    /// For each pair of symbols, whether a piece ends between them, whatever comes before and after.
    pub(super) cuts: Vec<bool>,
    /// For each symbol, whether no match holds it, so that what comes after it is matched as at the start of a text.
    pub(super) outside: Vec<bool>,
}

impl Machine {
    /// Finds all chains that a text can reach.
    pub(super) fn new(automaton: &Automaton) -> Compiled<Machine> {
        let mut chains = vec![vec![Level { state: START, matched: Hit::None }]];
        let mut ids = HashMap::from([(chains[0].clone(), 0)]);
        let mut moves: Vec<Vec<Move>> = Vec::new();
        while moves.len() < chains.len() {
            let mut row = Vec::with_capacity(automaton.symbols + 1);
            for symbol in 0..=automaton.symbols {
                let (mut step, chain) = advance(automaton, &chains[moves.len()], symbol)?;
                if symbol == automaton.symbols {
                    if step.settle != step.slot + 1 && !moves.is_empty() {
                        return Err("it cannot read every text to its end");
                    }
                } else {
                    step.to = *ids.entry(chain).or_insert_with_key(|chain| {
                        chains.push(chain.clone());
                        chains.len() - 1
                    });
                    if chains.len() > MAX_CHAINS {
                        return Err("it looks ahead in too many ways");
                    }
                }
                row.push(step);
            }
            moves.push(row);
        }
        let free = chains.iter().map(|chain| (chain.len() - 1) as u8).collect();
        let cuts = find_cuts(&moves, automaton.symbols);
        let outside = (0..automaton.symbols).map(|symbol| automaton.outside(symbol)).collect();
        Ok(Machine { moves, free, cuts, outside }.minimised())
    }

    /// Moore's refinement: states that behave the same for ever become one.
    fn minimised(self) -> Machine {
        let mut classes: Vec<usize> = self.free.iter().map(|&free| free as usize).collect();
        let mut count = 0;
        loop {
            let mut ids = HashMap::new();
            let refined: Vec<usize> = (0..classes.len())
                .map(|state| {
                    let does: Vec<_> = self.moves[state].iter().map(|m| (m.slot, m.settle, classes[m.to])).collect();
                    let fresh = ids.len();
                    *ids.entry((classes[state], does)).or_insert(fresh)
                })
                .collect();
            classes = refined;
            if ids.len() == count {
                break;
            }
            count = ids.len();
        }
        let mut machine = Machine { moves: Vec::new(), free: Vec::new(), cuts: self.cuts, outside: self.outside };
        for (state, mut row) in self.moves.into_iter().enumerate() {
            if classes[state] == machine.moves.len() {
                row.iter_mut().for_each(|step| step.to = classes[step.to]);
                machine.moves.push(row);
                machine.free.push(self.free[state]);
            }
        }
        machine
    }
}

/// Reads `symbol` in a chain: what it does to the output, and the chain after it (`Move::to` is the caller's to set).
fn advance(automaton: &Automaton, chain: &[Level], symbol: usize) -> Compiled<(Move, Vec<Level>)> {
    let begun = |symbol| Level { state: automaton.step(START, symbol).to, matched: Hit::None };
    let at_end = symbol == automaton.symbols;
    let mut slot = chain.len() - 1;
    let mut after: Vec<Level> = Vec::with_capacity(chain.len() + 1);
    for (level, run) in chain.iter().enumerate() {
        let step = automaton.step(run.state, symbol);
        if step.hit != Hit::None {
            slot = level;
            after.push(Level { state: step.to, matched: step.hit });
            if !at_end {
                after.push(begun(symbol));
            }
            break;
        }
        after.push(Level { state: step.to, matched: run.matched });
    }

    let mut settle = 0;
    while after.first().is_some_and(|first| first.state == DEAD && first.matched != Hit::None) {
        // The first level is dead, so its match is a boundary, unless the next is a gap too: gaps join.
        if let [Level { matched: Hit::Gap, .. }, next, ..] = &after[..] {
            match next {
                Level { matched: Hit::Match, .. } => {}
                Level { state: DEAD, matched: Hit::Gap } if slot == settle + 1 => {
                    slot = settle;
                    after.remove(1);
                    continue;
                }
                Level { state: DEAD, matched: Hit::Gap } => return Err("it looks ahead from inside a gap"),
                _ => break,
            }
        }
        after.remove(0);
        settle += 1;
    }
    if !at_end && after[0] == (Level { state: DEAD, matched: Hit::None }) {
        return Err("it may match the empty string");
    }
    // A run that is sure to match later needs neither its last match nor the runs behind it.
    if let Some(level) = after.iter().position(|run| automaton.sure(run.state)) {
        after[level].matched = Hit::None;
        after.truncate(level + 1);
    }
    if after.len() > MAX_LEVELS {
        return Err("it looks ahead without bound");
    }
    let fresh = settle > 0 && slot == settle - 1 && !at_end && after == [begun(symbol)];
    Ok((Move { slot: slot as u8, settle: settle as u8, to: 0, fresh }, after))
}

/// Where a piece ends between symbols x and y whatever surrounds them: every state after x settles exactly there on y, is left with
/// nothing but a fresh start, and would have done the same at the end of the text. So both sides may be split as texts of their own.
fn find_cuts(moves: &[Vec<Move>], symbols: usize) -> Vec<bool> {
    let mut cuts = vec![true; symbols * symbols];
    for row in moves {
        for (x, after_x) in row[..symbols].iter().enumerate() {
            let next = &moves[after_x.to];
            let end = next[symbols];
            for (y, step) in next[..symbols].iter().enumerate() {
                cuts[x * symbols + y] &= step.fresh && step.slot == end.slot && step.settle == end.settle;
            }
        }
    }
    cuts
}
