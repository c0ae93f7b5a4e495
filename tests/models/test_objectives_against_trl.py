"""Our losses beside those of TRL 1.16, an independent implementation that is no requirement (``pip install musiczoo[oracle]``)."""

import types
from collections import defaultdict

import pytest
import torch

from musiczoo.models.objectives import dpo_loss, group_advantages, grpo_loss

pytest.importorskip("trl", reason="TRL is installed with musiczoo[oracle] only")


# ------------------------------------------------------------------------------------------------------------------ GRPO


class Accelerator:
    num_processes = 1

    def reduce(self, value, reduction):
        return value

    def gather(self, value):
        return value


def trl_grpo(
    log_probs,
    old,
    reference,
    advantages,
    mask,
    *,
    loss_type,
    beta,
    epsilon,
    epsilon_high,
    length,
    bias_correction,
):
    """TRL's own computation, fed with log-probabilities instead of a model."""
    from trl import GRPOTrainer

    trainer = types.SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (
            log_probs,
            torch.zeros_like(log_probs),
            None,
        ),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=beta,
        epsilon_low=epsilon,
        epsilon_high=epsilon if epsilon_high is None else epsilon_high,
        loss_type=loss_type,
        use_vllm=False,
        max_completion_length=length,
        current_gradient_accumulation_steps=1,
        model=types.SimpleNamespace(training=True),
        accelerator=Accelerator(),
        args=types.SimpleNamespace(
            use_bias_correction_kl=bias_correction, delta=None, steps_per_generation=1
        ),
        _entropy_bonus_enabled=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
    )
    tokens = torch.zeros_like(mask, dtype=torch.long)
    inputs = {
        "prompt_ids": tokens[:, :1],
        "prompt_mask": torch.ones_like(tokens[:, :1]),
        "completion_ids": tokens,
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": mask.sum(),
    }
    return GRPOTrainer._compute_loss(trainer, None, inputs)


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("bias_correction", [True, False])
@pytest.mark.parametrize(
    ("beta", "epsilon", "epsilon_high"), [(0.0, 0.2, None), (0.04, 0.2, 0.28), (0.5, 0.1, None)]
)
def test_grpo(loss_type, bias_correction, beta, epsilon, epsilon_high):
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        log_probs = -3 * torch.rand(6, 11, generator=generator)
        old, reference = (
            log_probs + 0.4 * torch.randn(log_probs.shape, generator=generator) for _ in range(2)
        )
        lengths = torch.tensor([11, 3, 7, 1, 10, 0])
        mask = torch.arange(11) < lengths.unsqueeze(1)
        advantages = group_advantages(torch.randn(6, generator=generator), 3)
        ours, theirs = log_probs.clone().requires_grad_(), log_probs.clone().requires_grad_()
        settings = {
            "beta": beta,
            "epsilon": epsilon,
            "epsilon_high": epsilon_high,
            "bias_correction": bias_correction,
        }
        loss = grpo_loss(
            ours,
            old,
            reference,
            advantages,
            mask,
            aggregation=loss_type,
            max_completion_length=20,
            **settings,
        )
        expected = trl_grpo(
            theirs, old, reference, advantages, mask, loss_type=loss_type, length=20, **settings
        )
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-5)
        loss.backward()
        expected.backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------------ DPO


def llama(seed):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    return LlamaForCausalLM(
        LlamaConfig(**sizes, initializer_range=0.4, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    )


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {
        word: index
        for index, word in enumerate(["<pad>", "<s>", "</s>", *(f"w{n}" for n in range(29))])
    }
    backend = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def phrase(generator, words):
    return " ".join(f"w{int(n)}" for n in torch.randint(29, (words,), generator=generator))


@pytest.fixture(scope="module")
def trainers(tmp_path_factory):
    """A function that gives TRL's trainer for a loss; policy and reference have different weights."""
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    generator = torch.Generator().manual_seed(0)
    rows = [
        {
            "prompt": phrase(generator, 3),
            "chosen": " " + phrase(generator, 2 + n),
            "rejected": " " + phrase(generator, 9 - n),
        }
        for n in range(6)
    ]

    def make(**settings):
        folder = str(tmp_path_factory.mktemp("trl"))
        arguments = trl.DPOConfig(
            folder,
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            **settings,
        )
        data = datasets.Dataset.from_list(rows)
        return trl.DPOTrainer(
            model=llama(0),
            ref_model=llama(1),
            args=arguments,
            train_dataset=data,
            processing_class=tokenizer(),
        )

    return make


def sums(model, batch):
    """Summed log-probability of each completion, and its length, computed apart from TRL."""
    ids, scored = batch["input_ids"], batch["completion_mask"][:, 1:].bool()
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=batch["attention_mask"]).logits[:, :-1]
    log_probs = torch.log_softmax(logits.float(), -1).gather(2, ids[:, 1:].unsqueeze(2)).squeeze(2)
    return (log_probs * scored).sum(1), scored.sum(1)


def trl_dpo(trainer):
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(6)])
    with torch.no_grad():
        loss = trainer.compute_loss(trainer.model, dict(batch))
    policy, lengths = sums(trainer.model, batch)
    reference, _ = sums(trainer.ref_model, batch)
    return float(loss), policy, reference, lengths


@pytest.mark.parametrize(
    ("kind", "beta"),
    [("sigmoid", 0.1), ("sigmoid", 0.02), ("hinge", 0.1), ("ipo", 0.1), ("ipo", 0.5)],
)
@pytest.mark.filterwarnings("ignore")
def test_dpo(trainers, kind, beta):
    expected, policy, reference, lengths = trl_dpo(trainers(loss_type=[kind], beta=beta))
    scale = lengths if kind == "ipo" else torch.ones_like(lengths)
    sides = [*(policy / scale).chunk(2), *(reference / scale).chunk(2)]
    assert float(dpo_loss(*sides, beta, kind=kind)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_label_smoothing(trainers):
    # TRL 1.16 has the unbiased form alone, ((1 - e) right - e wrong) / (1 - 2 e), from which the
    # loss of a wrong label follows.
    right, policy, reference, _ = trl_dpo(trainers(loss_type=["sigmoid"], beta=0.1))
    robust, *_ = trl_dpo(trainers(loss_type=["robust"], beta=0.1, label_smoothing=0.2))
    wrong = (0.8 * right - 0.6 * robust) / 0.2
    loss = dpo_loss(*policy.chunk(2), *reference.chunk(2), 0.1, label_smoothing=0.2)
    assert float(loss) == pytest.approx(0.8 * right + 0.2 * wrong, rel=1e-5)
