"""Tokenizers by GPT-NeoX's names. Importing this package, and asking a tokenizer for its size, loads neither numpy nor torch."""

from neox_core.data.tokenizers.beside import BESIDE as BESIDE
from neox_core.data.tokenizers.characters import CharLevelTokenizer as CharLevelTokenizer
from neox_core.data.tokenizers.gpt2 import GPT2BPETokenizer as GPT2BPETokenizer, HFGPT2Tokenizer as HFGPT2Tokenizer
from neox_core.data.tokenizers.hugging_face import BackendTokenizer as BackendTokenizer, HFTokenizer as HFTokenizer
from neox_core.data.tokenizers.loading import (
    describes_tokenizer as describes_tokenizer,
    load_tokenizer as load_tokenizer,
    make_tokenizer as make_tokenizer,
    read_definition as read_definition,
    read_source as read_source,
    restore_tokenizer as restore_tokenizer,
    stored_source as stored_source,
)
from neox_core.data.tokenizers.protocol import (
    END_OF_DOCUMENT as END_OF_DOCUMENT,
    PADDING as PADDING,
    Tokenizer as Tokenizer,
)
from neox_core.data.tokenizers.sentence_piece import SPMTokenizer as SPMTokenizer
from neox_core.data.tokenizers.source import (
    TOKENIZER as TOKENIZER,
    TokenizerFile as TokenizerFile,
    TokenizerSource as TokenizerSource,
    parse_source as parse_source,
)
from neox_core.data.tokenizers.tik_token import TiktokenTokenizer as TiktokenTokenizer
