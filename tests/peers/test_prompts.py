"""The prompts of a run are the ids that `tokenizers` gives for their text, whatever its tokenizer puts
before a text."""

import itertools
import json
import pathlib
import re

import h5py
import pytest
from program import ROOT, run
from test_tokenizer import PIPELINES, trained_by_peer  # noqa: F401 (a fixture)
from tokenizers import Tokenizer, processors
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

TINY = ROOT / "tests" / "system" / "tiny.yaml"


def prompts(run_dir):
    """Returns the prompts and the sampled texts of a run's shards."""
    found, texts = {}, {}
    for shard in sorted((pathlib.Path(run_dir) / "grpo" / "rollouts").glob("*.h5")):
        with h5py.File(shard) as file:
            group = file["trajectories"]
            for kept, name, offsets in ((found, "prompt_tokens", "prompt_offsets"),
                                        (texts, "tokens", "offsets")):
                tokens, ends = group[name][:], group[offsets][:]
                for begin, end in itertools.pairwise(ends):
                    kept[tuple(tokens[begin:end].tolist())] = None
    return list(found), list(texts)


def model_folder(folder, tokenizer, begin):
    """Writes a random model of two layers with the tokenizer, which begins a text with <s> or not."""
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    LlamaForCausalLM(LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=48, max_position_embeddings=2048, bos_token_id=1,
        eos_token_id=2)).save_pretrained(folder)
    return folder


def text_of(tokenizer, ids):
    """Returns the text of a prompt. Prepend puts a space behind every slot, which is not in it."""
    text = tokenizer.decode(list(ids), skip_special_tokens=False)
    return text if tokenizer.normalizer is None else re.sub(r"(<\w+Emb-\d+>) ", r"\1", text)


@pytest.mark.parametrize("template", ["prompts.yaml", "prompts-compact.yaml"])
def test_prompts_are_ids_of_their_text(trained_by_peer, tmp_path, template):  # noqa: F811
    tokenizer = Tokenizer.from_file(str(trained_by_peer))
    begin = template == "prompts.yaml"
    model = model_folder(tmp_path / "model", tokenizer, begin)
    out = tmp_path / "run"
    run("pipeline", "--config", TINY, f"model.path={model}", f"run.dir={out}", "data.synth_patients=40",
        f"prompts.file={ROOT / 'configs' / template}", "grpo.steps=2", "grpo.tasks=4", "grpo.constrain=drugs",
        "classifier.epochs=1", "list.epochs=1", "model.trainable=lora")
    ours = Tokenizer.from_file(str(out / "grpo" / "model" / "tokenizer.json"))
    found, texts = prompts(out)
    assert len(found) >= 6
    for ids in found:
        assert (ids[0] == 1) == begin
        text = text_of(ours, ids[begin:])
        assert ours.encode(text).ids == list(ids)
        question = text.rindex("Drug list:" if "Drug list:" in text else "\n")
        assert text[question - 1] != " "
    # A constrained line is spelt as the lines that SFT taught: without a space in front.
    lines = [line for ids in texts for line in ours.decode(ids).split("\n") if line]
    assert lines and not [line for line in lines[1:] if line.startswith(" ")]
    exported = tmp_path / "exported"
    run("export", "--run", out, "--out", exported)
    theirs = AutoTokenizer.from_pretrained(exported)
    for ids in found:
        text = text_of(ours, ids[begin:])
        assert theirs(text).input_ids == list(ids)
