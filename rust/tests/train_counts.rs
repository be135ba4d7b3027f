//! Counts do not depend on how they were made: on threads, on chunks, or on the order of merging.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use minbpe_core::count::{Counted, Counter, Document, PieceCounts, Position, Survey};
use minbpe_core::error::{Error, Result};
use minbpe_core::progress::unwatched;
use minbpe_core::split::{PATTERNS, Splitter};

fn pattern(name: &str) -> &'static str {
    PATTERNS.iter().find(|named| named.name == name).unwrap().pattern
}

fn counter(pattern: Option<&str>, threads: usize) -> Counter {
    Counter::new(Splitter::new(pattern).unwrap(), NonZero::new(threads))
}

fn count(documents: &[&str], pattern: Option<&str>, threads: usize) -> PieceCounts {
    let mut counter = counter(pattern, threads).with_stretch(64);
    let documents: Vec<_> = documents.iter().map(|text| Document::Bytes(text.as_bytes())).collect();
    counter.add(&documents, &mut unwatched).unwrap();
    counter.finish().unwrap()
}

fn merge(parts: &[&PieceCounts]) -> Result<PieceCounts> {
    PieceCounts::merge(parts, &mut unwatched)
}

fn pieces(counts: &PieceCounts) -> Vec<(&str, u64, u64, u64)> {
    counts
        .iter()
        .map(|piece| (str::from_utf8(piece.bytes).unwrap(), piece.count, piece.first.source, piece.first.offset))
        .collect()
}

/// Text with words of all lengths, known and new, in which every pattern matches something.
fn prose() -> String {
    let mut text = String::new();
    let mut state = 7u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = state >> 33;
        match number % 9 {
            0 => text.push_str(&format!(" {number}")),
            1 => text.push_str("\n\n  "),
            2 => text.push_str(&"incomprehensibilities"[..(number / 9 % 20) as usize]),
            3 => text.push_str(" naïve 東京都"),
            4 => text.push_str(" it's..."),
            _ => text.push_str([" the", " a", " of", "Antidisestablishmentarianism"][(number / 9 % 4) as usize]),
        }
    }
    text
}

#[test]
fn pieces_come_in_first_seen_order_with_their_positions() {
    let counts = count(&["a b a", "c b", ""], Some(pattern("gpt2")), 1);
    assert_eq!(pieces(&counts), [("a", 1, 0, 0), (" b", 2, 0, 1), (" a", 1, 0, 3), ("c", 1, 1, 0)]);
    assert_eq!(counts.total(), 5);
    assert_eq!(counts.distinct_bytes(), 6);
}

#[test]
fn without_a_pattern_each_document_is_a_piece() {
    let counts = count(&["two words", "", "two words", "more"], None, 2);
    assert_eq!(pieces(&counts), [("two words", 2, 0, 0), ("more", 1, 3, 0)]);
}

#[test]
fn counts_do_not_depend_on_threads() {
    let text = prose();
    let third = text.char_indices().nth(text.chars().count() / 3).unwrap().0;
    let documents = [&text[..third], &text, "", "the end", &text[third..]];
    for named in PATTERNS {
        let alone = count(&documents, Some(named.pattern), 1);
        assert!(alone.len() > 100 && alone.iter().any(|piece| piece.bytes.len() > 15), "{}", named.name);
        for threads in 2..5 {
            assert!(count(&documents, Some(named.pattern), threads) == alone, "{} in {threads} threads", named.name);
        }
    }
}

#[test]
fn counts_do_not_depend_on_batches() {
    let text = prose();
    let mut counter = counter(Some(pattern("gpt4")), 3);
    counter.add(&[Document::Bytes(text.as_bytes())], &mut unwatched).unwrap();
    counter.add(&[Document::Bytes(b"the end"), Document::Bytes(text.as_bytes())], &mut unwatched).unwrap();
    assert!(counter.finish().unwrap() == count(&[&text, "the end", &text], Some(pattern("gpt4")), 1));
}

