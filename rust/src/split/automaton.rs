//! The deterministic automaton: leftmost-first matching, decided with one symbol of look-ahead.
//!
//! "Does a match end before this symbol?" is asked with the symbol known, so that look-ahead, `$` and possessives cost nothing.
//! cl100k has 24 states here, where an automaton over bytes has 1,500.

use std::collections::HashMap;

use super::parse::{Ahead, Compiled, Nfa, Node, NodeId};
use super::symbols::Symbols;

/// Limits on what a pattern may cost to compile: 60 times what the largest named pattern needs.
const MAX_STATES: usize = 1024;
const MAX_VISITS: usize = 1 << 21;

/// The state in which nothing can match any more.
pub(super) const DEAD: u32 = 0;
/// The state before a piece.
pub(super) const START: u32 = 1;

/// What ends just before a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Hit {
    /// Nothing.
    None,
    /// A match of the pattern.
    Match,
    /// The one character of a gap.
    Gap,
}

/// What reading a symbol does.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// What ends before the symbol.
    pub(super) hit: Hit,
    /// The state after it.
    pub(super) to: u32,
}

/// All states and their steps.
pub(super) struct Automaton {
    /// For each state, a step for each symbol, then one for the end of the text.
    steps: Vec<Step>,
    /// How many symbols there are; also the number that stands for the end of the text.
    pub(super) symbols: usize,
    /// For each state, whether a match is certain, whatever comes.
    sure: Vec<bool>,
}

impl Automaton {
    /// Determinises `nfa`.
    pub(super) fn new(nfa: &Nfa, symbols: &Symbols) -> Compiled<Automaton> {
        let end = symbols.count;
        let mut sets: Vec<Vec<NodeId>> = vec![Vec::new(), vec![nfa.start]];
        let mut ids: HashMap<Vec<NodeId>, u32> = HashMap::from([(Vec::new(), DEAD), (sets[1].clone(), START)]);
        let mut steps = Vec::new();
        let mut closure = Closure { nfa, symbols, seen: vec![0; nfa.nodes.len()], round: 0, visits: 0 };
        let mut state = 0;
        while state < sets.len() {
            for symbol in 0..=end {
                let (hit, set) = closure.read(&sets[state], symbol)?;
                let to = match ids.get(&set) {
                    Some(&to) => to,
                    None if sets.len() == MAX_STATES => return Err("it needs too many states"),
                    None => {
                        ids.insert(set.clone(), sets.len() as u32);
                        sets.push(set);
                        (sets.len() - 1) as u32
                    }
                };
                // An empty match does not count.
                let hit = if state == START as usize { Hit::None } else { hit };
                steps.push(Step { hit, to });
            }
            state += 1;
        }
        let mut automaton = Automaton { steps, symbols: end, sure: vec![true; sets.len()] };
        automaton.find_sure();
        Ok(automaton)
    }

    /// What `symbol`, or the end of the text, does in `state`.
    pub(super) fn step(&self, state: u32, symbol: usize) -> Step {
        self.steps[state as usize * (self.symbols + 1) + symbol]
    }

    /// Whether no match holds `symbol`, which ends all that is being matched.
    pub(super) fn outside(&self, symbol: usize) -> bool {
        let over =
            |state| (0..=self.symbols).all(|next| matches!(self.step(state, next), Step { to: DEAD, hit: Hit::Gap }));
        (DEAD..self.sure.len() as u32).map(|state| self.step(state, symbol).to).all(|to| to == DEAD || over(to))
    }

    /// Whether the pattern will match from `state`, whatever comes.
    pub(super) fn sure(&self, state: u32) -> bool {
        self.sure[state as usize]
    }

    /// The greatest set of states in which each symbol brings a match or leads to a state of the set.
    fn find_sure(&mut self) {
        self.sure[DEAD as usize] = false;
        loop {
            let unsure = |state: u32| {
                (0..=self.symbols).any(|symbol| {
                    let Step { hit, to } = self.step(state, symbol);
                    hit != Hit::Match && (symbol == self.symbols || !self.sure(to))
                })
            };
            let found: Vec<u32> =
                (START..self.sure.len() as u32).filter(|&state| self.sure(state) && unsure(state)).collect();
            if found.is_empty() {
                return;
            }
            for state in found {
                self.sure[state as usize] = false;
            }
        }
    }
}

/// Follows the edges that read nothing.
struct Closure<'a> {
    nfa: &'a Nfa,
    symbols: &'a Symbols,
    /// For each node, the round that last saw it.
    seen: Vec<usize>,
    round: usize,
    visits: usize,
}

impl Closure<'_> {
    /// Reads `symbol` in a set of nodes, in order of preference. Returns what ends before the symbol, and the nodes after it.
    fn read(&mut self, set: &[NodeId], symbol: usize) -> Compiled<(Hit, Vec<NodeId>)> {
        let end = self.symbols.count;
        let has = |class| symbol != end && self.symbols.has(class, symbol);
        let mut stack: Vec<NodeId> = set.iter().rev().copied().collect();
        let mut after = Vec::new();
        self.round += 1;
        while let Some(node) = stack.pop() {
            self.visits += 1;
            if self.visits > MAX_VISITS {
                return Err("it takes too long to compile");
            }
            if std::mem::replace(&mut self.seen[node as usize], self.round) == self.round {
                continue;
            }
            match &self.nfa.nodes[node as usize] {
                Node::Class(class, next) => {
                    if has(*class) && !after.contains(next) {
                        after.push(*next);
                    }
                }
                Node::Ahead(Ahead { class, negated, at_end }, next) => {
                    let holds = if symbol == end { *at_end } else { has(*class) != *negated };
                    stack.extend(holds.then_some(*next));
                }
                Node::Split(choices) => stack.extend(choices.iter().rev()),
                // Nodes less preferred than a match are never tried.
                Node::Match => return Ok((Hit::Match, after)),
                Node::Gap => return Ok((Hit::Gap, after)),
            }
        }
        Ok((Hit::None, after))
    }
}
