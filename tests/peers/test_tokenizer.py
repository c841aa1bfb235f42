"""The ids of `flame tokenize` equal those of the package `tokenizers`, string by string."""

import base64
import json
import random
import unicodedata

import pytest
import tokenizers
from program import ROOT, answers, run, shared
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

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
    "electroencephalographically", "pneumonoultramicroscopicsilicovolcanoconiosis",
    "x" * 70, "7" * 50, "1234567", "2147-03-05", "I'Ve", "we'RE", "it'D", "THEY'll", "'M", "''s",
    "O'Brien's", "'re'LL've", " \n", "\n  \n", "\r\r\n ", "\t \t", " \u00a0 ", "\u3000", "\x0b\x0c",
    "\u2028\n", "a  \n  b",
    "o\u0308\u0323", "\u0301", "\u0915\u094d\u0937", "\U0001d7d9\U0001d7da", "\U00020000", "🇨🇭",
    "<|eot_id|>", "<|start_header_id|>", "<|reserved_special_token_42|>", "<|eot_id", "|><|",
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
    """Returns `count` different texts."""
    rng, texts = random.Random(seed), dict.fromkeys(FRAGMENTS)
    while len(texts) < count:
        texts[random_text(rng)] = None
    return list(texts)


def assert_equal_ids(path, texts, peer=None):
    """Give `peer` if the package cannot read `path`."""
    peer = peer or Tokenizer.from_file(str(path))
    half = len(texts) // 2
    for some, special, options in ((texts[:half], True, []),
                                   (texts[half:], False, ["--no-special-tokens"])):
        rows = answers("tokenize", "--tokenizer", path, *options,
                       lines=[{"text": text} for text in some])
        encodings = peer.encode_batch_fast(some, add_special_tokens=special)
        for text, row, encoding in zip(some, rows, encodings, strict=True):
            assert row["ids"] == encoding.ids, ascii(text)[:500]


def test_tinystories_gives_equal_ids():
    assert_equal_ids(shared("tinystories-656k") / "tokenizer.json", varied_texts(12000, seed=1))


def test_own_trained_file_gives_equal_ids(tmp_path):
    run("prepare", "data.hospital=synth", "data.synth_patients=60", f"run.dir={tmp_path}")
    path = tmp_path / "base" / "tokenizer.json"
    assert len(json.loads(path.read_text())["model"]["merges"]) > 500
    assert_equal_ids(path, varied_texts(12000, seed=2))


def llama3_special_tokens():
    """Returns the special tokens in the order of Meta's llama/tokenizer.py."""
    reserved = [f"<|reserved_special_token_{i}|>" for i in range(251)]
    return (["<|begin_of_text|>", "<|end_of_text|>", *reserved[:4], "<|start_header_id|>",
             "<|end_header_id|>", reserved[4], "<|eot_id|>", *reserved[5:]])


def llama3_tokenizer(folder):
    """Builds Llama 3's tokenizer from its vocabulary, merges and published split pattern."""
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
    tokenizer.add_special_tokens(llama3_special_tokens())
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 128000)])
    return tokenizer


@pytest.fixture(scope="module")
def llama3():
    return llama3_tokenizer(shared("llama3-tokenizer"))


@pytest.fixture(scope="module")
def llama3_file(llama3, tmp_path_factory):
    path = tmp_path_factory.mktemp("llama3") / "tokenizer.json"
    llama3.save(str(path))
    return path


def test_llama3_gives_equal_ids_on_100000_texts(llama3_file):
    assert_equal_ids(llama3_file, varied_texts(100_000, seed=3))


def test_llama3_encoder_and_merges_give_equal_ids(llama3):
    folder = shared("llama3-tokenizer")
    texts = varied_texts(5000, seed=8)
    assert_equal_ids(folder, texts, llama3)
    assert_equal_ids(folder / "encoder.json", texts[:1000], llama3)