#[test]
fn merging_is_commutative_and_associative_and_counting_in_parts() {
    let text = prose();
    let (left, right) = text.split_at(text.find("naïve").unwrap());
    let gpt2 = Some(pattern("gpt2"));
    let parts: Vec<PieceCounts> = [left, right, "the end of the text"]
        .iter()
        .zip(0..)
        .map(|(text, source)| count(&[text], gpt2, 2).shift_sources(source).unwrap())
        .collect();
    let whole = count(&[left, right, "the end of the text"], gpt2, 1);
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]] {
        let [a, b, c] = order.map(|part: usize| &parts[part]);
        assert!(merge(&[a, b, c]).unwrap() == whole);
        assert!(merge(&[&merge(&[a, b]).unwrap(), c]).unwrap() == whole);
    }
    assert_eq!(merge(&[]).unwrap(), PieceCounts::default());
}

#[test]
fn merging_tells_how_far_it_is_and_may_be_stopped() {
    let items = |from: u64| PieceCounts::from_items((from..from + 50_000).map(|piece| (piece.to_string(), 1))).unwrap();
    let (a, b) = (items(0), items(25_000));
    let mut told = Vec::new();
    let mut stop = |done, total| {
        told.push((done, total));
        if done < 60_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    assert_eq!(PieceCounts::merge(&[&a, &b], &mut stop), Err(Error::Interrupted));
    assert!(told.len() > 1 && told.iter().all(|&(_, total)| total == 100_000), "{told:?}");
}

#[test]
fn what_counts_amount_to_is_read_from_their_bytes() {
    let counts = count(&[&prose(), "the end"], Some(pattern("o200k")), 1);
    let mut told = 0;
    let mut heard = |done, _| {
        told = done;
        ControlFlow::Continue(())
    };
    let bytes = counts.to_bytes();
    let survey = Survey::read(&bytes[..], &mut unwatched).unwrap();
    let counted = Counted::in_memory(Arc::new(counts), 1);
    assert_eq!((survey.sources, survey.tally), (2, counted.tally()));
    assert_eq!(survey.most_frequent, counted.most_frequent());
    let long: Vec<u8> = PieceCounts::from_items((0..300_000).map(|piece| (piece.to_string(), 1))).unwrap().to_bytes();
    Survey::read(&long[..], &mut heard).unwrap();
    assert!((1 << 20..=long.len() as u64).contains(&told), "{told} of {}", long.len());
    for wrong in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
        assert!(matches!(Survey::read(wrong, &mut unwatched), Err(Error::Format(_))));
    }
    let past = b"\x01\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\0\0a\x01\x01\0\x01b";
    assert!(matches!(Survey::read(&past[..], &mut unwatched), Err(Error::Corpus(message)) if message.contains("2^63")));
}

#[test]
fn different_pieces_at_one_position_merge_in_the_order_of_their_bytes() {
    let [a, b] = ["a", "b"].map(|text| count(&[text], None, 1));
    assert_eq!(merge(&[&a, &b]), merge(&[&b, &a]));
}

#[test]
fn the_bytes_of_a_file_are_taken_as_they_are() {
    let path = std::env::temp_dir().join(format!("minbpe-count-{}", std::process::id()));
    let bytes = b"\xef\xbb\xbfone\r\ntwo \xff\xfe three";
    std::fs::write(&path, bytes).unwrap();
    let from = |document: Document| {
        let mut counter = counter(Some(pattern("gpt4")), 2);
        counter.add(&[document], &mut unwatched).unwrap();
        counter.finish().unwrap()
    };
    let counts = from(Document::File(&path));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(counts, from(Document::Bytes(bytes)));
    assert!(counts.iter().any(|piece| piece.bytes == b"\xff\xfe"));
    let start = counts.get(0).unwrap();
    assert_eq!(start.first, Position { source: 0, offset: 0 });
    assert!(start.bytes.starts_with(b"\xef\xbb\xbf"));
}

