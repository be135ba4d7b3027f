//! Counting that stopped anywhere resumes from there and ends with the counts of one run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use minbpe_core::count::{Ceiling, Counter, Document, PieceCounts, Position};
use minbpe_core::error::Error;
use minbpe_core::progress::unwatched;
use minbpe_core::split::Splitter;
use proptest::prelude::*;

fn counter(pattern: &str, threads: usize) -> Counter {
    Counter::new(Splitter::new(Some(pattern)).unwrap(), NonZero::new(threads)).with_stretch(32)
}

fn documents<T: AsRef<[u8]>>(texts: &[T]) -> Vec<Document<'_>> {
    texts.iter().map(|text| Document::Bytes(text.as_ref())).collect()
}

fn at_once(pattern: &str, documents: &[Document<'_>]) -> PieceCounts {
    let mut counter = counter(pattern, 1);
    counter.add(documents, &mut unwatched).unwrap();
    counter.finish().unwrap()
}

/// The counts of each stretch of a corpus, made separately, as bytes.
fn in_parts(pattern: &str, threads: usize, documents: &[Document<'_>]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut reached = Position::default();
    while (reached.source as usize) < documents.len() {
        let mut counter = counter(pattern, threads).from_place(reached);
        counter.add_until(Some(Instant::now()), &documents[reached.source as usize..], &mut unwatched).unwrap();
        reached = counter.reached().unwrap();
        parts.push(counter.finish().unwrap().to_bytes());
    }
    parts
}

/// Like `in_parts`, for texts that come a few bytes at a time and are resumed in the middle.
fn streamed(pattern: &str, threads: usize, texts: &[String], size: usize) -> Vec<Vec<u8>> {
    let (mut parts, mut reached) = (Vec::new(), Position::default());
    for (source, text) in texts.iter().enumerate() {
        let (mut start, mut end) = (0, 0);
        while reached.source == source as u64 {
            end = text.len().min(end + size);
            let mut counter = counter(pattern, threads).from_place(reached);
            let bytes = &text.as_bytes()[start..end];
            start += counter.add_part(Some(Instant::now()), bytes, end == text.len(), &mut unwatched).unwrap();
            reached = counter.reached().unwrap();
            parts.push(counter.finish().unwrap().to_bytes());
        }
    }
    parts
}

proptest! {
    #[test]
    fn parts_of_a_corpus_add_up_to_the_counts_of_one_run(
        texts in prop::collection::vec("[a-d ,\n]{0,300}", 0..6),
        threads in 1..4_usize,
        bytes in prop::sample::select(vec![1, 1 << 30]),
        size in 1..200_usize,
    ) {
        let (pattern, documents) = (" ?[a-c]+|d", documents(&texts));
        let ceiling = Ceiling { bytes, directory: std::env::temp_dir() };
        let expected = at_once(pattern, &documents);
        for parts in [in_parts(pattern, threads, &documents), streamed(pattern, threads, &texts, size)] {
            let mut whole = counter(pattern, 1).with_ceiling(ceiling.clone());
            for part in parts {
                whole.absorb(&part[..], 0, &mut unwatched).unwrap();
            }
            let mut counted = whole.gather(1, &mut unwatched).unwrap();
            let mut found = Vec::new();
            counted.each_chunk(&mut unwatched, &mut |chunk| { found.extend_from_slice(chunk); Ok(()) }).unwrap();
            prop_assert_eq!(found, expected.to_bytes());
        }
    }
}

#[test]
fn a_long_text_has_many_parts() {
    let text = "a word, and another; ".repeat(100);
    assert!(in_parts("[a-z]+", 1, &documents(&[&text])).len() > 30);
}

/// Each blank matches only after all the blanks behind it are read: slow enough to be stopped.
const SLOW: &str = " (?= *x)| ";

#[test]
fn a_counter_that_was_stopped_counts_on_from_the_place_it_has_reached() {
    let texts: Vec<_> = (0..24).map(|more| " ".repeat((1 << 12) + more)).collect();
    let documents = documents(&texts);
    let mut counter = counter(SLOW, 2);
    let mut stops = 0;
    loop {
        let place = counter.reached().unwrap();
        let rest = &documents[place.source as usize..];
        let mut told = 0;
        let mut once = |_, _| {
            told += 1;
            if stops < 3 && told == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match counter.add_until(later(), rest, &mut once) {
            Ok(()) => break,
            Err(error) => assert_eq!(error, Error::Interrupted),
        }
        assert!(counter.reached().unwrap() > place);
        stops += 1;
    }
    assert_eq!(stops, 3);
    assert_eq!(counter.done(), texts.iter().map(|text| text.len() as u64).sum::<u64>());
    let pieces = counter.pieces();
    let counts = counter.finish().unwrap();
    assert_eq!(pieces.load(Relaxed), counts.total());
    assert_eq!(counts, at_once(SLOW, &documents));
}

#[test]
fn a_counter_that_was_stopped_in_a_long_text_without_a_cut_knows_no_place() {
    let text = "ab ".repeat(2 << 20);
    let mut counter = counter("(?<=a)b|.", 1);
    let result = counter.add_until(later(), &documents(&[&text]), &mut |_, _| ControlFlow::Break(()));
    assert_eq!((result, counter.reached()), (Err(Error::Interrupted), None));
}

fn later() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(3600))
}

#[test]
fn what_is_begun_is_left_at_a_second_stop_or_where_nobody_is_to_go_on() {
    let text = format!("{}\n", " ".repeat(2047)).repeat(40);
    for (deadline, breaks) in [(later(), 2), (None, 1)] {
        let mut counter = counter(" (?= *x)| |\n", 1);
        let mut left = breaks;
        let mut stop = |_, _| {
            left -= 1;
            if left >= 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let result = counter.add_until(deadline, &documents(&[&text]), &mut stop);
        assert_eq!((result, counter.reached()), (Err(Error::Interrupted), None));
        assert!(counter.done() < text.len() as u64);
    }
}

#[test]
fn a_sum_that_is_stopped_loses_nothing() {
    let text: String = (0..1_200_000).map(|number| format!("{number:x} ")).collect();
    let texts = [&text];
    let documents = documents(&texts);
    let mut counter = counter("[0-9a-f]+", 3);
    counter.add(&documents, &mut unwatched).unwrap();
    let mut told = Vec::new();
    let stopped = counter.gather(1, &mut |done, total| {
        told.push((done, total));
        ControlFlow::Break(())
    });
    assert_eq!(stopped.err(), Some(Error::Interrupted));
    assert!(matches!(told[..], [(done, total)] if 0 < done && done < total), "{told:?}");
    assert_eq!(counter.reached(), Some(Position { source: 1, offset: 0 }));
    assert_eq!(counter.finish().unwrap(), at_once("[0-9a-f]+", &documents));
}

#[test]
fn a_document_that_has_become_shorter_is_an_error() {
    let mut counter = counter("[a-z]+", 1).from_place(Position { source: 3, offset: 5 });
    let Err(Error::Io(message)) = counter.add(&documents(&["four"]), &mut unwatched) else { panic!("no error") };
    assert!(message.contains("document 3 is shorter"));
}

#[test]
fn counts_in_several_files_are_those_of_one_corpus_after_the_other() {
    let texts = ["a b", "b c", "a"];
    let mut whole = counter("[a-z]", 1);
    let mut first = 0;
    for part in texts.chunks(2) {
        whole.absorb(&at_once("[a-z]", &documents(part)).to_bytes()[..], first, &mut unwatched).unwrap();
        first = whole.sources();
    }
    assert_eq!(whole.finish().unwrap(), at_once("[a-z]", &documents(&texts)));
}

#[test]
fn a_piece_longer_than_what_is_read_at_once_is_read() {
    let counts = PieceCounts::from_items([(&b"x".repeat(5 << 20)[..], 3), (b"y", 1)]).unwrap();
    assert_eq!(PieceCounts::from_bytes(&counts.to_bytes()), Ok(counts));
}