def long_texts(size):
    """Returns texts for which a quadratic step would take hours."""
    rng = random.Random(9)
    letters = "".join(rng.choice("etaoinshrdluETAOIN") for _ in range(size))
    return ["a" * size, letters, "7" * size, " " * size + "x", " \n" * (size // 2) + "x",
            "\n" * size, "é" * (size // 2), "'" * size, "中文" * (size // 6), "<|" * (size // 2),
            " x" * (size // 2), "▁" * (size // 3)]


@pytest.mark.parametrize("name", ["llama3", "tinystories"])
def test_a_megabyte_without_a_break_gives_equal_ids(name, llama3_file):
    path = llama3_file if name == "llama3" else shared("tinystories-656k") / "tokenizer.json"
    assert_equal_ids(path, long_texts(1_000_000))


BYTE_ALPHABET = pre_tokenizers.ByteLevel.alphabet()
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
LLAMA2 = (normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
          decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                             decoders.Strip(" ", 1, 0)]))
PIPELINES = {
    "gpt2": (None, pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()),
    "prefix_space": (None, pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()),
    "metaspace_always": (None, pre_tokenizers.Metaspace(), decoders.Metaspace()),
    "metaspace_first": (None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
                        decoders.Metaspace(prepend_scheme="first")),
    "metaspace_never": (None, pre_tokenizers.Metaspace(prepend_scheme="never"),
                        decoders.Metaspace(prepend_scheme="never")),
    "prepend_replace": LLAMA2,
    "byte_fallback": LLAMA2,
    "metaspace_byte_fallback": (None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
                                LLAMA2[2]),
}


@pytest.fixture(params=PIPELINES, scope="module")
def trained_by_peer(request, tmp_path_factory):
    """Trains a file with the package on this project's text, and adds tokens of every kind."""
    normalizer, pre_tokenizer, decoder = PIPELINES[request.param]
    byte_level = isinstance(decoder, decoders.ByteLevel)
    tokenizer = Tokenizer(models.BPE() if byte_level else models.BPE(unk_token="<unk>",
                                                                     fuse_unk=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Metaspace()
    tokenizer.decoder = decoder
    # The trainer has no other way to include tokens that do not occur in the text.
    byte_tokens = BYTE_TOKENS if request.param.endswith("byte_fallback") else []
    trainer = trainers.BpeTrainer(vocab_size=1500,
                                  special_tokens=["<unk>", "<s>", "</s>"] + byte_tokens,
                                  initial_alphabet=BYTE_ALPHABET if byte_level else [])
    tokenizer.train([str(path) for path in sorted(ROOT.glob("*/*.h"))], trainer)
    saved = json.loads(tokenizer.to_str())
    if pre_tokenizer is None:
        saved["pre_tokenizer"] = None
    saved["model"]["byte_fallback"] = bool(byte_tokens)
    saved["added_tokens"] = saved["added_tokens"][:3]
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


@pytest.mark.parametrize("name", ["llama3", "tinystories"])
def test_invalid_utf8_is_replaced_as_python_does(name, llama3_file):
    path = llama3_file if name == "llama3" else shared("tinystories-656k") / "tokenizer.json"
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


def assert_equal_texts(path, peer, lists):
    """Checks that ids decode to the package's text, at once and piece by piece."""
    for ids, row in zip(lists, answers("tokenize", "--tokenizer", path,
                                       lines=[{"ids": ids} for ids in lists])):
        assert row["text"] == peer.decode(ids), ids
        assert "".join(row["pieces"]) == row["text"], ids
        assert len(row["pieces"]) == len(ids) + 1


def random_ids(rng, size, bytes_from, first=0):
    """Draws half of the ids from 256 neighbouring ids: the single bytes, if the file has them. Then
    characters begin and break off anywhere."""
    return [rng.randrange(first, size) if rng.random() < 0.5
            else rng.randrange(bytes_from, bytes_from + 256) for _ in range(rng.randrange(30))]


def test_llama3_random_ids_decode_equally(llama3, llama3_file):
    rng = random.Random(10)
    assert_equal_texts(llama3_file, llama3,
                       [random_ids(rng, 128256, bytes_from=0) for _ in range(5000)])


def test_pipelines_of_peer_decode_equally(trained_by_peer):
    peer, rng = Tokenizer.from_file(str(trained_by_peer)), random.Random(12)
    assert_equal_texts(trained_by_peer, peer,
                       [random_ids(rng, peer.get_vocab_size(), 3, 3) for _ in range(2000)])


def test_llama3_pieces_come_when_the_peer_gives_them(llama3, llama3_file):
    texts = [text for text in varied_texts(3000, seed=13) if "\ufffd" not in text]
    lists = [encoding.ids for encoding in llama3.encode_batch_fast(texts)]
    rows = answers("tokenize", "--tokenizer", llama3_file, lines=[{"ids": ids} for ids in lists])
    for ids, row in zip(lists, rows):
        stream = tokenizers.decoders.DecodeStream(skip_special_tokens=True)
        assert row["pieces"] == [stream.step(llama3, token) or "" for token in ids] + [""], ids


def test_saved_folder_loads_in_transformers(tmp_path):
    """AutoTokenizer reads each slot that `prepare` adds as one token; it knows bos and eos."""
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


# Qwen 2's split pattern (Qwen2TokenizerFast) splits digits one by one.
QWEN_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
                r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def trained(normalizer, pre_tokenizer, texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=1500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False))
    return tokenizer


def composed_texts(count, seed):
    """Makes texts of letters followed by marks, single Hangul letters, ligatures, wide and narrow
    forms."""
    rng = random.Random(seed)
    ranges = [(0x41, 0x7b), (0xc0, 0x180), (0x300, 0x370), (0x1100, 0x1200), (0xac00, 0xd7a4),
              (0x1e00, 0x2000), (0xfb00, 0xfb50), (0xff00, 0xffef), (0x2100, 0x2200),
              (0x30, 0x3a), (0x660, 0x66a), (0x2460, 0x2474), (0x600, 0x660), (0x900, 0x980)]
    return ["".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randrange(1, 24)))
            for _ in range(count)]


@pytest.mark.parametrize("name", ["NFC", "NFD", "NFKC", "NFKD"])
def test_normal_forms_give_equal_ids(tmp_path, name):
    """Every Qwen's file uses NFC. Each library has the tables of its own Unicode version, so the
    test leaves out characters that Python does not know and texts that the package normalises
    differently."""
    everything = ["".join(c for c in text if unicodedata.category(c) != "Cn")
                  for text in varied_texts(3000, seed=30) + composed_texts(3000, seed=31)]
    random.Random(32).shuffle(everything)
    own = getattr(normalizers, name)()
    texts = [text for text in everything
             if own.normalize_str(text) == unicodedata.normalize(name, text)]
    assert len(texts) > 0.9 * len(everything)
    assert sum(own.normalize_str(text) != text for text in texts) > 1000
    peer = trained(own, pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), texts)
    peer.save(str(tmp_path / "tokenizer.json"))
    assert_equal_ids(tmp_path / "tokenizer.json", texts)


