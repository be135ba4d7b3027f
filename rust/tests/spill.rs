//! Counting under a memory ceiling gives the same as without one, and leaves no file behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use minbpe_core::count::{Ceiling, Counted, Counter, Document, PieceCounts, Tally};
use minbpe_core::error::{Error, Result};
use minbpe_core::progress::unwatched;
use minbpe_core::split::Splitter;
use proptest::prelude::*;

/// A directory for one test, which must be empty in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("minbpe-spill-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).unwrap();
    }
}

fn counted(documents: &[&[u8]], threads: usize, ceiling: Option<(usize, &Path)>, min_count: u64) -> Result<Counted> {
    let splitter = Splitter::new(Some(" ?[a-z]+|[^a-z]")).unwrap();
    let mut counter = Counter::new(splitter, NonZero::new(threads)).with_stretch(64);
    if let Some((bytes, directory)) = ceiling {
        counter = counter.with_ceiling(Ceiling { bytes, directory: directory.into() });
    }
    let documents: Vec<_> = documents.iter().map(|bytes| Document::Bytes(bytes)).collect();
    for documents in documents.chunks(3) {
        counter.add(documents, &mut unwatched)?;
    }
    counter.gather(min_count, &mut unwatched)
}

fn bytes_of(counted: &mut Counted) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = counted.each_chunk(&mut unwatched, &mut |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    });
    written.unwrap();
    bytes
}

/// Words of all lengths, common and rare.
fn prose(words: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut text = Vec::new();
    for _ in 0..words {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (state >> 33) as usize;
        let length = [2, 3, 5, 9, 20, 40][number % 6];
        text.push(b' ');
        text.extend((0..length).map(|at| b'a' + (number >> (at % 20)) as u8 % 13));
    }
    text
}

proptest! {
    #[test]
    fn a_ceiling_shows_nowhere_in_the_result(
        documents in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab \n\xff".to_vec()), 0..300), 0..6),
        threads in 1usize..4,
        ceiling in 1usize..30_000,
        min_count in 0u64..4,
    ) {
        let scratch = Scratch::new("any");
        let documents: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
        let mut expected = counted(&documents, 1, None, min_count).unwrap();
        let mut bounded = counted(&documents, threads, Some((ceiling, &scratch.0)), min_count).unwrap();
        prop_assert_eq!(bounded.tally(), expected.tally());
        prop_assert_eq!(bounded.dropped(), expected.dropped());
        prop_assert_eq!(bounded.sources(), expected.sources());
        prop_assert_eq!(bounded.most_frequent(), expected.most_frequent());
        prop_assert_eq!(bytes_of(&mut bounded), bytes_of(&mut expected));
    }
}

#[test]
fn many_runs_are_merged_in_several_passes() {
    let scratch = Scratch::new("passes");
    let documents = [prose(20_000, 1), prose(20_000, 2), prose(5_000, 1)];
    let documents: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let mut expected = counted(&documents, 2, None, 1).unwrap();
    assert!(expected.tally().distinct > 20_000, "{:?}", expected.tally());
    // The smallest table holds 64 pieces, which makes some 500 runs.
    for (ceiling, threads) in [(1, 1), (9_000, 2), (200_000, 1), (2_000_000, 3)] {
        let mut bounded = counted(&documents, threads, Some((ceiling, &scratch.0)), 1).unwrap();
        assert!(bounded.has_spilled());
        assert_eq!(bounded.tally(), expected.tally());
        assert!(bytes_of(&mut bounded) == bytes_of(&mut expected), "{ceiling} bytes, {threads} threads");
        assert!(bytes_of(&mut bounded) == bytes_of(&mut expected), "a second time");
    }
}

#[test]
fn pieces_longer_than_any_buffer_come_through_whole() {
    let scratch = Scratch::new("long");
    // A megabyte and a bit, seen nine times; and nearly the same, a bit shorter.
    let long = " ".to_owned() + &"abcdefgh".repeat(1 << 17) + "z";
    let documents =
        [prose(100, 1), [long.repeat(9).as_bytes(), b" a", &prose(100, 2)].concat(), long[..1 << 20].into()];
    let documents: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let mut expected = counted(&documents, 1, None, 1).unwrap();
    for (ceiling, threads) in [(1, 1), (9_000, 2), (1 << 20, 1), (1 << 23, 3)] {
        let mut bounded = counted(&documents, threads, Some((ceiling, &scratch.0)), 1).unwrap();
        assert_eq!(bounded.tally(), expected.tally());
        assert!(bytes_of(&mut bounded) == bytes_of(&mut expected), "{ceiling} bytes, {threads} threads");
    }
    let most_frequent = expected.most_frequent();
    assert!(most_frequent.iter().any(|(piece, count)| piece.len() == 4096 && *count == 9), "{most_frequent:?}");
    let counts = PieceCounts::from_bytes(&bytes_of(&mut expected)).unwrap();
    assert!(counts == *expected.counts(&mut unwatched).unwrap());
}

