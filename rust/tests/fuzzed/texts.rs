//! Texts made from arbitrary bytes, so that a few bytes give much text of the kinds that matter.

/// The bits of a form that say how often a text is repeated.
pub const TIMES: u8 = 7;
/// The bit of a form that takes the bytes as they are.
const RAW: u8 = 0x80;

/// At least one character for each symbol of the named patterns, and bytes that are not characters.
const ELEMENTS: &[&[u8]] = &[
    b"a",
    b"B",
    b"s",
    b"S",
    b"t",
    b"l",
    b"L",
    b"v",
    b"e",
    b"r",
    "ʰ".as_bytes(),
    "\u{301}".as_bytes(),
    "中".as_bytes(),
    "あ".as_bytes(),
    b"1",
    "½".as_bytes(),
    b" ",
    b"\n",
    b"\r",
    b"\t",
    "\u{a0}".as_bytes(),
    "\u{3000}".as_bytes(),
    b"'",
    b"!",
    b"/",
    "€".as_bytes(),
    "ſ".as_bytes(),
    b"\0",
    "😀".as_bytes(),
    "ǅ".as_bytes(),
    b"\xe2\x82",
    b"\xff",
];

/// The text that `data` encodes: its bytes, or for each byte an element, repeated as the byte's high bits say; the whole may be repeated
/// too, so that now and then it is long enough for four lanes.
pub fn read(form: u8, data: &[u8]) -> Vec<u8> {
    let text = if form & RAW != 0 {
        data.to_vec()
    } else {
        let run = |&byte: &u8| ELEMENTS[byte as usize & 31].repeat([1, 1, 1, 1, 2, 3, 9, 70][byte as usize >> 5]);
        data.iter().flat_map(run).collect()
    };
    text.repeat([1, 1, 1, 1, 1, 1, 3, 30][(form & TIMES) as usize])
}