@pytest.mark.parametrize("step", [
    pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Digits(individual_digits=False),
    *[pre_tokenizers.Split(pattern, behavior, invert=invert)
      for pattern in (" ", "a.", Regex(r"\p{N}+|[,.]"))
      for behavior in ("isolated", "removed", "merged_with_previous", "merged_with_next",
                       "contiguous")
      for invert in (False, True)]], ids=lambda step: "")
def test_splits_give_equal_ids(tmp_path, step):
    texts = varied_texts(500, seed=33) + ["a.a.b a.  , 12.5,,7 a.", "..a.", "  ", "1 2  3", "a. 7"]
    peer = trained(None, pre_tokenizers.Sequence([
        step, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), texts)
    peer.save(str(tmp_path / "tokenizer.json"))
    assert_equal_ids(tmp_path / "tokenizer.json", texts)


@pytest.mark.parametrize("pattern", [
    r"^\p{L}+|\s+|.", r"\p{L}+$|\s+|.", r"^\s+$|\p{L}+|.|\n", r"\p{L}+(?!$)|.|\n", r"a{,2}b|.|\n",
    r"(?<=\n)\p{L}+|.|\n", r"(?i)the|o.|.|\n", r"(?i:the)|a{2,}?b|.|\n", r"(?>a+)b|[^\s$^]+|.|\n",
    r"\p{L}++|[\p{N}.,]+|{|x{,|.|\n"])
def test_patterns_that_oniguruma_reads_its_way_give_equal_ids(tmp_path, pattern):
    texts = varied_texts(500, seed=35) + ["aspirin\nwarfarin", "a\n", "\n", "\na\n\nb c\n ", "aab ab b",
                                          "aaab{x{,3}", "The THE tHe on\noff", "$^", "a\r\nb"]
    peer = trained(None, pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), texts)
    peer.save(str(tmp_path / "tokenizer.json"))
    assert_equal_ids(tmp_path / "tokenizer.json", texts)


