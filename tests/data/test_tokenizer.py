from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from neox_core.data.tokenizers import CharLevelTokenizer, HFTokenizer, load_tokenizer
from neox_core.data.tokenizers.pieces import byte_level_bytes
from neox_core.data.tokenizers.training import train_bpe
from neox_core.errors import UserError

TEXTS = [f"def function_{i}(argument):\n    return argument + {i}  # naïve 日本\n" for i in range(200)]
BPE = train_bpe(TEXTS, 400)


@pytest.fixture
def tokenizer_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(BPE.to_json())
    return path


def test_bpe_has_its_special_tokens_first():
    assert BPE.vocab_size == 400
    assert BPE.eod_id == 0
    assert BPE.encode("<|endoftext|>") == [0]
    assert BPE.encode("<|padding|>") == [1]


@given(text=st.text())
def test_bpe_decodes_what_it_encodes(text):
    assert BPE.decode(BPE.encode(text)) == text


def test_bpe_learns_the_texts():
    assert len(BPE.encode(TEXTS[7])) < len(TEXTS[7]) / 2


def test_batches_are_encoded_like_single_texts():
    assert BPE.encode_batch(TEXTS[:9]) == [BPE.encode(text) for text in TEXTS[:9]]


def test_training_is_the_same_in_another_process(tmp_path):
    program = (
        "import sys; from neox_core.data.tokenizers.training import train_bpe;"
        "texts = [f'def function_{i}(argument):\\n    return argument + {i}  # naïve 日本\\n' for i in range(200)];"
        "sys.stdout.buffer.write(train_bpe(texts, 400).to_json().encode())"
    )
    for threads in ("1", "4"):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads}
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=True)
        assert other.stdout.decode() == BPE.to_json()


def test_small_texts_give_a_smaller_vocabulary():
    assert 258 <= train_bpe(["ab"], 4096).vocab_size < 270


def test_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(UserError, match=r"100 entries.*at least 258"):
        train_bpe(TEXTS, 100)


def test_saved_tokenizer_is_loaded(tokenizer_file):
    loaded = load_tokenizer("HFTokenizer", str(tokenizer_file))
    assert (loaded.vocab_size, loaded.eod_id) == (400, 0)
    assert loaded.encode(TEXTS[3]) == BPE.encode(TEXTS[3])


def test_tokenizer_without_an_end_of_document_has_none():
    from tokenizers import Tokenizer, models

    assert HFTokenizer.from_backend(Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))).eod_id is None


def test_padding_is_found_by_name():
    assert (BPE.pad_id, train_bpe(TEXTS, 400, special=["<|endoftext|>"]).pad_id) == (1, None)
    assert dict(BPE.special_tokens) == {"<|endoftext|>": 0, "<|padding|>": 1}


def test_file_that_says_to_cut_and_pad_does_neither():
    backend = train_bpe(TEXTS, 400).backend
    backend.enable_truncation(3)
    backend.enable_padding(length=50, pad_id=1, pad_token="<|padding|>")
    assert HFTokenizer.from_backend(backend).encode_batch(TEXTS[:3]) == BPE.encode_batch(TEXTS[:3])


def test_added_tokens_keep_their_bytes_whatever_letters_they_have():
    backend = train_bpe(TEXTS, 400).backend
    backend.add_tokens(["   ", "ä ö", "éè"])
    tokenizer = HFTokenizer.from_backend(backend)
    assert len(tokenizer.encode("   ä öéè")) == 3
    assert tokenizer.decode_bytes(tokenizer.encode("a   ä öbéè")) == "a   ä öbéè".encode()


def test_entry_with_a_letter_that_is_no_byte_stands_for_itself():
    assert byte_level_bytes("\u0120the") == b" the"
    assert byte_level_bytes("\u4e2d\u0120") == "\u4e2d\u0120".encode()


def test_vocabulary_of_pieces_with_bytes_to_fall_back_on_gives_every_byte_back():
    from tokenizers import Tokenizer, decoders, models, normalizers

    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "\u2581a", "b"]
    model = models.BPE(
        {piece: place for place, piece in enumerate(pieces)}, [("\u2581", "a")], unk_token="<unk>", byte_fallback=True
    )
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer = HFTokenizer.from_backend(backend)
    for text in ("ab a", " a", "日本 \U0001f600", "\n"):
        assert tokenizer.decode_bytes(tokenizer.encode(text)) == text.encode()
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode_bytes(tokenizer.encode("日")[:-1])[-2:] == "日".encode()[:2]