#[test]
fn a_file_is_counted_as_its_text_though_threads_give_back_pages_that_others_read() {
    let path = std::env::temp_dir().join(format!("minbpe-pages-{}", std::process::id()));
    let text = prose();
    std::fs::write(&path, &text).unwrap();
    for threads in 1..4 {
        let mut counter = counter(Some(pattern("gpt2")), threads).with_stretch(1000);
        counter.add(&[Document::File(&path)], &mut unwatched).unwrap();
        assert!(counter.finish().unwrap() == count(&[&text], Some(pattern("gpt2")), 1));
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mut counter = counter(None, 1);
    let error = counter.add(&[Document::File(Path::new("no/such/file"))], &mut unwatched).unwrap_err();
    assert!(matches!(&error, Error::File(path, ..) if path == Path::new("no/such/file")));
    assert!(error.to_string().starts_with("no/such/file: "));
}

#[test]
fn items_add_up_in_the_order_given() {
    let counts = PieceCounts::from_items([(&b"b"[..], 3), (b"a", 0), (b"cc", 1 << 40), (b"b", 1)]).unwrap();
    assert_eq!(pieces(&counts), [("b", 4, 0, 0), ("cc", 1 << 40, 0, 1)]);
    assert!(matches!(PieceCounts::from_items([(&b""[..], 1)]), Err(Error::Corpus(_))));
}

#[test]
fn counts_past_2_63_are_an_error() {
    let limit = (1 << 63) - 1;
    assert_eq!(PieceCounts::from_items([(&b"a"[..], limit)]).unwrap().total(), limit);
    assert!(PieceCounts::from_items([(&b"a"[..], limit), (b"a", 1)]).is_err());
    assert!(PieceCounts::from_items([(&b"a"[..], limit), (b"b", 1)]).is_err());
    let half = PieceCounts::from_items([(&b"a"[..], 1 << 62)]).unwrap();
    assert!(matches!(merge(&[&half, &half]), Err(Error::Corpus(message)) if message.contains("2^63")));
}

#[test]
fn counts_written_to_bytes_are_read_back() {
    let counts = count(&[&prose(), "the end"], Some(pattern("o200k")), 1);
    let bytes = counts.to_bytes();
    assert!(PieceCounts::from_bytes(&bytes).unwrap() == counts);
    for cut in 0..bytes.len() {
        assert!(PieceCounts::from_bytes(&bytes[..cut]).is_err(), "cut after {cut} bytes");
    }
    let twice = [&bytes[..], &bytes].concat();
    assert!(PieceCounts::from_bytes(&twice).is_err());
}

#[test]
fn large_numbers_are_written_to_bytes_and_read_back() {
    let counts = PieceCounts::from_items([(&b"ab"[..], (1 << 63) - 2), (b"c", 1)]).unwrap();
    let moved = counts.shift_sources(u64::MAX - 1).unwrap();
    assert_eq!(PieceCounts::from_bytes(&moved.to_bytes()).unwrap(), moved);
    assert!(counts.shift_sources(u64::MAX).is_err());
    assert_eq!(counts.corpus_bytes(), (1 << 64) - 3);
}

#[test]
fn bytes_that_are_no_counts_are_an_error() {
    let sound = [1, 1, 1, 1, 0, 0, b'a'];
    assert_eq!(PieceCounts::from_bytes(&sound).unwrap(), PieceCounts::from_items([(b"a", 1)]).unwrap());
    let full = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
    let cases: [(&str, &[u8]); 8] = [
        ("a length past the end", &[1, 1, 2, 1, 0, 0, b'a']),
        ("a length that no memory holds", &[&[1, 1][..], &full, &[1, 0, 0, b'a']].concat()),
        ("more pieces than there are", &[&[1][..], &full, &[1, 1, 0, 0, b'a']].concat()),
        ("an empty piece", &[1, 1, 0, 1, 0, 0]),
        ("a count of 0", &[1, 1, 1, 0, 0, 0, b'a']),
        ("a source past the last", &[1, 1, 1, 1, 1, 0, b'a']),
        ("a piece twice", &[1, 2, 1, 1, 0, 0, b'a', 1, 1, 0, 0, b'a']),
        ("a number longer than it need be", &[1, 1, 1, 129, 0, 0, 0, b'a']),
    ];
    for (wrong, bytes) in cases {
        assert!(matches!(PieceCounts::from_bytes(bytes), Err(Error::Format(_))), "{wrong}");
    }
    let past = [&[1, 1][..], &[255; 9], &[2, 1, 0, 0, b'a']].concat();
    assert!(PieceCounts::from_bytes(&past).is_err(), "a number past 2^64");
}

#[test]
fn progress_that_breaks_stops_the_counting() {
    // Each blank matches only after all the blanks behind it are read: slow enough to be stopped.
    let text = " ".repeat(1 << 12);
    let mut counter = counter(Some(r" (?= *x)| "), 2);
    let mut stop = |_, _| ControlFlow::Break(());
    let result = counter.add(&[Document::Bytes(text.as_bytes()); 40], &mut stop);
    assert_eq!(result, Err(Error::Interrupted));
}
