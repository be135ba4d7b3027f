//! The matches of a pattern by definition: slow, but nothing comes between what the parser reads and what it means.
//!
//! Fast engines rewrite patterns, and may do so wrongly: fancy-regex 0.19 and 0.20 turn `a+b?a+`, which needs two letters, into
//! `a+(?:ba+)?`. Here each node lists the places where it may end, in the order in which a backtracking engine would reach them. The
//! patterns of the compiled engine remember no groups and look only ahead, so reaching a place again cannot change what follows, and
//! repeated places are dropped.

use std::collections::HashSet;
use std::ops::Range;

use fancy_regex::{Assertion, Expr, LookAround};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// A pattern that the compiled engine takes.
pub struct Naive(Node);

enum Node {
    Class(ClassUnicode),
    EndOfText,
    EndOfLine,
    Concat(Vec<Node>),
    Alt(Vec<Node>),
    Repeat { child: Box<Node>, least: usize, most: usize, greedy: bool },
    Ahead { inner: Box<Node>, negated: bool },
    Atomic(Box<Node>),
}

impl Naive {
    /// Reads `pattern`; panics at what the compiled engine should have refused.
    pub fn new(pattern: &str) -> Naive {
        Naive(Node::new(&Expr::parse_tree(pattern).expect("both parse it alike").expr))
    }

    /// The matches that are not empty, then `None` if they took more than `patience` steps.
    pub fn matches(&self, text: &str, mut patience: usize) -> impl Iterator<Item = Option<Range<usize>>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            while let Some(character) = text[at..].chars().next() {
                let start = at;
                let Some(ends) = self.0.ends(text, at, &mut patience) else { return Some(None) };
                if let Some(&end) = ends.first().filter(|&&end| end > start) {
                    at = end;
                    return Some(Some(start..end));
                }
                at += character.len_utf8();
            }
            None
        })
    }
}

impl Node {
    fn new(expr: &Expr) -> Node {
        let boxed = |expr| Box::new(Node::new(expr));
        let all = |exprs: &[Expr]| exprs.iter().map(Node::new).collect();
        match expr {
            Expr::Empty => Node::Concat(vec![]),
            Expr::Any { newline: true, .. } => Node::Class(class("(?s:.)", false)),
            Expr::Any { crlf: true, .. } => Node::Class(class(r"[^\r\n]", false)),
            Expr::Any { .. } => Node::Class(class(r"[^\n]", false)),
            Expr::Literal { val, casei } => {
                let character =
                    |character: char| Node::Class(class(&regex_syntax::escape(&character.to_string()), *casei));
                Node::Concat(val.chars().map(character).collect())
            }
            Expr::Delegate { inner, casei } => Node::Class(class(inner, *casei)),
            Expr::Assertion(Assertion::EndText) => Node::EndOfText,
            Expr::Assertion(Assertion::EndLine { crlf: false }) => Node::EndOfLine,
            Expr::Concat(parts) => Node::Concat(all(parts)),
            Expr::Alt(choices) => Node::Alt(all(choices)),
            Expr::Group(inner) => Node::new(inner),
            Expr::Repeat { child, lo, hi, greedy } => {
                Node::Repeat { child: boxed(child), least: *lo, most: *hi, greedy: *greedy }
            }
            Expr::LookAround(inner, LookAround::LookAhead) => Node::Ahead { inner: boxed(inner), negated: false },
            Expr::LookAround(inner, LookAround::LookAheadNeg) => Node::Ahead { inner: boxed(inner), negated: true },
            Expr::AtomicGroup(inner) => Node::Atomic(boxed(inner)),
            _ => panic!("the compiled engine takes {expr:?}"),
        }
    }

    /// Where a match from `at` may end, the preferred place first, each once; `None` if patience runs out.
    fn ends(&self, text: &str, at: usize, patience: &mut usize) -> Option<Vec<usize>> {
        *patience = patience.checked_sub(1)?;
        let next = text[at..].chars().next();
        let here = |holds| if holds { vec![at] } else { vec![] };
        Some(match self {
            Node::Class(class) => match next {
                Some(character) if contains(class, character) => vec![at + character.len_utf8()],
                _ => vec![],
            },
            Node::EndOfText => here(next.is_none()),
            Node::EndOfLine => here(matches!(next, None | Some('\n'))),
            Node::Ahead { inner, negated } => here(inner.ends(text, at, patience)?.is_empty() == *negated),
            Node::Atomic(inner) => inner.ends(text, at, patience)?.into_iter().take(1).collect(),
            Node::Alt(choices) => {
                let mut ends = Vec::new();
                for choice in choices {
                    ends.extend(choice.ends(text, at, patience)?);
                }
                each_once(ends)
            }
            Node::Concat(parts) => {
                let mut starts = vec![at];
                for part in parts {
                    let mut ends = Vec::new();
                    for start in starts {
                        ends.extend(part.ends(text, start, patience)?);
                    }
                    starts = each_once(ends);
                }
                starts
            }
            Node::Repeat { child, least, most, greedy } => {
                let counted = if *most == usize::MAX { *least } else { *most }; // further rounds are all alike
                let (mut ends, mut tried) = (Vec::new(), HashSet::new());
                // Entries: the rounds so far, the place, and whether to end there. The last entry is tried first.
                let mut untried = vec![(0, at, false)];
                while let Some((rounds, at, end)) = untried.pop() {
                    if end {
                        ends.push(at);
                    } else if tried.insert((rounds, at)) {
                        let round = if rounds < *most { child.ends(text, at, patience)? } else { vec![] };
                        let ending = (rounds >= *least).then_some((rounds, at, true));
                        untried.extend(ending.filter(|_| *greedy));
                        untried.extend(round.into_iter().rev().map(|end| (counted.min(rounds + 1), end, false)));
                        untried.extend(ending.filter(|_| !*greedy));
                    }
                }
                each_once(ends)
            }
        })
    }
}

fn each_once(mut places: Vec<usize>) -> Vec<usize> {
    if places.len() > 1 {
        let mut known = HashSet::new();
        places.retain(|&place| known.insert(place));
    }
    places
}

/// The class of an expression that matches one character.
fn class(expr: &str, casei: bool) -> ClassUnicode {
    let hir = ParserBuilder::new().case_insensitive(casei).build().parse(expr).expect("it was part of a pattern");
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => class.clone(),
        HirKind::Literal(literal) => {
            let character =
                std::str::from_utf8(&literal.0).ok().and_then(|text| text.parse().ok()).expect("one character");
            ClassUnicode::new([ClassUnicodeRange::new(character, character)])
        }
        _ => panic!("the compiled engine takes {expr}"),
    }
}

fn contains(class: &ClassUnicode, character: char) -> bool {
    let ranges = class.ranges();
    let after = ranges.partition_point(|range| range.start() <= character);
    after > 0 && character <= ranges[after - 1].end()
}