@pytest.mark.parametrize("tokenizer", [BPE, CharLevelTokenizer()], ids=["bpe", "characters"])
def test_surrogate_is_refused(tokenizer):
    with pytest.raises(UserError, match=r"U\+D83D at character 1 .*half of a surrogate pair"):
        tokenizer.encode("a\ud83d")
    with pytest.raises(UserError, match=r"U\+D83D"):
        tokenizer.encode_batch(["a", "\ud83d"])


def test_normalizer_and_prefix_space_are_those_asked_for():
    composed = train_bpe(TEXTS, 400, normalizer="nfkc", add_prefix_space=True)
    assert composed.decode(composed.encode("e\u0301 \ufb01")) == " é fi"
    assert BPE.decode(BPE.encode("e\u0301 \ufb01")) == "e\u0301 \ufb01"


def test_wrong_options_of_training_are_told():
    with pytest.raises(UserError, match="normalizer: there is no 'nfd'; did you mean 'nf"):
        train_bpe(TEXTS, 400, normalizer="nfd")
    with pytest.raises(UserError, match="special: '<x>' is empty or given twice"):
        train_bpe(TEXTS, 400, special=["<x>", "<x>"])


def test_char_level_tokens_are_bytes():
    tokenizer = load_tokenizer("CharLevelTokenizer")
    assert (tokenizer.vocab_size, tokenizer.eod_id, tokenizer.pad_id) == (512, 0, 1)
    assert tokenizer.encode("aé") == [97, 0xC3, 0xA9]
    assert tokenizer.encode_batch(["a", "b"]) == [[97], [98]]


@given(text=st.text())
def test_char_level_decodes_what_it_encodes(text):
    tokenizer = CharLevelTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode_bytes(tokenizer.encode(text)) == text.encode()


def test_char_level_shows_ids_that_are_no_text():
    assert CharLevelTokenizer().decode([97, 300, 511, 98]) == "a\ufffd\ufffdb"
    assert CharLevelTokenizer().decode_bytes([97, 300, 0xFF]) == b"a" + "\ufffd".encode() + b"\xff"


def test_type_is_found_in_any_case():
    assert isinstance(load_tokenizer("charleveltokenizer"), CharLevelTokenizer)


def test_unknown_type_gets_the_nearest():
    with pytest.raises(UserError, match="did you mean 'HFTokenizer'"):
        load_tokenizer("HFTokeniser", "vocab")


def test_vocabulary_file_must_be_set_and_there_and_whole(tmp_path):
    with pytest.raises(UserError, match=r"vocab_file: .*none is set"):
        load_tokenizer("HFTokenizer")
    with pytest.raises(UserError, match=r"vocab_file: .*absent\.json"):
        load_tokenizer("HFTokenizer", tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text('{"model": 3')
    with pytest.raises(UserError, match=r"vocab_file: .*broken\.json is not a tokenizer"):
        load_tokenizer("HFTokenizer", tmp_path / "broken.json")


@pytest.mark.parametrize(
    ("content", "guess"), [("#version: 0.2\na b\n", "the merges"), ('{"a": 0, "b": 1}', r"the vocab\.json")]
)
def test_gpt2s_files_are_known_again(tmp_path, content, guess):
    (tmp_path / "x").write_text(content)
    with pytest.raises(UserError, match=rf"is not a tokenizer .* but seems to be {guess} of a GPT2BPETokenizer"):
        load_tokenizer("HFTokenizer", tmp_path / "x")


def test_size_is_known_without_numpy_or_torch(tokenizer_file):
    program = (
        "import sys; from neox_core.data.tokenizers import load_tokenizer;"
        "assert load_tokenizer('HFTokenizer', sys.argv[1]).vocab_size == 400;"
        "print(sorted({'numpy', 'torch', 'pydantic', 'triton'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, tokenizer_file], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
