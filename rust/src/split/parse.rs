//! From a pattern to a nondeterministic automaton whose edges are classes of characters.
//!
//! fancy-regex's parser reads the pattern, so that both engines agree on what it says. Nodes are in order of preference, as a backtracking
//! engine would try them. What this automaton cannot express exactly is refused, with the reason.
//!
//! Two ideas make it enough for every pattern that tokenizers use. A look-ahead of one character is a node that asks for
//! the next character. A possessive repetition of one class needs no memory: `X++` is `X+(?!X)`, because a run can only be
//! given back where X goes on.

use fancy_regex::{Assertion, Expr, LookAround};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, HirKind};

/// A pattern larger than this is refused: what it would compile to is too large to be fast.
const MAX_NODES: usize = 8192;
const MAX_CLASSES: usize = 128;

/// The result of a stage that may refuse a pattern, saying why: "it looks behind".
pub(super) type Compiled<T> = Result<T, &'static str>;

/// A node's number.
pub(super) type NodeId = u16;

/// One node of the automaton.
pub(super) enum Node {
    /// Reads one character of the class.
    Class(u16, NodeId),
    /// Goes on if the next character allows it.
    Ahead(Ahead, NodeId),
    /// Goes on with each of these, the first preferred.
    Split(Vec<NodeId>),
    /// The pattern has matched.
    Match,
    /// No match begins here: one character between two matches.
    Gap,
}

/// What the next character must be.
pub(super) struct Ahead {
    /// A character of this class, or if `negated` any other.
    pub(super) class: u16,
    pub(super) negated: bool,
    /// Whether it may also be the end of the text.
    pub(super) at_end: bool,
}

/// The automaton of a pattern.
pub(super) struct Nfa {
    pub(super) nodes: Vec<Node>,
    pub(super) classes: Vec<ClassUnicode>,
    pub(super) start: NodeId,
}

impl Nfa {
    /// Reads `pattern`. Also refuses what does not parse: the caller's other engine has the better message.
    pub(super) fn parse(pattern: &str) -> Compiled<Nfa> {
        let tree = Expr::parse_tree(pattern).map_err(|_| "it does not parse")?;
        let mut nfa = Nfa { nodes: Vec::new(), classes: Vec::new(), start: 0 };
        let matched = nfa.add(Node::Match)?;
        let pattern = nfa.build(&tree.expr, matched)?;
        let gap = nfa.add(Node::Gap)?;
        let anything = nfa.class(ClassUnicode::new([ClassUnicodeRange::new('\0', char::MAX)]))?;
        let anything = nfa.add(Node::Class(anything, gap))?;
        nfa.start = nfa.add(Node::Split(vec![pattern, anything]))?;
        Ok(nfa)
    }

    fn add(&mut self, node: Node) -> Compiled<NodeId> {
        if self.nodes.len() == MAX_NODES {
            return Err("it is too large");
        }
        self.nodes.push(node);
        Ok((self.nodes.len() - 1) as NodeId)
    }

    fn class(&mut self, class: ClassUnicode) -> Compiled<u16> {
        if let Some(known) = self.classes.iter().position(|other| *other == class) {
            return Ok(known as u16);
        }
        if self.classes.len() == MAX_CLASSES {
            return Err("it has too many character classes");
        }
        self.classes.push(class);
        Ok((self.classes.len() - 1) as u16)
    }

    /// The node that matches `expr` and goes on at `next`: built backwards, from the end of the pattern.
    fn build(&mut self, expr: &Expr, next: NodeId) -> Compiled<NodeId> {
        match expr {
            Expr::Empty => Ok(next),
            Expr::Any { .. } | Expr::Literal { .. } | Expr::Delegate { .. } => {
                let mut node = next;
                for class in characters(expr)?.into_iter().rev() {
                    let class = self.class(class)?;
                    node = self.add(Node::Class(class, node))?;
                }
                Ok(node)
            }
            Expr::Concat(parts) => parts.iter().rev().try_fold(next, |node, part| self.build(part, node)),
            Expr::Alt(choices) => {
                let choices = choices.iter().map(|choice| self.build(choice, next)).collect::<Compiled<_>>()?;
                self.add(Node::Split(choices))
            }
            Expr::Group(inner) => self.build(inner, next),
            Expr::Assertion(_) => self.ahead(expr, false, next),
            Expr::LookAround(inner, LookAround::LookAhead) => self.ahead(inner, false, next),
            Expr::LookAround(inner, LookAround::LookAheadNeg) => self.ahead(inner, true, next),
            Expr::LookAround(..) => Err("it looks behind"),
            Expr::Repeat { child, lo, hi, greedy } => self.repeat(child, *lo, *hi, *greedy, next, next),
            Expr::AtomicGroup(inner) => match &**inner {
                Expr::Repeat { child, lo, hi, greedy: true } => {
                    let Ok(class) = character(child) else {
                        return Err("it has a possessive repetition of more than one character class");
                    };
                    let class = self.class(class)?;
                    let leave = self.add(Node::Ahead(Ahead { class, negated: true, at_end: true }, next))?;
                    self.repeat(child, *lo, *hi, true, leave, next)
                }
                _ => Err("it has an atomic group"),
            },
            _ => Err("it has back-references or other constructs beyond classes, choices and repetitions"),
        }
    }