#[test]
fn counts_come_back_into_memory_where_they_fit() {
    let scratch = Scratch::new("back");
    let text = prose(30_000, 3);
    let expected = counted(&[&text], 1, None, 1).unwrap().counts(&mut unwatched).unwrap();
    let mut bounded = counted(&[&text], 2, Some((3_000_000, &scratch.0)), 1).unwrap();
    assert!(bounded.has_spilled());
    assert!(bounded.counts(&mut unwatched).unwrap() == expected);
    assert!(!bounded.has_spilled());
    let mut bounded = counted(&[&text], 1, Some((100_000, &scratch.0)), 1).unwrap();
    let error = bounded.counts(&mut unwatched).unwrap_err();
    assert!(matches!(error, Error::Corpus(message) if message.contains("distinct pieces")));
    let mut bounded = counted(&[&text], 1, Some((100_000, &scratch.0)), 1000).unwrap();
    assert!(*bounded.counts(&mut unwatched).unwrap() == expected.at_least(1000));
}

#[test]
fn what_fits_under_the_ceiling_is_not_written() {
    let scratch = Scratch::new("fits");
    let text = prose(1000, 3);
    for threads in 1..4 {
        let counted = counted(&[&text], threads, Some((10 << 20, &scratch.0)), 1).unwrap();
        assert!(!counted.has_spilled());
    }
}

#[test]
fn what_is_left_out_is_told() {
    let scratch = Scratch::new("dropped");
    let mut counted = counted(&[b"b a aa a bb a"], 1, Some((1, &scratch.0)), 3).unwrap();
    assert_eq!(counted.dropped(), Tally { pieces: 3, distinct: 3, distinct_bytes: 7, bytes: 7 });
    assert_eq!(counted.tally(), Tally { pieces: 3, distinct: 1, distinct_bytes: 2, bytes: 6 });
    assert_eq!(counted.most_frequent(), [(b" a".to_vec(), 3)]);
    let bytes = bytes_of(&mut counted);
    assert_eq!(PieceCounts::from_bytes(&bytes).unwrap().get(0).unwrap().bytes, b" a");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let missing = std::env::temp_dir().join("minbpe-no-such-directory");
    let text = prose(1000, 3);
    for threads in 1..3 {
        let Err(error) = counted(&[&text], threads, Some((1, &missing)), 1) else { panic!("nothing was written") };
        assert!(matches!(error, Error::Io(message) if message.contains("minbpe-no-such-directory")));
    }
}

#[test]
fn gathering_may_be_stopped_and_loses_nothing() {
    let scratch = Scratch::new("stop");
    let mut counter = Counter::new(Splitter::new(Some(" ?[a-z]+|[^a-z]")).unwrap(), NonZero::new(1))
        .with_ceiling(Ceiling { bytes: 1, directory: scratch.0.clone() });
    let text = prose(50_000, 5);
    counter.add(&[Document::Bytes(&text)], &mut unwatched).unwrap();
    let mut stop = |_, _| ControlFlow::Break(());
    for _ in 0..2 {
        assert!(matches!(counter.gather(1, &mut stop), Err(Error::Interrupted)));
    }
    let expected = bytes_of(&mut counted(&[&text], 1, None, 1).unwrap());
    for _ in 0..2 {
        assert!(bytes_of(&mut counter.gather(1, &mut unwatched).unwrap()) == expected);
    }
}

#[test]
fn a_table_that_is_sorted_and_written_may_be_stopped_again_and_again_and_loses_nothing() {
    let scratch = Scratch::new("sorted");
    // The first run holds 786,432 pieces; the other 413,568 are sorted in parts when the counts are gathered.
    let text: String = (0..1_200_000).map(|number| format!("{number:x} ")).collect();
    let splitter = || Splitter::new(Some("[0-9a-f]+")).unwrap();
    let mut counter = Counter::new(splitter(), NonZero::new(1))
        .with_ceiling(Ceiling { bytes: 60 << 20, directory: scratch.0.clone() });
    counter.add(&[Document::Bytes(text.as_bytes())], &mut unwatched).unwrap();
    for calls in (1..40).step_by(3) {
        let mut left = calls;
        let stopped = counter.gather(1, &mut |_, _| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(Error::Interrupted)));
        assert!(counter.reached().is_some());
    }
    let mut whole = Counter::new(splitter(), NonZero::new(1));
    whole.add(&[Document::Bytes(text.as_bytes())], &mut unwatched).unwrap();
    let [spilled, whole] =
        [&mut counter, &mut whole].map(|counter| bytes_of(&mut counter.gather(1, &mut unwatched).unwrap()));
    assert!(spilled == whole);
}
