//! The checks of the fuzz targets, on earlier findings and on random bytes.

use std::path::Path;

use minbpe_core::split::PATTERNS;
use proptest::prelude::*;

mod encoder;
mod naive;
mod splitter;
mod texts;

/// Checks each file of `regressions/target`.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzzed/regressions").join(target);
    for file in directory.read_dir().expect("the directory is there") {
        let path = file.expect("the directory can be read").path();
        println!("{}", path.display());
        check(&std::fs::read(path).expect("the file can be read"));
    }
}

#[test]
fn what_the_splitter_target_found_stays_right() {
    // By every named pattern, because the number of the right one changes when patterns are added.
    replay("splitter", |data| match data {
        [0..splitter::FIRST_MADE, rest @ ..] => {
            (0..PATTERNS.len()).for_each(|choice| splitter::check(&[&[choice as u8], rest].concat()));
        }
        _ => splitter::check(data),
    });
}

#[test]
fn what_the_encoder_target_found_stays_right() {
    replay("encoder", encoder::check);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_split_as_the_target_says(data in prop::collection::vec(any::<u8>(), 0..64)) {
        splitter::check(&data);
    }

    #[test]
    fn random_bytes_encode_as_the_target_says(data in prop::collection::vec(any::<u8>(), 0..128)) {
        encoder::check(&data);
    }
}
