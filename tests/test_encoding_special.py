"""Special tokens in text: tiktoken's rules for allowing and disallowing them, and many or overlapping tokens."""

import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe import Encoding
from minbpe.errors import SpecialTokenError

END = "<|endoftext|>"
PREFIX = "<|fim_prefix|>"
RANKS = {bytes([value]): value for value in range(256)} | {b"ab": 256, b"<a": 257}

# Keywords, each with a text that gives either ids or an error for the disallowed text in it.
SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({}, "hello"),
    ({}, f"hello {END}"),
    ({}, f"\ud83d {END}"),
    ({}, f"\ud83d {END[:-1]}"),
    ({"allowed_special": "all"}, f"a {END}{PREFIX} b"),
    ({"allowed_special": {END}}, f"a {END} b"),
    ({"allowed_special": {END}}, f"a {END}{PREFIX} b"),
    ({"allowed_special": frozenset({END})}, END),
    ({"allowed_special": {END}, "disallowed_special": ()}, f"a {END}{PREFIX} b"),
    ({"allowed_special": {END}, "disallowed_special": {PREFIX}}, f"a {END} b"),
    ({"allowed_special": {END}, "disallowed_special": {PREFIX}}, f"a {END}{PREFIX} b"),
    ({"allowed_special": {END}, "disallowed_special": {END}}, f"a {END} b"),
    ({"allowed_special": "all", "disallowed_special": {END}}, f"a {END} b"),
    ({"allowed_special": "all", "disallowed_special": [END]}, f"a {END} b"),
    ({"allowed_special": "all", "disallowed_special": {PREFIX}}, f"a {END} b"),
    ({"disallowed_special": {"foo"}}, "a foo b"),
    ({"disallowed_special": {"foo"}}, f"a {END} b"),
    ({"disallowed_special": ["foo"]}, "a foo b"),
    ({"disallowed_special": ("foo",)}, "a foo b"),
    ({"disallowed_special": {"foo": 1}}, "a foo b"),
    ({"disallowed_special": "f"}, "a foo b"),
    ({"disallowed_special": ""}, END),
    ({"disallowed_special": None}, END),
    ({"disallowed_special": [""]}, "a"),
    ({"disallowed_special": {"(.*)"}}, "a foo b"),
    ({"disallowed_special": {"\ud83d"}}, "a \ud83d b"),
    ({"disallowed_special": {"\ud83d"}}, "a 👍 b"),
    ({"disallowed_special": {"👍"}}, "a \ud83d\udc4d b"),
    ({"disallowed_special": {"👍"}}, "\ud83d a 👍 b"),
    ({"allowed_special": "all"}, f"\ud83d {END} \udc4d"),
    ({"allowed_special": {"foo"}}, "a foo b"),
    ({"allowed_special": {"foo"}}, f"a foo {END}"),
    ({"allowed_special": set()}, f"a {END}"),
    ({"allowed_special": "all"}, f"x  {END}  y\n{END}\n"),
    ({"allowed_special": "all"}, "<|endoftext|<|endoftext|>|>"),
]

ENCODERS: list[Callable[..., Any]] = [
    lambda encoding, text, **settings: encoding.encode(text, **settings),
    lambda encoding, text, **settings: encoding.encode_to_numpy(text, **settings).tolist(),
    lambda encoding, text, **settings: encoding.encode_with_unstable(text, **settings)[0],
    lambda encoding, text, **settings: encoding.encode_batch([text], **settings)[0],
]
OURS_ALONE: list[Callable[..., Any]] = [
    lambda encoding, text, **settings: encoding.encode_with_offsets(text, **settings)[0],
    lambda encoding, text, **settings: encoding.encode_batch_flat([text], **settings)[0].tolist(),
]


def outcome(encode: Callable[..., Any], encoding: Any, text: str, settings: dict[str, Any]) -> Any:
    """The ids, or the message of the ValueError."""
    try:
        return encode(encoding, text, **settings)
    except UnicodeEncodeError:
        return "surrogates"
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(("settings", "text"), SETTINGS, ids=ascii)
def test_what_is_allowed_and_disallowed_is_as_for_tiktoken(
    tiktoken_module: ModuleType, settings: dict[str, Any], text: str
) -> None:
    ours, theirs = minbpe.get_encoding("cl100k_base"), tiktoken_module.get_encoding("cl100k_base")
    for encode in ENCODERS:
        if settings == {"disallowed_special": None} and encode is ENCODERS[3]:
            continue  # a TypeError in a batch, for both
        expected = outcome(encode, theirs, text, settings)
        if expected != "surrogates":  # tiktoken repairs them only in encode
            assert outcome(encode, ours, text, settings) == expected
    for encode in OURS_ALONE if settings != {"disallowed_special": None} else []:
        assert outcome(encode, ours, text, settings) == outcome(ENCODERS[0], theirs, text, settings)


