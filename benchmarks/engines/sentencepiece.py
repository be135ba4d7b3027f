"""sentencepiece's BPE, with the options that keep all bytes and all white space, as byte-level tokenizers do."""

from io import BytesIO
from typing import Any

from benchmarks.engine import Engine, Trained, Training


def train(sentencepiece: Any, training: Training, **options: Any) -> Trained:
    model = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        input=str(training.corpus),
        model_writer=model,
        model_type="bpe",
        vocab_size=training.size,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        max_sentence_length=1 << 22,
        num_threads=training.threads,
        minloglevel=2,
        **options,
    )

    def tokens() -> list[bytes]:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        ids = range(processor.get_piece_size())
        learned = (
            processor.id_to_piece(id)
            for id in ids
            if not (processor.is_byte(id) or processor.is_control(id) or processor.is_unknown(id))
        )
        return [piece.replace("▁", " ").encode() for piece in learned if len(piece) > 1]

    def count(text: str) -> int:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        lines = text.split("\n")
        newlines = len(lines) - 1  # a line is a sentence; its newline would be a token of its own
        return sum(map(len, processor.encode(lines))) + newlines

    return Trained(tokens=tokens, count=count)


ENGINE = Engine(
    "sentencepiece",
    "sentencepiece",
    "sentencepiece",
    trainer=train,
    reason="has no published encoding: it encodes with vocabularies of its own alone",
)
