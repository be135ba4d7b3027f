"""What tiktoken's public tests prove of tiktoken holds for `import minbpe as tiktoken`."""

import pickle
import subprocess
import sys
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe as tiktoken

pytestmark = pytest.mark.usefixtures("instructions")

END = "<|endoftext|>"
PREFIX = "<|fim_prefix|>"
MIDDLE = "<|fim_middle|>"

on_two_encodings = pytest.mark.parametrize("name", ["r50k_base", "cl100k_base"])


# Known ids


KNOWN_IDS = [
    ("gpt2", "hello world", [31373, 995]),
    ("r50k_base", "hello world", [31373, 995]),
    ("p50k_base", "hello world", [31373, 995]),
    ("cl100k_base", "hello world", [15339, 1917]),
    ("r50k_base", "", []),
    ("gpt2", "0" * 1, [15]),
    ("gpt2", "0" * 2, [405]),
    ("gpt2", "0" * 3, [830]),
    ("gpt2", "0" * 4, [2388]),
    ("gpt2", "0" * 5, [20483]),
    ("gpt2", "0" * 6, [10535]),
    ("gpt2", "0" * 7, [24598]),
    ("gpt2", "0" * 8, [8269]),
    ("gpt2", "0" * 9, [10535, 830]),
    ("gpt2", "0" * 10, [8269, 405]),
    ("gpt2", "0" * 11, [8269, 830]),
    ("gpt2", "0" * 12, [8269, 2388]),
    ("gpt2", "0" * 13, [8269, 20483]),
    ("gpt2", "0" * 14, [8269, 10535]),
    ("gpt2", "0" * 15, [8269, 24598]),
    ("gpt2", "0" * 16, [25645]),
    ("gpt2", "0" * 17, [8269, 10535, 830]),
    ("cl100k_base", "rer", [38149]),
    ("cl100k_base", "'rer", [2351, 81]),
    ("cl100k_base", "today\n ", [31213, 198, 220]),
    ("cl100k_base", "today\n \n", [31213, 27907]),
    ("cl100k_base", "today\n  \n", [31213, 14211]),
    ("cl100k_base", " \x850", [220, 126, 227, 15]),
    ("cl100k_base", "👍", [9468, 239, 235]),
]


@pytest.mark.parametrize(("name", "text", "ids"), KNOWN_IDS)
def test_text_has_its_known_ids_and_they_decode_to_it(name: str, text: str, ids: list[int]) -> None:
    encoding = tiktoken.get_encoding(name)
    assert encoding.encode(text) == ids
    assert encoding.decode(ids) == text


@pytest.mark.parametrize(("name", "ids"), [("gpt2", [31373, 220, 50256]), ("cl100k_base", [15339, 220, 100257])])
def test_an_allowed_special_token_has_its_id(name: str, ids: list[int]) -> None:
    assert tiktoken.get_encoding(name).encode(f"hello {END}", allowed_special="all") == ids


def test_two_surrogates_that_make_a_pair_are_its_character_and_one_alone_is_replaced() -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    assert encoding.encode("\ud83d\udc4d") == encoding.encode("👍")
    assert encoding.encode("\ud83d") == encoding.encode("\ufffd")


def test_bytes_that_are_no_text_have_ids_too() -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    assert encoding._encode_bytes(b" \xec\x8b\xa4\xed") == [62085]
    for length in range(10):
        assert encoding.decode_bytes(encoding._encode_bytes(b"\x80" * length)) == b"\x80" * length


# Decoding restores what was encoded


@on_two_encodings
@pytest.mark.parametrize("text", ["hello", "hello ", "hello  ", " hello", " hello ", " hello  ", "请考试我的软件！"])
def test_white_space_and_other_scripts_are_restored(name: str, text: str) -> None:
    encoding = tiktoken.get_encoding(name)
    assert encoding.decode(encoding.encode(text)) == text
    assert encoding.decode(encoding.encode_ordinary(text)) == text


@on_two_encodings
@given(text=st.text())
def test_text_is_restored(name: str, text: str) -> None:
    encoding = tiktoken.get_encoding(name)
    assert encoding.decode(encoding.encode(text, disallowed_special=())) == text


@on_two_encodings
@given(data=st.binary())
def test_bytes_are_restored(name: str, data: bytes) -> None:
    encoding = tiktoken.get_encoding(name)
    assert encoding.decode_bytes(encoding._encode_bytes(data)) == data


@on_two_encodings
@pytest.mark.parametrize("part", ["^", "0", "a", "'s", " ", "\n"])
def test_endless_repetition_is_restored(name: str, part: str) -> None:
    encoding = tiktoken.get_encoding(name)
    for text in (part * 10_000, " " + part * 10_000, " " + part * 10_000 + "\n"):
        assert encoding.decode(encoding.encode(text)) == text


def test_a_million_times_one_letter_can_be_encoded() -> None:
    encoding = tiktoken.get_encoding("o200k_base")
    assert encoding.decode(encoding.encode("x" * 1_000_000)) == "x" * 1_000_000


@pytest.mark.parametrize("name", tiktoken.list_encoding_names())
def test_each_tokens_bytes_have_its_id(name: str) -> None:
    encoding = tiktoken.get_encoding(name)
    for token in range(encoding.n_vocab):
        try:
            token_bytes = encoding.decode_single_token_bytes(token)
        except KeyError:  # ids may have holes
            continue
        assert encoding.encode_single_token(token_bytes) == token