def test_the_error_tells_three_ways_out_and_each_is_one() -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    with pytest.raises(SpecialTokenError) as raised:
        encoding.encode(f"a {END}")
    message = str(raised.value)
    for way in (
        f"`allowed_special={{{END!r}, ...}}`",
        f"`disallowed_special=(enc.special_tokens_set - {{{END!r}}})`",
        "`disallowed_special=()`",
    ):
        assert way in message
    assert encoding.encode(f"a {END}", allowed_special={END, "..."}) == [64, 220, encoding.eot_token]
    plain = encoding.encode(f"a {END}", disallowed_special=())
    assert encoding.encode(f"a {END}", disallowed_special=(encoding.special_tokens_set - {END})) == plain


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"allowed_special": [END]}, "a set of special tokens, not list"),
        ({"allowed_special": (END,)}, "a set of special tokens, not tuple"),
        ({"allowed_special": END}, "a set of special tokens, not str"),
        ({"allowed_special": None}, "a set of special tokens, not NoneType"),
        ({"allowed_special": {1}}, "allowed_special holds texts, not int: 1"),
        ({"disallowed_special": {1}}, "disallowed_special holds texts, not int: 1"),
        ({"disallowed_special": 5}, "not iterable"),
        ({"disallowed_special": [[]]}, "unhashable"),
    ],
    ids=str,
)
@pytest.mark.parametrize("encode", [*ENCODERS, *OURS_ALONE])
def test_sets_of_the_wrong_type_are_a_type_error(
    encode: Callable[..., Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        encode(minbpe.get_encoding("gpt2"), "a", **settings)


def test_what_is_like_a_set_is_allowed_and_an_iterator_disallowed() -> None:
    encoding = minbpe.get_encoding("gpt2")
    assert encoding.encode(END, allowed_special={END: 1}.keys()) == [50256]
    with pytest.raises(SpecialTokenError):
        encoding.encode_batch(["a", "b foo"], disallowed_special=iter(["foo"]))


def test_settings_that_change_are_looked_at_anew() -> None:
    encoding = minbpe.get_encoding("gpt2")
    allowed, disallowed = {END}, ["foo"]
    assert encoding.encode(END, allowed_special=allowed, disallowed_special=disallowed) == [50256]
    allowed.clear()
    assert len(encoding.encode(END, allowed_special=allowed, disallowed_special=disallowed)) > 1
    disallowed.append(END)
    with pytest.raises(SpecialTokenError):
        encoding.encode(END, allowed_special=allowed, disallowed_special=disallowed)
    once = iter([END])
    with pytest.raises(SpecialTokenError):
        encoding.encode(END, disallowed_special=once)  # type: ignore[arg-type]
    assert len(encoding.encode(END, disallowed_special=once)) > 1  # type: ignore[arg-type]


# Many, and overlapping


@pytest.fixture(scope="module")
def many() -> Encoding:
    """An encoding with 10,000 special tokens, some of which are prefixes of others."""
    return minbpe.get_encoding("cl100k_base").with_special_tokens({f"<|{n}": 200_000 + n for n in range(10_000)})


def test_of_ten_thousand_special_tokens_each_is_found(many: Encoding) -> None:
    assert len(many.special_tokens_set) == 10_005
    ids = [200_000 + n for n in range(10_000)]
    assert many.encode(many.decode(ids), allowed_special="all") == ids
    some: dict[str, Any] = {"allowed_special": {"<|12", "<|7"}, "disallowed_special": ()}
    assert many.encode("<|12345 <|7", **some) == [200_012, *many.encode("345 "), 200_007]
    with pytest.raises(SpecialTokenError, match=r"'<\|1234'"):
        many.encode("a <|12345")


def test_of_ten_thousand_special_tokens_each_id_is_known(many: Encoding) -> None:
    assert all(many.is_special_token(id) for id in range(200_000, 210_000))
    assert not many.is_special_token(210_000)
    assert pickle.loads(pickle.dumps(many)).vocabulary == many.vocabulary


def leftmost_longest(text: str, special: dict[str, int], encoding: Encoding) -> list[int]:
    """The ids of `text`, found by looking at each place for the longest special token."""
    ids: list[int] = []
    start = place = 0
    while place < len(text):
        found = max((token for token in special if text.startswith(token, place)), key=len, default="")
        if found:
            ids += [*encoding.encode_ordinary(text[start:place]), special[found]]
            start = place = place + len(found)
        else:
            place += 1
    return ids + encoding.encode_ordinary(text[start:])


@given(
    special=st.dictionaries(st.text("<ab>é", min_size=1, max_size=4), st.integers(1000, 1020), max_size=8),
    text=st.text("<ab>é ", max_size=40),
    data=st.data(),
)
def test_overlapping_special_tokens_are_found_leftmost_and_longest(
    special: dict[str, int], text: str, data: st.DataObject
) -> None:
    encoding = Encoding("", pat_str=r"\w+|\W+", mergeable_ranks=RANKS, special_tokens=special)
    assert encoding.encode(text, allowed_special="all") == leftmost_longest(text, special, encoding)
    allowed = {token for token in sorted(special) if data.draw(st.booleans())}
    chosen = {token: special[token] for token in allowed}
    assert encoding.encode(text, allowed_special=allowed, disallowed_special=()) == leftmost_longest(
        text, chosen, encoding
    )
    others = set(special) - allowed
    if any(token in text for token in others):
        with pytest.raises(SpecialTokenError):
            encoding.encode(text, allowed_special=allowed)


@given(
    special=st.sets(st.text("ab", max_size=4).map("<{}>".format), max_size=6),
    text=st.text("<ab> ", max_size=40),
)
def test_special_tokens_that_cannot_overlap_are_found_as_by_tiktoken(
    tiktoken_module: ModuleType, special: set[str], text: str
) -> None:
    fields: dict[str, Any] = {
        "pat_str": r"[a-z]+|[^a-z]+",
        "mergeable_ranks": RANKS,
        "special_tokens": {token: 1000 + index for index, token in enumerate(sorted(special))},
    }
    ours, theirs = Encoding("", **fields), tiktoken_module.Encoding("", **fields)
    assert ours.encode(text, allowed_special="all") == theirs.encode(text, allowed_special="all")


def test_the_text_before_a_special_token_is_split_as_if_it_ended_there() -> None:
    encoding = minbpe.get_encoding("gpt2")
    assert encoding.encode(f"a  {END}b", allowed_special="all") == [
        *encoding.encode("a  "),
        50256,
        *encoding.encode("b"),
    ]
    assert encoding.encode("a  ") != encoding.encode("a  b")[:-1]


# Adding special tokens


def test_further_special_tokens_make_a_new_encoding() -> None:
    before = minbpe.get_encoding("cl100k_base")
    chat = before.with_special_tokens({"<|im_start|>": 100264}, name="chat")
    assert chat.name == "chat"
    assert chat.encode("<|im_start|>user", allowed_special="all") == [100264, 882]
    assert chat.decode([100264]) == "<|im_start|>"
    assert chat.special_tokens_set == before.special_tokens_set | {"<|im_start|>"}
    assert before.encode("<|im_start|>user") == chat.encode("<|im_start|>user", disallowed_special=())
    assert before.with_special_tokens({}).name == "cl100k_base"
    assert chat.vocabulary != before.vocabulary == before.with_special_tokens({}).vocabulary


def test_a_special_token_given_again_has_the_new_id() -> None:
    moved = minbpe.get_encoding("gpt2").with_special_tokens({END: 60_000})
    assert moved.eot_token == 60_000
    assert 50_256 not in moved.vocabulary


@pytest.mark.parametrize(
    ("special", "error", "message"),
    [
        ({"": 60_000}, SpecialTokenError, "is empty"),
        ({"<a>": 5}, SpecialTokenError, "ids from 50256 on are free"),
        ({"<a>": -1}, minbpe.errors.VocabularyError, "from 0 to 4294967295"),
        ({"<a>": 2**32}, minbpe.errors.VocabularyError, "from 0 to 4294967295"),
        ({"<a>": "b"}, TypeError, "integer"),
        ({b"<a>": 60_000}, TypeError, "str"),
        ({"\ud83d": 60_000}, minbpe.errors.VocabularyError, "lone surrogates are not"),
    ],
    ids=ascii,
)
def test_special_tokens_that_cannot_be_are_refused(special: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        minbpe.get_encoding("gpt2").with_special_tokens(special)
    ranks = minbpe.get_encoding("gpt2")._mergeable_ranks
    with pytest.raises(error, match=message):
        Encoding("", pat_str=None, mergeable_ranks=ranks, special_tokens=special)
