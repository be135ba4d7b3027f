//! The named split patterns, each with the source its string was read from.

/// A split pattern by name, or several, each of which splits the pieces of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<P> {
    /// The name that `pattern=` takes.
    pub name: &'static str,
    /// The regular expression, or all of them.
    pub pattern: P,
    /// Where the strings come from, character for character.
    pub source: &'static str,
}

/// All named sequences.
pub const SEQUENCES: &[Named<&[&str]>] = &[Named {
    name: "deepseek",
    pattern: &[
        r"\p{N}{1,3}",
        r"[一-龥぀-ゟ゠-ヿ]+",
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
    ],
    source: "DeepSeek-V3, as ggml-org/llama.cpp has it, src/llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_DEEPSEEK3_LLM",
}];

/// All named patterns. "gpt4" is not "cl100k": they differ on white space at the end of a text that holds a newline.
pub const PATTERNS: &[Named<&str>] = &[
    Named {
        name: "gpt2",
        pattern: r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        source: "karpathy/minbpe, minbpe/regex.py, GPT2_SPLIT_PATTERN",
    },
    Named {
        name: "gpt4",
        pattern: r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        source: "karpathy/minbpe, minbpe/regex.py, GPT4_SPLIT_PATTERN",
    },
    Named {
        name: "r50k",
        pattern: r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        source: "tiktoken 0.14.0, tiktoken_ext/openai_public.py, gpt2, r50k_base, p50k_base, p50k_edit",
    },
    Named {
        name: "cl100k",
        pattern: r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        source: "tiktoken 0.14.0, tiktoken_ext/openai_public.py, cl100k_base",
    },
    Named {
        name: "o200k",
        pattern: concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        source: "tiktoken 0.14.0, tiktoken_ext/openai_public.py, o200k_base, o200k_harmony",
    },
    Named {
        name: "llama3",
        pattern: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        source: "meta-llama/llama-models, models/llama3/tokenizer.py, pat_str",
    },
    Named {
        name: "qwen2",
        pattern: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        source: "huggingface/transformers, src/transformers/models/qwen2/tokenization_qwen2.py, PRETOKENIZE_REGEX",
    },
    Named {
        name: "tekken",
        pattern: concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
            r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        source: "ggml-org/llama.cpp, src/llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_TEKKEN, \"original regex from tokenizer.json\"",
    },
    Named {
        name: "kimi_k2",
        pattern: concat!(
            r"[\p{Han}]+|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        source: "moonshotai/Kimi-K2-Instruct, tokenization_kimi.py, TikTokenTokenizer.pat_str",
    },
];