CATEGORIES = ("L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp "
              "Cc Cf Co").split()


def letters_of_many_scripts(count, seed):
    """Samples planes 0 and 1 but for Chinese, Korean and what no Unicode has."""
    rng = random.Random(seed)
    ranges = [(0x80, 0x3400), (0xa000, 0xac00), (0xf8f0, 0x10000), (0x10000, 0x12000),
              (0x16000, 0x17000), (0x1b000, 0x20000), (0x897, 0x898), (0x1c89, 0x1c8b), (0xa7cb, 0xa7dd),
              (0x10d40, 0x10d90), (0x11380, 0x113e3), (0x1171e, 0x1171f), (0x11f00, 0x11f5a)]
    return "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(count))


@pytest.mark.parametrize("category", CATEGORIES)
def test_general_categories_are_those_of_unicode_16(tmp_path, category):
    """What a pattern matches is removed, so that the ids show it."""
    text = letters_of_many_scripts(4000, seed=36)
    patterns = [rf"\p{{{category}}}", rf"\P{{{category}}}", rf"[\p{{{category}}}x]+",
                rf"[^\p{{{category}}}x]+|\n"]
    for pattern in patterns if category != "Mn" else patterns[:2]:
        peer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(BYTE_ALPHABET)}, merges=[]))
        peer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "removed"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        peer.decoder = decoders.ByteLevel()
        peer.save(str(tmp_path / "tokenizer.json"))
        assert_equal_ids(tmp_path / "tokenizer.json", [text])


def test_o200k_pattern_gives_equal_ids(tmp_path):
    """The pattern of OpenAI's o200k_base (tiktoken_ext/openai_public.py)."""
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    suffix, start = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"[^\r\n\p{L}\p{N}]?"
    pattern = (f"{start}{upper}*{lower}+{suffix}|{start}{upper}+{lower}*{suffix}|"
               r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    texts = varied_texts(2000, seed=37) + composed_texts(2000, seed=38) + ["McDonald's CamelCASEd"]
    peer = trained(None, pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), texts)
    peer.save(str(tmp_path / "tokenizer.json"))
    assert_equal_ids(tmp_path / "tokenizer.json", texts)


def test_truncation_of_a_file_is_left_out(tmp_path):
    texts = varied_texts(200, seed=34)
    peer = trained(None, pre_tokenizers.ByteLevel(), texts)
    peer.enable_truncation(max_length=3)
    peer.save(str(tmp_path / "tokenizer.json"))
    peer.no_truncation()
    assert_equal_ids(tmp_path / "tokenizer.json", texts, peer=peer)