    /// `child{lo,hi}`: goes on at `leave` where it could have gone round once more, at `full` after `hi` rounds.
    fn repeat(
        &mut self,
        child: &Expr,
        lo: usize,
        hi: usize,
        greedy: bool,
        leave: NodeId,
        full: NodeId,
    ) -> Compiled<NodeId> {
        if may_be_empty(child) || hi < lo {
            return Err("it repeats something that may be empty");
        }
        let order = |round, leave| if greedy { vec![round, leave] } else { vec![leave, round] };
        let mut node = if lo == hi { full } else { leave };
        if hi == usize::MAX {
            node = self.add(Node::Split(Vec::new()))?;
            let round = self.build(child, node)?;
            self.nodes[node as usize] = Node::Split(order(round, leave));
        } else if lo < hi {
            node = full;
            for _ in lo..hi {
                let round = self.build(child, node)?;
                node = self.add(Node::Split(order(round, leave)))?;
            }
        }
        for _ in 0..lo {
            node = self.build(child, node)?;
        }
        Ok(node)
    }

    /// A node that goes on at `next` if the next character is (or is not) what `expr` says.
    fn ahead(&mut self, expr: &Expr, negated: bool, next: NodeId) -> Compiled<NodeId> {
        let (class, at_end) = condition(expr)?;
        let class = self.class(class)?;
        self.add(Node::Ahead(Ahead { class, negated, at_end: at_end != negated }, next))
    }
}

/// The next characters that satisfy a look-ahead's inside, and whether the end of the text does.
fn condition(expr: &Expr) -> Compiled<(ClassUnicode, bool)> {
    match expr {
        Expr::Assertion(Assertion::EndText) => Ok((ClassUnicode::empty(), true)),
        Expr::Assertion(Assertion::EndLine { crlf: false }) => {
            Ok((ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]), true))
        }
        Expr::Assertion(_) => Err("it asks for the character before"),
        Expr::Group(inner) => condition(inner),
        Expr::Alt(choices) => {
            let (mut class, mut at_end) = (ClassUnicode::empty(), false);
            for choice in choices {
                let (more, end) = condition(choice)?;
                class.union(&more);
                at_end |= end;
            }
            Ok((class, at_end))
        }
        _ => Ok((character(expr)?, false)),
    }
}

/// The class of an expression that is one character.
fn character(expr: &Expr) -> Compiled<ClassUnicode> {
    if let Expr::Group(inner) = expr {
        return character(inner);
    }
    match <[_; 1]>::try_from(characters(expr)?) {
        Ok([class]) => Ok(class),
        Err(_) => Err("it looks ahead further than one character"),
    }
}

/// A class for each character of a leaf.
fn characters(expr: &Expr) -> Compiled<Vec<ClassUnicode>> {
    let parse = |text: &str| regex_syntax::parse(text).map_err(|_| "it does not parse");
    let hir = match expr {
        Expr::Any { newline: true, .. } => Hir::dot(Dot::AnyChar),
        Expr::Any { crlf: true, .. } => Hir::dot(Dot::AnyCharExceptCRLF),
        Expr::Any { .. } => Hir::dot(Dot::AnyCharExceptLF),
        Expr::Literal { val, casei: false } => Hir::literal(val.as_bytes()),
        Expr::Literal { val, casei: true } => parse(&format!("(?i:{})", regex_syntax::escape(val)))?,
        Expr::Delegate { inner, casei: false } => parse(inner)?,
        Expr::Delegate { inner, casei: true } => parse(&format!("(?i:{inner})"))?,
        _ => return Err("it looks ahead further than one character"),
    };
    let mut classes = Vec::new();
    flatten(&hir, &mut classes)?;
    Ok(classes)
}

fn flatten(hir: &Hir, classes: &mut Vec<ClassUnicode>) -> Compiled<()> {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => classes.push(class.clone()),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| "it matches bytes that are not text")?;
            classes.extend(text.chars().map(|c| ClassUnicode::new([ClassUnicodeRange::new(c, c)])));
        }
        HirKind::Concat(parts) => {
            for part in parts {
                flatten(part, classes)?;
            }
        }
        _ => return Err("it has a class that no character is in, or one of bytes"),
    }
    Ok(())
}

/// Whether an expression may match without reading a character.
fn may_be_empty(expr: &Expr) -> bool {
    match expr {
        Expr::Any { .. } | Expr::Literal { .. } | Expr::Delegate { .. } => false,
        Expr::Concat(parts) => parts.iter().all(may_be_empty),
        Expr::Alt(choices) => choices.iter().any(may_be_empty),
        Expr::Group(inner) => may_be_empty(inner),
        Expr::AtomicGroup(inner) => may_be_empty(inner),
        Expr::Repeat { child, lo, .. } => *lo == 0 || may_be_empty(child),
        _ => true,
    }
}