# Special tokens


@pytest.mark.parametrize("disallowed", ["all", {END}, {PREFIX}], ids=str)
def test_a_disallowed_special_token_in_the_text_is_an_error(disallowed: Literal["all"] | set[str]) -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    with pytest.raises(ValueError, match="disallowed special token"):
        encoding.encode(f"{END} hello {PREFIX}", disallowed_special=disallowed)


def test_special_tokens_in_the_text_are_an_error_unless_one_says_otherwise() -> None:
    with pytest.raises(ValueError, match="disallowed special token"):
        tiktoken.get_encoding("cl100k_base").encode(f"{END} hello {PREFIX}")


@pytest.mark.parametrize(
    ("allowed", "disallowed", "found"),
    [
        (set(), (), set()),
        ("all", (), {END, PREFIX, MIDDLE}),
        ("all", "all", {END, PREFIX, MIDDLE}),
        ({PREFIX}, (), {PREFIX}),
        ({END}, (), {END}),
        ({MIDDLE}, (), {MIDDLE}),
    ],
    ids=str,
)
def test_only_allowed_special_tokens_are_encoded_as_such(
    allowed: Literal["all"] | set[str], disallowed: Literal["all"] | tuple[str, ...], found: set[str]
) -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    assert encoding.encode_single_token(END) == encoding.eot_token
    ids = encoding.encode(
        f"{END} hello {PREFIX} there {MIDDLE}", allowed_special=allowed, disallowed_special=disallowed
    )
    assert {token for token in (END, PREFIX, MIDDLE) if encoding.encode_single_token(token) in ids} == found


@on_two_encodings
@given(text=st.text())
def test_encode_ordinary_is_encode_with_nothing_disallowed(name: str, text: str) -> None:
    encoding = tiktoken.get_encoding(name)
    assert encoding.encode_ordinary(text) == encoding.encode(text, disallowed_special=())


# Batches


@on_two_encodings
@given(batch=st.lists(st.text()))
def test_a_batch_is_encoded_and_decoded_as_each_of_its_texts(name: str, batch: list[str]) -> None:
    encoding = tiktoken.get_encoding(name)
    encoded = encoding.encode_batch(batch, allowed_special="all")
    assert encoded == [encoding.encode(text, allowed_special="all") for text in batch]
    assert encoding.encode_ordinary_batch(batch) == [encoding.encode_ordinary(text) for text in batch]
    assert encoding.decode_batch(encoded) == batch


# Offsets


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        ("hello world", [0, 5]),
        (f"hello world{END} green cow", [0, 5, 11, 24, 30]),
        ("我非常渴望与人工智能一起工作", [0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 13]),
        # two tokens here begin inside one character and end inside the next: b"\xe0\xae\xbf\xe0\xae"
        ("நடிகர் சூர்யா", [0, 0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 9, 10, 11, 12, 12]),
        # and this one ends with a whole character: b"\xa0\xe9\x99\xa4"
        (" Ġ除", [0, 1]),
    ],
)
def test_a_token_starts_at_the_first_character_that_it_has_bytes_of(text: str, offsets: list[int]) -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    assert encoding.decode_with_offsets(encoding.encode(text, allowed_special="all")) == (text, offsets)


@pytest.fixture(scope="module")
def cl100k_ids() -> list[int]:
    encoding = tiktoken.get_encoding("cl100k_base")
    return [*encoding._mergeable_ranks.values(), *encoding._special_tokens.values()]


@given(data=st.data())
def test_offsets_of_random_tokens_are_the_lengths_of_what_comes_before(
    cl100k_ids: list[int], data: st.DataObject
) -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    drawn = data.draw(st.lists(st.sampled_from(cl100k_ids), min_size=1, max_size=20))
    ids = encoding.encode(encoding.decode(drawn, errors="ignore"), allowed_special="all")
    before = [encoding.decode(ids[:at], errors="ignore") for at in range(len(ids))]
    assert encoding.decode_with_offsets(ids)[1] == [len(text) for text in before]


# Names, pickles, imports


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt2", "gpt2"),
        ("text-davinci-003", "p50k_base"),
        ("text-davinci-edit-001", "p50k_edit"),
        ("gpt-3.5-turbo-0301", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4o", "o200k_base"),
        ("gpt-oss-120b", "o200k_harmony"),
    ],
)
def test_a_model_gives_its_encoding(model: str, name: str) -> None:
    assert tiktoken.encoding_for_model(model).name == name


def test_a_pickled_encoding_encodes_as_before() -> None:
    named = tiktoken.get_encoding("r50k_base")
    assert pickle.loads(pickle.dumps(named)).encode("hello world") == named.encode("hello world")

    custom = tiktoken.Encoding(
        name="custom",
        pat_str=named._pat_str,
        mergeable_ranks=named._mergeable_ranks,
        special_tokens={"<|pickle|>": 100_000},
    )
    restored = pickle.loads(pickle.dumps(custom))
    assert restored.encode("hello world") == custom.encode("hello world")
    for encoding in (custom, restored):
        assert encoding.encode("<|pickle|>", allowed_special="all") == [100_000]


def test_importing_needs_no_package_for_remote_files() -> None:
    subprocess.run([sys.executable, "-c", "import sys, minbpe; assert 'blobfile' not in sys.modules"], check=True)
