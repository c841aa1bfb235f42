"""Ids of `flame tokenize` equal those of the package tokenizers, string by string."""

import base64
import json
import random

import pytest
import tokenizers
from program import ROOT, answers, run, shared
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, trainers

FRAGMENTS = [
    "", " ", "  ", "     ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u2003", "\u0085", "\u180e",
    "hello", " world", "the boy's", "WE'LL", "'S", "'\u017f", "don't", "a_b", "...", "!!!", "#$%",
    "1", "23", "456", " 78901", "3.14", "1,000", "\u00bd", "\u00b2", "\u2167", "\u0663",
    "naïve", "e\u0301", "n\u0303o", "Å", "ß", "İ", "ﬁ", "Ω", "привет", "中文字", "日本語", "العربية",
    "हिन्दी", "한국어", "ไทย", "😀", "👩\u200d👩\u200d👧", "🏳️\u200d🌈", "𝔘", "\u200b", "\ufeff", "\ufffd",
    "\x00", "\x1b", "\x7f", "\ue000", "\U0010ffff", "\U00013b60", "\U00031d04", "▁", "▁▁a", "<0xE2>",
    "Ġ", "<|", "|>", "<unk>", "<s>", "</s>", "<|end_story|>", "<|start_story|>", "<|end_of_text|>",
    "<DrugEmb-1>", "<DrugEmb-12>",
    "Pt. c/o SOB x3d; Hx of CHF, s/p CABG", "Metoprolol Tartrate 25mg PO BID", "ICD-9 428.0",
    "Diagnose: [Sepsis, Acute kidney failure NOS]", "Candidate drug: Furosemide", "T 38.5°C, 5 µg",
]


def random_text(rng):
    kind = rng.random()
    if kind < 0.15:
        ranges = [(0x20, 0x7f), (0, 0x800), (0x300, 0x370), (0x800, 0xd800), (0xe000, 0x110000)]
        return "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randrange(40)))
    glue = " " if kind < 0.5 else ""
    return glue.join(rng.choice(FRAGMENTS) for _ in range(rng.randrange(15)))


def varied_texts(count, seed):
    rng = random.Random(seed)
    return FRAGMENTS + [random_text(rng) for _ in range(count - len(FRAGMENTS))]


def assert_equal_ids(path, texts):
    peer = Tokenizer.from_file(str(path))
    for some, special, options in ((texts, True, []),
                                   (texts[:1000], False, ["--no-special-tokens"])):
        rows = answers("tokenize", "--tokenizer", path, *options,
                       lines=[{"text": text} for text in some])
        for text, row in zip(some, rows):
            assert row["ids"] == peer.encode(text, add_special_tokens=special).ids, ascii(text)


def test_tinystories_gives_equal_ids():
    assert_equal_ids(shared("tinystories-656k") / "tokenizer.json", varied_texts(12000, seed=1))


def test_own_trained_file_gives_equal_ids(tmp_path):
    run("prepare", "data.hospital=synth", "data.synth_patients=60", f"run.dir={tmp_path}")
    path = tmp_path / "base" / "tokenizer.json"
    assert len(json.loads(path.read_text())["model"]["merges"]) > 500
    assert_equal_ids(path, varied_texts(12000, seed=2))


def llama3_tokenizer(folder):
    """The tokenizer.json of Llama 3 from its vocabulary, merges and published split pattern."""
    merges = [line for line in (folder / "vocab.bpe").read_text().split("\n") if line]
    vocab = json.loads((folder / "encoder.json").read_text())
    tokenizer = Tokenizer(models.BPE(
        vocab=vocab, merges=[tuple(line.split(" ")) for line in merges], ignore_merges=True))
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
               r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 128000)])
    return tokenizer


def test_llama3_gives_equal_ids(tmp_path):
    path = tmp_path / "tokenizer.json"
    llama3_tokenizer(shared("llama3-tokenizer")).save(str(path))
    assert_equal_ids(path, varied_texts(10000, seed=3))


BYTE_ALPHABET = pre_tokenizers.ByteLevel.alphabet()
PIPELINES = {
    "gpt2": (None, pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()),
    "prefix_space": (None, pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()),
    "metaspace_always": (None, pre_tokenizers.Metaspace(), decoders.Metaspace()),
    "metaspace_first": (None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
                        decoders.Metaspace(prepend_scheme="first")),
    "metaspace_never": (None, pre_tokenizers.Metaspace(prepend_scheme="never"),
                        decoders.Metaspace(prepend_scheme="never")),
    "prepend_replace": (
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                           decoders.Strip(" ", 1, 0)])),
}


@pytest.fixture(params=PIPELINES, scope="module")
def trained_by_peer(request, tmp_path_factory):
    """A file trained by the package on this project's own text, with added tokens of every kind."""
    normalizer, pre_tokenizer, decoder = PIPELINES[request.param]
    byte_level = isinstance(decoder, decoders.ByteLevel)
    tokenizer = Tokenizer(models.BPE() if byte_level else models.BPE(unk_token="<unk>",
                                                                     fuse_unk=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Metaspace()
    tokenizer.decoder = decoder
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=["<unk>", "<s>", "</s>"],
                                  initial_alphabet=BYTE_ALPHABET if byte_level else [])
    tokenizer.train([str(path) for path in sorted(ROOT.glob("*/*.h"))], trainer)
    if pre_tokenizer is None:
        saved = json.loads(tokenizer.to_str())
        saved["pre_tokenizer"] = None
        tokenizer = Tokenizer.from_str(json.dumps(saved))
    tokenizer.add_tokens([
        AddedToken("<left>", lstrip=True, special=True),
        AddedToken("<right>", rstrip=True, special=True, normalized=False),
        AddedToken("drug", single_word=True, normalized=False),
        AddedToken("<n>", normalized=True), AddedToken("<n>x", normalized=False)])
    path = tmp_path_factory.mktemp(request.param) / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_pipelines_of_peer_give_equal_ids(trained_by_peer):
    rng = random.Random(4)
    extra = ["<left>", "  <left>  ", "<right>  ", " <right>", "drug", " drug ", "drugs", "<n>",
             "<n>x", " <n>", "é drug-é", "int32_t", "std::vector"]
    texts = varied_texts(500, seed=5)
    texts += ["".join(rng.choice(extra + FRAGMENTS) for _ in range(6)) for _ in range(1500)]
    assert_equal_ids(trained_by_peer, texts)


def test_invalid_utf8_is_replaced_as_python_does():
    path = shared("tinystories-656k") / "tokenizer.json"
    rng = random.Random(6)
    parts = [b"\x80", b"\xbf", b"\xc0\xaf", b"\xc2", b"\xe1\x80", b"\xed\xa0\x80", b"\xf0\x9f\x98",
             b"\xf4\x90\x80\x80", b"\xf1\x80\x80", b"\xff", b"\xfe", b"ok ", "é😀".encode()]
    inputs = [b"".join(rng.choice(parts) for _ in range(rng.randrange(12))) for _ in range(1500)]
    inputs += [rng.randbytes(rng.randrange(24)) for _ in range(1500)]
    rows = answers("tokenize", "--tokenizer", path,
                   lines=[{"bytes_base64": base64.b64encode(raw).decode()} for raw in inputs])
    peer = Tokenizer.from_file(str(path))
    for raw, row in zip(inputs, rows):
        assert row["ids"] == peer.encode(raw.decode("utf-8", errors="replace")).ids, raw


def test_saved_folder_loads_in_transformers(tmp_path):
    """The slots that `prepare` adds are single tokens to AutoTokenizer too; it knows bos and eos."""
    from transformers import AutoTokenizer

    run("prepare", "data.hospital=synth", "data.synth_patients=60", f"run.dir={tmp_path}")
    folder = tmp_path / "base"
    peer = AutoTokenizer.from_pretrained(folder)
    texts = ["Furosemide <DrugEmb-3>\nAspirin <DrugEmb-12>\n", "", " a  b<|end_of_text|>"]
    rows = answers("tokenize", "--tokenizer", folder / "tokenizer.json",
                   lines=[{"text": text} for text in texts])
    assert [row["ids"] for row in rows] == [peer(text).input_ids for text in texts]
    assert peer.convert_tokens_to_ids("<DrugEmb-3>") in rows[0]["ids"]
    assert (peer.bos_token, peer.eos_token) == ("<|begin_of_text|>", "<|end_of_text|>")
